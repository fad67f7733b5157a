//! The CI/CD service in the real server, against the vendors' fakes: stacks that are deployed through a provider, jobs and
//! builds by hand, what providers report, and what goes wrong in between.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod ci_service {
    mod api;
    mod change;
    mod crash;
    mod faces;
    mod failover;
    mod faults;
    mod guarded;
    mod life;
    mod minted;
    mod outside;
    mod reports;
    mod watch;
}

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use windlass_tests::server::TestServer;
use windlass_tests::vendors::circleci::{self, CircleCi};
use windlass_tests::vendors::fake::Fake;
use windlass_tests::vendors::github::{self, GitHub};
use windlass_tests::vendors::gitlab::{self, GitLab};
use windlass_tests::vendors::jenkins::{self, Jenkins};

/// A vendor's server, and how a stack is deployed through it.
trait Vendor {
    /// Of the plugin.
    const NAME: &'static str;
    const REPOSITORY: &'static str;
    /// What the log of its build says; empty if the vendor keeps logs where nothing may be fetched in a test.
    const LOG: &'static str = "it is deployed";
    /// The request that starts a build.
    const START: &'static str;

    async fn start() -> Self;
    fn fake(&self) -> &Fake;
    fn credentials() -> Value;
    /// How the stack is deployed, but for the provider.
    fn settings() -> Value;
    /// The newest build begins and writes into its log.
    fn run(&self);
    fn finish(&self, is_good: bool);
    /// How many builds were started here.
    fn builds(&self) -> usize;
    /// The request by which another client starts a build of the stack's job.
    fn outside(&self) -> RequestBuilder;
    /// The pipeline of the stack's job as the vendor has it.
    fn pipeline(&self) -> String;
}

/// Scripts from which the vendor's own generator makes a pipeline.
fn generated() -> Value {
    json!({
        "job": { "scripts": [{ "path": "deploy.sh" }], "parameters": { "TARGET": "staging" } },
        "parameters": { "TARGET": "production" },
    })
}

impl Vendor for Jenkins {
    const NAME: &'static str = "jenkins";
    const REPOSITORY: &'static str = "https://git.example/team/app.git";
    const START: &'static str = "/buildWithParameters";

    async fn start() -> Self {
        let server = Self::start().await;
        server.world().eager = true;
        server
    }

    fn fake(&self) -> &Fake {
        &self.fake
    }

    fn credentials() -> Value {
        let (username, token) = jenkins::TOKEN.split_once(':').unwrap();
        json!({ "username": username, "token": token })
    }

    fn settings() -> Value {
        generated()
    }

    fn run(&self) {
        let mut world = self.world();
        let builds = &mut world.items.get_mut("web").unwrap().builds;
        builds.last_mut().unwrap().write("it is deployed\n");
    }

    fn finish(&self, is_good: bool) {
        let mut world = self.world();
        let builds = &mut world.items.get_mut("web").unwrap().builds;
        builds.last_mut().unwrap().finish(if is_good { "SUCCESS" } else { "FAILURE" });
    }

    fn builds(&self) -> usize {
        self.world().items.get("web").map_or(0, |item| item.builds.len())
    }

    fn outside(&self) -> RequestBuilder {
        let (username, token) = jenkins::TOKEN.split_once(':').unwrap();
        let path = "/job/web/buildWithParameters?TARGET=theirs";
        Client::new().post(format!("{}{path}", self.fake.url)).basic_auth(username, Some(token))
    }

    fn pipeline(&self) -> String {
        self.world().items["web"].config.clone()
    }
}

impl Vendor for GitHub {
    const NAME: &'static str = "github";
    const REPOSITORY: &'static str = "https://github.com/octo/app.git";
    const LOG: &'static str = "";
    const START: &'static str = "/dispatches";

    async fn start() -> Self {
        Self::start().await
    }

    fn fake(&self) -> &Fake {
        &self.fake
    }

    fn credentials() -> Value {
        json!({ "token": github::TOKEN })
    }

    fn settings() -> Value {
        generated()
    }

    fn run(&self) {
        self.on_run(|run| run.status = "in_progress".into());
    }

    fn finish(&self, is_good: bool) {
        GitHub::finish(self, if is_good { "success" } else { "failure" });
    }

    fn builds(&self) -> usize {
        self.world().runs.len()
    }

    fn outside(&self) -> RequestBuilder {
        let file = self.world().runs.last().unwrap().workflow.clone();
        let path = format!("/repos/{}/actions/workflows/{file}/dispatches", github::REPOSITORY);
        let request = Client::new().post(format!("{}{path}", self.fake.url)).bearer_auth(github::TOKEN);
        request.header("user-agent", "somebody").json(&json!({ "ref": "main" }))
    }

    fn pipeline(&self) -> String {
        let world = self.world();
        let mut files = world.files.iter();
        let workflow = files.find(|((branch, path), _)| branch == "main" && path.starts_with(".github/"));
        workflow.unwrap().1.clone()
    }
}

impl Vendor for GitLab {
    const NAME: &'static str = "gitlab";
    const REPOSITORY: &'static str = "https://gitlab.example/group/sub/app.git";
    const START: &'static str = "/pipeline";

    async fn start() -> Self {
        Self::start().await
    }

    fn fake(&self) -> &Fake {
        &self.fake
    }

    fn credentials() -> Value {
        json!({ "token": gitlab::TOKEN })
    }

    fn settings() -> Value {
        generated()
    }

    fn run(&self) {
        self.on_pipeline(|pipeline| {
            pipeline.status = "running".into();
            for job in &mut pipeline.jobs {
                (job.status, job.trace) = ("running".into(), "it is deployed\n".into());
            }
        });
    }

