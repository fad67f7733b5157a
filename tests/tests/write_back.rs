//! What the server does at a forge with the repository's token: it shows what became of each commit, and keeps the webhook.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::docker::{busybox, eventually, unique};
use windlass_tests::fixture::HEALTHY_WITHIN_S;
use windlass_tests::git_server::{File, GitServer, TestRepo};
use windlass_tests::server::{ADMIN_TOKEN, TestServer, sign};
use windlass_tests::vendors::github::{self, GitHub};

const GOOD: &str = "FROM scratch\nCOPY busybox /bin/busybox\nEXPOSE 8080\n\
     CMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/\"]\n";
const BAD: &str = "FROM scratch\nCOPY nothing /nothing\n";

/// A stack whose repository is at a forge that takes its token.
struct Bench {
    forge: GitHub,
    repo: TestRepo,
    server: TestServer,
    name: String,
    /// Path and secret of the webhook.
    webhook: (String, String),
    _git: GitServer,
}

impl Bench {
    /// `repository` says more of the repository.
    async fn start(repository: Value) -> Self {
        let git = GitServer::start().await;
        let repo = git.create("octo/app");
        let forge = GitHub::start_before(git.router()).await;
        let server = TestServer::start().await;
        let name = unique("shop");
        let mut whole = json!({
            "url": format!("{}/octo/app.git", forge.fake.url), "branch": "main", "provider": "github",
            "authType": "http_token", "credentials": { "username": "octo", "token": github::TOKEN },
        });
        whole.as_object_mut().unwrap().extend(repository.as_object().unwrap().clone());
        let input = json!({
            "name": name, "repository": whole, "build": { "healthCheckTimeout": HEALTHY_WITHIN_S },
            "run": { "ports": [{ "container": 8080 }], "stopTimeoutSecs": 1 },
        });
        let webhook = server.create_stack(input).await;
        Self { forge, repo, server, name, webhook, _git: git }
    }

    /// Commits to `main` what the forge knows as well.
    fn commit(&self, dockerfile: &str) -> String {
        let program = std::fs::read(busybox()).unwrap();
        let files = [
            File { path: "busybox", mode: "100755", content: &program },
            File { path: "Dockerfile", mode: "100644", content: dockerfile.as_bytes() },
        ];
        let sha = self.repo.commit_files("main", &files, "a change");
        self.forge.world().commits.push(sha.clone());
        sha
    }

    /// Deploys the branch to the end; number and last status of the deployment.
    async fn deploy(&self) -> (String, String) {
        let path = format!("/api/v1/stacks/{}/deploy", self.name);
        let number = self.server.post(&path, json!({})).await.expect(202)["data"]["seq"].to_string();
        let mut status = String::new();
        eventually("the end of the deployment", async || {
            let path = format!("/api/v1/deployments/{number}");
            let row = self.server.get(&path).await.expect(200)["data"].clone();
            status = row["status"].as_str().unwrap().to_owned();
            !["pending", "building", "deploying"].contains(&status.as_str())
        })
        .await;
        (number, status)
    }

    /// State and link of each status that the forge has, the newest last.
    fn shown(&self) -> Vec<(String, String)> {
        let world = self.forge.world();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let context = format!("windlass/{}", self.name);
        assert!(world.statuses.iter().all(|status| status["context"] == context), "{:?}", world.statuses);
        world.statuses.iter().map(|status| (text(&status["state"]), text(&status["target_url"]))).collect()
    }

    /// Commit and state of each deployment that the forge knows.
    fn placed(&self) -> Vec<(String, String)> {
        let world = self.forge.world();
        let all = world.deployments.iter();
        let all = all.inspect(|one| assert_eq!(one.environment(), self.name, "{one:?}"));
        all.map(|one| (one.asked["ref"].as_str().unwrap().to_owned(), one.state().to_owned())).collect()
    }

