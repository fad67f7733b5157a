//! Rules for deployment strategies.

use std::time::Duration;

use windlass_sdk::testkit::Simulation;

use super::{Rule, all, crash, same};
use crate::domain::rollout::{Instance, InstanceState, ReleaseFacts, Situation, StackFacts, Weight};
use crate::domain::stack::RunSpec;
use crate::domain::{Id, UnixMs};
use crate::plugins::Plugins;

/// Enough to meet each kind of trouble many times, and done in about a second.
const WORLDS: u64 = 2_000;
/// A strategy in Python goes through a few worlds a second; for those it is as many as fit into this.
const PATIENCE: Duration = Duration::from_secs(20);
const NOW: UnixMs = 1_000_000;

pub(super) fn check<'a>(plugins: &'a Plugins, name: &'a str) -> Vec<Rule<'a>> {
    vec![
        Rule::new(
            "strategy-survives-garbage",
            "parameters and memory that make no sense lead to problems or a failure, never to a trap or a time-out",
            survives_garbage(plugins, name),
        ),
        Rule::new(
            "strategy-is-pure",
            "decide answers the same when it is asked the same",
            is_pure(plugins, name),
        ),
        Rule::new(
            "strategy-keeps-its-promises",
            "in each of many simulated worlds every rule of the simulator holds",
            simulated(plugins, name),
        ),
    ]
}

async fn survives_garbage(plugins: &Plugins, name: &str) -> Result<String, String> {
    let deep = "[".repeat(10_000);
    let mut results = Vec::new();
    for params in ["", "{", "null", "[]", "\"text\"", "{\"unknown\":{}}", deep.as_str()] {
        let answer = plugins.strategy_validate(name, params, &situation().stack).await;
        let shown: String = params.chars().take(20).collect();
        results.push(
            crash(&answer).map_or(Ok(()), |why| Err(format!("validate of parameters `{shown}`: {why}"))),
        );
    }
    for memory in [&b"{"[..], b"\xff\xfe\0", b"null", &[b'['; 20_000]] {
        let answer = plugins.strategy_decide(name, memory.to_vec(), &situation()).await;
        results.push(
            crash(&answer)
                .map_or(Ok(()), |why| Err(format!("decide with a memory that is not its own: {why}"))),
        );
    }
    all(results)
}

async fn is_pure(plugins: &Plugins, name: &str) -> Result<String, String> {
    let first = plugins.strategy_decide(name, Vec::new(), &situation()).await;
    let second = plugins.strategy_decide(name, Vec::new(), &situation()).await;
    same("decide", &first, &second).map(|()| "asked twice".to_owned())
}

async fn simulated(plugins: &Plugins, name: &str) -> Result<String, String> {
    let report = plugins
        .strategy_simulate(name, Simulation::new().worlds(WORLDS).within(PATIENCE))
        .await
        .map_err(|error| error.to_string())?;
    match &report.broken {
        Some(broken) => Err(broken.to_string()),
        None if report.refused == report.worlds => {
            Err("it refuses to work without parameters in every world; give each parameter a default"
                .to_owned())
        }
        None => Ok(report.to_string()),
    }
}

/// A rollout that has just begun.
pub(in crate::plugins) fn situation() -> Situation {
    let release = |id: &str| ReleaseFacts {
        id: Id::from_text(id),
        image: format!("app@sha256:{}", "0".repeat(64)),
        commit: "0".repeat(40),
        created: 1,
    };
    let instance = |release: &str, state| Instance {
        release: Id::from_text(release),
        id: format!("{release}-1"),
        state,
        since: NOW,
        restarts: 0,
        reason: String::new(),
    };
    Situation {
        stack: StackFacts {
            name: "app".into(),
            run: RunSpec::default(),
            health_timeout_ms: 60_000,
            rollback_on_failure: true,
            can_split: false,
            can_preview: false,
        },
        target: release("new"),
        stable: Some(release("old")),
        params: "{}".into(),
        now: NOW,
        started: NOW,
        step_started: NOW,
        fleet: vec![instance("old", InstanceState::Healthy), instance("new", InstanceState::Starting)],
        traffic: vec![Weight { release: Id::from_text("old"), percent: 100 }],
        samples: Vec::new(),
        approval: None,
        abort_requested: false,
    }
}
