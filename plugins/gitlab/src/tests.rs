use serde_json::{Value, json};
use windlass_sdk::forge::{Change, ChangeKind, Delivery, Event, Forge, Push};
use windlass_sdk::provider::{self, BuildStatus, Webhooks};
use windlass_sdk::testkit::{
    Cassette, artifacts_in_trouble, deployments_in_trouble, forge_in_trouble, provider_in_trouble,
    replay_provider,
};
use windlass_sdk::{Connection, Failure, Manifest};

use crate::GitLab;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const ZEROS: &str = "0000000000000000000000000000000000000000";

fn delivery(event: &str, body: &Value) -> Delivery {
    let headers = vec![("x-gitlab-event".to_owned(), event.to_owned())];
    Delivery { headers, body: body.to_string().into_bytes() }
}

fn posted(event: &str, body: &Value) -> Result<Event, Failure> {
    GitLab::parse_webhook(delivery(event, body))
}

fn pushed(body: &Value) -> Push {
    match posted("Push Hook", body) {
        Ok(Event::Push(push)) => push,
        other => panic!("this is no push: {other:?}"),
    }
}

fn only_change(body: &Value) -> Change {
    let mut changes = pushed(body).changes;
    assert_eq!(changes.len(), 1);
    changes.remove(0)
}

fn project() -> Value {
    json!({
        "path_with_namespace": "group/sub/app", "default_branch": "main", "web_url": "https://gitlab.example/group/sub/app",
        "git_http_url": "https://gitlab.example/group/sub/app.git", "git_ssh_url": "git@gitlab.example:group/sub/app.git",
    })
}

fn ordinary_push() -> Value {
    json!({
        "object_kind": "push", "ref": "refs/heads/main", "before": A, "after": B, "checkout_sha": B,
        "user_username": "ada", "user_name": "Ada", "project": project(), "total_commits_count": 2,
        "commits": [
            { "id": A, "message": "First [skip ci]", "added": ["a.txt"], "removed": ["old.txt"], "modified": [] },
            {
                "id": B, "message": "Second", "timestamp": "2019-05-15T17:20:41+02:00",
                "author": { "name": "Ada", "email": "ada@example.org" }, "added": ["b.txt"], "modified": ["a.txt"],
            },
        ],
    })
}

fn with(mut body: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

#[test]
fn an_ordinary_push_names_branch_commits_author_time_and_paths() {
    let push = pushed(&ordinary_push());
    assert_eq!((push.sender.as_str(), push.repository.full_name.as_str()), ("ada", "group/sub/app"));
    assert_eq!(push.repository.urls.len(), 3);
    let change = &push.changes[0];
    assert_eq!((&change.kind, change.name.as_str()), (&ChangeKind::BranchPushed, "main"));
    assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some(A), Some(B)));
    assert_eq!(change.paths, ["a.txt", "b.txt", "old.txt"]);
    let head = change.head.as_ref().expect("there is one");
    assert_eq!(
        (head.sha.as_str(), head.author.as_str(), head.at),
        (B, "Ada <ada@example.org>", Some(1_557_933_641_000))
    );
    assert!(!change.skip_ci, "only the newest commit can ask for it");
}

#[test]
fn a_list_of_paths_that_is_not_whole_is_left_out() {
    let change = only_change(&with(ordinary_push(), json!({ "total_commits_count": 21 })));
    assert_eq!((change.paths.len(), change.head.map(|head| head.sha).as_deref()), (0, Some(B)));
}

#[test]
fn tags_and_deletions_are_told_apart() {
    let tag = json!({ "object_kind": "tag_push", "ref": "refs/tags/v1", "before": ZEROS });
    let Ok(Event::Push(push)) = posted("Tag Push Hook", &with(ordinary_push(), tag)) else {
        panic!("a push")
    };
    assert_eq!((&push.changes[0].kind, push.changes[0].name.as_str()), (&ChangeKind::TagPushed, "v1"));
    let gone = json!({ "after": ZEROS, "checkout_sha": null, "commits": [], "total_commits_count": 0 });
    let change = only_change(&with(ordinary_push(), gone.clone()));
    assert_eq!((change.kind, change.after, change.head), (ChangeKind::BranchDeleted, None, None));
    let change = only_change(&with(with(ordinary_push(), gone), json!({ "ref": "refs/tags/v1" })));
    assert_eq!(change.kind, ChangeKind::TagDeleted);
}

#[test]
fn a_webhook_of_the_whole_instance_says_in_the_body_what_it_is() {
    assert!(matches!(posted("System Hook", &ordinary_push()), Ok(Event::Push(_))));
    let other = json!({ "event_name": "project_create" });
    assert_eq!(
        posted("System Hook", &other),
        Ok(Event::Unsupported("System Hook project_create".to_owned()))
    );
    assert_eq!(posted("System Hook", &json!({})).expect_err("it says nothing").code, "malformed-payload");
}

