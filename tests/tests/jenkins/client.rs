//! python-jenkins, which nobody here wrote, gets along with the fake, and asks for the same as the plugin.

use serde_json::{Value, json};
use windlass::domain::ci::CiTrigger;
use windlass_tests::vendors::jenkins::{Jenkins, PASSWORD, VERSION};
use windlass_tests::vendors::rig::target;
use windlass_tests::vendors::tools::{contract, run_client};

use crate::{NAME, rig, spec};

/// The requests that change something, each once.
fn changes(jenkins: &Jenkins) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in jenkins.fake.trace() {
        if !line.starts_with("GET") && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_nobody_here_wrote_lives_with_the_fake_and_does_what_the_plugin_does() {
    let test = "a_client_that_nobody_here_wrote_lives_with_the_fake_and_does_what_the_plugin_does";
    let theirs = Jenkins::start().await;
    theirs.world().eager = true;
    let (user, password) = PASSWORD.split_once(':').unwrap();
    let Some(told) = run_client("drive_jenkins.py", &[&theirs.fake.url, user, password], test).await else {
        return;
    };
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["version"], &told["whoami"]), (&json!(VERSION), &json!("admin")));
    assert_eq!(
        (&told["building"], &told["result"], &told["job"]),
        (&json!(true), &json!("ABORTED"), &json!(1))
    );
    assert_eq!((&told["console"], &told["exists"]), (&json!("Finished: ABORTED\n"), &json!(false)));
    assert!(told["twice"].as_str().unwrap().contains("already exists"), "{told}");
    assert!(told["missing"].as_str().unwrap().contains("does not exist"), "{told}");
    assert!(
        told["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "E" && p["value"] == "x y&z"),
        "{told}"
    );

    let ours = Jenkins::start().await;
    ours.world().eager = true;
    let rig = rig().await;
    let target = target(&ours.fake.url, "basic", PASSWORD, json!({}));
    let mut spec = spec("new");
    spec.folder = Some("a/b".into());
    spec.parameters[0].name = "E".into();
    let job = rig.plugins.provider_create_job(NAME, &target, &spec).await.unwrap();
    rig.plugins.provider_create_job(NAME, &target, &spec).await.unwrap();
    let trigger = CiTrigger {
        ref_name: None,
        parameters: vec![("E".into(), "x y&z".into())],
        idempotency_key: "k".into(),
    };
    let build = rig.plugins.provider_trigger(NAME, &target, &job.id, &trigger).await.unwrap();
    let sent = ours.world().build("a/b/new", 1).parameters.clone();
    assert!(sent.contains(&("E".to_owned(), "x y&z".to_owned())), "{sent:?}");
    rig.plugins.provider_cancel(NAME, &target, &job.id, &build.id).await.unwrap();
    rig.plugins.provider_delete_job(NAME, &target, &job.id).await.unwrap();

    // They differ in how a job is deleted: a form that leads on to a page, and the method, which answers for itself.
    let theirs: Vec<String> = changes(&theirs)
        .iter()
        .map(|line| line.replace("POST /job/a/job/b/job/new/doDelete", "DELETE /job/a/job/b/job/new/"))
        .collect();
    assert_eq!(changes(&ours), theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_asks_where_the_recorded_client_asked() {
    let Some(path) =
        contract("jenkins/python-jenkins-requests.json", "the_plugin_asks_where_the_recorded_client_asked")
    else {
        return;
    };
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let jenkins = Jenkins::start().await;
    let rig = rig().await;
    let target = target(&jenkins.fake.url, "basic", PASSWORD, json!({}));
    let mut spec = spec("new");
    spec.folder = Some("a/b".into());
    let job = rig.plugins.provider_create_job(NAME, &target, &spec).await.unwrap();
    let trigger = CiTrigger { ref_name: None, parameters: Vec::new(), idempotency_key: "k".into() };
    // The recorded build had the number 7.
    for _ in 0..7 {
        let key = CiTrigger { idempotency_key: jenkins.world().queue.len().to_string(), ..trigger.clone() };
        rig.plugins.provider_trigger(NAME, &target, &job.id, &key).await.unwrap();
        jenkins.world().start_next();
    }
    rig.plugins.provider_build_status(NAME, &target, &job.id, "queue-143").await.unwrap();
    rig.plugins.provider_cancel(NAME, &target, &job.id, "7").await.unwrap();
    let seen = jenkins.fake.seen();
    for request in recorded.as_array().unwrap() {
        let path = request["path"].as_str().unwrap().split('?').next().unwrap();
        // The plugin reads logs piece by piece.
        let path = path.replace("/consoleText", "/logText/progressiveText");
        let same = seen.iter().find(|seen| seen.method == request["method"] && seen.path() == path);
        let same = same.unwrap_or_else(|| panic!("{} {path} was never asked for", request["method"]));
        let is_post = same.method == "POST";
        assert!(same.header("authorization").is_some_and(|value| value.starts_with("Basic ")));
        // A crumb goes along where it has to; the client sends it with everything but the first.
        assert_eq!(
            same.header("jenkins-crumb").is_some() && same.header("cookie").is_some(),
            is_post,
            "{path}"
        );
        if !request["body"].as_str().unwrap().is_empty() {
            let is_xml = |kind: &str| kind.contains("/xml") && kind.ends_with("charset=utf-8");
            assert!(is_xml(request["headers"]["Content-Type"].as_str().unwrap()));
            assert!(is_xml(same.header("content-type").unwrap()));
        }
    }
}
