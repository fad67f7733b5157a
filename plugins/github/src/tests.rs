use serde_json::{Value, json};
use windlass_sdk::forge::{Change, ChangeKind, Delivery, Event, Forge, Push};
use windlass_sdk::testkit::{
    Cassette, artifacts_in_trouble, deployments_in_trouble, forge_in_trouble, provider_in_trouble,
    replay_provider,
};
use windlass_sdk::{Connection, Failure};

use crate::GitHub;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const INITIAL: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";

fn post(event: &str, kind: &str, body: &[u8]) -> Result<Event, Failure> {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![header("x-github-event", event), header("content-type", kind)];
    GitHub::parse_webhook(Delivery { headers, body: body.to_vec() })
}

fn pushed(body: &[u8]) -> Push {
    match post("push", "application/json", body) {
        Ok(Event::Push(push)) => push,
        other => panic!("this is no push: {other:?}"),
    }
}

fn only_change(body: &[u8]) -> Change {
    let mut changes = pushed(body).changes;
    assert_eq!(changes.len(), 1);
    changes.remove(0)
}

fn ordinary_push() -> Value {
    json!({
        "ref": "refs/heads/main", "before": A, "after": B, "created": false, "deleted": false, "forced": false,
        "head_commit": {
            "id": B, "message": "Second\n\nwhy", "timestamp": "2019-05-15T17:20:41+02:00",
            "author": { "name": "Ada", "email": "ada@example.org", "username": "ada" },
            "added": ["b.txt"], "removed": [], "modified": ["a.txt"],
        },
        "commits": [
            { "id": A, "message": "First [skip ci]", "added": ["a.txt"], "removed": ["old.txt"], "modified": [] },
            { "id": B, "message": "Second\n\nwhy", "added": ["b.txt"], "removed": [], "modified": ["a.txt"] },
        ],
        "repository": { "full_name": "o/r", "clone_url": "https://github.com/o/r.git", "default_branch": "main" },
        "pusher": { "name": "ada" },
    })
}

fn with(changes: Value) -> Vec<u8> {
    let mut push = ordinary_push();
    for (name, value) in changes.as_object().expect("an object") {
        push[name] = value.clone();
    }
    push.to_string().into_bytes()
}

#[test]
fn an_ordinary_push_names_branch_commits_author_time_and_paths() {
    let push = pushed(&with(json!({})));
    assert_eq!((push.sender.as_str(), push.repository.full_name.as_str()), ("ada", "o/r"));
    let change = &push.changes[0];
    assert_eq!((&change.kind, change.name.as_str()), (&ChangeKind::BranchPushed, "main"));
    assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some(A), Some(B)));
    assert_eq!(change.paths, ["a.txt", "b.txt", "old.txt"]);
    let head = change.head.as_ref().expect("there is one");
    assert_eq!((head.sha.as_str(), head.author.as_str()), (B, "Ada <ada@example.org>"));
    assert_eq!(head.at, Some(1_557_933_641_000));
}

#[test]
fn only_the_newest_commit_can_ask_for_no_build() {
    assert!(!only_change(&with(json!({}))).skip_ci);
    let head = json!({ "id": B, "message": "Second [skip ci]" });
    assert!(only_change(&with(json!({ "head_commit": head }))).skip_ci);
}

#[test]
fn a_forced_push_says_so() {
    let change = only_change(&with(json!({ "forced": true })));
    assert_eq!(change.extras, [("forced".to_owned(), "true".to_owned())]);
}

#[test]
fn a_new_branch_has_no_commit_before() {
    let change = only_change(include_bytes!("../fixtures/push.04.json"));
    assert_eq!((&change.kind, change.name.as_str()), (&ChangeKind::BranchPushed, "master"));
    assert_eq!((change.before, change.after.as_deref()), (None, Some(INITIAL)));
}

#[test]
fn a_new_tag_is_a_tag_without_the_prefix() {
    let push = pushed(include_bytes!("../fixtures/push.00.json"));
    assert_eq!(
        (&push.changes[0].kind, push.changes[0].name.as_str()),
        (&ChangeKind::TagPushed, "simple-tag")
    );
    assert_eq!(push.repository.default_branch.as_deref(), Some("master"));
    assert_eq!(
        push.repository.urls,
        [
            "https://github.com/Codertocat/Hello-World.git",
            "git@github.com:Codertocat/Hello-World.git",
            "git://github.com/Codertocat/Hello-World.git",
            "https://github.com/Codertocat/Hello-World",
        ]
    );
}

