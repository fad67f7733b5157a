use serde_json::{Value, json};
use windlass_sdk::Failure;
use windlass_sdk::forge::{ChangeKind, Delivery, Event, Forge, Push};

use crate::Generic;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const URL: &str = "https://git.example/team/app.git";

fn post(event: Option<&str>, body: &Value) -> Result<Event, Failure> {
    let headers = event.map(|event| ("x-event".to_owned(), event.to_owned())).into_iter().collect();
    Generic::parse_webhook(Delivery { headers, body: body.to_string().into_bytes() })
}

fn pushed(body: &Value) -> Push {
    match post(None, body) {
        Ok(Event::Push(push)) => push,
        other => panic!("this is no push: {other:?}"),
    }
}

#[test]
fn three_fields_are_enough() {
    let push = pushed(&json!({ "branch": "main", "after": A, "repository": { "url": URL } }));
    assert_eq!(
        (push.repository.full_name.as_str(), push.repository.urls),
        ("team/app", vec![URL.to_owned()])
    );
    let change = &push.changes[0];
    assert_eq!((&change.kind, change.name.as_str()), (&ChangeKind::BranchPushed, "main"));
    assert_eq!((change.before.as_deref(), change.after.as_deref(), &change.head), (None, Some(A), &None));
}

#[test]
fn all_documented_fields_are_read() {
    let push = pushed(&json!({
        "ref": "refs/tags/v1", "before": "0".repeat(40), "after": A.to_uppercase(), "repository": URL,
        "message": "Release [skip ci]", "author": "Ada <ada@example.org>", "timestamp": "1970-01-01T00:00:01Z",
        "paths": ["b", "a", "b"], "sender": "ada", "forced": true,
    }));
    assert_eq!(push.sender, "ada");
    let change = &push.changes[0];
    assert_eq!((&change.kind, change.name.as_str(), change.skip_ci), (&ChangeKind::TagPushed, "v1", true));
    assert_eq!((change.before.as_deref(), change.after.as_deref()), (None, Some(A)));
    assert_eq!(change.paths, ["a", "b"]);
    assert_eq!(change.extras, [("forced".to_owned(), "true".to_owned())]);
    let head = change.head.as_ref().expect("there is one");
    assert_eq!((head.sha.as_str(), head.author.as_str(), head.at), (A, "Ada <ada@example.org>", Some(1_000)));
}

#[test]
fn the_body_of_a_github_push_is_understood() {
    let body = include_str!("../../github/fixtures/push.04.json");
    let push = pushed(&serde_json::from_str(body).expect("it is JSON"));
    assert_eq!(
        (push.sender.as_str(), push.repository.full_name.as_str()),
        ("Codertocat", "Codertocat/Hello-World")
    );
    let change = &push.changes[0];
    assert_eq!((&change.kind, change.name.as_str()), (&ChangeKind::BranchPushed, "master"));
    assert_eq!(change.head.as_ref().map(|head| head.message.as_str()), Some("Initial commit"));
}

#[test]
fn a_removed_branch_needs_no_commit() {
    let push = pushed(&json!({ "branch": "x", "deleted": true, "repository": { "url": URL } }));
    assert_eq!((&push.changes[0].kind, &push.changes[0].after), (&ChangeKind::BranchDeleted, &None));
}

#[test]
fn a_ping_is_said_by_header_or_by_field() {
    assert_eq!(post(Some("ping"), &json!({})), Ok(Event::Ping));
    assert_eq!(post(None, &json!({ "ping": true })), Ok(Event::Ping));
}

#[test]
fn another_event_is_unsupported_by_name() {
    assert_eq!(post(Some("release"), &json!({})), Ok(Event::Unsupported("release".to_owned())));
}

#[test]
fn the_name_of_a_repository_is_taken_from_any_kind_of_address() {
    for url in [
        "https://git.example/team/app.git",
        "ssh://git@git.example:2222/team/app",
        "git@git.example:team/app.git",
        "https://git.example/team/app/",
    ] {
        let push = pushed(&json!({ "branch": "main", "after": A, "repository": url }));
        assert_eq!(push.repository.full_name, "team/app", "{url}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let repository = json!({ "url": URL });
    for (body, reason) in [
        (json!({}), "`branch`"),
        (json!([]), "no JSON object"),
        (json!({ "branch": "main", "repository": repository }), "`after`"),
        (json!({ "branch": "main", "after": A }), "`repository.url`"),
        (json!({ "ref": "main", "after": A, "repository": repository }), "`refs/heads/main`"),
        (json!({ "ref": "refs/heads/a", "branch": "b", "after": A, "repository": repository }), "only one"),
        (json!({ "branch": "main", "after": "1234567", "repository": repository }), "40 or 64"),
        (json!({ "branch": 7, "after": A, "repository": repository }), "expected shape"),
    ] {
        let failure = post(None, &body).expect_err("it is malformed");
        assert_eq!(failure.code, "malformed-payload");
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
}
