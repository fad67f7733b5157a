//! The server is killed with SIGKILL at every journal step of build, deploy and rollback, before and after each effect.
//! After a restart the deployment ends right, nothing is orphaned or doubled, and what was healthy serves; with the router,
//! visitors do not notice at all.
//!
//! A build is the same whatever follows it, so one kind of push goes through all of it; where the strategies are tried, two
//! releases that are built already take turns.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_tests::PATIENCE;
use windlass_tests::compose;
use windlass_tests::fixture::{Fixture, fetch};
use windlass_tests::routed::{Routed, Visitors};
use windlass_tests::server::{ADMIN_TOKEN, docker};

/// Each scenario has two servers, one for every other crash point: most of the time is spent waiting.
const LANES: usize = 2;
/// More crash points than any scenario has.
const MOST: u32 = 80;
/// Crash points that are tried of a scenario that takes long, evenly spread.
const SOME: u32 = 14;

enum Scenario {
    GoodPush,
    BrokenPush,
    /// Two releases take turns: each one's deployment and commit. The second one serves first.
    Turns([(String, String); 2]),
    /// The deployment of a release that was good as long as nobody visited it, and answers with errors: it is rolled out, and
    /// taken back for what visitors get.
    TakenBack(String),
}

/// One stack, and what happens to it again and again.
struct Trial {
    fixture: Fixture,
    scenario: Scenario,
    replicas: usize,
    /// Where the router carries its requests, somebody who asks all the time.
    visitors: Option<Visitors>,
}

impl Trial {
    fn new(fixture: Fixture, scenario: Scenario) -> Self {
        Self { fixture, scenario, replicas: 1, visitors: None }
    }

    /// Two releases that are built take turns.
    async fn of_turns(fixture: Fixture) -> Self {
        let scenario = turns(&fixture).await;
        Self::new(fixture, scenario)
    }

    /// The same behind the router, with visitors.
    async fn visited(routed: Routed, replicas: usize) -> Self {
        let scenario = turns(&routed.fixture).await;
        let visitors = Some(routed.some_visitors(2, Duration::from_millis(20)));
        Self { fixture: routed.fixture, scenario, replicas, visitors }
    }

    /// A bad release behind the router, and visitors who show that it is.
    async fn taken_back(routed: Routed) -> Self {
        let mut deployments = Vec::new();
        for version in ["failing", "two"] {
            let (_, deployment) = routed.fixture.deploy(version).await;
            assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
            deployments.push(deployment["seq"].to_string());
        }
        let visitors = Some(routed.some_visitors(2, Duration::from_millis(20)));
        Self {
            fixture: routed.fixture,
            scenario: Scenario::TakenBack(deployments.remove(0)),
            replicas: 1,
            visitors,
        }
    }

    /// The commit that serves before anything is killed.
    async fn serving(&self) -> String {
        match &self.scenario {
            Scenario::Turns([_, (_, commit)]) => commit.clone(),
            Scenario::TakenBack(_) => {
                self.fixture.stack().await["activeRelease"]["commitSha"].as_str().unwrap().to_owned()
            }
            _ => self.fixture.deploy("start").await.0,
        }
    }

    /// Kills at some of the crash points that one run goes through, every other one for this lane. Answers at how many, and how
    /// many there are.
    async fn kill_at_some(mut self, lane: u32) -> (u32, u32) {
        let mut good = self.serving().await;
        assert!(!self.kill_at(u32::MAX, &mut good).await, "no run has so many points");
        let (mut total, mut killed) = (self.reached(), 0);
        for n in (lane..SOME).step_by(LANES) {
            let mut was_killed = self.kill_at(1 + n * total / SOME, &mut good).await;
            if !was_killed {
                // What takes longer goes through more points, and the first run took longer.
                total = total.min(self.reached());
                was_killed = self.kill_at(1 + n * total / SOME, &mut good).await;
            }
            killed += u32::from(was_killed);
        }
        self.let_visitors_leave().await;
        (killed, total)
    }

    /// None of their requests failed, unless the release that they were shown is a bad one.
    async fn let_visitors_leave(&mut self) {
        let Some(visitors) = self.visitors.take() else { return };
        let (good, bad) = visitors.leave().await;
        let is_bad = matches!(self.scenario, Scenario::TakenBack(_));
        assert!(bad == 0 || is_bad, "{bad} of {} requests failed while the server died", good + bad);
    }

