//! How fast the boundary is; called by the benchmarks.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Plugins, Target};
use crate::domain::Id;
use crate::domain::notification::Notification;
use crate::domain::rollout::{Instance, InstanceState, ReleaseFacts, Situation, StackFacts, Weight};
use crate::domain::stack::RunSpec;
use crate::error::Result;

/// Durations of calls, each with a fresh instance, waiting included.
#[derive(Debug, Clone, Copy)]
pub struct Percentiles {
    pub p50: Duration,
    pub p99: Duration,
}

/// Times `rounds` calls of the strategy's `decide` on a small fleet.
pub async fn strategy_decide(plugins: &Plugins, name: &str, rounds: usize) -> Result<Percentiles> {
    let situation = small_situation();
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        plugins.strategy_decide(name, Vec::new(), &situation).await?;
        took.push(started.elapsed());
    }
    Ok(percentiles(took))
}

/// Times `rounds` calls of the forge's `parse-webhook` on one delivery.
pub async fn forge_parse(
    plugins: &Plugins,
    name: &str,
    headers: &[(String, String)],
    body: &Bytes,
    rounds: usize,
) -> Result<Percentiles> {
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        plugins.forge_parse(name, headers.to_vec(), body.clone()).await?;
        took.push(started.elapsed());
    }
    Ok(percentiles(took))
}

/// Times `rounds` calls of the notifier's `render` on one event.
pub async fn notifier_render(
    plugins: &Plugins,
    name: &str,
    target: &Target,
    event: &Notification,
    rounds: usize,
) -> Result<Percentiles> {
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        plugins.notifier_render(name, target, event).await?;
        took.push(started.elapsed());
    }
    Ok(percentiles(took))
}

fn percentiles(mut took: Vec<Duration>) -> Percentiles {
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    Percentiles { p50: at(50), p99: at(99) }
}

/// A rollout that has just begun: one release serves, another is starting.
fn small_situation() -> Situation {
    let release = |id: &str| ReleaseFacts {
        id: Id::from_text(id),
        image: format!("shop@sha256:{}", "0".repeat(64)),
        commit: "0".repeat(40),
        created: 1,
    };
    let instance = |release: &str, state| Instance {
        release: Id::from_text(release),
        id: format!("{release}-1"),
        state,
        since: 1_000,
        restarts: 0,
        reason: String::new(),
    };
    Situation {
        stack: StackFacts {
            name: "shop".into(),
            run: RunSpec::default(),
            health_timeout_ms: 60_000,
            rollback_on_failure: true,
            can_split: false,
        },
        target: release("new"),
        stable: Some(release("old")),
        params: "{}".into(),
        now: 2_000,
        started: 1_000,
        step_started: 1_000,
        fleet: vec![instance("old", InstanceState::Healthy), instance("new", InstanceState::Starting)],
        traffic: vec![Weight { release: Id::from_text("old"), percent: 100 }],
        samples: Vec::new(),
        approval: None,
        abort_requested: false,
    }
}
