//! Every push counts once, however it is told: by a delivery, late, twice, or by nobody, so that the server has to look.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::database::TestDb;
use windlass_tests::docker::eventually;
use windlass_tests::fixture::Fixture;
use windlass_tests::git_server::{GitServer, TestRepo};
use windlass_tests::server::{TestServer, push_body, sign};

/// What is deployed is of no interest to most of these tests: without a Dockerfile the build ends soon.
struct Bench {
    git: GitServer,
    repo: TestRepo,
    server: TestServer,
}

impl Bench {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let git = GitServer::start().await;
        let repo = git.create("app");
        repo.commit("main", &[("src/a.txt", "1")], "first");
        Self { git, repo, server: TestServer::start_with(variables).await }
    }

    /// Creates a stack and waits until its branches are known. Returns its webhook path and secret.
    async fn stack(&self, name: &str, repository: Value, build: Value) -> (String, String) {
        let mut input = json!({
            "name": name,
            "repository": { "url": self.git.url("app"), "provider": "github" },
            "build": build,
        });
        input["repository"].as_object_mut().unwrap().extend(repository.as_object().unwrap().clone());
        let webhook = self.server.create_stack(input).await;
        looked(&self.server, name).await;
        webhook
    }

    async fn events(&self) -> Vec<Value> {
        events(&self.server).await
    }

    async fn deployments(&self, stack: &str) -> Vec<Value> {
        let path = format!("/api/v1/stacks/{stack}/deployments");
        self.server.get(&path).await.expect(200)["data"]["items"].as_array().unwrap().clone()
    }

    async fn push(&self, (path, secret): &(String, String), branch: &str, sha: &str) -> Value {
        let event = self.server.push_webhook(path, secret, &self.git.url("app"), branch, sha).await;
        self.server.wait_webhook(&event).await
    }
}

async fn events(server: &TestServer) -> Vec<Value> {
    server.get("/api/v1/webhooks").await.expect(200)["data"]["items"].as_array().unwrap().clone()
}

async fn repository(server: &TestServer, stack: &str) -> Value {
    server.get(&format!("/api/v1/stacks/{stack}")).await.expect(200)["data"]["gitRepository"].clone()
}

async fn looked(server: &TestServer, stack: &str) {
    eventually("the first look", async || repository(server, stack).await["lookedAt"].is_string()).await;
}

