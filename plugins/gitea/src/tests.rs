use serde_json::{Value, json};
use windlass_sdk::Failure;
use windlass_sdk::forge::{ChangeKind, Delivery, Event, Forge, Push};

use crate::Gitea;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn post(header: &str, event: &str, body: &[u8]) -> Result<Event, Failure> {
    let headers =
        vec![(header.to_owned(), event.to_owned()), ("x-github-event".to_owned(), event.to_owned())];
    Gitea::parse_webhook(Delivery { headers, body: body.to_vec() })
}

fn pushed(event: &str, body: &[u8]) -> Push {
    match post("x-gitea-event", event, body) {
        Ok(Event::Push(push)) => push,
        other => panic!("this is no push: {other:?}"),
    }
}

fn with(changes: Value) -> Vec<u8> {
    let mut push = json!({
        "ref": "refs/heads/main", "before": A, "after": B,
        "commits": [
            { "id": B, "message": "Second", "added": ["b"], "removed": ["a"], "modified": null,
              "timestamp": "2019-05-15T17:20:41+02:00", "author": { "name": "Ada", "email": "ada@example.org" } },
            { "id": A, "message": "First [skip ci]", "added": ["a"], "removed": [], "modified": [] },
        ],
        "total_commits": 2,
        "repository": { "full_name": "o/r", "clone_url": "https://git.example/o/r.git" },
    });
    for (name, value) in changes.as_object().expect("an object") {
        push[name] = value.clone();
    }
    push.to_string().into_bytes()
}

#[test]
fn the_sample_of_a_new_branch_is_a_push_without_a_commit_before() {
    let push = pushed("push", include_bytes!("../fixtures/push-event.json"));
    assert_eq!((push.sender.as_str(), push.repository.full_name.as_str()), ("example", "example/example"));
    assert_eq!(push.repository.default_branch.as_deref(), Some("master"));
    assert_eq!(push.repository.urls[0], "http://localhost:3000/example/example.git");
    let change = &push.changes[0];
    assert_eq!((&change.kind, change.name.as_str()), (&ChangeKind::BranchPushed, "master"));
    let after = "67b56589a45103f891bdee7c0546e5d40bc02001";
    assert_eq!((change.before.as_deref(), change.after.as_deref()), (None, Some(after)));
    let head = change.head.as_ref().expect("there is one");
    assert_eq!((head.sha.as_str(), head.author.as_str()), (after, "example <example@example.com>"));
    assert_eq!((change.paths.as_slice(), change.extras.len()), (&["example".to_owned()][..], 0));
}

#[test]
fn the_sample_of_gogs_has_its_head_among_the_commits() {
    let push = match post("x-gogs-event", "push", include_bytes!("../fixtures/gogs-push-event.json")) {
        Ok(Event::Push(push)) => push,
        other => panic!("this is no push: {other:?}"),
    };
    let change = &push.changes[0];
    assert_eq!((change.name.as_str(), push.sender.as_str()), ("develop", "unknwon"));
    assert_eq!(change.head.as_ref().map(|head| head.message.as_str()), Some("Add new feature"));
}

#[test]
fn a_branch_that_is_gone_is_told_by_delete() {
    for (body, name) in [
        (&include_bytes!("../fixtures/delete-event.json")[..], "example3"),
        (include_bytes!("../fixtures/gogs-delete-event.json"), "obsolete-branch"),
    ] {
        let change = pushed("delete", body).changes.remove(0);
        assert_eq!((&change.kind, change.name.as_str()), (&ChangeKind::BranchDeleted, name));
        assert_eq!(change.after, None);
    }
    let gone = json!({ "ref": "v1", "ref_type": "tag", "repository": { "full_name": "o/r" } }).to_string();
    assert_eq!(pushed("delete", gone.as_bytes()).changes[0].kind, ChangeKind::TagDeleted);
    let odd = json!({ "ref": "v1", "ref_type": "note", "repository": { "full_name": "o/r" } }).to_string();
    let failure = post("x-gitea-event", "delete", odd.as_bytes()).expect_err("it is odd");
    assert!(failure.message.contains("`ref_type` is `note`"), "{}", failure.message);
}

