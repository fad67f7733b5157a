//! The API, against what Gitea 1.22 answers.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use windlass_sdk::forge::{
    CommitStatus, Hook, PullRequestState, PullRequests, Repositories, State, Status, WebhookAdmin,
};
use windlass_sdk::http::{Request, Response, answering};
use windlass_sdk::testkit::forge_in_trouble;
use windlass_sdk::{Connection, Disposition, Failure};

use crate::Gitea;

const SHA: &str = "67b56589a45103f891bdee7c0546e5d40bc02001";

type Seen = Rc<RefCell<Vec<(String, Value)>>>;

fn connection() -> Connection {
    Connection { base_url: "https://git.example".into(), settings: "{}".into(), extras: Vec::new() }
}

/// Runs `work` against a forge that answers by method and path, and 404 to everything else.
fn on<R>(answers: Vec<(&'static str, u16, Value)>, work: impl FnOnce() -> R) -> (R, Vec<(String, Value)>) {
    let seen = Seen::default();
    let log = seen.clone();
    let answer = move |request: &Request| {
        assert_eq!(request.credential.as_deref(), Some("token"));
        let line = format!("{} {}", request.method, request.path);
        log.borrow_mut().push((line.clone(), serde_json::from_slice(&request.body).unwrap_or_default()));
        let found = answers.iter().find(|(wanted, ..)| *wanted == line);
        let (status, body) = found.map_or((404, Value::Null), |(_, status, body)| (*status, body.clone()));
        let mut response = Response::new(status, body.to_string());
        if line.ends_with("pulls?state=open&limit=50&page=1") {
            let next = "<https://git.example/api/v1/repos/o/r/pulls?page=2>; rel=\"next\"";
            response.headers.push(("link".into(), next.into()));
        }
        Ok(response)
    };
    let result = answering(answer, work);
    let seen = seen.borrow().clone();
    (result, seen)
}

fn repository(changes: Value) -> Value {
    let mut repository = json!({
        "full_name": "o/r", "default_branch": "main", "clone_url": "https://git.example/o/r.git",
        "ssh_url": "git@git.example:o/r.git", "html_url": "https://git.example/o/r", "description": "Ours",
        "private": true, "archived": false, "empty": false,
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        repository[name] = value.clone();
    }
    repository
}

#[test]
fn a_repository_is_found_by_full_name_and_by_each_url() {
    for name in
        ["o/r", "https://git.example/o/r.git", "https://git.example/below/o/r/", "git@git.example:o/r.git"]
    {
        let answers = vec![("GET /api/v1/repos/o/r", 200, repository(json!({})))];
        let (branch, _) = on(answers, || Gitea::get_default_branch(connection(), name));
        assert_eq!(branch.as_deref(), Ok("main"), "{name}");
    }
    let answers = vec![("GET /api/v1/repos/o/r", 200, repository(json!({})))];
    let (details, _) = on(answers, || Gitea::get_repository_details(connection(), "o/r"));
    let details = details.expect("details");
    assert_eq!(details.clone_urls, ["https://git.example/o/r.git", "git@git.example:o/r.git"]);
    assert!(details.private && !details.archived);
    let odd = Gitea::get_default_branch(connection(), "r").expect_err("half a name");
    assert_eq!(odd.code, "no-such-repository");
}

#[test]
fn an_empty_and_a_missing_repository_are_told_apart() {
    let answers = || vec![("GET /api/v1/repos/o/r", 200, repository(json!({ "empty": true })))];
    let code = |result: Result<String, Failure>| result.expect_err("it fails").code;
    let (branch, _) = on(answers(), || Gitea::get_default_branch(connection(), "o/r"));
    assert_eq!(code(branch), "empty-repository");
    let (details, _) = on(answers(), || Gitea::get_repository_details(connection(), "o/r"));
    assert_eq!(details.expect("details").default_branch, "");
    let (branch, _) = on(vec![], || Gitea::get_default_branch(connection(), "o/none"));
    assert_eq!(code(branch), "no-such-repository");
}

#[test]
fn a_token_with_too_few_rights_names_the_right() {
    let answers = vec![("GET /api/v1/repos/o/r/hooks?limit=50&page=1", 403, json!({ "message": "no" }))];
    let (registered, _) = on(answers, || Gitea::register(connection(), hook()));
    let failure = registered.expect_err("it is refused");
    assert!(matches!(failure.disposition, Disposition::AuthRequired));
    assert!(failure.message.contains("write:repository"), "{}", failure.message);
}

fn hook() -> Hook {
    Hook {
        repository: "o/r".into(),
        url: "https://windlass.example/hook".into(),
        secret_placeholder: "place-holder".into(),
        extras: Vec::new(),
    }
}

#[test]
fn a_webhook_is_made_once_and_changed_afterwards() {
    let made = json!({ "id": 7, "config": { "url": "https://windlass.example/hook" } });
    let list = "GET /api/v1/repos/o/r/hooks?limit=50&page=1";
    let answers = vec![(list, 200, json!([])), ("POST /api/v1/repos/o/r/hooks", 201, made.clone())];
    let (id, seen) = on(answers, || Gitea::register(connection(), hook()));
    assert_eq!(id.as_deref(), Ok("7"));
    let (_, body) = &seen[1];
    assert_eq!((&body["type"], &body["config"]["secret"]), (&json!("gitea"), &json!("place-holder")));
    let events = json!(["push", "delete", "pull_request", "pull_request_sync"]);
    assert_eq!((&body["config"]["content_type"], &body["events"]), (&json!("json"), &events));

    let answers = vec![
        (list, 200, json!([{ "id": 3, "config": { "url": "https://else.example" } }, made])),
        ("PATCH /api/v1/repos/o/r/hooks/7", 200, made.clone()),
    ];
    let (id, _) = on(answers, || Gitea::register(connection(), hook()));
    assert_eq!(id.as_deref(), Ok("7"));
}

#[test]
fn removing_a_webhook_twice_is_no_error() {
    let answers = vec![("DELETE /api/v1/repos/o/r/hooks/7", 204, Value::Null)];
    let (gone, _) = on(answers, || Gitea::unregister(connection(), "o/r", "7"));
    assert_eq!(gone, Ok(()));
    let (gone, _) = on(vec![], || Gitea::unregister(connection(), "o/r", "7"));
    assert_eq!(gone, Ok(()));
}

#[test]
fn a_status_is_said_in_the_forges_words() {
    for (state, word) in
        [(State::Running, "pending"), (State::Failure, "failure"), (State::Cancelled, "error")]
    {
        let status = Status {
            repository: "o/r".into(),
            commit: SHA.into(),
            state,
            context: "windlass/shop".into(),
            description: "x".repeat(300),
            url: Some("https://windlass.example/1".into()),
            extras: Vec::new(),
        };
        let line = "POST /api/v1/repos/o/r/statuses/67b56589a45103f891bdee7c0546e5d40bc02001";
        let (set, seen) = on(vec![(line, 201, json!({}))], || Gitea::set_commit_status(connection(), status));
        assert_eq!(set, Ok(()));
        assert_eq!((&seen[0].1["state"], &seen[0].1["context"]), (&json!(word), &json!("windlass/shop")));
        assert_eq!(seen[0].1["description"].as_str().map(str::len), Some(255));
    }
}

fn pull(number: u64, changes: Value) -> Value {
    let mut pull = json!({
        "number": number, "title": "Sharper", "state": "open", "merged": false, "user": { "login": "ada" },
        "head": { "ref": "sharper", "sha": SHA, "repo_id": 2 }, "base": { "ref": "main", "sha": SHA, "repo_id": 1 },
        "html_url": "https://git.example/o/r/pulls/1",
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        pull[name] = value.clone();
    }
    pull
}

#[test]
fn open_pull_requests_come_in_pages() {
    let answers = vec![
        ("GET /api/v1/repos/o/r/pulls?state=open&limit=50&page=1", 200, json!([pull(2, json!({}))])),
        ("GET /api/v1/repos/o/r/pulls?state=open&limit=50&page=2", 200, json!([])),
    ];
    let ((first, last), _) = on(answers, || {
        let list = |cursor| Gitea::list_open(connection(), "o/r", cursor).expect("a page");
        (list(None), list(Some("2")))
    });
    assert_eq!((first.items.len(), first.cursor.as_deref(), last.cursor), (1, Some("2"), None));
    let found = &first.items[0];
    assert!(found.from_fork && found.state == PullRequestState::Open);
    assert_eq!((found.head_branch.as_str(), found.base_branch.as_str()), ("sharper", "main"));
}

#[test]
fn a_merged_pull_request_is_not_merely_closed() {
    for (merged, state) in [(true, PullRequestState::Merged), (false, PullRequestState::Closed)] {
        let body = pull(1, json!({ "state": "closed", "merged": merged }));
        let (found, _) = on(vec![("GET /api/v1/repos/o/r/pulls/1", 200, body)], || {
            Gitea::get_pull_request(connection(), "o/r", 1)
        });
        assert_eq!(found.expect("a pull request").state, state);
    }
    let (missing, _) = on(vec![], || Gitea::get_pull_request(connection(), "o/r", 9));
    assert_eq!(missing.expect_err("there is none").code, "no-such-pull-request");
}

#[test]
fn a_comment_with_the_same_key_is_changed() {
    let list = "GET /api/v1/repos/o/r/issues/1/comments";
    let answers = vec![(list, 200, json!([])), ("POST /api/v1/repos/o/r/issues/1/comments", 201, json!({}))];
    let set = |text: &'static str| move || Gitea::set_comment(connection(), "o/r", 1, "preview", text);
    let (left, seen) = on(answers, set("It is **out**."));
    assert_eq!(left, Ok(()));
    let body = seen[1].1["body"].as_str().unwrap_or_default().to_owned();
    assert!(body.starts_with("It is **out**.") && body.ends_with("<!-- windlass:preview -->"), "{body}");

    let answers = vec![
        (list, 200, json!([{ "id": 4, "body": "nice" }, { "id": 5, "body": body }])),
        ("PATCH /api/v1/repos/o/r/issues/comments/5", 200, json!({})),
    ];
    let (left, _) = on(answers, set("It is gone."));
    assert_eq!(left, Ok(()));
}

#[test]
fn a_forge_that_fails_is_told_as_what_it_is_at_each_request() {
    forge_in_trouble::<Gitea>(&connection());
}