    /// The number of the crash point that was reached last.
    fn reached(&self) -> u32 {
        let log = std::fs::read_to_string(self.fixture.server.server_log()).unwrap();
        let mut points = log.lines().rev().filter_map(|line| line.strip_prefix("crash point "));
        points.find_map(|point| point.split_once(':')?.0.parse().ok()).unwrap()
    }

    /// Kills at the `first` crash point, the one after the next, … until a run gets through without being killed. Returns the
    /// last one there was.
    async fn kill_everywhere(mut self, first: u32) -> u32 {
        let mut good = self.serving().await;
        let mut last = 0;
        for at in (first..=MOST).step_by(LANES) {
            if self.kill_at(at, &mut good).await {
                last = at;
                continue;
            }
            self.let_visitors_leave().await;
            return last;
        }
        panic!("the scenario has more than {MOST} crash points");
    }

    /// Goes through the scenario once and kills at that crash point; false if there is none. `good` is what serves before and
    /// afterwards.
    async fn kill_at(&mut self, at: u32, good: &mut String) -> bool {
        self.fixture.server.kill();
        self.fixture.server.launch(&[("WINDLASS_CRASH_AT", &at.to_string())]).await.unwrap();
        let (wanted, status, begun) = self.begin(at, good).await;
        let was_killed = until_killed_or_over(&mut self.fixture).await;
        if was_killed && self.visitors.is_none() {
            still_serves(&self.fixture, good, &wanted, at).await;
        }
        self.fixture.server.launch(&[]).await.unwrap();
        let number = match begun {
            Some(number) => number,
            None => newest(&self.fixture).await,
        };
        let deployment = self.fixture.server.wait_deployment(&number).await;
        let told = self.fixture.explain(&deployment).await;
        assert_eq!(deployment["status"], status, "killed at point {at}: {told}");
        if status == "successful" {
            *good = wanted;
        }
        self.settled(good, at).await;
        was_killed
    }

    /// Starts the scenario. The commit that should serve if all goes well, the status it should end in, and its number if the
    /// server lived long enough to say.
    async fn begin(&self, at: u32, serving: &str) -> (String, &'static str, Option<String>) {
        let (version, status) = match &self.scenario {
            Scenario::Turns(built) => {
                let (deployment, commit) = &built[usize::from(built[0].1 == serving)];
                return (commit.clone(), "successful", self.bring_back(deployment).await);
            }
            Scenario::TakenBack(bad) => {
                return (serving.to_owned(), "rolled_back", self.bring_back(bad).await);
            }
            Scenario::GoodPush => (format!("version {at}"), "successful"),
            Scenario::BrokenPush => (format!("broken {at}"), "rolled_back"),
        };
        let Fixture { git, server, webhook, secret, .. } = &self.fixture;
        let sha = self.fixture.commit(&version);
        // Here it is the delivery that is stored.
        server.try_push_webhook(webhook, secret, &git.url("app"), "main", &sha).await;
        (sha, status, None)
    }

    /// Asks for the release of that deployment. Its own number, if the server lived long enough to say.
    async fn bring_back(&self, deployment: &str) -> Option<String> {
        let request = self.fixture.server.stranger(reqwest::Method::POST, "/api/v1/stacks/web/rollback");
        let body = json!({ "deployment": deployment });
        // The server may die while it answers; the deployment is stored by then all the same.
        let answer = request.bearer_auth(ADMIN_TOKEN).json(&body).send().await.ok()?;
        assert_eq!(answer.status(), 202);
        Some(answer.json::<Value>().await.ok()?["data"]["seq"].to_string())
    }
}

async fn turns(fixture: &Fixture) -> Scenario {
    let mut built = Vec::new();
    for version in ["one", "two"] {
        let (commit, deployment) = fixture.deploy(version).await;
        assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
        built.push((deployment["seq"].to_string(), commit));
    }
    Scenario::Turns(built.try_into().unwrap())
}