    /// Waits until the forge has these deployments: commits and states, the newest last.
    async fn expect_placed(&self, wanted: &[(&String, &str)]) {
        let wanted: Vec<(String, String)> =
            wanted.iter().map(|(sha, state)| ((*sha).clone(), (*state).to_owned())).collect();
        eventually(&format!("{wanted:?}"), async || self.placed() == wanted).await;
    }

    async fn repository(&self) -> Value {
        let path = format!("/api/v1/stacks/{}", self.name);
        self.server.get(&path).await.expect(200)["data"]["gitRepository"].clone()
    }

    /// Addresses and secrets of the webhooks that the forge has.
    fn hooks(&self) -> Vec<(String, String)> {
        let world = self.forge.world();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |hook: &Value| (text(&hook["config"]["url"]), text(&hook["config"]["secret"]));
        world.hooks.values().map(of).collect()
    }

    fn webhook_path(&self) -> String {
        format!("/api/v1/stacks/{}/webhook", self.name)
    }

    /// What the dashboard shows of the stack.
    async fn dashboard(&self) -> String {
        let request = self.server.stranger(Method::GET, &format!("/stacks/{}", self.name));
        let request = request.header("cookie", format!("windlass_token={ADMIN_TOKEN}"));
        request.send().await.unwrap().text().await.unwrap()
    }

