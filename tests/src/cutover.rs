//! A stack behind the router whose requests are moved in every way there is, under a load that crosses each cutover.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use windlass::router::client::RouterClient;

use crate::crossing::{Crossing, Load, Outcome};
use crate::git_server::{File, TestRepo};
use crate::routed::{HOST, Routed};
use crate::server::program;

/// Cutovers of one [`Rig::round`]: an overlap, a promotion and its switch-back, three shares of a canary, a rollback.
pub const CUTOVERS: usize = 7;

const DOCKERFILE: &str =
    "FROM scratch\nCOPY root/ /\nCOPY version.txt /\nCMD [\"/visited\", \"8080\"]\nEXPOSE 8080\n";

/// The program as it was built beside the server.
pub fn visited() -> PathBuf {
    program().with_file_name("visited")
}

/// Commits the program, with the libraries that it is linked with.
pub fn commit(repo: &TestRepo, version: &str) -> String {
    let linked = Command::new("ldd").arg(visited()).output().unwrap();
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/'));
    let mut copies = vec![("root/visited".to_owned(), std::fs::read(visited()).unwrap())];
    copies.extend(libraries.map(|path| (format!("root{path}"), std::fs::read(path).unwrap())));
    let mut files = vec![
        File { path: "Dockerfile", mode: "100644", content: DOCKERFILE.as_bytes() },
        File { path: "version.txt", mode: "100644", content: version.as_bytes() },
    ];
    files.extend(copies.iter().map(|(path, content)| File { path, mode: "100755", content }));
    repo.commit_files("main", &files, version)
}

/// What the requests should do during a deployment, and from when on.
struct Expected {
    from: Instant,
    until: Instant,
    release: String,
    /// Not one request may go there; otherwise, all have to.
    is_left: bool,
}

pub struct Rig {
    routed: Routed,
    crossing: Crossing,
    expected: Vec<Expected>,
    /// The same moment on both clocks.
    clocks: (Instant, SystemTime),
}

/// What a load met, and how long requests still went where they should not.
pub struct Measured {
    pub outcome: Outcome,
    /// From the last health check that a new release needed until every new request was its own.
    pub to_new: Vec<Duration>,
    /// From somebody's order to switch back until no new request went to the release that was left.
    pub back: Vec<Duration>,
}

impl Rig {
    /// With one release that serves.
    pub async fn start(load: Load) -> Self {
        let run = json!({ "ports": [{ "container": 8080 }], "stopTimeoutSecs": 20 });
        let mut routed = Routed::start(json!({ "run": run })).await;
        routed.fixture.is_visited = true;
        let (_, first) = routed.fixture.deploy("start").await;
        assert_eq!(first["status"], "successful", "{}", routed.fixture.explain(&first).await);
        let mut crossing = Crossing::start(routed.address, HOST, load);
        crossing.watch(RouterClient::new(&routed.fixture.server.data()));
        Self { routed, crossing, expected: Vec::new(), clocks: (Instant::now(), SystemTime::now()) }
    }

    /// Nothing changes for a while.
    pub async fn rest(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Small answers so far.
    pub fn answered(&self) -> usize {
        self.crossing.answered()
    }

    /// Every way once.
    pub async fn round(&mut self, n: usize) {
        self.overlap(&format!("{n} overlap")).await;
        self.promote_and_switch_back(&format!("{n} blue-green")).await;
        self.raise(&format!("{n} canary")).await;
        self.roll_back().await;
    }

    async fn strategy(&self, name: &str, params: Value) {
        let change = |stack: &mut Value| {
            stack["strategy"] = json!(name);
            stack["strategyParams"] = params;
        };
        self.routed.fixture.edit(change).await;
    }

    pub async fn overlap(&mut self, version: &str) {
        self.strategy("standard", json!({})).await;
        let from = Instant::now();
        let (release, deployment) = self.routed.fixture.deploy(version).await;
        self.ended(&deployment, "successful").await;
        self.expected.push(Expected { from, until: Instant::now(), release, is_left: false });
    }

    pub async fn promote_and_switch_back(&mut self, version: &str) {
        self.strategy("blue-green", json!({ "checks": 0, "bake_s": 300 })).await;
        let fixture = &self.routed.fixture;
        let release = fixture.commit(version);
        let number = fixture.push(&release).await;
        let id = fixture.server.get(&format!("/api/v1/deployments/{number}")).await.expect(200)["data"]["id"]
            .clone();
        let bakes = |event: &Value| {
            let label = event["data"]["label"].as_str().unwrap_or_default();
            (event["subjectId"] == id && label.contains("the old copy stays ready")).then_some(())
        };
        fixture.server.wait_event("the bake", bakes).await;
        let seen = self.crossing.answered();
        while self.crossing.answered() < seen + 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let from = Instant::now();
        fixture.server.post(&format!("/api/v1/deployments/{number}/cancel"), json!({})).await.expect(202);
        let deployment = fixture.server.wait_deployment(&number).await;
        self.ended(&deployment, "cancelled").await;
        self.expected.push(Expected { from, until: Instant::now(), release, is_left: true });
    }

    pub async fn raise(&mut self, version: &str) {
        let step = |weight: u32| json!({ "weight": weight, "seconds": 3, "analysis": false });
        self.strategy("canary", json!({ "steps": [step(10), step(50)], "bake_s": 0 })).await;
        let (_, deployment) = self.routed.fixture.deploy(version).await;
        self.ended(&deployment, "successful").await;
    }

    pub async fn roll_back(&mut self) {
        self.strategy("standard", json!({})).await;
        let server = &self.routed.fixture.server;
        let row = server.post("/api/v1/stacks/web/rollback", json!({})).await.expect(202)["data"].clone();
        let deployment = server.wait_deployment(&row["seq"].to_string()).await;
        self.ended(&deployment, "successful").await;
    }

    async fn ended(&self, deployment: &Value, status: &str) {
        assert_eq!(deployment["status"], status, "{}", self.routed.fixture.explain(deployment).await);
    }

    pub async fn end(self) -> Measured {
        let outcome = self.crossing.end().await;
        let (mut to_new, mut back) = (Vec::new(), Vec::new());
        for expected in &self.expected {
            let during = outcome
                .visits
                .iter()
                .filter(|visit| expected.from < visit.from && visit.from < expected.until);
            let astray = during.filter(|visit| (visit.name == expected.release) == expected.is_left);
            let last = astray.map(|visit| visit.from).max();
            let since = if expected.is_left {
                expected.from
            } else {
                let at = outcome.healthy_at(&expected.release).expect("the new release answered");
                let at = UNIX_EPOCH + Duration::from_micros(at);
                self.clocks.0 + at.duration_since(self.clocks.1).unwrap_or_default()
            };
            let took = last.map(|last| last.saturating_duration_since(since)).unwrap_or_default();
            if expected.is_left { back.push(took) } else { to_new.push(took) }
        }
        Measured { outcome, to_new, back }
    }
}