/// True if the crash point was reached. If the newest deployment ended without reaching it, the server is asked to end: it
/// lets running work finish first, so a crash point after the end of the deployment is still found. Either way it is down.
async fn until_killed_or_over(fixture: &mut Fixture) -> bool {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        assert!(tokio::time::Instant::now() < deadline, "neither killed nor over");
        if fixture.server.has_ended() || is_over(fixture).await {
            fixture.server.terminate();
            return fixture.server.wait();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The newest delivery is read and the newest deployment has ended. A server that does not answer any more is not over.
async fn is_over(fixture: &Fixture) -> bool {
    let first = async |path: &str| {
        let request = fixture.server.stranger(reqwest::Method::GET, path);
        let answer = request.bearer_auth(ADMIN_TOKEN).send().await.ok()?;
        Some(answer.json::<serde_json::Value>().await.ok()?["data"]["items"][0].clone())
    };
    let Some(event) = first("/api/v1/webhooks?limit=1").await else { return false };
    let Some(deployment) = first("/api/v1/deployments?limit=1").await else { return false };
    event["processed"] == true && deployment["completedAt"].is_string()
}

/// While nobody manages them, the containers go on: without a fixed port at least one that passed its gate runs.
async fn still_serves(fixture: &Fixture, good: &str, wanted: &str, at: u32) {
    if fixture.port.is_some() {
        return;
    }
    let mut serving = false;
    for name in fixture.server.containers() {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let ip = docker(&["inspect", "--format", format, &name]);
        let page = if ip.is_empty() { String::new() } else { fetch(&format!("http://{ip}:8080/")).await };
        serving |= page.contains(good) || page.contains(wanted);
    }
    assert!(serving, "killed at point {at}: nothing serves");
}

impl Trial {
    /// As many containers as there should be, of the right release; no open step in any journal.
    async fn settled(&self, good: &str, at: u32) {
        let fixture = &self.fixture;
        assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], good, "killed at point {at}");
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let containers = fixture.server.instances();
            let page_is_good = match fixture.port {
                Some(_) => fixture.page().await.contains(good),
                None => true,
            };
            if containers.len() == self.replicas && page_is_good {
                break;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "killed at point {at}: containers {containers:?}, page {:?}, wanted {good}",
                fixture.page().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let newest = newest(fixture).await;
        let steps = fixture.server.get(&format!("/api/v1/deployments/{newest}/steps")).await.expect(200);
        let steps = steps["data"].as_array().unwrap();
        let open: Vec<_> = steps.iter().filter(|step| step["state"] == "intent").collect();
        assert!(open.is_empty(), "killed at point {at}: {open:?}");
    }
}

async fn newest(fixture: &Fixture) -> String {
    // After a restart the stored delivery may not have been read yet; its deployment comes with it.
    let inbox = fixture.server.get("/api/v1/webhooks?limit=1").await.expect(200);
    let event = inbox["data"]["items"][0].clone();
    if event["processed"] == false {
        fixture.server.wait_webhook(event["id"].as_str().unwrap()).await;
    }
    fixture.server.get("/api/v1/deployments?limit=1").await.expect(200)["data"]["items"][0]["seq"].to_string()
}

/// Kills everywhere, and says how many points there were, past the test runner, which keeps what a good test prints to itself.
async fn at_least(wanted: u32, scenario: &str, prepare: impl AsyncFn() -> Trial) {
    let lane = async |first| prepare().await.kill_everywhere(first).await;
    let (odd, even) = tokio::join!(lane(1), lane(2));
    let points = odd.max(even);
    let _ = writeln!(std::io::stderr(), "killed at each of {points} points in {scenario}: 100 % ended right");
    assert!(points >= wanted, "only {points} crash points were reached in {scenario}");
}

/// Kills at some points, and says at how many of how many.
async fn at_some(scenario: &str, prepare: impl AsyncFn() -> Trial) {
    let lane = async |lane| prepare().await.kill_at_some(lane).await;
    let ((one, points), (other, _)) = tokio::join!(lane(0), lane(1));
    let killed = one + other;
    let _ = writeln!(
        std::io::stderr(),
        "killed at {killed} of {points} points in {scenario}, evenly spread: 100 % ended right"
    );
    // A run that takes another course may have a few points less.
    assert!(killed + 2 >= SOME, "only {killed} of {SOME} crash points were reached in {scenario}");
}

/// Kills everywhere if `WINDLASS_CRASH=everywhere` says so, as `make crash` does, and else at some points: another scenario goes
/// through the same steps, and there it is killed at each.
async fn at_least_some(wanted: u32, scenario: &str, prepare: impl AsyncFn() -> Trial) {
    match std::env::var("WINDLASS_CRASH").as_deref() {
        Ok("everywhere") => at_least(wanted, scenario, prepare).await,
        _ => at_some(scenario, prepare).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_good_push_still_deploys_it() {
    let push = async || Trial::new(Fixture::start(true).await, Scenario::GoodPush);
    at_least(25, "a push that takes the port over", push).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_an_overlap_never_leaves_nothing_serving() {
    let turns = async || Trial::of_turns(Fixture::start(false).await).await;
    at_least_some(10, "an overlap without a router", turns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_broken_push_still_rolls_it_back() {
    let push = async || Trial::new(Fixture::start(true).await, Scenario::BrokenPush);
    at_least(15, "a push that is rolled back", push).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_rollback_still_brings_the_old_release_back() {
    let turns = async || Trial::of_turns(Fixture::start(true).await).await;
    at_least(10, "a rollback on request", turns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_push_to_a_compose_stack_still_deploys_it() {
    let push = async || {
        let mut fixture = Fixture::start_with(false, &[], compose::stack()).await;
        compose::with_file(&mut fixture, compose::FILE);
        Trial::new(fixture, Scenario::GoodPush)
    };
    at_least_some(20, "a push to a compose stack", push).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_standard_rollout_is_not_noticed() {
    let turns = async || Trial::visited(Routed::start(json!({})).await, 1).await;
    at_least(10, "a standard rollout with the router", turns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_blue_green_is_not_noticed() {
    let stack = json!({ "strategy": "blue-green", "strategyParams": { "checks": 1, "bake_s": 1 } });
    let turns = async || Trial::visited(Routed::start(stack.clone()).await, 1).await;
    at_least(10, "blue-green", turns).await;
}

/// One step by time and one by a verdict, with a latency that no busy machine exceeds.
fn canary() -> Value {
    json!({
        "steps": [{ "weight": 10, "seconds": 1, "analysis": false }, { "weight": 50, "seconds": 1 }],
        "interval_s": 1, "min_requests": 10, "slower_ms": 5000, "low_traffic": "promote", "bake_s": 1,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_canary_is_not_noticed() {
    let stack = json!({ "strategy": "canary", "strategyParams": canary() });
    let turns = async || Trial::visited(Routed::start(stack.clone()).await, 1).await;
    at_least(15, "a canary", turns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_blue_green_switches_back_in_its_bake_still_does() {
    let stack = json!({ "strategy": "blue-green", "strategyParams": { "checks": 0, "bake_s": 2 } });
    let bad = async || {
        let routed = Routed::start(stack.clone()).await;
        let trial = Trial::taken_back(routed).await;
        // With visitors it is found out long before this is over.
        trial.fixture.edit(|stack| stack["strategyParams"]["bake_s"] = 300.into()).await;
        trial
    };
    at_some("a switch-back of blue-green", bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_a_canary_is_taken_back_by_its_verdict_still_takes_it_back() {
    let params = json!({
        "steps": [{ "weight": 50, "seconds": 1 }], "interval_s": 1, "min_requests": 10, "failures_in_a_row": 1,
        "slower_ms": 5000, "low_traffic": "promote", "bake_s": 1,
    });
    let stack = json!({ "strategy": "canary", "strategyParams": params });
    let bad = async || {
        let trial = Trial::taken_back(Routed::start(stack.clone()).await).await;
        trial.fixture.edit(|stack| stack["strategyParams"]["steps"][0]["seconds"] = 300.into()).await;
        trial
    };
    at_some("a canary's rollback", bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_rolling_rollout_is_not_noticed() {
    let run = json!({ "ports": [{ "container": 8080 }], "stopTimeoutSecs": 2, "replicas": 2 });
    let stack = json!({ "run": run, "strategy": "rolling", "strategyParams": { "settle_s": 0 } });
    let turns = async || Trial::visited(Routed::start(stack.clone()).await, 2).await;
    at_least(15, "a rolling rollout", turns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_compose_stacks_canary_is_not_noticed() {
    let mut stack = compose::stack();
    (stack["strategy"], stack["strategyParams"]) = ("canary".into(), canary());
    let turns = async || {
        let mut routed = Routed::start(stack.clone()).await;
        compose::with_file(&mut routed.fixture, compose::FILE);
        Trial::visited(routed, 1).await
    };
    at_least_some(15, "a compose stack's canary", turns).await;
}
