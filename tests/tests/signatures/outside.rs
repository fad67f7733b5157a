//! Libraries that others wrote sign, and judge what they are given: the host agrees with each of them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use windlass::plugins::signature;
use windlass_tests::tools::tool;

use crate::schemes::{Scheme, schemes};

const JAVASCRIPT: &str = include_str!("outside.mjs");
const PYTHON: &str = include_str!("outside.py");

/// Gives the program its questions, one a line, and reads as many answers.
fn ask(mut program: Command, questions: &[Value]) -> Vec<Value> {
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().expect("its input").write_all(lines.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "it ends well");
    let answers: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("an answer"))
        .collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

fn javascript(questions: &[Value], test: &str) -> Option<Vec<Value>> {
    let (node, folder) = (tool("signers", "node", test)?, tool("signers", "javascript", test)?);
    let mut node = Command::new(node);
    // A program from the command line finds its packages from the folder it runs in.
    node.args(["--input-type=module", "--eval", JAVASCRIPT]).current_dir(folder);
    Some(ask(node, questions))
}

async fn scheme(name: &str) -> Scheme {
    schemes().await.into_iter().find(|scheme| scheme.name == name).expect("it is in the table")
}

const SECRET: &str = "It's a Secret to Everybody";

/// Bodies that libraries have stumbled over, as text.
fn bodies() -> Vec<String> {
    ["", "{}", "Hello, World!", "{\"a\":\"ünï→🦀\"}", "a\r\nb\n", "\u{feff}{}"].map(str::to_owned).to_vec()
}