#[test]
fn a_removed_tag_and_a_removed_branch_have_no_commit_after() {
    let change = only_change(include_bytes!("../fixtures/push.01.json"));
    assert_eq!(
        (change.kind, change.before.as_deref(), change.after),
        (ChangeKind::TagDeleted, Some(INITIAL), None)
    );
    let zeros = "0".repeat(40);
    let change =
        only_change(&with(json!({ "deleted": true, "after": zeros, "head_commit": null, "commits": [] })));
    assert_eq!((change.kind, change.head, change.after), (ChangeKind::BranchDeleted, None, None));
}

#[test]
fn the_addresses_of_the_api_are_left_out() {
    for url in ["https://api.github.com/repos/o/r", "https://git.example.org/api/v3/repos/o/r"] {
        let repository = json!({ "full_name": "o/r", "html_url": "https://git.example.org/o/r", "url": url });
        assert_eq!(
            pushed(&with(json!({ "repository": repository }))).repository.urls,
            ["https://git.example.org/o/r"]
        );
    }
}

#[test]
fn a_ping_is_a_ping() {
    for body in [&include_bytes!("../fixtures/ping.00.json")[..], include_bytes!("../fixtures/ping.03.json")]
    {
        assert_eq!(post("ping", "application/json", body), Ok(Event::Ping));
    }
}

#[test]
fn a_form_is_read_like_json() {
    let mut body = b"payload=".to_vec();
    for byte in with(json!({})) {
        body.extend(format!("%{byte:02X}").into_bytes());
    }
    let read = post("push", "application/x-www-form-urlencoded", &body);
    assert_eq!(read, Ok(Event::Push(pushed(&with(json!({}))))));
}

#[test]
fn what_push_covers_and_what_nobody_needs_is_unsupported_by_name() {
    for (event, body) in [
        ("create", &include_bytes!("../fixtures/create.00.json")[..]),
        ("delete", include_bytes!("../fixtures/delete.00.json")),
        ("star", b"{}"),
        ("star", b"not even JSON"),
    ] {
        assert_eq!(post(event, "application/json", body), Ok(Event::Unsupported(event.to_owned())));
    }
}

#[test]
fn a_malformed_push_is_refused_with_the_reason() {
    for (body, reason) in [
        (b"{".to_vec(), "no JSON"),
        (b"\xff\xfe".to_vec(), "no JSON"),
        (b"[]".to_vec(), "no JSON object"),
        (b"{\"ref\":\"refs/heads/main\"}".to_vec(), "`before`"),
        (with(json!({ "repository": null })), "expected shape"),
        (with(json!({ "after": "abc" })), "40 or 64"),
        (with(json!({ "ref": "refs/heads/" })), "no branch or tag"),
    ] {
        let failure = post("push", "application/json", &body).expect_err("it is malformed");
        assert_eq!(failure.code, "malformed-payload");
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
}

#[test]
fn a_delivery_without_the_event_header_is_not_githubs() {
    let failure =
        GitHub::parse_webhook(Delivery { headers: Vec::new(), body: b"{}".to_vec() }).expect_err("it is bad");
    assert!(failure.message.contains("X-GitHub-Event"), "{}", failure.message);
}

#[test]
fn what_was_recorded_is_answered_again_and_no_fault_breaks_it() {
    let cassette = Cassette::read(include_str!("../fixtures/life.json"));
    assert_eq!(replay_provider::<GitHub>(&cassette), 8);
}

#[test]
fn a_vendor_that_fails_is_told_as_what_it_is_at_each_request() {
    let on =
        Connection { base_url: "https://vendor.example".into(), settings: "{}".into(), extras: Vec::new() };
    forge_in_trouble::<GitHub>(&on);
    deployments_in_trouble::<GitHub>(&on);
    provider_in_trouble::<GitHub>(&on);
    artifacts_in_trouble::<GitHub>(&on);
}