#[test]
fn tags_are_tags() {
    let zeros = "0".repeat(40);
    let change = pushed("push", &with(json!({ "ref": "refs/tags/v1", "before": zeros }))).changes.remove(0);
    assert_eq!((change.kind, change.name.as_str()), (ChangeKind::TagPushed, "v1"));
    let gone = with(json!({ "ref": "refs/tags/v1", "after": zeros, "commits": null, "total_commits": 0 }));
    assert_eq!(pushed("push", &gone).changes[0].kind, ChangeKind::TagDeleted);
}

#[test]
fn the_head_is_found_by_its_id_and_only_it_can_ask_for_no_build() {
    let change = pushed("push", &with(json!({}))).changes.remove(0);
    let head = change.head.expect("there is one");
    assert_eq!(
        (head.sha.as_str(), head.author.as_str(), head.at),
        (B, "Ada <ada@example.org>", Some(1_557_933_641_000))
    );
    assert!(!change.skip_ci);
    assert_eq!(change.paths, ["a", "b"]);
    let skipping = json!({ "id": B, "message": "Second\n\n[skip ci]" });
    assert!(pushed("push", &with(json!({ "head_commit": skipping }))).changes[0].skip_ci);
}

#[test]
fn a_list_that_was_cut_says_so() {
    let change = pushed("push", &with(json!({ "total_commits": 40 }))).changes.remove(0);
    assert_eq!(change.extras, [("paths-incomplete".to_owned(), "true".to_owned())]);
}

#[test]
fn a_test_delivery_is_a_ping() {
    assert_eq!(post("x-gitea-event", "push", &with(json!({ "before": B }))), Ok(Event::Ping));
}

#[test]
fn a_form_is_read_like_json() {
    let mut body = b"payload=".to_vec();
    for byte in with(json!({})) {
        body.extend(format!("%{byte:02X}").into_bytes());
    }
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers =
        vec![header("x-gogs-event", "push"), header("content-type", "application/x-www-form-urlencoded")];
    let read = Gitea::parse_webhook(Delivery { headers, body });
    assert_eq!(read, Ok(Event::Push(pushed("push", &with(json!({}))))));
}

#[test]
fn what_is_no_push_is_unsupported_by_name() {
    for (header, event, body) in [
        ("x-gitea-event", "create", &include_bytes!("../fixtures/create-event.json")[..]),
        ("x-gogs-event", "create", include_bytes!("../fixtures/gogs-create-event.json")),
        ("x-forgejo-event", "pull_request", include_bytes!("../fixtures/pull-request-event.json")),
        ("x-gitea-event", "release", include_bytes!("../fixtures/release-event.json")),
        ("x-gitea-event", "package", b"not even JSON"),
    ] {
        assert_eq!(post(header, event, body), Ok(Event::Unsupported(event.to_owned())));
    }
}

#[test]
fn a_malformed_push_is_refused_with_the_reason() {
    for (body, reason) in [
        (b"{".to_vec(), "no JSON"),
        (b"[]".to_vec(), "no JSON object"),
        (b"{\"ref\":\"refs/heads/main\"}".to_vec(), "`before`"),
        (with(json!({ "repository": null })), "expected shape"),
        (with(json!({ "after": "abc" })), "40 or 64"),
        (with(json!({ "ref": "refs/tags/" })), "no branch or tag"),
    ] {
        let failure = post("x-gitea-event", "push", &body).expect_err("it is malformed");
        assert_eq!(failure.code, "malformed-payload");
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
    let none = Gitea::parse_webhook(Delivery { headers: Vec::new(), body: with(json!({})) });
    assert!(none.expect_err("who sent it?").message.contains("X-Gitea-Event"));
}
