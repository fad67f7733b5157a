//! Notifications.

use serde_json::{Value, json};
use windlass_sdk::Failure;
use windlass_sdk::provider::{BuildReport, BuildStatus, Delivery, Event, Webhooks};

use crate::Jenkins;

fn post(body: &[u8]) -> Result<Event, Failure> {
    let headers = vec![("content-type".to_owned(), "application/json;charset=UTF-8".to_owned())];
    Jenkins::parse(Delivery { headers, body: body.to_vec() })
}

fn reported(body: Value) -> BuildReport {
    match post(body.to_string().as_bytes()) {
        Ok(Event::Builds(mut reports)) if reports.len() == 1 => reports.remove(0),
        other => panic!("this is no report: {other:?}"),
    }
}

#[test]
fn the_form_of_the_guide_is_understood() {
    for (status, wanted) in [
        ("SUCCESS", BuildStatus::Success),
        ("failure", BuildStatus::Failure),
        ("RUNNING", BuildStatus::Running),
        ("ABORTED", BuildStatus::Cancelled),
        ("Purple", BuildStatus::Other("Purple".to_owned())),
    ] {
        let body = json!({ "jobId": "job-123", "status": status, "buildNumber": "123", "timestamp": "2024-03-20T12:00:00Z" });
        let report = reported(body);
        assert_eq!((report.job.as_str(), report.build.id.as_str()), ("job-123", "123"));
        assert_eq!(report.build.status, wanted);
    }
    let body =
        json!({ "jobId": "a/b", "status": "SUCCESS", "buildNumber": 7, "timestamp": "2024-03-20T12:00:00Z" });
    assert_eq!(reported(body).build.finished, Some(1_710_936_000_000));
}

fn plugin(phase: &str, status: Option<&str>) -> Value {
    let mut body = json!({
        "name": "b c", "display_name": "b c", "url": "job/a/job/b%20c/",
        "build": {
            "full_url": "https://ci.example/job/a/job/b%20c/7/", "number": 7, "queue_id": 143, "timestamp": 1000,
            "duration": 500, "phase": phase, "url": "job/a/job/b%20c/7/", "scm": { "changes": [], "culprits": [] },
            "log": "", "artifacts": {},
        },
    });
    if let Some(status) = status {
        body["build"]["status"] = json!(status);
    }
    body
}

#[test]
fn the_notification_plugins_form_is_understood_in_each_phase() {
    for (phase, status, wanted, finished) in [
        ("QUEUED", None, BuildStatus::Pending, None),
        ("STARTED", None, BuildStatus::Running, None),
        ("COMPLETED", Some("SUCCESS"), BuildStatus::Success, Some(1500)),
        ("FINALIZED", Some("UNSTABLE"), BuildStatus::Failure, Some(1500)),
        ("FINALIZED", Some("ABORTED"), BuildStatus::Cancelled, Some(1500)),
        ("NONE", None, BuildStatus::Other("NONE".to_owned()), Some(1500)),
    ] {
        let report = reported(plugin(phase, status));
        assert_eq!((report.job.as_str(), report.build.id.as_str()), ("a/b c", "7"));
        assert_eq!((report.build.status, report.build.finished), (wanted, finished), "{phase}");
        assert_eq!(report.build.url.as_deref(), Some("https://ci.example/job/a/job/b%20c/7/"));
    }
}

#[test]
fn what_is_neither_is_refused_with_the_reason() {
    let mut elsewhere = plugin("STARTED", None);
    elsewhere["url"] = json!("view/all/job/x/");
    let mut climbing = plugin("STARTED", None);
    climbing["url"] = json!("job/%2e%2e/");
    for (body, reason) in [
        (json!({ "hello": 1 }), "no `jobId`"),
        (json!({ "jobId": "a", "status": "SUCCESS" }), "`buildNumber` is missing"),
        (json!({ "jobId": "a", "buildNumber": "7" }), "`status` is missing"),
        (json!({ "jobId": "a", "status": "SUCCESS", "buildNumber": "seven" }), "has to be a number"),
        (json!({ "jobId": "", "status": "SUCCESS", "buildNumber": "7" }), "`jobId` is empty"),
        (elsewhere, "job/folder/job/name/"),
        (climbing, "job/folder/job/name/"),
    ] {
        let failure = post(body.to_string().as_bytes()).expect_err(reason);
        assert_eq!(failure.code, "malformed-payload");
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
    let whole = plugin("FINALIZED", Some("SUCCESS")).to_string();
    for cut in 0..whole.len() {
        assert_eq!(post(&whole.as_bytes()[..cut]).expect_err("it is cut").code, "malformed-payload");
    }
}