/// Whether the host takes a delivery of GitHub's scheme with this header.
fn takes(scheme: &Scheme, header: &str, body: &str) -> bool {
    let headers = [(scheme.header.to_owned(), header.to_owned())];
    signature::verify(&scheme.contract, &headers, body.as_bytes(), &[SECRET.as_bytes()], 0).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_octokit_signs_is_genuine_and_what_the_host_says_octokit_says() {
    let test = "what_octokit_signs_is_genuine_and_what_the_host_says_octokit_says";
    let scheme = scheme("GitHub").await;
    let questions: Vec<Value> =
        bodies().iter().map(|body| json!({ "do": "hub-sign", "secret": SECRET, "body": body })).collect();
    // The library refuses to sign nothing.
    let Some(signed) = javascript(&questions[1..], test) else { return };
    for (body, header) in bodies()[1..].iter().zip(&signed) {
        assert!(takes(&scheme, header.as_str().expect("a header"), body), "{body:?}");
    }
    let (mut questions, mut ours) = (Vec::new(), Vec::new());
    for body in &bodies()[1..] {
        for header in headers(&scheme, body) {
            ours.push(json!(takes(&scheme, &header, body)));
            questions.push(json!({ "do": "hub-verify", "secret": SECRET, "body": body, "header": header }));
        }
    }
    let theirs = javascript(&questions, test).expect("it was there before");
    assert_eq!(theirs, ours);
    assert!(ours.contains(&json!(true)) && ours.contains(&json!(false)));
}

/// A right header and what can be wrong about it.
fn headers(scheme: &Scheme, body: &str) -> Vec<String> {
    let right = scheme.signed(SECRET, body.as_bytes(), 0);
    let other = scheme.signed("another secret", body.as_bytes(), 0);
    let changed = scheme.signed(SECRET, format!("{body} ").as_bytes(), 0);
    vec![
        format!("sha256={right}"),
        format!("sha256={other}"),
        format!("sha256={changed}"),
        format!("sha256={}", &right[..60]),
        format!("sha256={right}00"),
        format!("sha1={}", &right[..40]),
        format!("sha512={right}"),
        right,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_says_gidgethub_says() {
    let Some(python) = tool("signers", "python", "what_the_host_says_gidgethub_says") else { return };
    let scheme = scheme("GitHub").await;
    let (mut questions, mut ours) = (Vec::new(), Vec::new());
    for body in &bodies() {
        for header in headers(&scheme, body) {
            ours.push(json!(takes(&scheme, &header, body)));
            questions.push(json!({ "secret": SECRET, "body": body, "header": header }));
        }
    }
    let mut python = Command::new(python);
    python.args(["-c", PYTHON]);
    assert_eq!(ask(python, &questions), ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_standardwebhooks_signs_is_genuine_and_what_the_host_says_it_says() {
    let test = "what_standardwebhooks_signs_is_genuine_and_what_the_host_says_it_says";
    let scheme = scheme("GitLab's signing token").await;
    let secret = scheme.secret(1);
    // The library looks at the clock.
    let now = windlass::store::now() / 1000;
    let takes = |header: &str, body: &str, at: i64| {
        let headers = scheme.headers(header, at);
        let secrets = [secret.as_bytes()];
        signature::verify(&scheme.contract, &headers, body.as_bytes(), &secrets, now * 1000).is_ok()
    };
    let sign = |body: &String| json!({ "do": "standard-sign", "secret": secret, "body": body, "id": "msg_1", "at": now });
    let Some(signed) = javascript(&bodies().iter().map(sign).collect::<Vec<_>>(), test) else { return };
    for (body, header) in bodies().iter().zip(&signed) {
        assert!(takes(header.as_str().expect("a header"), body, now), "{body:?}");
    }
    let body = "{\"object_kind\":\"push\"}";
    let right = |at| format!("v1,{}", scheme.signed(&secret, body.as_bytes(), at));
    let wrong = format!("v1,{}", scheme.signed(&scheme.secret(2), body.as_bytes(), now));
    let rows = [
        (right(now), now),
        (wrong.clone(), now),
        (format!("{wrong} {}", right(now)), now),
        (format!("v1a,AAAA {}", right(now)), now),
        (right(now).replace("v1,", "v2,"), now),
        (right(now), now - 60),
        (right(now - 240), now - 240),
        (right(now - 600), now - 600),
        (right(now + 600), now + 600),
    ];
    let ours: Vec<Value> = rows.iter().map(|(header, at)| json!(takes(header, body, *at))).collect();
    let ask = |(header, at): &(String, i64)| json!({ "do": "standard-verify", "secret": secret, "body": body, "id": "msg_1", "at": at, "header": header });
    let theirs = javascript(&rows.iter().map(ask).collect::<Vec<_>>(), test).expect("it was there before");
    assert_eq!(theirs, ours);
    assert_eq!(ours.iter().filter(|taken| **taken == json!(true)).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_weaker_scheme_is_a_way_out() {
    let all = schemes().await;
    let by = |name: &str| all.iter().find(|scheme| scheme.name == name).expect("it is in the table");
    let body = b"{}";
    let says = |scheme: &Scheme, headers: &[(&str, String)], secrets: &[&str]| {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.as_bytes()).collect();
        let verdict = signature::verify(&scheme.contract, &headers, body, &secrets, 0);
        verdict.map_err(|error| error.to_string())
    };
    let token = by("GitLab's secret token");
    let strong = by("GitLab's signing token").secret(1);
    let downgraded =
        says(token, &[("x-gitlab-token", strong.clone())], &[&strong]).expect_err("it is weaker");
    assert!(downgraded.contains("weaker") && downgraded.contains("standard-webhooks"), "{downgraded}");
    // While the plain secret ends, it counts for what it was made for, and no further.
    let plain = token.secret(2);
    assert_eq!(says(token, &[("x-gitlab-token", plain.clone())], &[&strong, &plain]), Ok(1));
    let forged = [("webhook-signature", "v1,AAAA".to_owned()), ("x-gitlab-token", plain.clone())];
    assert!(says(token, &forged, &[&plain]).is_err(), "the stronger header decides");

    let gitea = by("Gitea");
    let (secret, right) = (gitea.secret(1), gitea.signed(&gitea.secret(1), body, 0));
    let wrong = gitea.signed(&gitea.secret(2), body, 0);
    let both = |hub: &str, own: &str| {
        [("x-hub-signature-256", format!("sha256={hub}")), ("x-gitea-signature", own.to_owned())]
    };
    assert_eq!(says(gitea, &both(&right, &right), &[&secret]), Ok(0));
    assert!(says(gitea, &both(&wrong, &right), &[&secret]).is_err());
    let generic = by("generic, signed");
    let mixed =
        [("x-hub-signature-256", format!("sha256={wrong}")), ("authorization", format!("Bearer {secret}"))];
    assert!(says(generic, &mixed, &[&secret]).is_err());
}
