//! The file of a whole server: secrets by reference, and what differs.

use super::*;
use crate::domain::yaml;

const FILE: &str = "
stacks:
  - name: web
    repository:
      url: https://git.example/web.git
      authType: http_token
      credentials: { token: '${GIT_TOKEN}' }
    build:
      environmentVariables:
        - { name: MODE, value: fast }
        - { name: KEY, value: '${KEY}', secret: true }
    schedules:
      - { name: nightly, cron: '0 4 * * *' }
";

fn web(text: &str) -> StackEntry {
    let file: ServerFile = yaml::read("f.yaml", text).expect("a good file");
    file.check().expect("a good file");
    file.stacks.into_iter().flatten().next().expect("a stack")
}

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const BOTH: [(&str, &str); 2] = [("GIT_TOKEN", "hunter2"), ("KEY", "hunter3")];

#[test]
fn references_get_their_values_or_keep_what_is_stored() {
    let mut first = web(FILE);
    first.resolve(&given(&BOTH), None).expect("resolved");
    let token = |entry: &StackEntry| {
        entry.repository.as_ref().and_then(|row| row.credentials.clone()).and_then(|kept| kept.token)
    };
    assert_eq!(token(&first).as_deref(), Some("hunter2"));
    assert_eq!(first.build.environment_variables[1].value, "hunter3");

    let mut again = web(FILE);
    again.resolve(&given(&[]), Some(&first)).expect("kept");
    assert_eq!(again, first);
    assert_eq!(changes(&again, Some(&first)).expect("compared"), []);

    for (pairs, field) in
        [(&[][..], "repository.credentials.token"), (&BOTH[..1], "build.environmentVariables.1.value")]
    {
        let refused = web(FILE).resolve(&given(pairs), None);
        assert!(matches!(&refused, Err(Error::Invalid { field: at, .. }) if at == field), "{refused:?}");
    }
}

#[test]
fn a_refresh_token_is_taken_once_and_the_stored_one_is_newer_from_then_on() {
    let oauth = "{ clientId: mine, refreshToken: '${REFRESH}', clientSecret: '${SECRET}' }";
    let text = FILE.replace("{ token: '${GIT_TOKEN}' }", oauth);
    let pairs = given(&[("REFRESH", "first"), ("SECRET", "quiet"), ("KEY", "hunter3")]);
    let known = |entry: &StackEntry| {
        let kept = entry.repository.as_ref().and_then(|row| row.credentials.clone()).expect("some");
        (kept.refresh_token.expect("one"), kept.client_secret.expect("one"))
    };
    let mut stored = web(&text);
    stored.resolve(&pairs, None).expect("resolved");
    assert_eq!(known(&stored), ("first".into(), "quiet".into()));
    // The forge has replaced it since.
    let kept = stored.repository.as_mut().and_then(|row| row.credentials.as_mut()).expect("some");
    kept.refresh_token = Some("second".into());
    let mut again = web(&text);
    again.resolve(&pairs, Some(&stored)).expect("resolved");
    assert_eq!(known(&again).0, "second");
    let mut other = web(&text.replace("mine", "another"));
    other.resolve(&pairs, Some(&stored)).expect("resolved");
    assert_eq!(known(&other).0, "first", "it is another application's");
}

#[test]
fn a_secret_in_the_file_is_refused() {
    let mut entry = web(&FILE.replace("${KEY}", "in the clear"));
    let refused = entry.resolve(&given(&BOTH), None).expect_err("refused").to_string();
    assert!(refused.contains("${NAME}") && !refused.contains("in the clear"), "{refused}");
}

#[test]
fn only_what_differs_is_told_and_secrets_never_are() {
    let mut old = web(FILE);
    old.resolve(&given(&BOTH), None).expect("resolved");
    // Nobody wrote it: the git server was asked.
    old.repository.as_mut().expect("there is one").branch = "main".into();
    let mut same = web(FILE);
    same.resolve(&given(&BOTH), Some(&old)).expect("resolved");
    assert_eq!(changes(&same, Some(&old)).expect("compared"), []);
    let text = FILE.replace("MODE, value: fast", "MODE, value: slow").replace("0 4", "0 5");
    let mut new = web(&text.replace("      authType", "      branch: next\n      authType"));
    new.resolve(&given(&[("GIT_TOKEN", "other"), ("KEY", "hunter3")]), Some(&old)).expect("resolved");
    let found = changes(&new, Some(&old)).expect("compared");
    let told: Vec<_> =
        found.iter().map(|one| (one.what.as_str(), one.from.as_deref(), one.to.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("build.environmentVariables.MODE.value", Some("fast"), Some("slow")),
            ("repository.branch", Some("main"), Some("next")),
            ("repository.credentials.token", Some("(secret)"), Some("(another secret)")),
            ("schedules.nightly.cron", Some("0 4 * * *"), Some("0 5 * * *")),
        ]
    );
    let all = format!("{:?}", changes(&new, None).expect("compared"));
    assert!(all.contains("nightly") && !all.contains("hunter") && !all.contains("other"), "{all}");
}

#[test]
fn a_name_that_is_there_twice_is_refused_with_its_place() {
    let text = "stacks:\n  - name: a\n  - name: b\n  - name: a\n";
    let file: ServerFile = yaml::read("f.yaml", text).expect("read");
    let error = file.check().expect_err("refused");
    assert_eq!(yaml::place("f.yaml", text, "", error).to_string(), "f.yaml:4:5: stack `a` is there twice");
}
