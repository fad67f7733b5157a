//! Starting, following and stopping pipelines.

use serde_json::{Value, json};
use windlass_sdk::http::{Error, Response};
use windlass_sdk::provider::{BuildStatus, Provider, Trigger};

use super::{
    Line, PIPELINE, WORKFLOWS, advice, connection, ok, pipeline, scripted, status, trigger, with_settings,
    workflows,
};
use crate::{CircleCi, convert};

const JOB: &str = "gh/org/app:main";
const START: &str = "POST /api/v2/project/gh/org/app/pipeline";
const RUN: &str = "POST /api/v2/project/gh/org/app/pipeline/run";
const NEWEST: &str = "GET /api/v2/project/gh/org/app/pipeline?branch=main";
const CONFIG: &str = r#"
version: 2.1
parameters:
  dry-run: { type: boolean, default: false }
  count:
    type: integer
    default: 1
  target:
    type: enum
    enum: [staging, production]
    default: staging
  note: {type: string, default: ""}
jobs: {}
"#;

fn created() -> Result<Response, Error> {
    status(201, r#"{"id":"p1","state":"pending","number":25,"created_at":"2024-05-01T10:00:00Z"}"#)
}

fn newest() -> Line {
    (NEWEST, ok(r#"{"items":[{"id":"p0","number":24,"state":"created"}],"next_page_token":null}"#))
}

fn config(source: &str) -> Line {
    ("GET /api/v2/pipeline/p0/config", ok(&json!({ "source": source, "compiled": "" }).to_string()))
}

fn body(request: &windlass_sdk::http::Request) -> Value {
    serde_json::from_slice(&request.body).expect("it is JSON")
}

#[test]
fn every_word_of_workflows_and_jobs_has_its_counterpart() {
    use BuildStatus::{Cancelled, Failure, Pending, Running, Success};
    for (word, wanted) in [
        ("success", Success),
        ("running", Running),
        ("not_run", Cancelled),
        ("failed", Failure),
        ("error", Failure),
        ("failing", Running),
        ("on_hold", Pending),
        ("canceled", Cancelled),
        ("unauthorized", Failure),
        ("purple", BuildStatus::Other("purple".to_owned())),
    ] {
        assert_eq!(convert::workflow(word), wanted, "{word}");
    }
    for (word, wanted) in [
        ("success", Success),
        ("running", Running),
        ("not_run", Cancelled),
        ("failed", Failure),
        ("retried", Cancelled),
        ("queued", Pending),
        ("not_running", Pending),
        ("infrastructure_fail", Failure),
        ("timedout", Failure),
        ("on_hold", Pending),
        ("terminated-unknown", BuildStatus::Other("terminated-unknown".to_owned())),
        ("blocked", Pending),
        ("canceled", Cancelled),
        ("unauthorized", Failure),
    ] {
        assert_eq!(convert::job(word), wanted, "{word}");
    }
}

#[test]
fn a_pipeline_goes_on_as_long_as_one_workflow_does_and_ends_as_the_worst_one() {
    use BuildStatus::{Cancelled, Failure, Pending, Running, Success};
    for (state, all, wanted) in [
        ("created", &[][..], Pending),
        ("setup-pending", &[], Pending),
        ("errored", &[], Failure),
        ("gone", &[], BuildStatus::Other("gone".to_owned())),
        ("created", &[("a", "success", 1), ("b", "success", 1)], Success),
        ("created", &[("a", "failed", 1), ("b", "running", 1)], Running),
        ("created", &[("a", "failed", 1), ("b", "on_hold", 1)], Pending),
        ("created", &[("a", "canceled", 1), ("b", "failed", 1)], Failure),
        ("created", &[("a", "canceled", 1), ("b", "success", 1)], Cancelled),
        ("created", &[("a", "success", 1), ("b", "purple", 1)], BuildStatus::Other("purple".to_owned())),
        // What was run again counts, not what failed before.
        ("created", &[("a", "failed", 1), ("a", "success", 9)], Success),
        ("created", &[("a", "success", 9), ("a", "failed", 1)], Success),
    ] {
        let lines = vec![(PIPELINE, pipeline(state)), (WORKFLOWS, workflows(all))];
        let (build, _) = scripted(lines, || CircleCi::get_build_status(connection(), JOB, "p1"));
        let build = build.expect("it is there");
        assert_eq!(build.status, wanted, "{state} {all:?}");
        assert_eq!((build.id.as_str(), build.number.as_str()), ("p1", "25"));
        assert_eq!(build.url.as_deref(), Some("https://app.circleci.com/pipelines/github/org/app/25"));
        assert_eq!(build.finished.is_some(), convert::is_final(&build.status));
    }
}

#[test]
fn workflows_on_further_pages_count() {
    let page =
        |items: Value, token: Value| ok(&json!({ "items": items, "next_page_token": token }).to_string());
    let one = |name: &str, status: &str| json!([{ "id": name, "name": name, "status": status, "created_at": "", "stopped_at": null }]);
    let lines = vec![
        (PIPELINE, pipeline("created")),
        (WORKFLOWS, page(one("a", "success"), json!("t/1"))),
        ("GET /api/v2/pipeline/p1/workflow?page-token=t%2F1", page(one("b", "failed"), Value::Null)),
    ];
    let (build, _) = scripted(lines, || CircleCi::get_build_status(connection(), JOB, "p1"));
    assert_eq!(build.expect("it is there").status, BuildStatus::Failure);
}

#[test]
fn a_pipeline_starts_by_branch_or_tag() {
    for (name, wanted) in [
        (None, json!({ "branch": "main" })),
        (Some("feature/x"), json!({ "branch": "feature/x" })),
        (Some("refs/heads/x"), json!({ "branch": "x" })),
        (Some("refs/tags/v1"), json!({ "tag": "v1" })),
    ] {
        let wish = Trigger { ref_name: name.map(str::to_owned), ..trigger(&[]) };
        let lines = vec![(START, created())];
        let (build, requests) = scripted(lines, || CircleCi::trigger_job(connection(), JOB, wish));
        assert_eq!(body(&requests[0]), wanted);
        let build = build.expect("it begins");
        assert_eq!(
            (build.id.as_str(), build.status, build.number.as_str()),
            ("p1", BuildStatus::Pending, "25")
        );
    }
}

#[test]
fn a_project_with_a_definition_starts_by_it() {
    let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let with = with_settings(&json!({ "definitions": { "github/org/app": id } }).to_string());
    let (build, requests) =
        scripted(vec![(RUN, created())], || CircleCi::trigger_job(with, JOB, trigger(&[])));
    assert!(build.is_ok());
    let wanted =
        json!({ "definition_id": id, "config": { "branch": "main" }, "checkout": { "branch": "main" } });
    assert_eq!(body(&requests[0]), wanted);
    let with = with_settings(&json!({ "definitions": { "github/org/app": id } }).to_string());
    let wish = Trigger { ref_name: Some("refs/tags/v1".to_owned()), ..trigger(&[]) };
    let (build, requests) = scripted(vec![(RUN, created())], || CircleCi::trigger_job(with, JOB, wish));
    let wanted = json!({ "definition_id": id, "config": { "tag": "v1" }, "checkout": { "tag": "v1" } });
    assert!(build.is_ok() && body(&requests[0]) == wanted);
    let lines = vec![("POST /api/v2/project/circleci/O1/P1/pipeline/run", created())];
    let (build, requests) =
        scripted(lines, || CircleCi::trigger_job(connection(), "circleci/O1/P1:main", trigger(&[])));
    assert!(build.is_ok() && body(&requests[0]).get("definition_id").is_none());
}

#[test]
fn parameters_get_the_types_that_the_configuration_declares() {
    let given = [("dry-run", "true"), ("count", "3"), ("target", "production"), ("note", "true")];
    let lines = vec![newest(), config(CONFIG), (START, created())];
    let (build, requests) = scripted(lines, || CircleCi::trigger_job(connection(), JOB, trigger(&given)));
    assert!(build.is_ok());
    let wanted = json!({ "dry-run": true, "count": 3, "target": "production", "note": "true" });
    assert_eq!(body(&requests[2])["parameters"], wanted);
}

#[test]
fn parameters_that_the_configuration_does_not_take_are_refused_before_anything_is_sent() {
    for (given, words) in [
        (("dry-rnu", "true"), "did you mean `dry-run`"),
        (("dry-run", "yes"), "true or false"),
        (("count", "many"), "a whole number"),
        (("target", "moon"), "staging, production"),
    ] {
        let lines = vec![newest(), config(CONFIG)];
        let (answer, _) = scripted(lines, || CircleCi::trigger_job(connection(), JOB, trigger(&[given])));
        let failure = answer.expect_err("it is refused");
        assert_eq!((failure.code.as_str(), failure.request_sent), ("invalid-parameters", false));
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    let long = "x".repeat(513);
    for given in [vec![("a", long.as_str())], vec![(long.as_str(), "a")], vec![("a", "b"); 101]] {
        let (answer, _) = scripted(Vec::new(), || CircleCi::trigger_job(connection(), JOB, trigger(&given)));
        assert_eq!(answer.expect_err("it is too much").code, "invalid-parameters");
    }
}

#[test]
fn where_the_configuration_cannot_be_read_circleci_judges() {
    for lines in [
        vec![(NEWEST, ok(r#"{"items":[],"next_page_token":null}"#))],
        vec![newest(), ("GET /api/v2/pipeline/p0/config", status(404, "{}"))],
        vec![newest(), config("a: [")],
    ] {
        let refused = status(400, r#"{"message":"Unexpected argument(s): x"}"#);
        let lines = lines.into_iter().chain([(START, refused)]).collect();
        let (answer, requests) =
            scripted(lines, || CircleCi::trigger_job(connection(), JOB, trigger(&[("x", "1")])));
        assert_eq!(body(requests.last().expect("one"))["parameters"], json!({ "x": "1" }));
        let failure = answer.expect_err("it is refused");
        assert_eq!((failure.code.as_str(), failure.request_sent), ("invalid-parameters", false));
        assert!(failure.message.contains("Unexpected argument"), "{}", failure.message);
    }
}

#[test]
fn whether_a_pipeline_may_have_begun_is_right_for_each_answer() {
    for (answer, code, what, sent) in [
        (Err(Error::Timeout), "timeout", "retry", true),
        (Err(Error::Connect("refused; nothing was sent".to_owned())), "connect", "retry", false),
        (Err(Error::Connect("the connection broke off".to_owned())), "connect", "retry", true),
        (Err(Error::Denied("no permission".to_owned())), "request-denied", "permanent", false),
        (Err(Error::Denied("a redirect was refused: …".to_owned())), "request-denied", "permanent", true),
        (
            Err(Error::Denied("the connection has no secret for the slot `token`".to_owned())),
            "no-credential",
            "auth-required",
            false,
        ),
        (status(401, "{}"), "status-401", "auth-required", false),
        (status(403, "{}"), "status-403", "auth-required", false),
        (status(404, "{}"), "no-such-job", "permanent", false),
        (status(409, "{}"), "status-409", "permanent", false),
        (status(422, "{}"), "invalid-parameters", "permanent", false),
        (status(429, "{}"), "status-429", "rate-limited", false),
        (status(500, "{}"), "status-500", "retry", true),
        (ok("<html>"), "malformed-response", "permanent", true),
        (status(201, r#"{"id":"#), "malformed-response", "permanent", true),
    ] {
        let (answer, _) =
            scripted(vec![(START, answer)], || CircleCi::trigger_job(connection(), JOB, trigger(&[])));
        let failure = answer.expect_err(code);
        assert_eq!((failure.code.as_str(), advice(&failure), failure.request_sent), (code, what, sent));
    }
}

#[test]
fn cancelling_stops_each_workflow_that_goes_on() {
    let lines = vec![
        (WORKFLOWS, workflows(&[("a", "running", 1), ("b", "success", 1), ("c", "on_hold", 1)])),
        ("POST /api/v2/workflow/w-a-1/cancel", status(202, r#"{"message":"Accepted."}"#)),
        // It ended at this very moment.
        ("POST /api/v2/workflow/w-c-1/cancel", status(400, r#"{"message":"Workflow is not running."}"#)),
    ];
    assert_eq!(scripted(lines, || CircleCi::cancel_build(connection(), JOB, "p1")).0, Ok(()));
    let lines = vec![(WORKFLOWS, workflows(&[("a", "failed", 1)]))];
    assert_eq!(scripted(lines, || CircleCi::cancel_build(connection(), JOB, "p1")).0, Ok(()));
}

#[test]
fn a_pipeline_without_workflows_cannot_be_cancelled_yet() {
    let lines = vec![(WORKFLOWS, workflows(&[])), (PIPELINE, pipeline("pending"))];
    let (answer, _) = scripted(lines, || CircleCi::cancel_build(connection(), JOB, "p1"));
    let failure = answer.expect_err("there is nothing to stop");
    assert_eq!(
        (failure.code.as_str(), advice(&failure), failure.request_sent),
        ("nothing-to-cancel-yet", "retry", false)
    );
    let lines = vec![(WORKFLOWS, workflows(&[])), (PIPELINE, pipeline("errored"))];
    assert_eq!(scripted(lines, || CircleCi::cancel_build(connection(), JOB, "p1")).0, Ok(()));
}

#[test]
fn a_pipeline_that_circleci_does_not_know_is_named() {
    let lines = vec![(PIPELINE, status(404, r#"{"message":"Pipeline not found"}"#))];
    let (answer, _) = scripted(lines, || CircleCi::get_build_status(connection(), JOB, "p1"));
    assert_eq!(answer.expect_err("there is none").code, "no-such-build");
}
