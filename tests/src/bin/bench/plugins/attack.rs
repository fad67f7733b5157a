//! The hostile suite, with a clock: deadlines, a neighbour's calls meanwhile, and what is left in memory.

use std::time::{Duration, Instant};

use windlass::plugins::Plugins;
use windlass::plugins::measure::{self, Percentiles};
use windlass_tests::hostile::{Act, End, NEIGHBOUR, Suite, provoke};

use super::microseconds;
use crate::machine::status_mb;
use crate::report::{Goal, Report, milliseconds};

const CPU: Duration = Duration::from_millis(200);
const WALL: Duration = Duration::from_millis(500);
const LATE_GOAL_MS: f64 = 20.0;
const SLOWER_GOAL: f64 = 2.0;
const MEMORY_GOAL_MB: f64 = 5.0;
/// The neighbour's calls, alone and meanwhile.
const ROUNDS: usize = 20_000;
/// Attempts at each deadline; somebody else's work on the machine is not the host's doing.
const ATTEMPTS: usize = 3;

pub async fn all(report: &mut Report) {
    let suite = Suite::start(CPU, WALL).await;
    report.section(&format!("Attack of {} hostile components", suite.hostile.len()));
    let alone = tokio::spawn(neighbour(suite.plugins.clone())).await.unwrap();
    let before = status_mb(std::process::id(), "RssAnon");
    let mut wrong = Vec::new();
    for hostile in &suite.hostile {
        wrong.extend(suite.try_out(hostile).await);
    }
    let after = status_mb(std::process::id(), "RssAnon");
    report.row(
        "that do not end in their typed error",
        wrong.len() as f64,
        "",
        Goal::AtMost(0.0),
        &wrong.join("; "),
    );
    let note = format!("{before:.1} MB before, {after:.1} MB after");
    report.row("memory left behind", after - before, "MB", Goal::AtMost(MEMORY_GOAL_MB), &note);
    deadlines(report, &suite).await;
    meanwhile(report, &suite, alone).await;
}

/// How late those end that do not end by themselves.
async fn deadlines(report: &mut Report, suite: &Suite) {
    let (mut worst, mut whose, mut count) = (0.0, "", 0);
    for hostile in &suite.hostile {
        let limit = match (hostile.act, hostile.end) {
            (Act::Load, _) => continue,
            (_, End::Processor) => CPU,
            (_, End::Clock) => WALL,
            _ => continue,
        };
        count += 1;
        let mut late = f64::INFINITY;
        for _ in 0..ATTEMPTS {
            let started = Instant::now();
            provoke(&suite.plugins, hostile).await;
            late = f64::min(late, milliseconds(started.elapsed().saturating_sub(limit)));
        }
        if late > worst {
            (worst, whose) = (late, hostile.does);
        }
    }
    let note = format!("best of {ATTEMPTS} each; it {whose}");
    report.row(
        &format!("latest end after a deadline, of {count}"),
        worst,
        "ms",
        Goal::AtMost(LATE_GOAL_MS),
        &note,
    );
}

/// Another plugin's calls while one hostile component after the other is called.
async fn meanwhile(report: &mut Report, suite: &Suite, alone: Percentiles) {
    let working = tokio::spawn(neighbour(suite.plugins.clone()));
    let mut attackers = suite.hostile.iter().filter(|hostile| hostile.act != Act::Load).cycle();
    while let (false, Some(hostile)) = (working.is_finished(), attackers.next()) {
        provoke(&suite.plugins, hostile).await;
    }
    let attacked = working.await.unwrap();
    for (name, took) in [("a neighbour's call alone", alone), ("  and during the attack", attacked)] {
        let note = format!("p50 {:.0} µs, n {ROUNDS}", microseconds(took.p50));
        report.row(&format!("{name} (p99)"), microseconds(took.p99), "µs", Goal::None, &note);
    }
    let times = microseconds(attacked.p99) / microseconds(alone.p99);
    report.row("  its p99 in those alone", times, "×", Goal::AtMost(SLOWER_GOAL), "");
}

async fn neighbour(plugins: Plugins) -> Percentiles {
    measure::strategy_decide(&plugins, NEIGHBOUR, ROUNDS).await.unwrap()
}
