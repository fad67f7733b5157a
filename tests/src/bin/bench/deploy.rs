//! What Windlass adds to a deployment: all of it but fetching, building and starting the container.
//!
//! Everything is read from what the server recorded: the inbox, the logs, the rollout's journal and the deployment. The
//! program of the fixture is a small web server, and its boot is not taken off: the sum is an upper bound.

use std::process::Command;

use serde_json::Value;
use windlass_tests::fixture::Fixture;

use crate::machine::load;
use crate::report::{Goal, Report};

/// After a first one, which has no predecessor to replace.
const DEPLOYMENTS: usize = 10;
const GOAL_MS: f64 = 500.0;
const DAY_MS: f64 = 86_400_000.0;

/// Milliseconds of one deployment's parts.
#[derive(Default)]
struct Parts {
    accepted_to_processed: f64,
    processed_to_build: f64,
    build_to_fetch: f64,
    fetch: f64,
    plan_and_checkout: f64,
    build: f64,
    built_to_rollout: f64,
    rollout_to_launch: f64,
    launch: f64,
    launch_to_switch: f64,
    switch_to_removal: f64,
    removal: f64,
    removal_to_end: f64,
    total: f64,
}

impl Parts {
    /// Everything but fetch, image build and the engine's create and start.
    fn overhead(&self) -> f64 {
        self.total - self.fetch - self.build - self.launch
    }
}

pub async fn overhead(report: &mut Report) {
    report.section("Deployment, push to healthy, instances overlap");
    if let Some(why) = no_engine() {
        return report.skip("everything", &why);
    }
    let fixture = Fixture::start(false).await;
    let mut all = Vec::new();
    for n in 0..=DEPLOYMENTS {
        let parts = deploy(&fixture, &format!("version {n}")).await;
        if n > 0 {
            all.push(parts);
        }
    }
    let mut tell = |name: &str, of: fn(&Parts) -> f64, goal: Goal| {
        let values: Vec<f64> = all.iter().map(of).collect();
        report.spread(name, &values, "ms", goal);
    };
    tell("delivery stored → processed", |parts| parts.accepted_to_processed, Goal::None);
    tell("processed → build runs", |parts| parts.processed_to_build, Goal::None);
    tell("build runs → fetch begins", |parts| parts.build_to_fetch, Goal::None);
    tell("(fetch)", |parts| parts.fetch, Goal::None);
    tell("plan and check out", |parts| parts.plan_and_checkout, Goal::None);
    tell("(image build)", |parts| parts.build, Goal::None);
    tell("image built → rollout begins", |parts| parts.built_to_rollout, Goal::None);
    tell("rollout begins → launch ordered", |parts| parts.rollout_to_launch, Goal::None);
    tell("(create and start the container)", |parts| parts.launch, Goal::None);
    tell("started → boots, two good probes, switch", |parts| parts.launch_to_switch, Goal::None);
    tell("switch → old release's removal ordered", |parts| parts.switch_to_removal, Goal::None);
    tell("old release drains, stops, is removed", |parts| parts.removal, Goal::None);
    tell("removed → deployment is successful", |parts| parts.removal_to_end, Goal::None);
    tell("whole deployment", |parts| parts.total, Goal::None);
    tell("without what is in (brackets)", Parts::overhead, Goal::AtMost(GOAL_MS));
    tell("  and without the old release's removal", |parts| parts.overhead() - parts.removal, Goal::None);
    report.note(&format!("load average {}", load()));
}

pub async fn hand_over(report: &mut Report) {
    report.section("Pause when a fixed port is handed over, as the server measured it");
    if let Some(why) = no_engine() {
        return report.skip("everything", &why);
    }
    let fixture = Fixture::start(true).await;
    let mut pauses = Vec::new();
    for n in 0..=DEPLOYMENTS {
        let (_, deployment) = fixture.deploy(&format!("version {n}")).await;
        assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
        pauses.extend(deployment["pauseMs"].as_f64());
    }
    report.spread("old stopped → new healthy", &pauses, "ms", Goal::None);
    report.note(&format!("load average {}", load()));
}

