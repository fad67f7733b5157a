//! Durable webhook ingestion beside Debian's `webhook`, in turns under the same load.
//!
//! The peer keeps nothing. Windlass stores each delivery and the task that reads it before it answers, and its queue works
//! meanwhile: that is part of what is measured. After each load the server is killed with SIGKILL and started again; what
//! it has then is compared with what it had answered.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::load::{self, Outcome, Target};
use crate::machine::{cpu_time, disk, load as load_average, status_mb};
use crate::peer::{self, Peer};
use crate::process::{Server, data};
use crate::report::{Goal, Report};

const PAIRS: usize = 3;
const CONNECTIONS: [u32; 2] = [32, 128];
/// Where the goals apply.
const GOAL_CONNECTIONS: u32 = 128;
const GOAL_PER_SECOND: f64 = 10_000.0;
const GOAL_RATIO: f64 = 3.0;
/// The backlog is watched for so long, and not to its end.
const DRAIN: Duration = Duration::from_secs(5);

struct Round {
    outcome: Outcome,
    /// Seconds on the processor for each second of the load.
    cpus: f64,
    peak_mb: f64,
    /// Deliveries that were processed while others came in, a second.
    meanwhile: f64,
    /// Deliveries processed a second when none came in any more.
    drained: f64,
    /// Deliveries that were answered but are gone after SIGKILL.
    lost: u64,
}

pub async fn ingestion(report: &mut Report) {
    report.section("Durable webhook ingestion");
    if !load::is_installed("wrk") {
        return report.skip("everything", "`wrk` is missing; `make setup-bench` brings it");
    }
    let with_peer = load::is_installed(peer::PROGRAM);
    if with_peer {
        report.note(&format!("the peer is {}, HMAC rule, /bin/true; it stores nothing", Peer::version()));
    } else {
        report.skip("the comparison", "`webhook` is missing; `make setup-bench` brings it");
    }
    let bytes = load::push_body().len();
    report.note(&format!(
        "wrk, 2 threads, {} s a round, a push of {bytes} bytes, each its own delivery",
        load::SECONDS
    ));
    for connections in CONNECTIONS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            if with_peer {
                let outcome = peer_round(connections, pair).await;
                tell(report, &format!("{connections} connections, pair {}, webhook", pair + 1), &outcome);
                theirs.push(outcome);
            }
            let round = our_round(report, connections, pair).await;
            ours.push(round);
        }
        summarise(report, connections, &ours, &theirs);
    }
}

async fn peer_round(connections: u32, pair: usize) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::launch(folder.path());
    let target = Target { url: &peer.url, path: peer::PATH, secret: peer::SECRET };
    assert_ne!(load::post_once(&target, "a wrong secret").await, 200, "the peer does not check signatures");
    assert_eq!(load::post_once(&target, peer::SECRET).await, 200, "the peer refuses a correct delivery");
    load::run(folder.path(), &target, connections, &format!("p{connections}-{pair}")).await
}

async fn our_round(report: &mut Report, connections: u32, pair: usize) -> Round {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::launch(folder.path());
    let stack = json!({
        "name": "bench",
        "repository": { "url": "https://git.example.org/team/app.git", "branch": "main", "provider": "github" },
    });
    let (path, secret) = server.create_stack(stack).await;
    let target = Target { url: &server.url, path: &path, secret: &secret };
    assert_eq!(load::post_once(&target, "a wrong secret").await, 401, "signatures are not checked");
    assert_eq!(load::post_once(&target, &secret).await, 202, "a correct delivery is refused");
    let (before, cpu) = (disk(folder.path()), cpu_time(server.pid()));
    let started = Instant::now();
    let outcome = load::run(folder.path(), &target, connections, &format!("w{connections}-{pair}")).await;
    let cpus = (cpu_time(server.pid()) - cpu).as_secs_f64() / started.elapsed().as_secs_f64();
    let (peak_mb, meanwhile) = (status_mb(server.pid(), "VmHWM"), processed(&server).await);
    let seconds = started.elapsed().as_secs_f64();
    server.kill();
    tell(report, &format!("{connections} connections, pair {}, windlass", pair + 1), &outcome);
    report.note(&format!("    before: {before}; after: {}; load {}", disk(folder.path()), load_average()));
    let (drained, stored) = after_the_kill(folder.path()).await;
    // One was posted by hand. At most one a connection was stored when the load ended, but not answered any more.
    let answered = outcome.accepted + 1;
    let surplus = stored.saturating_sub(answered);
    assert!(surplus <= u64::from(connections), "{stored} deliveries are stored, {answered} were answered");
    let lost = answered.saturating_sub(stored);
    let size =
        std::fs::metadata(data(folder.path()).join("windlass.db")).map_or(0, |file| file.len()) / 1_000_000;
    report.note(&format!(
        "    after SIGKILL {stored} deliveries are stored, {answered} were answered, {lost} are lost; the database has {size} MB"
    ));
    Round { outcome, cpus, peak_mb, meanwhile: meanwhile / seconds, drained, lost }
}