/// Waits for the event of a commit, and shows it.
async fn event_of(server: &TestServer, sha: &str) -> Value {
    let mut found = Value::Null;
    eventually("an event of the push", async || {
        for event in events(server).await {
            let whole = server.get(&format!("/api/v1/webhooks/{}", event["seq"])).await.expect(200);
            let whole = whole["data"].clone();
            let of_it = whole["payload"].as_str().is_some_and(|text| text.contains(sha));
            if of_it && whole["processed"] == true {
                found = whole;
                return true;
            }
        }
        false
    })
    .await;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_made_while_the_server_was_down_is_deployed_once_and_soon() {
    let mut fixture = Fixture::start(false).await;
    looked(&fixture.server, "web").await;
    let (_, first) = fixture.deploy("1").await;
    assert_eq!(first["status"], "successful", "{}", fixture.explain(&first).await);
    fixture.server.terminate();
    fixture.server.wait();
    let (between, newest) = (fixture.commit("2"), fixture.commit("3"));
    fixture.server.launch(&[]).await.unwrap();
    let event = event_of(&fixture.server, &newest).await;
    assert_eq!((&event["reason"], &event["origin"]), (&json!("deployed"), &json!("start")), "{event:#}");
    let id = event["deploymentId"].as_str().unwrap();
    let done = fixture.server.wait_deployment(id).await;
    assert_eq!(done["status"], "successful", "{}", fixture.explain(&done).await);
    assert_eq!((&done["commitSha"], &done["commitMessage"]), (&json!(newest), &json!("3")));
    assert!(done["reason"].as_str().unwrap().contains("did not run"), "{done:#}");

    // The deliveries come after all, each of them once by its own name.
    let url = fixture.git.url("app");
    for (sha, reason) in [(&between, "superseded"), (&newest, "duplicate_of")] {
        let late = fixture.server.push_webhook(&fixture.webhook, &fixture.secret, &url, "main", sha).await;
        let late = fixture.server.wait_webhook(&late).await;
        assert_eq!((&late["reason"], &late["deploymentId"]), (&json!(reason), &Value::Null), "{late:#}");
    }
    let all = fixture.server.get("/api/v1/stacks/web/deployments").await.expect(200);
    assert_eq!(all["data"]["items"].as_array().unwrap().len(), 2, "{all:#}");
    // What is pushed from now on is told by deliveries again.
    let (_, last) = fixture.deploy("4").await;
    assert_eq!(last["status"], "successful", "{}", fixture.explain(&last).await);
}

async fn what_is_found_goes_through_the_same_rules(variables: &[(&str, &str)]) {
    let mut bench = Bench::start(variables).await;
    let build = json!({ "autoDeployBranches": ["main", "release/.*"], "autoDeployPaths": ["src/**"] });
    bench.stack("web", json!({}), build).await;
    bench.stack("off", json!({}), json!({ "autoDeployOnPush": false })).await;
    bench.server.kill();
    let other = bench.repo.commit("dev", &[("src/a.txt", "2")], "not this branch");
    let docs = bench.repo.commit("main", &[("docs/a.txt", "2")], "only docs");
    let skipped = bench.repo.commit("release/1", &[("src/a.txt", "3")], "quiet [skip ci]");
    let wanted = bench.repo.commit("release/2", &[("docs/b.txt", "4")], "a new branch");
    bench.server.launch(&[]).await.unwrap();
    for (sha, reason) in [(&docs, "path_mismatch"), (&skipped, "skip_ci"), (&wanted, "deployed")] {
        let event = event_of(&bench.server, sha).await;
        assert_eq!((&event["reason"], &event["origin"]), (&json!(reason), &json!("start")), "{event:#}");
        assert_eq!((&event["verified"], &event["eventType"]), (&json!(true), &json!("push")));
    }
    let all = bench.events().await;
    assert_eq!(all.len(), 3, "one event a push that a stack may want, and none of {other}: {all:#?}");
    assert_eq!(bench.deployments("web").await.len(), 1);
    assert_eq!(bench.deployments("off").await.len(), 0);

    // Another start finds nothing new.
    bench.server.kill();
    bench.server.launch(&[]).await.unwrap();
    let newer = bench.repo.commit("release/3", &[("src/a.txt", "5")], "after the start");
    let said = bench.server.cli(&["stack", "sync", "web"]).said();
    assert!(said.contains("looked at now"), "{said}");
    let event = event_of(&bench.server, &newer).await;
    assert_eq!(event["reason"], "deployed", "{event:#}");
    assert_eq!(bench.events().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_goes_through_the_same_rules_on_sqlite() {
    what_is_found_goes_through_the_same_rules(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_goes_through_the_same_rules_on_postgresql() {
    let Some(database) = TestDb::postgres().await else { return };
    what_is_found_goes_through_the_same_rules(&[("WINDLASS_DATABASE_URL", &database.url)]).await;
}

/// Tells of a tag as GitHub does: of an annotated one, `after` is its own id.
async fn tell_tag(bench: &Bench, (path, secret): &(String, String), tag: &str) -> Value {
    let object = bench.repo.rev(&format!("refs/tags/{tag}"));
    let commit = bench.repo.rev(&format!("refs/tags/{tag}^{{commit}}"));
    let mut body = push_body(&bench.git.url("app"), "main", &commit);
    (body["ref"], body["after"]) = (json!(format!("refs/tags/{tag}")), json!(object));
    let body = body.to_string();
    let request = bench
        .server
        .stranger(Method::POST, path)
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", format!("delivery-of-{tag}"))
        .header("x-hub-signature-256", sign(secret, body.as_bytes()));
    let answer: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    bench.server.wait_webhook(answer["event_id"].as_str().unwrap()).await
}

/// Tags of the stack's deployments, newest first.
async fn tags_of(bench: &Bench, stack: &str) -> Vec<String> {
    let rows = bench.deployments(stack).await;
    rows.iter().filter_map(|row| row["tag"].as_str().map(str::to_owned)).collect()
}

async fn a_tag_that_a_pattern_takes_is_deployed(variables: &[(&str, &str)]) {
    let mut bench = Bench::start(variables).await;
    bench.repo.git(&["tag", "v0", "main"]);
    let tags = json!(["v*", "!*-rc*"]);
    let web = bench.stack("web", json!({}), json!({ "autoDeployTags": tags })).await;
    bench.stack("docs", json!({}), json!({})).await;
    let shown = bench.server.get("/api/v1/stacks/web").await.expect(200);
    assert_eq!(shown["data"]["buildConfig"]["autoDeployTags"], tags);
    let page = bench.server.get("/stacks/web").await.text;
    assert!(page.contains("Tags that are deployed"), "{page}");

    let first = bench.repo.commit("dev", &[("src/a.txt", "2")], "the first release");
    bench.repo.git(&["tag", "-a", "-m", "annotated", "v1", &first]);
    bench.repo.git(&["tag", "v2-rc1", &first]);
    let event = tell_tag(&bench, &web, "v1").await;
    assert_eq!(event["reason"], "deployed", "{event:#}");
    let docs = event["outcomes"].as_array().unwrap().iter().find(|one| one["stack"] == "docs").unwrap();
    assert_eq!(docs["reason"], "tag_ignored", "{docs}");
    let done = bench.server.wait_deployment(event["deploymentId"].as_str().unwrap()).await;
    assert_eq!((&done["tag"], &done["commitSha"]), (&json!("v1"), &json!(first)), "{done:#}");
    let event = tell_tag(&bench, &web, "v2-rc1").await;
    assert_eq!((&event["reason"], &event["deploymentId"]), (&json!("tag_ignored"), &Value::Null));
    assert!(event["detail"].as_str().unwrap().contains("autoDeployTags"), "{event:#}");
    let listed = bench.server.cli(&["webhook", "list"]).said();
    assert!(listed.contains("tag_ignored"), "{listed}");

    // What nobody tells is found, what is known already is not.
    bench.server.kill();
    let second = bench.repo.commit("dev", &[("src/a.txt", "3")], "the second release");
    bench.repo.git(&["tag", "v3", &second]);
    bench.repo.git(&["tag", "v4-rc1", &second]);
    bench.server.launch(&[]).await.unwrap();
    let event = event_of(&bench.server, &second).await;
    assert_eq!((&event["reason"], &event["origin"]), (&json!("deployed"), &json!("start")), "{event:#}");
    let third = bench.repo.commit("dev", &[("src/a.txt", "4")], "the third release");
    bench.repo.git(&["tag", "-a", "-m", "annotated", "v5", &third]);
    bench.server.cli(&["stack", "sync", "web"]).expect(0);
    let event = event_of(&bench.server, &third).await;
    assert_eq!((&event["reason"], &event["origin"]), (&json!("deployed"), &json!("poll")), "{event:#}");
    assert_eq!(tell_tag(&bench, &web, "v5").await["reason"], "duplicate_of");
    assert_eq!(tags_of(&bench, "web").await, ["v5", "v3", "v1"]);
    assert!(tags_of(&bench, "docs").await.is_empty());
    let odd = json!({
        "name": "odd", "repository": { "url": bench.git.url("app"), "provider": "github" },
        "build": { "autoDeployTags": ["!"] },
    });
    let refused = bench.server.post("/api/v1/stacks", odd).await;
    assert!(refused.status == 422 && refused.text.contains("autoDeployTags"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_a_pattern_takes_is_deployed_on_sqlite() {
    a_tag_that_a_pattern_takes_is_deployed(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_a_pattern_takes_is_deployed_on_postgresql() {
    let Some(database) = TestDb::postgres().await else { return };
    a_tag_that_a_pattern_takes_is_deployed(&[("WINDLASS_DATABASE_URL", &database.url)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_sends_no_webhooks_is_polled_and_a_failing_server_is_told() {
    let bench = Bench::start(&[("WINDLASS_POLL_INTERVAL", "1")]).await;
    bench.stack("web", json!({ "autoSync": true }), json!({})).await;
    let sha = bench.repo.commit("main", &[("src/a.txt", "2")], "second");
    let event = event_of(&bench.server, &sha).await;
    assert_eq!((&event["reason"], &event["origin"]), (&json!("deployed"), &json!("poll")), "{event:#}");
    let rows = bench.deployments("web").await;
    assert_eq!((rows.len(), &rows[0]["triggeredBy"]), (1, &json!("scheduled")), "{rows:#?}");
    assert!(repository(&bench.server, "web").await["nextLookAt"].is_string());
    let shown = bench.server.cli(&["webhook", "show", &event["seq"].to_string()]).said();
    assert!(shown.contains("looking at the git server"), "{shown}");
    let page = bench.server.get("/stacks/web").await.text;
    assert!(page.contains("Looking for pushes") && page.contains("push found by looking"), "{page}");

    let Bench { git, server, repo: _repo } = bench;
    drop(git);
    eventually("a failed look", async || repository(&server, "web").await["lookFailures"] != 0).await;
    let row = repository(&server, "web").await;
    assert!(!row["lookError"].as_str().unwrap().is_empty() && row["nextLookAt"].is_string(), "{row:#}");
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("windlass_git_looks_total{result=\"failed\"}"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_is_for_all_stacks_that_use_the_repository() {
    let bench = Bench::start(&[]).await;
    let web = bench.stack("web", json!({}), json!({})).await;
    let jobs = bench.stack("jobs", json!({}), json!({})).await;
    bench.stack("docs", json!({ "branch": "docs" }), json!({})).await;
    bench.stack("other-forge", json!({ "provider": "generic" }), json!({})).await;
    let sha = bench.repo.commit("main", &[("src/a.txt", "2")], "second");
    let event = bench.push(&web, "main", &sha).await;
    assert_eq!(event["reason"], "deployed", "{event:#}");
    let told = |event: &Value| {
        let mut all: Vec<(String, String)> = event["outcomes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["stack"].as_str().unwrap().into(), one["reason"].as_str().unwrap().into()))
            .collect();
        all.sort();
        all
    };
    let pair = |stack: &str, reason: &str| (stack.to_owned(), reason.to_owned());
    let expected = [pair("docs", "branch_mismatch"), pair("jobs", "deployed"), pair("web", "deployed")];
    assert_eq!(told(&event), expected);

    let shown = bench.server.cli(&["webhook", "show", &event["seq"].to_string()]).said();
    assert!(shown.contains("jobs") && shown.contains("branch_mismatch"), "{shown}");
    let page = bench.server.get(&format!("/webhooks/{}", event["id"].as_str().unwrap())).await.text;
    assert!(page.contains("What it meant for each stack") && page.contains("branch_mismatch"), "{page}");

    // The webhook of the second stack tells the same push.
    let url = bench.git.url("app");
    let body = windlass_tests::server::push_body(&url, "main", &sha).to_string();
    let request = bench
        .server
        .stranger(reqwest::Method::POST, &jobs.0)
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", "by the second address")
        .header("x-hub-signature-256", windlass_tests::server::sign(&jobs.1, body.as_bytes()));
    let answer: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    let again = bench.server.wait_webhook(answer["event_id"].as_str().unwrap()).await;
    assert_eq!(again["reason"], "duplicate_of", "{again:#}");
    for (stack, count) in [("web", 1), ("jobs", 1), ("docs", 0), ("other-forge", 0)] {
        assert_eq!(bench.deployments(stack).await.len(), count, "{stack}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teams_secret_proves_nothing_to_another_team() {
    let bench = Bench::start(&[]).await;
    bench.server.post("/api/v1/teams", json!({ "name": "foxes" })).await.expect(201);
    let (path, secret) = bench.stack("web", json!({}), json!({})).await;
    let foxes = json!({
        "name": "foxes-web", "project": "foxes", "team": "foxes",
        "repository": { "url": bench.git.url("app"), "provider": "github" },
    });
    bench.server.create_stack(foxes).await;
    looked(&bench.server, "foxes-web").await;
    for (path, text) in [(path.as_str(), "2"), ("/v1/webhooks/github", "3")] {
        let sha = bench.repo.commit("main", &[("src/a.txt", text)], "a push");
        let event = bench.push(&(path.to_owned(), secret.clone()), "main", &sha).await;
        assert_eq!(event["reason"], "deployed", "{event:#}");
        assert!(!event.to_string().contains("foxes-web"), "{path}: {event:#}");
    }
    assert_eq!(bench.deployments("web").await.len(), 2);
    assert_eq!(bench.deployments("foxes-web").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_start_together_find_a_push_once() {
    let Some(database) = TestDb::postgres().await else { return };
    let key = "5a".repeat(32);
    let variables = [("WINDLASS_DATABASE_URL", database.url.as_str()), ("WINDLASS_MASTER_KEY", &key)];
    let mut bench = Bench::start(&variables).await;
    bench.stack("web", json!({}), json!({})).await;
    bench.server.kill();
    let sha = bench.repo.commit("main", &[("src/a.txt", "2")], "second");
    let second = TestServer::start_with(&variables);
    let first = bench.server.launch(&[]);
    let (second, first) = tokio::join!(second, first);
    first.unwrap();
    event_of(&bench.server, &sha).await;
    // Both have looked by now, or will find that the other one has.
    for server in [&bench.server, &second] {
        server.post("/api/v1/stacks/web/sync", json!({})).await.expect(202);
    }
    eventually("the last look", async || repository(&second, "web").await["nextLookAt"].is_null()).await;
    assert_eq!(bench.events().await.len(), 1);
    assert_eq!(bench.deployments("web").await.len(), 1);
}
