//! Both APIs, against what Bitbucket Cloud and Bitbucket Data Center 8 answer.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use windlass_sdk::forge::{
    CommitStatus, Hook, PullRequestState, PullRequests, Repositories, State, Status, WebhookAdmin,
};
use windlass_sdk::http::{Request, Response, answering};
use windlass_sdk::testkit::forge_in_trouble;
use windlass_sdk::{Connection, Disposition};

use crate::Bitbucket;

const SHA: &str = "67b56589a45103f891bdee7c0546e5d40bc02001";
const CLOUD: &str = "/2.0/repositories/team/app";
const DATA_CENTER: &str = "/rest/api/1.0/projects/TEAM/repos/app";

fn at(base_url: &str, settings: &str) -> Connection {
    Connection { base_url: base_url.into(), settings: settings.into(), extras: Vec::new() }
}

fn cloud() -> Connection {
    at("https://api.bitbucket.org", "{}")
}

fn data_center() -> Connection {
    at("https://git.example", "{}")
}

type Asked = Vec<(String, Value)>;

/// Runs `work` against a server that answers by method and path below `root`, and 404 to everything else.
fn on<R>(
    root: &'static str,
    answers: Vec<(&'static str, u16, Value)>,
    work: impl FnOnce() -> R,
) -> (R, Asked) {
    let seen = Rc::new(RefCell::new(Asked::new()));
    let log = seen.clone();
    let answer = move |request: &Request| {
        assert_eq!(request.credential.as_deref(), Some("token"));
        let below = request.path.strip_prefix(root).unwrap_or("elsewhere");
        let line = format!("{} {below}", request.method);
        log.borrow_mut().push((line.clone(), serde_json::from_slice(&request.body).unwrap_or_default()));
        let found = answers.iter().find(|(wanted, ..)| *wanted == line.trim_end());
        let (status, body) = found.map_or((404, Value::Null), |(_, status, body)| (*status, body.clone()));
        Ok(Response::new(status, body.to_string()))
    };
    let result = answering(answer, work);
    let seen = seen.borrow().clone();
    (result, seen)
}

fn cloud_repository(branch: Value) -> Value {
    json!({
        "full_name": "team/app", "mainbranch": branch, "is_private": true, "description": "Ours",
        "links": {
            "html": { "href": "https://bitbucket.org/team/app" },
            "clone": [
                { "name": "https", "href": "https://ada@bitbucket.org/team/app.git" },
                { "name": "ssh", "href": "git@bitbucket.org:team/app.git" },
            ],
        },
    })
}

fn data_center_repository() -> Value {
    json!({
        "slug": "app", "project": { "key": "TEAM" }, "public": false, "archived": true, "description": null,
        "links": {
            "self": [{ "href": "https://git.example/projects/TEAM/repos/app/browse" }],
            "clone": [{ "name": "http", "href": "https://git.example/scm/team/app.git" }],
        },
    })
}

#[test]
fn the_base_url_says_which_api_answers() {
    let main = || vec![("GET", 200, cloud_repository(json!({ "name": "main" })))];
    for (base, root) in [
        ("https://bitbucket.org", "/!api/2.0/repositories/team/app"),
        ("https://api.bitbucket.org", CLOUD),
        ("https://api.bitbucket.org/2.0", "/repositories/team/app"),
    ] {
        for name in ["team/app", "https://bitbucket.org/team/app.git", "git@bitbucket.org:team/app.git"] {
            let (branch, _) = on(root, main(), || Bitbucket::get_default_branch(at(base, "{}"), name));
            assert_eq!(branch.as_deref(), Ok("main"), "{base} {name}");
        }
    }
    let proxied = at("https://proxy.example", r#"{"edition":"cloud"}"#);
    let (branch, _) = on(CLOUD, main(), || Bitbucket::get_default_branch(proxied, "team/app"));
    assert_eq!(branch.as_deref(), Ok("main"));
    let odd = at("https://git.example", r#"{"edition":"server"}"#);
    let failure = Bitbucket::get_default_branch(odd, "team/app").expect_err("there is no such edition");
    assert_eq!(failure.code, "invalid-parameters");
    assert_eq!(
        Bitbucket::get_default_branch(cloud(), "app").expect_err("half a name").code,
        "no-such-repository"
    );
}

#[test]
fn details_come_without_the_name_of_whoever_asks() {
    let answers = vec![("GET", 200, cloud_repository(json!({ "name": "main" })))];
    let (details, _) = on(CLOUD, answers, || Bitbucket::get_repository_details(cloud(), "team/app"));
    let details = details.expect("details");
    assert_eq!(details.clone_urls, ["https://bitbucket.org/team/app.git", "git@bitbucket.org:team/app.git"]);
    assert_eq!(details.web_url.as_deref(), Some("https://bitbucket.org/team/app"));
    assert!(details.private);

    let answers = vec![
        ("GET", 200, data_center_repository()),
        ("GET /default-branch", 200, json!({ "id": "refs/heads/trunk", "displayId": "trunk" })),
    ];
    let url = "https://git.example/scm/TEAM/app.git";
    let (details, _) = on(DATA_CENTER, answers, || Bitbucket::get_repository_details(data_center(), url));
    let details = details.expect("details");
    assert_eq!((details.full_name.as_str(), details.default_branch.as_str()), ("TEAM/app", "trunk"));
    assert!(details.private && details.archived);
}

#[test]
fn an_empty_and_a_missing_repository_are_told_apart() {
    let code = |result: Result<String, windlass_sdk::Failure>| result.expect_err("it fails").code;
    let answers = vec![("GET", 200, cloud_repository(Value::Null))];
    let (branch, _) = on(CLOUD, answers, || Bitbucket::get_default_branch(cloud(), "team/app"));
    assert_eq!(code(branch), "empty-repository");
    for nothing in [204, 404] {
        let answers =
            vec![("GET", 200, data_center_repository()), ("GET /default-branch", nothing, Value::Null)];
        let (branch, _) =
            on(DATA_CENTER, answers, || Bitbucket::get_default_branch(data_center(), "TEAM/app"));
        assert_eq!(code(branch), "empty-repository");
    }
    let (branch, _) = on(CLOUD, vec![], || Bitbucket::get_default_branch(cloud(), "team/app"));
    assert_eq!(code(branch), "no-such-repository");
}

fn hook(repository: &str) -> Hook {
    Hook {
        repository: repository.into(),
        url: "https://windlass.example/hook".into(),
        secret_placeholder: "place-holder".into(),
        extras: Vec::new(),
    }
}

#[test]
fn a_webhook_of_cloud_is_made_once_and_changed_afterwards() {
    let made = json!({ "uuid": "{7-a}", "url": "https://windlass.example/hook" });
    let list = "GET /hooks?pagelen=100&page=1";
    let answers = vec![(list, 200, json!({ "values": [] })), ("POST /hooks", 201, made.clone())];
    let (id, seen) = on(CLOUD, answers, || Bitbucket::register(cloud(), hook("team/app")));
    assert_eq!(id.as_deref(), Ok("{7-a}"));
    assert_eq!(
        (&seen[1].1["secret"], &seen[1].1["events"][0]),
        (&json!("place-holder"), &json!("repo:push"))
    );

    let first = json!({ "values": [{ "uuid": "{1}", "url": "https://else.example" }], "next": "https://api…?page=2" });
    let answers = vec![
        (list, 200, first),
        ("GET /hooks?pagelen=100&page=2", 200, json!({ "values": [made] })),
        ("PUT /hooks/%7B7-a%7D", 200, made.clone()),
    ];
    let (id, _) = on(CLOUD, answers, || Bitbucket::register(cloud(), hook("team/app")));
    assert_eq!(id.as_deref(), Ok("{7-a}"));
}

#[test]
fn a_webhook_of_a_data_center_is_made_once_and_changed_afterwards() {
    let made = json!({ "id": 7, "url": "https://windlass.example/hook" });
    let list = "GET /webhooks?limit=100&start=0";
    let none = json!({ "values": [], "isLastPage": true, "nextPageStart": null });
    let answers = vec![(list, 200, none), ("POST /webhooks", 201, made.clone())];
    let (id, seen) = on(DATA_CENTER, answers, || Bitbucket::register(data_center(), hook("TEAM/app")));
    assert_eq!(id.as_deref(), Ok("7"));
    assert_eq!(seen[1].1["configuration"]["secret"], "place-holder");
    assert_eq!(seen[1].1["events"][0], "repo:refs_changed");

    let answers = vec![
        (list, 200, json!({ "values": [], "isLastPage": false, "nextPageStart": 100 })),
        ("GET /webhooks?limit=100&start=100", 200, json!({ "values": [made], "isLastPage": true })),
        ("PUT /webhooks/7", 200, made.clone()),
    ];
    let (id, _) = on(DATA_CENTER, answers, || Bitbucket::register(data_center(), hook("TEAM/app")));
    assert_eq!(id.as_deref(), Ok("7"));
}

#[test]
fn removing_a_webhook_twice_is_no_error_and_a_missing_right_is_named() {
    let answers = vec![("DELETE /hooks/%7B7%7D", 204, Value::Null)];
    let (gone, _) = on(CLOUD, answers, || Bitbucket::unregister(cloud(), "team/app", "{7}"));
    assert_eq!(gone, Ok(()));
    let (gone, _) = on(DATA_CENTER, vec![], || Bitbucket::unregister(data_center(), "TEAM/app", "7"));
    assert_eq!(gone, Ok(()));
    let answers = vec![("DELETE /hooks/%7B7%7D", 403, Value::Null)];
    let (refused, _) = on(CLOUD, answers, || Bitbucket::unregister(cloud(), "team/app", "{7}"));
    let failure = refused.expect_err("it is refused");
    assert!(matches!(failure.disposition, Disposition::AuthRequired));
    assert!(failure.message.contains("scope webhook"), "{}", failure.message);
}

fn status(repository: &str, state: State, context: &str) -> Status {
    Status {
        repository: repository.into(),
        commit: SHA.into(),
        state,
        context: context.into(),
        description: "x".repeat(300),
        url: None,
        extras: Vec::new(),
    }
}

#[test]
fn a_status_is_said_in_the_words_of_the_edition() {
    let line = "POST /commit/67b56589a45103f891bdee7c0546e5d40bc02001/statuses/build";
    for (state, word) in
        [(State::Running, "INPROGRESS"), (State::Success, "SUCCESSFUL"), (State::Cancelled, "STOPPED")]
    {
        let given = status("team/app", state, "windlass/shop");
        let (set, seen) =
            on(CLOUD, vec![(line, 201, json!({}))], || Bitbucket::set_commit_status(cloud(), given));
        assert_eq!(set, Ok(()));
        assert_eq!((&seen[0].1["state"], &seen[0].1["key"]), (&json!(word), &json!("windlass/shop")));
        assert_eq!(seen[0].1["description"].as_str().map(str::len), Some(255));
        assert_eq!(seen[0].1["url"], "https://api.bitbucket.org");
    }
    let line = "POST /commits/67b56589a45103f891bdee7c0546e5d40bc02001/builds";
    let given = status("TEAM/app", State::Cancelled, "windlass/shop");
    let (set, seen) = on(DATA_CENTER, vec![(line, 204, Value::Null)], || {
        Bitbucket::set_commit_status(data_center(), given)
    });
    assert_eq!((set, &seen[0].1["state"]), (Ok(()), &json!("FAILED")));
    let (missing, _) = on(CLOUD, vec![], || {
        Bitbucket::set_commit_status(cloud(), status("team/app", State::Success, "windlass/shop"))
    });
    assert_eq!(missing.expect_err("there is none").code, "no-such-commit");
}

#[test]
fn a_long_context_becomes_a_key_of_its_own() {
    let key = |context: &str| {
        let line = "POST /commit/67b56589a45103f891bdee7c0546e5d40bc02001/statuses/build";
        let given = status("team/app", State::Success, context);
        let (_, seen) =
            on(CLOUD, vec![(line, 201, json!({}))], || Bitbucket::set_commit_status(cloud(), given));
        seen[0].1["key"].as_str().unwrap_or_default().to_owned()
    };
    let (long, other) = (format!("windlass/{}-a", "x".repeat(60)), format!("windlass/{}-b", "x".repeat(60)));
    assert_eq!((key(&long).len(), key(&other).len()), (40, 40));
    assert_ne!(key(&long), key(&other));
    assert_eq!(key(&long), key(&long));
}

fn cloud_pull(state: &str, fork: Value) -> Value {
    json!({
        "id": 2, "title": "Sharper", "state": state, "author": { "nickname": "ada" },
        "source": { "branch": { "name": "sharper" }, "commit": { "hash": "67b56589a451" }, "repository": fork },
        "destination": { "branch": { "name": "main" }, "repository": { "full_name": "team/app" } },
        "links": { "html": { "href": "https://bitbucket.org/team/app/pull-requests/2" } },
    })
}

#[test]
fn pull_requests_of_cloud_get_their_whole_commit() {
    let own = json!({ "full_name": "team/app" });
    let page = json!({ "values": [cloud_pull("OPEN", own.clone())], "next": "https://api…?page=2" });
    let commits =
        ("GET /pullrequests/2/commits?pagelen=1&page=1", 200, json!({ "values": [{ "hash": SHA }] }));
    let list = "GET /pullrequests?pagelen=20&page=1&state=OPEN&sort=-created_on";
    let (found, _) = on(CLOUD, vec![(list, 200, page), commits.clone()], || {
        Bitbucket::list_open(cloud(), "team/app", None)
    });
    let found = found.expect("a page");
    assert_eq!((found.items[0].head_commit.as_str(), found.cursor.as_deref()), (SHA, Some("2")));
    assert!(!found.items[0].from_fork);
    for (state, fork, wanted) in [
        ("MERGED", own, PullRequestState::Merged),
        ("SUPERSEDED", Value::Null, PullRequestState::Closed),
        ("DRAFT", json!({ "full_name": "eve/app" }), PullRequestState::Other("DRAFT".into())),
    ] {
        let foreign = fork["full_name"] != "team/app";
        let answers = vec![("GET /pullrequests/2", 200, cloud_pull(state, fork)), commits.clone()];
        let (pull, _) = on(CLOUD, answers, || Bitbucket::get_pull_request(cloud(), "team/app", 2));
        let pull = pull.expect("a pull request");
        assert_eq!((pull.state, pull.from_fork), (wanted, foreign));
    }
    let (missing, _) = on(CLOUD, vec![], || Bitbucket::get_pull_request(cloud(), "team/app", 9));
    assert_eq!(missing.expect_err("there is none").code, "no-such-pull-request");
}

#[test]
fn pull_requests_of_a_data_center_are_read_from_its_own_sample() {
    let sample: Value =
        serde_json::from_str(include_str!("../fixtures/data-center/pr-opened.json")).expect("JSON");
    let page = json!({ "values": [sample["pullRequest"]], "isLastPage": false, "nextPageStart": 50 });
    let list = "GET /pull-requests?limit=50&start=0&state=OPEN&order=NEWEST";
    let (found, _) =
        on(DATA_CENTER, vec![(list, 200, page)], || Bitbucket::list_open(data_center(), "TEAM/app", None));
    let found = found.expect("a page");
    let pull = &found.items[0];
    assert_eq!(
        (pull.number, pull.head_branch.as_str(), pull.base_branch.as_str()),
        (5, "feature/wip", "master")
    );
    assert_eq!(pull.head_commit, "32a0b8a740c2963c6f56bd8baf3dc05683d299e0");
    assert_eq!((pull.from_fork, found.cursor.as_deref()), (false, Some("50")));
}

#[test]
fn a_comment_with_the_same_key_is_changed_in_cloud() {
    let list = "GET /pullrequests/2/comments?pagelen=100&page=1";
    let answers =
        vec![(list, 200, json!({ "values": [] })), ("POST /pullrequests/2/comments", 201, json!({}))];
    let set = || Bitbucket::set_comment(cloud(), "team/app", 2, "preview", "It is **out**.");
    let (left, seen) = on(CLOUD, answers, set);
    assert_eq!(left, Ok(()));
    let raw = seen[1].1["content"]["raw"].as_str().unwrap_or_default().to_owned();
    assert!(raw.starts_with("It is **out**.") && raw.contains("windlass:preview"), "{raw}");

    let known = json!({ "values": [
        { "id": 3, "content": { "raw": raw }, "deleted": true },
        { "id": 4, "content": { "raw": raw } },
    ] });
    let answers = vec![(list, 200, known), ("PUT /pullrequests/2/comments/4", 200, json!({}))];
    let (left, _) = on(CLOUD, answers, set);
    assert_eq!(left, Ok(()));
}

#[test]
fn a_comment_with_the_same_key_is_changed_in_a_data_center() {
    let list = "GET /pull-requests/2/activities?limit=100&start=0";
    let ours = json!({ "id": 4, "version": 3, "text": "old\n\n[//]: # (windlass:preview)" });
    let known = json!({ "values": [
        { "action": "OPENED" }, { "action": "COMMENTED", "comment": ours },
    ], "isLastPage": true });
    let answers = vec![(list, 200, known), ("PUT /pull-requests/2/comments/4", 200, json!({}))];
    let set = || Bitbucket::set_comment(data_center(), "TEAM/app", 2, "preview", "It is **out**.");
    let (left, seen) = on(DATA_CENTER, answers, set);
    assert_eq!((left, &seen[1].1["version"]), (Ok(()), &json!(3)));
    let answers = vec![
        (list, 200, json!({ "values": [], "isLastPage": true })),
        ("POST /pull-requests/2/comments", 201, json!({})),
    ];
    let (left, seen) = on(DATA_CENTER, answers, set);
    assert!(left.is_ok() && seen[1].1["text"].as_str().is_some_and(|text| text.contains("**out**")));
}

#[test]
fn a_forge_that_fails_is_told_as_what_it_is_at_each_request() {
    forge_in_trouble::<Bitbucket>(&cloud());
    forge_in_trouble::<Bitbucket>(&data_center());
}