/// Starts again on what was left: how fast the backlog is worked off, and how many deliveries are there.
async fn after_the_kill(folder: &Path) -> (f64, u64) {
    let server = Server::launch(folder);
    let started = Instant::now();
    while started.elapsed() < DRAIN && queued(&server).await > 0.0 {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let drained = processed(&server).await / started.elapsed().as_secs_f64();
    let stored = count_stored(&server).await;
    server.stop();
    (drained, stored)
}

/// All verified deliveries, page by page.
async fn count_stored(server: &Server) -> u64 {
    let (mut count, mut before) = (0, String::new());
    loop {
        let page = server.get_json(&format!("/api/v1/webhooks?limit=200{before}")).await;
        let items = page["data"]["items"].as_array().unwrap();
        count += items.iter().filter(|item| item["verified"] == true).count() as u64;
        match page["data"]["next"].as_i64() {
            Some(next) => before = format!("&before={next}"),
            None => return count,
        }
    }
}

/// Deliveries that this process has processed.
async fn processed(server: &Server) -> f64 {
    sum_of_metric(server, "windlass_webhooks_processed_total", "").await
}

async fn queued(server: &Server) -> f64 {
    sum_of_metric(server, "windlass_tasks", "status=\"queued\"").await
}

async fn sum_of_metric(server: &Server, name: &str, label: &str) -> f64 {
    let text = server.get("/metrics").await;
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn tell(report: &mut Report, name: &str, outcome: &Outcome) {
    let note = format!(
        "p50 {:.2} ms, p99 {:.2} ms, {} refused, {} broken",
        outcome.p50_ms, outcome.p99_ms, outcome.refused, outcome.broken
    );
    report.row(name, outcome.per_second, "/s", Goal::None, &note);
}

fn summarise(report: &mut Report, connections: u32, ours: &[Round], theirs: &[Outcome]) {
    let is_goal = connections == GOAL_CONNECTIONS;
    let goal = |at_least: f64| if is_goal { Goal::AtLeast(at_least) } else { Goal::None };
    let all = |of: fn(&Round) -> f64| ours.iter().map(of).collect::<Vec<f64>>();
    let name = |what: &str| format!("{connections} connections: {what}");
    report.spread(&name("windlass"), &all(|round| round.outcome.per_second), "/s", goal(GOAL_PER_SECOND));
    if !theirs.is_empty() {
        let rates: Vec<f64> = theirs.iter().map(|outcome| outcome.per_second).collect();
        report.spread(&name("webhook"), &rates, "/s", Goal::None);
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(our, their)| our.outcome.per_second / their.per_second).collect();
        report.spread(&name("windlass : webhook, a pair"), &ratios, "×", goal(GOAL_RATIO));
    }
    report.spread(&name("p50"), &all(|round| round.outcome.p50_ms), "ms", Goal::None);
    report.spread(&name("p99"), &all(|round| round.outcome.p99_ms), "ms", Goal::None);
    report.spread(&name("processors in use"), &all(|round| round.cpus), "", Goal::None);
    report.spread(&name("peak memory"), &all(|round| round.peak_mb), "MB", Goal::None);
    report.spread(&name("processed meanwhile"), &all(|round| round.meanwhile), "/s", Goal::None);
    report.spread(&name("processed afterwards"), &all(|round| round.drained), "/s", Goal::None);
    let lost = ours.iter().map(|round| round.lost as f64).sum();
    report.row(&name("answered but lost by SIGKILL"), lost, "", Goal::AtMost(0.0), "");
}
