//! The connection to a repository is tested before a build needs it: over REST, from the command line and in the form.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use windlass_sdk::http::segment;
use windlass_tests::browser::Browser;
use windlass_tests::cli::run;
use windlass_tests::git_server::{File, GitServer};
use windlass_tests::server::{ADMIN_TOKEN, TestServer};
use windlass_tests::vendors::github::{GitHub, app};
use windlass_tests::vendors::gitlab::{self, GitLab, oauth};

const TOKEN: &str = "token-of-the-repository";

/// A server with a stack whose repository wants a token.
async fn start() -> (GitServer, TestServer, Value) {
    let git = GitServer::start_with_token(TOKEN).await;
    git.create("app").commit_files("main", &[File { path: "a", mode: "100644", content: b"a" }], "one");
    git.create("empty");
    let server = TestServer::start().await;
    let repository = json!({
        "url": git.url("app"), "branch": "main", "authType": "http_token", "credentials": { "token": TOKEN },
    });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    (git, server, repository)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_whether_the_branch_can_be_deployed() {
    let (git, server, repository) = start().await;
    let test = async |input: Value| server.post("/api/v1/repositories/test", input).await;
    let found = test(json!({ "stack": "web" })).await.expect(200)["data"].clone();
    assert_eq!((&found["branchExists"], &found["defaultBranch"]), (&json!(true), &json!("main")));
    let mut other = repository.clone();
    other["branch"] = "nothing".into();
    let found = test(json!({ "repository": other })).await.expect(200)["data"].clone();
    assert_eq!(found["message"], "Connected, but there is no branch `nothing`; the default one is `main`.");
    let mut empty = repository.clone();
    empty["url"] = git.url("empty").into();
    let found = test(json!({ "repository": empty })).await.expect(200)["data"].clone();
    assert_eq!((&found["branchExists"], &found["defaultBranch"]), (&json!(false), &Value::Null));
    assert_eq!(test(json!({})).await.expect(422)["field"], "repository");
    assert_eq!(
        test(json!({ "repository": { "url": "file:///etc" } })).await.expect(422)["field"],
        "repository.url"
    );
    let mut wrong = repository.clone();
    wrong["credentials"]["token"] = "another".into();
    let refused = test(json!({ "repository": wrong })).await;
    assert!(refused.status >= 500 && !refused.text.contains("another"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_without_a_branch_gets_the_default_one_and_keeps_it() {
    let (git, server, mut repository) = start().await;
    let other = git.create("other");
    other.commit_files("main", &[File { path: "a", mode: "100644", content: b"a" }], "one");
    other.git(&["branch", "-m", "main", "trunk"]);
    other.git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    repository["url"] = git.url("other").into();
    repository.as_object_mut().unwrap().remove("branch");
    let input = |name: &str, repository: &Value| json!({ "name": name, "repository": repository });
    let branch = |stack: &Value| stack["gitRepository"]["branch"].clone();
    let made = server.post("/api/v1/stacks", input("other", &repository)).await.expect(201);
    assert_eq!(branch(&made["data"]["stack"]), "trunk");
    let found =
        server.post("/api/v1/repositories/test", json!({ "repository": repository })).await.expect(200);
    assert_eq!((&found["data"]["branch"], &found["data"]["branchExists"]), (&json!("trunk"), &json!(true)));

    let mut wrong = repository.clone();
    wrong["credentials"]["token"] = "another".into();
    let made = server.post("/api/v1/stacks", input("closed", &wrong)).await.expect(201);
    assert_eq!(branch(&made["data"]["stack"]), "main", "a server that does not say is no hindrance");
    // What was chosen once stays, whatever the server says by then.
    let mut chosen = repository.clone();
    chosen["branch"] = "next".into();
    server.put("/api/v1/stacks/other", input("other", &chosen)).await.expect(200);
    let kept = server.put("/api/v1/stacks/other", input("other", &repository)).await.expect(200);
    assert_eq!(branch(&kept["data"]), "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_credentials_go_to_their_own_url_only() {
    let (git, server, _) = start().await;
    let test = async |url: String| {
        let repository = json!({ "url": url, "branch": "main", "authType": "http_token" });
        server.post("/api/v1/repositories/test", json!({ "stack": "web", "repository": repository })).await
    };
    test(git.url("app")).await.expect(200);
    let elsewhere = test(git.url("empty")).await;
    assert!(elsewhere.status >= 400 && elsewhere.text.contains("token"), "{}", elsewhere.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn git_and_the_forge_are_asked_with_tokens_of_an_app() {
    let git = GitServer::start_with_token(&app::token(1)).await;
    let repo = git.create("octo/app");
    repo.commit_files("main", &[File { path: "a", mode: "100644", content: b"a" }], "one");
    let forge = GitHub::start_before(git.router()).await;
    let server = TestServer::start().await;
    let repository = json!({
        "url": format!("{}/octo/app.git", forge.fake.url), "branch": "main", "provider": "github",
        "authType": "http_token",
        "credentials": { "appId": app::ID, "installationId": app::INSTALLATION, "privateKey": app::KEY },
    });
    let input = |name: &str, repository: &Value| json!({ "name": name, "repository": repository });
    for (change, field) in [
        (json!({ "installationId": null }), "repository.credentials.installationId"),
        (json!({ "privateKey": null }), "repository.credentials.privateKey"),
        (json!({ "token": TOKEN }), "repository.credentials.appId"),
    ] {
        let mut wrong = repository.clone();
        wrong["credentials"].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = server.post("/api/v1/stacks", input("wrong", &wrong)).await.expect(422);
        assert_eq!(refused["field"], field, "{refused}");
    }
    let mut other = repository.clone();
    other["provider"] = "gitea".into();
    let refused = server.post("/api/v1/stacks", input("wrong", &other)).await.expect(422);
    assert!(refused.to_string().contains("makes no tokens from an app's key"), "{refused}");

    let made = server.post("/api/v1/stacks", input("web", &repository)).await;
    assert!(!made.text.contains("PRIVATE KEY"), "{}", made.text);
    made.expect(201);
    let found = server.post("/api/v1/repositories/test", json!({ "stack": "web" })).await.expect(200);
    assert_eq!(found["data"]["branchExists"], true, "{found}");
    let key = server.folder.path().join("app.pem");
    std::fs::write(&key, app::KEY).unwrap();
    let (url, key) = (repository["url"].as_str().unwrap(), key.to_str().unwrap());
    let words =
        ["stack", "create", "--name", "typed", "--repo", url, "--branch", "main", "--provider", "github"];
    let of_app = ["--app-id", app::ID, "--installation-id", app::INSTALLATION, "--app-key", key];
    server.cli(&[&words[..], &of_app].concat()).expect(0);
    let tested = server.cli(&["stack", "test-connection", "typed"]).expect(0);
    assert_eq!(tested.out, "Connected. The branch `main` is there.\n");
    server.post("/api/v1/stacks/web/webhook", json!({})).await;
    let told = forge.fake.seen().into_iter().rfind(|seen| seen.path().ends_with("/hooks")).unwrap();
    assert_eq!(told.header("authorization"), Some(format!("Bearer {}", app::token(1)).as_str()));
    let world = forge.world();
    assert_eq!((world.app.minted, world.hooks.len()), (1, 1));
    drop(world);
    let log = std::fs::read_to_string(server.server_log()).unwrap();
    assert!(!log.contains(&app::token(1)) && !log.contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn git_and_the_forge_are_asked_with_tokens_that_a_refresh_token_was_traded_for() {
    let git = GitServer::start_with_token(&oauth::access_token(1)).await;
    let repo = git.create(gitlab::PROJECT);
    repo.commit_files("main", &[File { path: "a", mode: "100644", content: b"a" }], "one");
    let forge = GitLab::start_before(git.router()).await;
    let mut server = TestServer::start().await;
    let url = format!("{}/{}.git", forge.fake.url, gitlab::PROJECT);
    let repository = json!({
        "url": url, "branch": "main", "provider": "gitlab", "authType": "http_token",
        "credentials": {
            "clientId": oauth::CLIENT, "clientSecret": oauth::CLIENT_SECRET, "refreshToken": oauth::refresh_token(0),
        },
    });
    let input = |name: &str, repository: &Value| json!({ "name": name, "repository": repository });
    for (change, field) in [
        (json!({ "clientId": null }), "repository.credentials.clientId"),
        (json!({ "refreshToken": null }), "repository.credentials.refreshToken"),
        (json!({ "clientId": null, "refreshToken": null }), "repository.credentials.clientId"),
        (json!({ "token": TOKEN }), "repository.credentials.clientId"),
    ] {
        let mut wrong = repository.clone();
        wrong["credentials"].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = server.post("/api/v1/stacks", input("wrong", &wrong)).await.expect(422);
        assert_eq!(refused["field"], field, "{refused}");
    }
    let mut other = repository.clone();
    other["provider"] = "gitea".into();
    let refused = server.post("/api/v1/stacks", input("wrong", &other)).await.expect(422);
    assert!(refused.to_string().contains("makes no tokens from a refresh token"), "{refused}");

    let made = server.post("/api/v1/stacks", input("web", &repository)).await;
    assert!(!made.text.contains(oauth::CLIENT_SECRET) && !made.text.contains("refresh-"), "{}", made.text);
    made.expect(201);
    let test = async |server: &TestServer| {
        server.post("/api/v1/repositories/test", json!({ "stack": "web" })).await.expect(200)["data"].clone()
    };
    assert_eq!(test(&server).await["branchExists"], true);
    let user = STANDARD.encode(format!("oauth2:{}", oauth::access_token(1)));
    let of_git = forge.fake.seen().into_iter().rfind(|seen| seen.path().ends_with("/info/refs")).unwrap();
    assert_eq!(of_git.header("authorization"), Some(format!("Basic {user}").as_str()));
    server.post("/api/v1/stacks/web/webhook", json!({})).await.expect(200);
    let counts = || {
        let world = forge.world();
        (world.oauth.traded, world.hooks.len())
    };
    assert_eq!(counts(), (1, 1));
    // Another address of the same forge, with the refresh token that is used up by now.
    let mut second = repository.clone();
    second["url"] = format!("{}/{}", forge.fake.url, gitlab::PROJECT).into();
    server.post("/api/v1/stacks", input("api", &second)).await.expect(201);

    // The next process has the newest refresh token: GitLab takes each of them once.
    server.kill();
    server.launch(&[]).await.unwrap();
    server.post("/api/v1/stacks/web/webhook", json!({})).await.expect(200);
    assert_eq!(counts(), (2, 1));
    server.post("/api/v1/stacks/api/webhook", json!({})).await.expect(200);
    assert_eq!(counts(), (2, 2));
    let log = std::fs::read_to_string(server.server_log()).unwrap();
    for secret in [oauth::access_token(1), oauth::refresh_token(1), oauth::CLIENT_SECRET.to_owned()] {
        assert!(!log.contains(&secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_the_form_take_a_refresh_token() {
    let git = GitServer::start_with_token(&oauth::access_token(1)).await;
    let repo = git.create(gitlab::PROJECT);
    repo.commit_files("main", &[File { path: "a", mode: "100644", content: b"a" }], "one");
    let forge = GitLab::start_before(git.router()).await;
    let server = TestServer::start().await;
    let url = format!("{}/{}.git", forge.fake.url, gitlab::PROJECT);
    let words = ["stack", "create", "--name", "typed", "--repo", url.as_str(), "--provider", "gitlab"];
    let of_oauth = [
        "--oauth-client-id",
        oauth::CLIENT,
        "--oauth-refresh-token-env",
        "REFRESH",
        "--oauth-client-secret-env",
        "CLIENT_SECRET",
    ];
    let mut command = server.command(&[&words[..], &of_oauth].concat());
    command.env("REFRESH", oauth::refresh_token(0)).env("CLIENT_SECRET", oauth::CLIENT_SECRET);
    run(command).expect(0);
    let tested = server.cli(&["stack", "test-connection", "typed"]).expect(0);
    assert_eq!(tested.out, "Connected. The branch `main` is there.\n");
    let refresh = oauth::refresh_token(0);
    let fields = [
        ("name", "of-the-form"),
        ("url", url.as_str()),
        ("branch", "main"),
        ("provider", "gitlab"),
        ("auth", "oauth"),
        ("client_id", oauth::CLIENT),
        ("client_secret", oauth::CLIENT_SECRET),
        ("refresh_token", refresh.as_str()),
        ("test-connection", "yes"),
    ];
    let body = fields.map(|(name, value)| format!("{name}={}", segment(value))).join("&");
    let request = server
        .stranger(Method::POST, "/stacks/new")
        .header("cookie", format!("windlass_token={ADMIN_TOKEN}"))
        .header("origin", server.url.as_str())
        .header("content-type", "application/x-www-form-urlencoded");
    let page = request.body(body).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("The branch `main` is there"), "{page}");
    assert_eq!(forge.world().oauth.traded, 1, "all of that was done with one access token");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_exits_with_what_was_found() {
    let (_git, server, _) = start().await;
    let run = |name: &str| server.cli(&["stack", "test-connection", name]);
    assert_eq!(run("web").expect(0).out, "Connected. The branch `main` is there.\n");
    run("none").expect(1);
}

#[tokio::test]
async fn the_form_tests_the_connection_and_keeps_what_was_typed() {
    let Some(browser) = Browser::start("the form tests the connection and keeps what was typed").await else {
        return;
    };
    let (git, server, _) = start().await;
    browser.log_in(&server).await;
    browser.open(&format!("{}/stacks/web/edit", server.url)).await;
    browser.fill("#description", "half a thought").await;
    browser.press("[name=test-connection]").await;
    browser.wait_text("#connection", "The branch `main` is there").await;
    assert_eq!(browser.value("#description").await, "half a thought");
    assert_eq!(
        server.get("/api/v1/stacks/web").await.expect(200)["data"]["description"],
        "",
        "nothing was saved"
    );
    browser.fill("#url", &git.url("missing")).await;
    browser.press("[name=test-connection]").await;
    browser.wait_text("#url-error", "The connection failed").await;
}
