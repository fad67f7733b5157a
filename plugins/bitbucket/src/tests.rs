use serde_json::{Value, json};
use windlass_sdk::Failure;
use windlass_sdk::forge::{ChangeKind, Delivery, Event, Forge, Push};

use crate::Bitbucket;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn post(event: &str, body: &[u8]) -> Result<Event, Failure> {
    let headers = vec![("x-event-key".to_owned(), event.to_owned())];
    Bitbucket::parse_webhook(Delivery { headers, body: body.to_vec() })
}

fn pushed(event: &str, body: &[u8]) -> Push {
    match post(event, body) {
        Ok(Event::Push(push)) => push,
        other => panic!("this is no push: {other:?}"),
    }
}

/// A push of Cloud with these changes.
fn cloud(changes: Value) -> Vec<u8> {
    let repository =
        json!({ "full_name": "team/app", "links": { "html": { "href": "https://bitbucket.org/team/app" } } });
    let body =
        json!({ "actor": { "nickname": "ada" }, "repository": repository, "push": { "changes": changes } });
    body.to_string().into_bytes()
}

fn side(kind: &str, name: &str, hash: &str, message: &str) -> Value {
    json!({ "type": kind, "name": name, "target": {
        "type": "commit", "hash": hash, "message": message, "date": "2019-05-15T17:20:41+02:00",
        "author": { "raw": "Ada <ada@example.org>" },
    } })
}

