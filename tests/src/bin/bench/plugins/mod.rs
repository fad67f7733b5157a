//! What the boundary costs: fresh instances beside raw wasmtime and extism, starts, simulations, and attacks.

mod attack;
mod calls;

use std::time::{Duration, Instant};

use windlass::plugins::{Plugins, Settings};
use windlass_sdk::testkit::Simulation;

use crate::report::{Goal, Report, milliseconds};

const MAPPINGS: usize = 20;
const MAPPING_GOAL_MS: f64 = 10.0;
const WORLDS: u64 = 100_000;

pub async fn all(report: &mut Report) {
    calls::all(report).await;
    mapping(report).await;
    simulation(report).await;
    attack::all(report).await;
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// From files and cache to a table of plugins that can be called.
async fn mapping(report: &mut Report) {
    report.section("Built-in components, mapped from the cache");
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new(folder.path());
    let plugins = Plugins::start(settings.clone()).await.unwrap();
    let mut took = Vec::new();
    for _ in 0..MAPPINGS {
        let started = Instant::now();
        plugins.reload(settings.clone()).await.unwrap();
        took.push(milliseconds(started.elapsed()));
    }
    let name = format!("all {} together", plugins.list().len());
    report.spread(&name, &took, "ms", Goal::AtMost(MAPPING_GOAL_MS));
}

/// What the built-in strategies promise, each with its defaults; their own tests go through fewer worlds.
fn promises() -> [(&'static str, Simulation); 4] {
    let worlds = || Simulation::new().worlds(WORLDS);
    [
        ("standard", worlds()),
        ("blue-green", worlds().judges_errors().shares_rise().keeps_the_old_copy_for(300_000)),
        ("rolling", worlds().shares_rise().misses_at_most(0)),
        ("canary", worlds().shares_rise().judges_errors().judges_latency().keeps_the_old_copy_for(300_000)),
    ]
}

async fn simulation(report: &mut Report) {
    report.section(&format!("{WORLDS} simulated worlds of each strategy, each step a fresh instance"));
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path());
    // As the command has it.
    settings.limits.cpu_per_minute = Duration::MAX;
    settings.limits.wall_per_minute = Duration::MAX;
    let plugins = Plugins::start(settings).await.unwrap();
    for (name, simulation) in promises() {
        let started = Instant::now();
        let simulated = plugins.strategy_simulate(name, simulation).await.unwrap();
        let took = started.elapsed();
        assert!(simulated.broken.is_none(), "{name}: {simulated}");
        report.row(name, took.as_secs_f64(), "s", Goal::None, &simulated.to_string());
    }
}