#[test]
fn what_nobody_needs_is_unsupported_by_name() {
    for event in ["Merge Request Hook", "Pipeline Hook", "Job Hook", "Deployment Hook", "Note Hook"] {
        assert_eq!(posted(event, &json!({})), Ok(Event::Unsupported(event.to_owned())));
    }
    let job = GitLab::parse(delivery("Job Hook", &json!({})));
    assert_eq!(job, Ok(provider::Event::Unsupported("Job Hook".to_owned())));
}

#[test]
fn a_malformed_body_is_refused_with_the_reason() {
    for (body, reason) in [
        (json!([]), "no JSON object"),
        (json!({ "ref": "refs/heads/main" }), "`before`"),
        (with(ordinary_push(), json!({ "after": "abc" })), "40 or 64"),
        (with(ordinary_push(), json!({ "project": null })), "expected shape"),
    ] {
        let failure = posted("Push Hook", &body).expect_err("it is malformed");
        assert_eq!(failure.code, "malformed-payload");
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
    let failure = GitLab::parse_webhook(Delivery { headers: Vec::new(), body: b"{}".to_vec() });
    assert!(failure.expect_err("it has no event").message.contains("X-Gitlab-Event"));
}

fn pipeline(branch: &str) -> Value {
    let attributes = json!({
        "id": 31, "iid": 3, "ref": branch, "sha": A, "status": "success", "detailed_status": "passed", "source": "api",
        "created_at": "2016-08-12 15:23:28 UTC", "finished_at": "2016-08-12 15:26:29 UTC", "duration": 63,
    });
    json!({ "object_kind": "pipeline", "object_attributes": attributes, "project": project(), "builds": [] })
}

#[test]
fn a_pipeline_is_a_build_of_the_job_of_its_branch() {
    let Ok(provider::Event::Builds(reports)) = GitLab::parse(delivery("Pipeline Hook", &pipeline("main")))
    else {
        panic!("it reports a build")
    };
    let (job, build) = (&reports[0].job, &reports[0].build);
    assert_eq!((reports.len(), job.as_str(), build.id.as_str()), (1, "group/sub/app", "31"));
    assert_eq!((&build.status, build.finished), (&BuildStatus::Success, Some(1_471_015_589_000)));
    assert_eq!(build.url.as_deref(), Some("https://gitlab.example/group/sub/app/-/pipelines/31"));
    let Ok(provider::Event::Builds(reports)) = GitLab::parse(delivery("Pipeline Hook", &pipeline("dev")))
    else {
        panic!("it reports a build")
    };
    let jobs: Vec<&str> = reports.iter().map(|report| report.job.as_str()).collect();
    assert_eq!(jobs, ["group/sub/app@dev", "group/sub/app"]);
}

#[test]
fn every_word_of_gitlab_has_one_of_ours_and_an_unknown_one_is_kept() {
    let of = crate::words::status;
    for word in [
        "created",
        "waiting_for_resource",
        "preparing",
        "waiting_for_callback",
        "pending",
        "scheduled",
        "manual",
    ] {
        assert_eq!(of(word), BuildStatus::Pending, "{word}");
    }
    assert_eq!((of("running"), of("canceling")), (BuildStatus::Running, BuildStatus::Running));
    assert_eq!((of("success"), of("failed")), (BuildStatus::Success, BuildStatus::Failure));
    assert_eq!((of("canceled"), of("skipped")), (BuildStatus::Cancelled, BuildStatus::Cancelled));
    assert_eq!(of("passed"), BuildStatus::Other("passed".to_owned()));
}

#[test]
fn the_signed_deliveries_come_before_those_with_a_token() {
    let manifest: Manifest = <GitLab as Forge>::describe();
    let schemes = manifest.webhooks.expect("it takes webhooks").schemes;
    let headers: Vec<&str> = schemes.iter().map(|scheme| scheme.header.as_str()).collect();
    assert_eq!(headers, ["webhook-signature", "x-gitlab-token"]);
}

#[test]
fn what_was_recorded_is_answered_again_and_no_fault_breaks_it() {
    let cassette = Cassette::read(include_str!("../fixtures/life.json"));
    assert_eq!(replay_provider::<GitLab>(&cassette), 8);
}

#[test]
fn a_vendor_that_fails_is_told_as_what_it_is_at_each_request() {
    let on =
        Connection { base_url: "https://vendor.example".into(), settings: "{}".into(), extras: Vec::new() };
    forge_in_trouble::<GitLab>(&on);
    deployments_in_trouble::<GitLab>(&on);
    provider_in_trouble::<GitLab>(&on);
    artifacts_in_trouble::<GitLab>(&on);
}
