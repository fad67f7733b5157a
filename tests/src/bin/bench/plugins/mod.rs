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

async fn simulation(report: &mut Report) {
    report.section("Simulated worlds of `standard`, each step a fresh instance");
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path());
    // As the command has it.
    settings.limits.cpu_per_minute = Duration::MAX;
    settings.limits.wall_per_minute = Duration::MAX;
    let plugins = Plugins::start(settings).await.unwrap();
    let started = Instant::now();
    let simulated = plugins.strategy_simulate("standard", Simulation::new().worlds(WORLDS)).await.unwrap();
    let took = started.elapsed();
    assert!(simulated.broken.is_none(), "{simulated}");
    report.row(&format!("{WORLDS} worlds"), took.as_secs_f64(), "s", Goal::None, &simulated.to_string());
    report.row("worlds per second", WORLDS as f64 / took.as_secs_f64(), "1/s", Goal::None, "");
}
