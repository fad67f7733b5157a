//! The server is killed with SIGKILL at every journal step of build, deploy and rollback, before and after each effect.
//! After a restart the deployment ends right, nothing is orphaned or doubled, and what was healthy serves.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::io::Write as _;

use serde_json::json;
use windlass_tests::compose;
use windlass_tests::fixture::{Fixture, fetch};
use windlass_tests::server::docker;

/// More crash points than any scenario has.
const MOST: u32 = 80;

enum Scenario {
    GoodPush,
    BrokenPush,
    Rollback,
}

/// Kills at the first crash point, the second, … until a run gets through without being killed. Returns how many there were.
async fn kill_everywhere(scenario: &Scenario, fixed_port: bool) -> u32 {
    kill_everywhere_in(Fixture::start(fixed_port).await, scenario).await
}

async fn kill_everywhere_in(mut fixture: Fixture, scenario: &Scenario) -> u32 {
    let mut good = fixture.deploy("start").await.0;
    for at in 1..=MOST {
        if matches!(scenario, Scenario::Rollback) {
            fixture.deploy(&format!("left {at}")).await;
        }
        fixture.server.kill();
        fixture.server.launch(&[("WINDLASS_CRASH_AT", &at.to_string())]).await.unwrap();
        let version = match scenario {
            Scenario::BrokenPush => format!("broken {at}"),
            _ => format!("version {at}"),
        };
        let (wanted, status, begun) = begin(&fixture, scenario, &version).await;
        let was_killed = until_killed_or_over(&mut fixture).await;
        if was_killed {
            still_serves(&fixture, &good, &wanted, at).await;
        }
        fixture.server.launch(&[]).await.unwrap();
        let number = match begun {
            Some(number) => number,
            None => newest(&fixture).await,
        };
        let deployment = fixture.server.wait_deployment(&number).await;
        assert_eq!(
            deployment["status"],
            status,
            "killed at point {at}: {}",
            fixture.explain(&deployment).await
        );
        good = if status == "successful" { wanted } else { good };
        settled(&fixture, &good, at).await;
        if !was_killed {
            return at - 1;
        }
    }
    panic!("the scenario has more than {MOST} crash points");
}

/// Starts the scenario. The commit that should serve if all goes well, the status it should end in, and its number if the
/// server lived long enough to say.
async fn begin(
    fixture: &Fixture,
    scenario: &Scenario,
    version: &str,
) -> (String, &'static str, Option<String>) {
    match scenario {
        Scenario::Rollback => {
            let row = fixture.server.post("/api/v1/stacks/web/rollback", json!({})).await.expect(202)["data"]
                .clone();
            (row["commitSha"].as_str().unwrap().to_string(), "successful", Some(row["seq"].to_string()))
        }
        Scenario::GoodPush | Scenario::BrokenPush => {
            let sha = fixture.commit(version);
            let url = fixture.git.url("app");
            // The server may die before its answer is on the way; the delivery is stored by then all the same.
            fixture.server.try_push_webhook(&fixture.webhook, &fixture.secret, &url, "main", &sha).await;
            let status = if matches!(scenario, Scenario::GoodPush) { "successful" } else { "rolled_back" };
            (sha, status, None)
        }
    }
}

/// True if the crash point was reached. If the newest deployment ended without reaching it, the server is asked to end: it
/// lets running work finish first, so a crash point after the end of the deployment is still found. Either way it is down.
async fn until_killed_or_over(fixture: &mut Fixture) -> bool {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        assert!(tokio::time::Instant::now() < deadline, "neither killed nor over");
        if fixture.server.has_ended() || is_over(fixture).await {
            fixture.server.terminate();
            return fixture.server.wait();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The newest delivery is read and the newest deployment has ended. A server that does not answer any more is not over.
async fn is_over(fixture: &Fixture) -> bool {
    let first = async |path: &str| {
        let request = fixture.server.stranger(reqwest::Method::GET, path);
        let answer = request.bearer_auth(windlass_tests::server::ADMIN_TOKEN).send().await.ok()?;
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

/// One container, running, of the right release; no open step in any journal.
async fn settled(fixture: &Fixture, good: &str, at: u32) {
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], good, "killed at point {at}");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let containers = fixture.server.instances();
        let page_is_good = match fixture.port {
            Some(_) => fixture.page().await.contains(good),
            None => true,
        };
        if containers.len() == 1 && page_is_good {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "killed at point {at}: containers {containers:?}, page {:?}, wanted {good}",
            fixture.page().await
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let newest = newest(fixture).await;
    let steps = fixture.server.get(&format!("/api/v1/deployments/{newest}/steps")).await.expect(200);
    let open: Vec<_> =
        steps["data"].as_array().unwrap().iter().filter(|step| step["state"] == "intent").cloned().collect();
    assert!(open.is_empty(), "killed at point {at}: {open:?}");
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

/// Says how many there were, past the test runner, which keeps what a good test prints to itself.
fn at_least(wanted: u32, points: u32, scenario: &str) {
    let _ = writeln!(std::io::stderr(), "killed at each of {points} points in {scenario}: 100 % ended right");
    assert!(points >= wanted, "only {points} crash points were reached in {scenario}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_good_push_still_deploys_it() {
    let points = kill_everywhere(&Scenario::GoodPush, true).await;
    at_least(25, points, "a push that takes the port over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_an_overlapping_push_never_leaves_nothing_serving() {
    let points = kill_everywhere(&Scenario::GoodPush, false).await;
    at_least(20, points, "a push that overlaps");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_broken_push_still_rolls_it_back() {
    let points = kill_everywhere(&Scenario::BrokenPush, true).await;
    at_least(15, points, "a push that is rolled back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_rollback_still_brings_the_old_release_back() {
    let points = kill_everywhere(&Scenario::Rollback, true).await;
    at_least(10, points, "a rollback on request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_push_to_a_compose_stack_still_deploys_it() {
    let mut fixture = Fixture::start_with(false, &[], compose::stack()).await;
    compose::with_file(&mut fixture, compose::FILE);
    let points = kill_everywhere_in(fixture, &Scenario::GoodPush).await;
    at_least(20, points, "a push to a compose stack");
}