    fn finish(&self, is_good: bool) {
        let word = if is_good { "success" } else { "failed" };
        self.on_pipeline(|pipeline| {
            pipeline.status = word.into();
            pipeline.jobs.iter_mut().for_each(|job| job.status = word.into());
        });
    }

    fn builds(&self) -> usize {
        self.world().pipelines.len()
    }

    fn outside(&self) -> RequestBuilder {
        let url = format!("{}/api/v4/projects/7/pipeline", self.fake.url);
        Client::new().post(url).header("private-token", gitlab::TOKEN).json(&json!({ "ref": "main" }))
    }

    fn pipeline(&self) -> String {
        self.world().files[&("main".to_owned(), ".gitlab-ci.yml".to_owned())].clone()
    }
}

impl Vendor for CircleCi {
    const NAME: &'static str = "circleci";
    const REPOSITORY: &'static str = "https://github.com/org/app.git";
    const LOG: &'static str = "build wrote this";
    const START: &'static str = "/pipeline";

    async fn start() -> Self {
        let server = Self::start().await;
        server.world().push("main", circleci::CONFIG);
        server.world().workflow("earlier", "success");
        server
    }

    fn fake(&self) -> &Fake {
        &self.fake
    }

    fn credentials() -> Value {
        json!({ "token": circleci::TOKEN })
    }

    /// The configuration is committed, and declares `target` in lower case.
    fn settings() -> Value {
        json!({ "job": { "committed": true }, "parameters": { "TARGET": "production", "dry-run": true } })
    }

    fn run(&self) {
        self.world().workflow("build", "running");
    }

    fn finish(&self, is_good: bool) {
        let mut world = self.world();
        let workflow = world.pipelines.last_mut().unwrap().workflows.last_mut().unwrap();
        workflow.end(if is_good { "success" } else { "failed" });
    }

    fn builds(&self) -> usize {
        self.world().pipelines.iter().filter(|pipeline| !pipeline.request.is_null()).count()
    }

    fn outside(&self) -> RequestBuilder {
        let url = format!("{}/api/v2/project/{}/pipeline", self.fake.url, circleci::SLUG);
        Client::new().post(url).header("circle-token", circleci::TOKEN).json(&json!({ "branch": "main" }))
    }

    fn pipeline(&self) -> String {
        self.world().pipelines.last().unwrap().source.clone()
    }
}

/// A server with one provider and the stack `web`, which it deploys.
struct Service<V: Vendor> {
    vendor: V,
    server: TestServer,
    /// Of the provider's reports: path and secret.
    report: (String, String),
}

impl<V: Vendor> Service<V> {
    async fn start() -> Self {
        Self::start_with(json!({})).await
    }

    /// With further settings for how the stack is deployed.
    async fn start_with(extra: Value) -> Self {
        let (vendor, server) = (V::start().await, TestServer::start().await);
        let provider = json!({
            "type": V::NAME, "name": "ci", "url": vendor.fake().url, "credentials": V::credentials(),
        });
        let made = server.post("/api/v1/providers", provider).await.expect(201)["data"].clone();
        let url = made["webhook"]["url"].as_str().unwrap();
        let path = url[url.find("/en/").unwrap()..].to_owned();
        let secret = made["webhook"]["secret"].as_str().unwrap().to_owned();
        let tested = server.post("/api/v1/providers/ci/test", json!({})).await.expect(200)["data"].clone();
        assert_eq!(tested["connected"], true, "{tested}");
        let repository = json!({ "url": V::REPOSITORY, "branch": "main", "provider": "generic" });
        server.create_stack(json!({ "name": "web", "repository": repository })).await;
        let mut settings = V::settings();
        settings["provider"] = json!("ci");
        settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        server.put("/api/v1/stacks/web/ci", settings).await.expect(200);
        Self { vendor, server, report: (path, secret) }
    }

    /// Asks for a deployment and answers its number.
    async fn deploy(&self) -> String {
        let made = self.server.post("/api/v1/stacks/web/deploy", json!({})).await.expect(202);
        made["data"]["seq"].to_string()
    }

    /// Waits until the provider has the build of the deployment.
    async fn wait_started(&self, number: &str) {
        let id = self.deployment(number).await["id"].clone();
        let started = |event: &Value| {
            let ours = event["kind"] == "DEPLOYMENT_RUN_START" && event["subjectId"] == id;
            ours.then(|| assert_eq!(event["data"]["status"], "running", "{event}"))
        };
        self.server.wait_event("the start of the build", started).await;
    }

    async fn deployment(&self, number: &str) -> Value {
        self.server.get(&format!("/api/v1/deployments/{number}")).await.expect(200)["data"].clone()
    }

    /// How the provider carries the deployment out.
    async fn carried(&self, number: &str) -> Value {
        self.server.get(&format!("/api/v1/deployments/{number}/ci")).await.expect(200)["data"].clone()
    }

    /// Waits until nothing more is to be done about a build, and shows it.
    async fn settled(&self, build: &str) -> Value {
        let id = self.build(build).await["id"].clone();
        self.server
            .wait_event("the end of the build", |event| {
                let ours = event["kind"] == "ci_build.status" && event["subjectId"] == id;
                (ours && event["data"]["settled"] == true).then_some(())
            })
            .await;
        self.build(build).await
    }

    async fn build(&self, build: &str) -> Value {
        self.server.get(&format!("/api/v1/ci/builds/{build}")).await.expect(200)["data"].clone()
    }
}