    fn page(&self, deployment: &str) -> String {
        format!("{}/deployments/{deployment}", self.server.url)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_shows_what_became_of_each_commit() {
    let bench = Bench::start(json!({})).await;
    bench.commit(GOOD);
    let (first, status) = bench.deploy().await;
    assert_eq!(status, "successful");
    let success = ("success".to_owned(), bench.page(&first));
    eventually("the success", async || bench.shown().last() == Some(&success)).await;
    let shown = bench.shown();
    assert!(shown.len() > 1, "it was shown before it had ended: {shown:?}");
    assert!(shown[..shown.len() - 1].iter().all(|(state, _)| state == "pending"), "{shown:?}");

    bench.commit(BAD);
    let (second, status) = bench.deploy().await;
    assert_eq!(status, "failed");
    let failure = ("failure".to_owned(), bench.page(&second));
    eventually("the failure", async || bench.shown().last() == Some(&failure)).await;
    assert_eq!(bench.repository().await["commitStatusError"], Value::Null);
    let told = bench.server.cli(&["stack", "show", &bench.name]).expect(0).out;
    assert!(told.contains("Commit statuses"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_shows_which_deployment_serves() {
    let mut bench = Bench::start(json!({})).await;
    let first = bench.commit(GOOD);
    let (number, _) = bench.deploy().await;
    bench.expect_placed(&[(&first, "success")]).await;
    let (told, page) = (bench.forge.world().deployments[0].clone(), bench.page(&number));
    assert!(told.statuses.len() > 1, "it was shown before it had ended: {told:?}");
    assert!(told.statuses.iter().all(|status| status["log_url"] == page), "{told:?}");
    assert_eq!(told.asked["transient_environment"], false);

    // The forge's id of it is known to the next process as well.
    bench.server.kill();
    bench.server.launch(&[]).await.unwrap();
    let second = bench.commit(&format!("{GOOD}LABEL second=yes\n"));
    bench.deploy().await;
    bench.expect_placed(&[(&first, "inactive"), (&second, "success")]).await;

    let broken = bench.commit(BAD);
    bench.deploy().await;
    let before = [(&first, "inactive"), (&second, "success"), (&broken, "failure")];
    bench.expect_placed(&before).await;

    let path = format!("/api/v1/stacks/{}/rollback", bench.name);
    bench.server.post(&path, json!({})).await.expect(202);
    let back = [(&first, "inactive"), (&second, "inactive"), (&broken, "failure"), (&first, "success")];
    bench.expect_placed(&back).await;
    eventually("no error", async || bench.repository().await["commitStatusError"].is_null()).await;

    // By its id the last one is not to be found any more, which hinders nobody.
    bench.forge.world().deployments.last_mut().unwrap().id += 1000;
    let third = bench.commit(&format!("{GOOD}LABEL third=yes\n"));
    bench.deploy().await;
    let retired = (&first, "inactive");
    bench.expect_placed(&[back[0], back[1], back[2], retired, (&third, "success")]).await;
    eventually("no error", async || bench.repository().await["commitStatusError"].is_null()).await;
    bench.server.delete(&format!("/api/v1/stacks/{}", bench.name)).await.expect_empty(204);
    bench.expect_placed(&[back[0], back[1], back[2], retired, (&third, "inactive")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_write_statuses_writes_those_and_the_rest_is_said() {
    let bench = Bench::start(json!({})).await;
    bench.forge.world().deployment_failure = Some(403);
    bench.commit(BAD);
    let (number, _) = bench.deploy().await;
    let failure = ("failure".to_owned(), bench.page(&number));
    eventually("the status", async || bench.shown().last() == Some(&failure)).await;
    eventually("the error", async || {
        bench.repository().await["commitStatusError"].as_str().is_some_and(|error| error.contains("403"))
    })
    .await;
    assert!(bench.placed().is_empty() && bench.dashboard().await.contains("403"));
    bench.forge.world().deployment_failure = None;
    let (number, _) = bench.deploy().await;
    let page = bench.page(&number);
    eventually("the deployment", async || {
        let world = bench.forge.world();
        let mut ended = world.deployments.iter().filter(|one| one.state() == "failure");
        ended.any(|one| one.statuses.iter().all(|status| status["log_url"] == page))
    })
    .await;
    eventually("no error", async || bench.repository().await["commitStatusError"].is_null()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_fails_disturbs_no_deployment_and_is_shown_the_end_later() {
    let bench = Bench::start(json!({})).await;
    bench.forge.world().status_failure = Some(503);
    bench.commit(GOOD);
    let (number, status) = bench.deploy().await;
    assert_eq!((status.as_str(), bench.shown()), ("successful", Vec::new()));
    let mut error = String::new();
    eventually("the error", async || {
        error = bench.repository().await["commitStatusError"].as_str().unwrap_or_default().to_owned();
        !error.is_empty()
    })
    .await;
    assert!(error.contains("503"), "{error}");
    bench.forge.world().status_failure = None;
    let success = ("success".to_owned(), bench.page(&number));
    eventually("the success", async || bench.shown().last() == Some(&success)).await;
    assert_eq!(bench.shown().len(), 1, "what is over is not shown any more");
    eventually("no error", async || bench.repository().await["commitStatusError"].is_null()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_forge_refuses_is_said_and_not_tried_again() {
    let bench = Bench::start(json!({})).await;
    // The forge has never heard of this commit.
    bench.commit(BAD);
    bench.forge.world().commits.clear();
    assert_eq!(bench.deploy().await.1, "failed");
    let refused = async || {
        let row = bench.repository().await;
        row["commitStatusError"].as_str().unwrap_or_default().contains("No commit found for SHA")
    };
    eventually("the refusal", refused).await;
    assert!(bench.shown().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_does_not_want_it_shows_its_forge_nothing() {
    let bench = Bench::start(json!({ "commitStatus": false })).await;
    bench.commit(BAD);
    assert_eq!(bench.deploy().await.1, "failed");
    assert_eq!(bench.repository().await["commitStatus"], false);
    assert!(bench.shown().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_registered_once_follows_its_secret_and_goes() {
    let bench = Bench::start(json!({})).await;
    let (path, secret) = bench.webhook.clone();
    let url = format!("{}{path}", bench.server.url);
    assert!(bench.dashboard().await.contains("Register it at the forge"));
    for _ in 0..2 {
        let stack = bench.server.post(&bench.webhook_path(), json!({})).await.expect(200)["data"].clone();
        assert_eq!(stack["gitRepository"]["webhookRegistered"], true);
        assert_eq!(bench.hooks(), [(url.clone(), secret.clone())]);
    }
    assert!(bench.dashboard().await.contains("Remove it from the forge"));

    let rotate = format!("/api/v1/stacks/{}/rotate-webhook-secret", bench.name);
    let rotated = bench.server.post(&rotate, json!({})).await.expect(200)["data"].clone();
    assert_eq!(rotated["registered"], true);
    let second = rotated["secret"].as_str().unwrap().to_owned();
    eventually("the new secret", async || bench.hooks() == [(url.clone(), second.clone())]).await;
    let body = json!({ "zen": "Keep it logically awesome." }).to_string();
    let ping = bench
        .server
        .stranger(Method::POST, &path)
        .header("content-type", "application/json")
        .header("x-github-event", "ping")
        .header("x-github-delivery", unique("delivery"))
        .header("x-hub-signature-256", sign(&bench.hooks()[0].1, body.as_bytes()));
    assert_eq!(ping.body(body).send().await.unwrap().status(), 202);

    bench.server.delete(&bench.webhook_path()).await.expect_empty(204);
    assert!(bench.hooks().is_empty());
    assert_eq!(bench.repository().await["webhookRegistered"], false);
    bench.server.delete(&bench.webhook_path()).await.expect_empty(204);
    let rotated = bench.server.post(&rotate, json!({})).await.expect(200)["data"].clone();
    assert_eq!((&rotated["registered"], bench.hooks().len()), (&json!(false), 0));

    let told = bench.server.cli(&["webhook", "register", &bench.name]).expect(0).out;
    assert!(told.contains(&url), "{told}");
    assert_eq!(bench.hooks().len(), 1);
    bench.server.delete(&format!("/api/v1/stacks/{}", bench.name)).await.expect_empty(204);
    assert!(bench.hooks().is_empty(), "it goes with its stack");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_is_not_told_of_a_new_secret_hears_of_it_later() {
    let bench = Bench::start(json!({})).await;
    bench.server.cli(&["webhook", "register", &bench.name]).expect(0);
    bench.forge.world().hook_failure = Some(503);
    let rotated = bench.server.cli(&["webhook", "rotate", &bench.name]).expect(0);
    assert!(rotated.out.contains("counts as well"), "{}", rotated.out);
    eventually("the error", async || {
        bench.repository().await["webhookError"].as_str().is_some_and(|error| error.contains("503"))
    })
    .await;
    assert_eq!(bench.hooks()[0].1, bench.webhook.1, "the forge has the one before");
    bench.forge.world().hook_failure = None;
    eventually("the new secret", async || bench.hooks()[0].1 != bench.webhook.1).await;
    eventually("no error", async || bench.repository().await["webhookError"].is_null()).await;
    bench.server.cli(&["webhook", "remove", &bench.name]).expect(0);
    assert!(bench.hooks().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_cannot_be_registered_says_why() {
    let bench = Bench::start(json!({})).await;
    let server = &bench.server;
    server.create_stack(json!({ "name": "bare" })).await;
    let url = "http://127.0.0.1:9/octo/app.git";
    for (name, provider) in [("plain", "generic"), ("open", "github")] {
        let repository = json!({ "url": url, "branch": "main", "provider": provider });
        server.create_stack(json!({ "name": name, "repository": repository })).await;
    }
    for (stack, words) in [
        ("bare", "no repository"),
        ("plain", "plugin `generic` cannot change webhooks"),
        ("open", "no access token"),
    ] {
        let answer = server.post(&format!("/api/v1/stacks/{stack}/webhook"), json!({})).await;
        assert!(answer.status == 409 && answer.text.contains(words), "{stack}: {}", answer.text);
    }
    bench.forge.world().hook_failure = Some(403);
    let answer = server.post(&bench.webhook_path(), json!({})).await;
    assert!(answer.status >= 400 && answer.text.contains("403"), "{}", answer.text);
    assert_eq!(bench.repository().await["webhookRegistered"], false);
}