/// A push to a Data Center with these changes.
fn data_center(changes: Value, more: Value) -> Vec<u8> {
    let mut body = json!({
        "eventKey": "repo:refs_changed", "actor": { "name": "ada" }, "changes": changes,
        "repository": { "slug": "app", "project": { "key": "TEAM" } },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body.to_string().into_bytes()
}

fn update(name: &str, before: &str, after: &str, kind: &str) -> Value {
    json!({ "refId": name, "fromHash": before, "toHash": after, "type": kind })
}

#[test]
fn the_sample_of_cloud_names_branch_commits_and_message() {
    let push = pushed("repo:push", include_bytes!("../fixtures/cloud/repo-push.json"));
    assert_eq!((push.sender.as_str(), push.repository.full_name.as_str()), ("emmap1", "team_name/repo_name"));
    assert_eq!(push.repository.urls[0], "https://bitbucket.org/team_name/repo_name");
    let change = &push.changes[0];
    assert_eq!((&change.kind, change.name.as_str()), (&ChangeKind::BranchPushed, "name-of-branch"));
    assert_eq!(change.before.as_deref(), Some("1e65c05c1d5171631d92438a13901ca7dae9618c"));
    assert_eq!(change.after.as_deref(), Some("709d658dc5b6d6afcd46049c2f332ee3f515a67d"));
    let head = change.head.as_ref().expect("there is one");
    assert_eq!((head.message.as_str(), head.author.as_str()), ("new commit message\n", "emmap1"));
    assert!(head.at.is_some());
}

#[test]
fn the_sample_of_a_data_center_is_a_branch_that_is_gone() {
    let push = pushed("repo:refs_changed", include_bytes!("../fixtures/data-center/repo-refs-changed.json"));
    assert_eq!(
        (push.sender.as_str(), push.repository.full_name.as_str()),
        ("gopher", "~gopher/webhook-test")
    );
    assert!(
        push.repository.urls.contains(&"https://server.bitbucket.local/scm/~gopher/webhook-test.git".into())
    );
    let change = &push.changes[0];
    assert_eq!((&change.kind, change.name.as_str()), (&ChangeKind::BranchDeleted, "feature/wip"));
    assert_eq!(change.before.as_deref(), Some("32a0b8a740c2963c6f56bd8baf3dc05683d299e0"));
    assert_eq!(change.after, None);
}

#[test]
fn one_delivery_of_cloud_can_carry_several_changes() {
    let body = cloud(json!([
        { "new": side("branch", "main", B, "Second [skip ci]"), "old": side("branch", "main", A, "First"), "forced": true },
        { "new": side("branch", "next", B, "Second"), "old": null, "created": true },
        { "new": side("annotated_tag", "v1", B, "Second"), "old": null },
        { "new": null, "old": side("branch", "gone", A, "First"), "closed": true },
        { "new": null, "old": side("tag", "v0", A, "First") },
    ]));
    let changes = pushed("repo:push", &body).changes;
    let kinds: Vec<(&ChangeKind, &str)> =
        changes.iter().map(|change| (&change.kind, change.name.as_str())).collect();
    assert_eq!(
        kinds,
        [
            (&ChangeKind::BranchPushed, "main"),
            (&ChangeKind::BranchPushed, "next"),
            (&ChangeKind::TagPushed, "v1"),
            (&ChangeKind::BranchDeleted, "gone"),
            (&ChangeKind::TagDeleted, "v0"),
        ]
    );
    assert!(changes[0].skip_ci && !changes[1].skip_ci);
    assert_eq!(changes[0].extras, [("forced".to_owned(), "true".to_owned())]);
    let head = changes[1].head.as_ref().expect("there is one");
    assert_eq!((head.author.as_str(), head.at), ("Ada <ada@example.org>", Some(1_557_933_641_000)));
    assert_eq!((changes[1].before.clone(), changes[3].after.clone()), (None, None));
}

#[test]
fn one_delivery_of_a_data_center_can_carry_several_changes() {
    let zeros = "0".repeat(40);
    let changes = json!([
        update("refs/heads/main", A, B, "UPDATE"),
        update("refs/heads/next", &zeros, B, "ADD"),
        update("refs/tags/v1", &zeros, A, "ADD"),
        update("refs/tags/v0", A, &zeros, "DELETE"),
        update("refs/notes/commits", A, B, "UPDATE"),
    ]);
    let newest = json!({ "toCommit": {
        "id": B, "message": "Second [skip ci]", "authorTimestamp": 1_557_933_641_000_u64,
        "author": { "name": "Ada", "emailAddress": "ada@example.org" },
    } });
    let push = pushed("repo:refs_changed", &data_center(changes, newest));
    assert_eq!((push.repository.full_name.as_str(), push.repository.urls.len()), ("TEAM/app", 0));
    let kinds: Vec<&ChangeKind> = push.changes.iter().map(|change| &change.kind).collect();
    let other = ChangeKind::Other("ref-pushed".to_owned());
    assert_eq!(
        kinds,
        [
            &ChangeKind::BranchPushed,
            &ChangeKind::BranchPushed,
            &ChangeKind::TagPushed,
            &ChangeKind::TagDeleted,
            &other
        ]
    );
    let head = push.changes[0].head.as_ref().expect("there is one");
    assert_eq!((head.author.as_str(), head.at), ("Ada <ada@example.org>", Some(1_557_933_641_000)));
    assert!(push.changes[0].skip_ci);
    // Of the tag's commit nothing is said.
    assert_eq!((&push.changes[2].head, push.changes[2].skip_ci), (&None, false));
}

#[test]
fn the_connection_test_of_a_data_center_is_a_ping() {
    assert_eq!(post("diagnostics:ping", b"{\"test\":true}"), Ok(Event::Ping));
    assert!(post("diagnostics:ping", b"test").is_err());
}

#[test]
fn what_is_no_push_is_unsupported_by_name() {
    for (event, body) in [
        ("pullrequest:created", &include_bytes!("../fixtures/cloud/pull-request-created.json")[..]),
        ("repo:fork", include_bytes!("../fixtures/cloud/repo-fork.json")),
        ("pr:opened", include_bytes!("../fixtures/data-center/pr-opened.json")),
        ("repo:forked", include_bytes!("../fixtures/data-center/repo-forked.json")),
        ("repo:transfer", b"not even JSON"),
    ] {
        assert_eq!(post(event, body), Ok(Event::Unsupported(event.to_owned())));
    }
}

#[test]
fn a_malformed_push_is_refused_with_the_reason() {
    for (event, body, reason) in [
        ("repo:push", b"{".to_vec(), "no JSON"),
        ("repo:push", b"{}".to_vec(), "`repository`"),
        ("repo:push", cloud(json!([{ "new": null, "old": null }])), "neither `new` nor `old`"),
        ("repo:push", cloud(json!([{ "new": side("branch", "main", "abc", ""), "old": null }])), "40 or 64"),
        ("repo:push", cloud(json!({})), "expected shape"),
        ("repo:refs_changed", b"{}".to_vec(), "`repository`"),
        (
            "repo:refs_changed",
            data_center(json!([update("refs/heads/", A, B, "UPDATE")]), Value::Null),
            "no branch or tag",
        ),
        (
            "repo:refs_changed",
            data_center(json!([update("refs/heads/x", A, "", "UPDATE")]), Value::Null),
            "`after` is missing",
        ),
    ] {
        let failure = post(event, &body).expect_err("it is malformed");
        assert_eq!(failure.code, "malformed-payload");
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
    let none = Bitbucket::parse_webhook(Delivery { headers: Vec::new(), body: b"{}".to_vec() });
    assert!(none.expect_err("who sent it?").message.contains("X-Event-Key"));
}
