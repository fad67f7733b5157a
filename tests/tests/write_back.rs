//! What the server does at a forge with the repository's token: it shows what became of each commit.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass_tests::docker::{busybox, eventually, unique};
use windlass_tests::fixture::HEALTHY_WITHIN_S;
use windlass_tests::git_server::{File, GitServer, TestRepo};
use windlass_tests::server::TestServer;
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
        server.create_stack(input).await;
        Self { forge, repo, server, name, _git: git }
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

    async fn repository(&self) -> Value {
        let path = format!("/api/v1/stacks/{}", self.name);
        self.server.get(&path).await.expect(200)["data"]["gitRepository"].clone()
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