async fn deploy(fixture: &Fixture, version: &str) -> Parts {
    let (server, sha) = (&fixture.server, fixture.commit(version));
    let event =
        server.push_webhook(&fixture.webhook, &fixture.secret, &fixture.git.url("app"), "main", &sha).await;
    let event = server.wait_webhook(&event).await;
    let deployment = server.wait_deployment(event["deploymentId"].as_str().unwrap()).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    let number = deployment["seq"].to_string();
    let build = format!("/api/v1/builds/{}", deployment["buildId"].as_str().unwrap());
    let build = server.get(&build).await.expect(200)["data"].clone();
    let steps = server.get(&format!("/api/v1/deployments/{number}/steps")).await.expect(200)["data"].clone();
    let log = server.log_of(&number).await;
    let logged = |words: &str| {
        let line = log.lines().find(|line| line.contains(words));
        clock(line.unwrap_or_else(|| panic!("`{words}` is not in the log:\n{log}")))
    };
    let (fetch, commit, built) = (logged(" Fetching "), logged(" Commit "), logged(" Built "));
    // What comes after the commit's line is the builder's first one.
    let commit_line = log.lines().position(|line| line.contains(" Commit ")).unwrap();
    let builder = clock(log.lines().nth(commit_line + 1).unwrap());
    let rollout = logged(" Rolling out ");
    let (launch, launched) = step(&steps, "Start ").unwrap();
    let (switch, _) = step(&steps, "Route ").unwrap();
    let end = clock(deployment["completedAt"].as_str().unwrap());
    // The first deployment has nothing to remove.
    let (removal, removed) = step(&steps, "Remove ").unwrap_or((end, end));
    let (accepted, processed) = (field(&event, "receivedAt"), field(&event, "processedAt"));
    let runs = field(&build, "startedAt");
    Parts {
        accepted_to_processed: between(accepted, processed),
        processed_to_build: between(processed, runs),
        build_to_fetch: between(runs, fetch),
        fetch: between(fetch, commit),
        plan_and_checkout: between(commit, builder),
        build: between(builder, built),
        built_to_rollout: between(built, rollout),
        rollout_to_launch: between(rollout, launch),
        launch: between(launch, launched),
        launch_to_switch: between(launched, switch),
        switch_to_removal: between(switch, removal),
        removal: between(removal, removed),
        removal_to_end: between(removed, end),
        total: between(accepted, end),
    }
}

/// When an effect was ordered and when it was done.
fn step(steps: &Value, words: &str) -> Option<(f64, f64)> {
    let step = steps
        .as_array()?
        .iter()
        .find(|step| step["effect"].as_str().is_some_and(|text| text.starts_with(words)))?;
    Some((field(step, "intendedAt"), field(step, "doneAt")))
}

pub fn field(value: &Value, key: &str) -> f64 {
    clock(value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")))
}

/// Milliseconds since midnight, of a timestamp or of a log line.
pub fn clock(text: &str) -> f64 {
    let time = text.split_once('T').filter(|(date, _)| date.len() == 10).map_or(text, |(_, time)| time);
    let number = |from: usize, to: usize| time.get(from..to).and_then(|digits| digits.parse::<f64>().ok());
    let parts = (number(0, 2), number(3, 5), number(6, 12));
    let (Some(hours), Some(minutes), Some(seconds)) = parts else { panic!("no time of day: {text}") };
    ((hours * 60.0 + minutes) * 60.0 + seconds) * 1000.0
}

/// Some clocks are read in the middle of a millisecond, so a step can seem to take less than nothing.
pub fn between(from: f64, to: f64) -> f64 {
    let passed = to - from;
    if passed < -DAY_MS / 2.0 { passed + DAY_MS } else { passed.max(0.0) }
}

fn no_engine() -> Option<String> {
    let answer = Command::new("docker").arg("version").output();
    let works = answer.is_ok_and(|output| output.status.success());
    (!works).then(|| "no Docker engine answers".to_string())
}
