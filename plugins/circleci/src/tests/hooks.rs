//! Webhooks.

use serde_json::{Value, json};
use windlass_sdk::Failure;
use windlass_sdk::provider::{BuildStatus, Delivery, Event, Webhooks};

use crate::CircleCi;

fn post(body: &[u8]) -> Result<Event, Failure> {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    CircleCi::parse(Delivery { headers, body: body.to_vec() })
}

fn completed(status: &str) -> Value {
    json!({
        "id": "d1", "type": "workflow-completed", "happened_at": "2021-09-01T22:49:34.317Z",
        "project": { "id": "x", "name": "app", "slug": "github/org/app" },
        "workflow": {
            "id": "w1", "name": "build", "status": status, "stopped_at": "2021-09-01T22:49:34.170Z",
            "url": "https://app.circleci.com/pipelines/github/org/app/130/workflows/w1",
        },
        "pipeline": { "id": "p1", "number": 130, "created_at": "2021-09-01T22:49:03.544Z", "vcs": { "branch": "main" } },
    })
}

#[test]
fn a_workflow_tells_about_its_pipeline() {
    for (word, wanted) in [
        ("failed", BuildStatus::Failure),
        ("error", BuildStatus::Failure),
        ("canceled", BuildStatus::Cancelled),
        ("unauthorized", BuildStatus::Failure),
        // There may be further workflows, so it is not over.
        ("success", BuildStatus::Running),
        ("purple", BuildStatus::Other("purple".to_owned())),
    ] {
        let Ok(Event::Builds(reports)) = post(completed(word).to_string().as_bytes()) else {
            panic!("this is no report");
        };
        assert_eq!(reports[0].job, "gh/org/app:main");
        let build = &reports[0].build;
        assert_eq!((build.id.as_str(), build.number.as_str(), &build.status), ("p1", "130", &wanted));
        assert_eq!(build.extras, [("workflow:build".to_owned(), word.to_owned())]);
        assert_eq!(build.poll_after, Some(1));
    }
}

#[test]
fn the_branch_is_found_for_every_kind_of_project() {
    let job = |pipeline: Value| {
        let mut body = completed("failed");
        body["pipeline"] = pipeline;
        match post(body.to_string().as_bytes()) {
            Ok(Event::Builds(reports)) => reports[0].job.clone(),
            other => panic!("{other:?}"),
        }
    };
    let git =
        |git: Value| json!({ "id": "p1", "number": 1, "trigger_parameters": { "git": git, "gitlab": {} } });
    assert_eq!(job(git(json!({ "branch": "main", "tag": "" }))), "gh/org/app:main");
    assert_eq!(job(git(json!({ "branch": "", "tag": "v1" }))), "gh/org/app:v1");
    assert_eq!(job(json!({ "id": "p1", "number": 1 })), "gh/org/app:");
}

#[test]
fn pings_and_single_jobs_are_told_apart() {
    assert_eq!(post(br#"{"type":"ping","id":"x"}"#), Ok(Event::Ping));
    assert_eq!(post(br#"{"type":"job-completed"}"#), Ok(Event::Unsupported("job-completed".to_owned())));
}

#[test]
fn what_is_no_delivery_is_refused_with_the_reason() {
    for (field, reason) in [("project", "`project`"), ("pipeline", "`pipeline`"), ("workflow", "`workflow`")]
    {
        let mut body = completed("failed");
        body.as_object_mut().expect("an object").remove(field);
        let failure = post(body.to_string().as_bytes()).expect_err(field);
        assert_eq!(failure.code, "malformed-payload");
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
    let mut body = completed("failed");
    body["project"]["slug"] = json!("nowhere");
    assert_eq!(post(body.to_string().as_bytes()).expect_err("no slug").code, "malformed-payload");
    let whole = completed("failed").to_string();
    for cut in 0..whole.len() {
        assert_eq!(post(&whole.as_bytes()[..cut]).expect_err("it is cut").code, "malformed-payload");
    }
}
