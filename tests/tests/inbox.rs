//! The inbox: which address a delivery may come to, what a push leads to beside others, and what is done once more.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::database::TestDb;
use windlass_tests::docker::eventually;
use windlass_tests::git_server::{GitServer, TestRepo};
use windlass_tests::server::{ADMIN_TOKEN, TestServer, push_body, sign};

const URL: &str = "https://git.example/team/app.git";
const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn stack(name: &str, provider: &str, build: Value) -> Value {
    json!({ "name": name, "repository": { "url": URL, "provider": provider }, "build": build })
}

/// Posts a body with these headers; the signature comes in all the names that one of the forges uses.
async fn post(
    server: &TestServer,
    path: &str,
    secret: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (u16, Value) {
    let body = body.to_string();
    let signed = sign(secret, body.as_bytes());
    let bare = signed.strip_prefix("sha256=").unwrap();
    let mut request = server.stranger(Method::POST, path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    for name in ["x-hub-signature-256", "x-hub-signature"] {
        request = request.header(name, &signed);
    }
    let request = request.header("x-gitea-signature", bare).header("x-gogs-signature", bare);
    let response = request.body(body.clone()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

/// The events that Gitea names by its own header and by GitHub's.
const GITEA: [(&str, &str); 3] =
    [("x-gitea-event", "push"), ("x-github-event", "push"), ("x-gogs-event", "push")];

fn gitea_push(before: &str, after: &str, paths: &[&str]) -> Value {
    let commit = json!({ "id": after, "message": "a commit", "added": [], "removed": [], "modified": paths });
    json!({
        "ref": "refs/heads/main", "before": before, "after": after, "commits": [commit], "total_commits": 1,
        "head_commit": commit, "repository": { "full_name": "team/app", "clone_url": URL },
    })
}

async fn ended(server: &TestServer, answer: &Value) -> Value {
    server.wait_webhook(answer["event_id"].as_str().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_has_its_own_address_and_nobody_elses_deliveries_are_taken_there() {
    let server = TestServer::start().await;
    let bitbucket = json!({
        "repository": { "full_name": "team/app" },
        "push": { "changes": [{ "new": { "type": "branch", "name": "dev", "target": { "hash": A } }, "old": null }] },
    });
    let mut generic = gitea_push(A, B, &[]);
    generic["ref"] = json!("refs/heads/dev");
    let github = push_body(URL, "dev", A);
    let mut gitea = generic.clone();
    gitea["repository"]["default_branch"] = json!("main");
    for (provider, headers, body) in [
        ("github", &[("x-github-event", "push")][..], &github),
        ("gitea", &GITEA, &gitea),
        ("bitbucket", &[("x-event-key", "repo:push")], &bitbucket),
        ("generic", &[("x-event", "push")], &generic),
    ] {
        let (path, secret) = server.create_stack(stack(provider, provider, json!({}))).await;
        let id = path.rsplit('/').next().unwrap();
        let own = format!("/api/webhooks/{provider}/{id}");
        let (status, answer) = post(&server, &own, &secret, headers, body).await;
        assert_eq!(status, 202, "{provider}: {answer}");
        let event = ended(&server, &answer).await;
        assert_eq!((&event["reason"], &event["provider"]), (&json!("branch_mismatch"), &json!(provider)));

        for other in ["github", "gitea", "bitbucket", "generic", "no-such-forge"] {
            if other == provider {
                continue;
            }
            let wrong = format!("/api/webhooks/{other}/{id}");
            let (status, answer) = post(&server, &wrong, &secret, headers, body).await;
            assert_eq!(status, 409, "{provider} at {other}: {answer}");
            let said = answer["error"].as_str().unwrap();
            assert!(said.contains(other) && said.contains(&own), "{said}");
            let newest = server.get("/api/v1/webhooks?limit=1").await.expect(200)["data"]["items"][0].clone();
            assert_eq!((&newest["reason"], &newest["verified"]), (&json!("wrong_provider"), &json!(false)));
        }
    }
    let (status, _) = post(&server, "/api/webhooks/gitea/nobody", "x", &GITEA, &gitea).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pushes_that_change_the_right_files_are_deployed() {
    let server = TestServer::start().await;
    let build = json!({ "autoDeployPaths": ["src/**", "!src/**/*.md"] });
    let (path, secret) = server.create_stack(stack("web", "gitea", build)).await;
    let shown = server.get("/api/v1/stacks/web").await.expect(200);
    assert_eq!(
        shown["data"]["buildConfig"]["autoDeployPaths"],
        json!(["src/**", "!src/**/*.md"]),
        "{shown:#}"
    );
    let zeros = "0".repeat(40);
    let mut cut = gitea_push(A, B, &["docs/a.md"]);
    cut["total_commits"] = json!(9);
    for (what, body, reason) in [
        ("another file", gitea_push(A, B, &["docs/a.md", "src/a/b.md"]), "path_mismatch"),
        ("the right file", gitea_push(A, B, &["docs/a.md", "src/a/b.rs"]), "deployed"),
        ("a new branch", gitea_push(&zeros, B, &["docs/a.md"]), "duplicate_of"),
        ("not all commits", cut, "duplicate_of"),
    ] {
        let (status, answer) = post(&server, &path, &secret, &GITEA, &body).await;
        assert_eq!(status, 202);
        let event = ended(&server, &answer).await;
        // What is deployed already, or about to be, is not built once more.
        assert_eq!(event["reason"], reason, "{what}: {event:#}");
        if reason == "deployed" {
            // Its repository is nowhere, so the build fails; until then it waits for another attempt.
            assert!(event["deploymentId"].is_string());
        }
    }
    let refused =
        server.post("/api/v1/stacks", stack("odd", "gitea", json!({ "autoDeployPaths": ["!"] }))).await;
    assert!(refused.status == 422 && refused.text.contains("autoDeployPaths"), "{}", refused.text);
}

/// A stack whose build of the first push hangs in the fetch, so that all later ones wait.
struct Busy {
    server: TestServer,
    git: GitServer,
    _repo: TestRepo,
    path: String,
    secret: String,
}

impl Busy {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let git = GitServer::start().await;
        let repo = git.create("app");
        let first = repo.commit("main", &[("Dockerfile", "FROM scratch\n")], "first");
        git.delay_packs(Duration::from_secs(600));
        let server = TestServer::start_with(variables).await;
        let repository = json!({ "url": git.url("app"), "branch": "main", "provider": "github" });
        let build = json!({ "autoDeployBranches": ["main", "next"] });
        let input = json!({ "name": "web", "repository": repository, "build": build });
        let (path, secret) = server.create_stack(input).await;
        let busy = Self { server, git, _repo: repo, path, secret };
        let event = busy.push("main", &first, "d-first").await;
        let id = event["deploymentId"].as_str().unwrap().to_owned();
        eventually("the first build runs", async || busy.deployment(&id).await["status"] == "building").await;
        busy
    }

    async fn push(&self, branch: &str, sha: &str, delivery: &str) -> Value {
        let body = push_body(&self.git.url("app"), branch, sha);
        let headers = [("x-github-event", "push"), ("x-github-delivery", delivery)];
        let (status, answer) = post(&self.server, &self.path, &self.secret, &headers, &body).await;
        assert_eq!(status, 202, "{answer}");
        ended(&self.server, &answer).await
    }

    async fn deployment(&self, id: &str) -> Value {
        self.server.get(&format!("/api/v1/deployments/{id}")).await.expect(200)["data"].clone()
    }

    async fn builds(&self) -> Vec<Value> {
        let all = self.server.get("/api/v1/stacks/web/builds?limit=200").await.expect(200);
        all["data"]["items"].as_array().unwrap().clone()
    }
}

fn number(event: &Value) -> String {
    event["deploymentId"].as_str().unwrap().to_owned()
}

async fn a_newer_push_supersedes(variables: &[(&str, &str)], url: impl Fn(&TestServer) -> String) {
    let busy = Busy::start(variables).await;
    let older = busy.push("main", A, "d-a").await;
    assert_eq!(older["reason"], "deployed", "{older:#}");
    // The same change by another way, such as a second webhook of the repository.
    let again = busy.push("main", A, "d-again").await;
    assert_eq!((&again["reason"], &again["deploymentId"]), (&json!("duplicate_of"), &Value::Null));
    let copies: Vec<String> = (0..8).map(|n| format!("d-next-{n}")).collect();
    let mut copies = join_all(copies.iter().map(|delivery| busy.push("next", B, delivery))).await;
    copies.retain(|event| event["reason"] == "deployed");
    assert_eq!(copies.len(), 1, "eight at a time are one change");
    let elsewhere = copies.remove(0);
    let by_hand =
        busy.server.post("/api/v1/stacks/web/deploy", json!({ "gitRef": "main" })).await.expect(202);

    let newer = busy.push("main", B, "d-b").await;
    assert_eq!(newer["reason"], "deployed");
    assert!(newer["detail"].as_str().unwrap().contains("1 that waited"), "{newer:#}");
    let ended = busy.deployment(&number(&older)).await;
    assert_eq!(ended["status"], "cancelled");
    assert!(ended["error"].as_str().unwrap().contains("superseded by deployment"), "{ended:#}");
    for (which, id) in [("another branch", number(&elsewhere)), ("the newer push", number(&newer))] {
        assert_eq!(busy.deployment(&id).await["status"], "pending", "{which}");
    }
    let manual = by_hand["data"]["id"].as_str().unwrap();
    assert_eq!(busy.deployment(manual).await["status"], "pending", "what a person asked for stays");
    let builds = busy.builds().await;
    let with = |status: &str| builds.iter().filter(|build| build["status"] == status).count();
    assert_eq!((with("building"), with("queued"), with("cancelled")), (1, 3, 1), "{builds:#?}");

    // A delivery that was overtaken by one of a newer push.
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&url(&busy.server)).await.unwrap();
    let statement = "UPDATE deployments SET push_seq = 1000000 WHERE id = $1";
    sqlx::query(statement).bind(number(&newer)).execute(&pool).await.unwrap();
    let late = busy.push("main", &"c".repeat(40), "d-late").await;
    assert_eq!(late["reason"], "superseded", "{late:#}");
    assert_eq!(busy.builds().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_push_supersedes_one_that_waits_on_sqlite() {
    a_newer_push_supersedes(&[], |server| format!("sqlite:{}", server.data().join("windlass.db").display()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_push_supersedes_one_that_waits_on_postgresql() {
    let Some(database) = TestDb::postgres().await else { return };
    let url = database.url.clone();
    a_newer_push_supersedes(&[("WINDLASS_DATABASE_URL", &url)], |_| url.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_replayed_over_the_api_on_the_command_line_and_in_the_dashboard() {
    let server = TestServer::start().await;
    let (path, secret) = server.create_stack(stack("web", "gitea", json!({}))).await;
    let mut body = gitea_push(A, B, &["a"]);
    body["ref"] = json!("refs/heads/dev");
    let (_, answer) = post(&server, &path, &secret, &GITEA, &body).await;
    let first = ended(&server, &answer).await;
    assert_eq!(first["reason"], "branch_mismatch");

    // Now the branch is wanted, and nobody has to push once more.
    server
        .put("/api/v1/stacks/web", stack("web", "gitea", json!({ "autoDeployBranches": ["dev"] })))
        .await
        .expect(200);
    let copy = server.post("/api/v1/webhooks/1/replay", json!({})).await.expect(202)["data"].clone();
    let replayed = server.wait_webhook(copy["id"].as_str().unwrap()).await;
    assert_eq!((&replayed["reason"], &replayed["replayOf"]), (&json!("deployed"), &first["id"]));
    assert_eq!(replayed["payload"], first["payload"]);
    let again = server.get("/api/v1/webhooks/1").await.expect(200);
    assert_eq!(again["data"]["reason"], "branch_mismatch", "an event ends once");

    let copy = server.cli(&["webhook", "replay", "1", "-o", "json"]).expect(0).json();
    assert_eq!(server.wait_webhook(copy["id"].as_str().unwrap()).await["replayOf"], first["id"]);

    let page = async |method: Method, path: &str| {
        let response = server.stranger(method, path).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let event = first["id"].as_str().unwrap();
    let (_, shown) = page(Method::GET, &format!("/webhooks/{event}")).await;
    assert!(shown.contains("Replay this delivery"), "{shown}");
    let (status, shown) = page(Method::POST, &format!("/webhooks/{event}/replay")).await;
    assert!(
        status == 200 && shown.contains("the first delivery") && shown.contains(event),
        "{status} {shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_vouches_for_is_not_replayed() {
    let server = TestServer::start().await;
    let (path, secret) = server.create_stack(stack("web", "gitea", json!({}))).await;
    let body = gitea_push(A, B, &["a"]);
    assert_eq!(post(&server, &path, "another secret", &GITEA, &body).await.0, 401);
    let mut headers = GITEA.to_vec();
    headers.push(("x-gitea-delivery", "d1"));
    for _ in 0..2 {
        assert_eq!(post(&server, &path, &secret, &headers, &body).await.0, 202);
    }
    let newest =
        server.get("/api/v1/webhooks?limit=1").await.expect(200)["data"]["items"][0]["seq"].to_string();
    for (event, words) in [("1", "refused"), (newest.as_str(), "repeats another one")] {
        let refused = server.post(&format!("/api/v1/webhooks/{event}/replay"), json!({})).await.expect(409);
        assert!(refused["error"].as_str().unwrap().contains(words), "{refused}");
        let request =
            server.stranger(Method::POST, &format!("/webhooks/{event}/replay")).bearer_auth(ADMIN_TOKEN);
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 409);
        assert!(response.text().await.unwrap().contains(words));
    }
    server.post("/api/v1/webhooks/99/replay", json!({})).await.expect(404);
    let stranger = server.stranger(Method::POST, "/api/v1/webhooks/1/replay").send().await.unwrap();
    assert_eq!(stranger.status().as_u16(), 401);
}
