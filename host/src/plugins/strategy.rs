//! The adapter for deployment strategies.

use super::Plugins;
use super::bindings::base::windlass::types::types::Failure;
use super::bindings::strategy::exports::windlass::deployment_strategy::strategy as wit;
use super::call::{CallError, nonsense};
use super::planner::problems_from;
use super::tape::Function;
use super::text::{self, MESSAGE_BYTES};
use crate::domain::plugin::{Ability, PluginKind, Problem};
use crate::domain::rollout::{
    Action, Instance, InstanceState, Outcome, ReleaseFacts, Sample, Situation, StackFacts, Step, Weight,
};
use crate::domain::{Id, UnixMs};
use crate::error::Result;

const MEMORY_BYTES: usize = 64 << 10;
const ACTIONS: usize = 64;
const WEIGHTS: usize = 64;

pub(super) const VALIDATE: Function =
    Function { interface: "windlass:deployment-strategy/strategy@0.1.0", name: "validate" };
pub(super) const DECIDE: Function = Function { name: "decide", ..VALIDATE };
pub(super) const LONGEST_WAIT: Function =
    Function { interface: "windlass:deployment-strategy/timing@0.1.0", name: "longest-wait" };
/// A month. A rollout that waits longer is none.
const LONGEST_MS: u64 = 31 * 86_400_000;

impl Plugins {
    /// What is wrong with a strategy's parameters, for this stack.
    pub async fn strategy_validate(
        &self,
        name: &str,
        params_json: &str,
        stack: &StackFacts,
    ) -> Result<Vec<Problem>> {
        let plugin = self.find(name, PluginKind::DeploymentStrategy, VALIDATE.name)?;
        let params = (params_json.to_owned(), stack_to(stack));
        let read = |found| Ok(problems_from(found));
        let problems = self.runtime().invoke(plugin.callee(), VALIDATE, params, read).await?;
        // The plugin's own words are better; its schema is the net below.
        match serde_json::from_str(params_json) {
            Ok(params) if problems.is_empty() => Ok(plugin.schema.problems(&params)),
            _ => Ok(problems),
        }
    }

    /// How long a rollout with these parameters may take beyond what every rollout is granted, in milliseconds and at most
    /// a month; 0 for a strategy that does not say.
    pub async fn strategy_longest_wait(
        &self,
        name: &str,
        params_json: &str,
        stack: &StackFacts,
    ) -> Result<UnixMs> {
        let plugin = self.find(name, PluginKind::DeploymentStrategy, LONGEST_WAIT.name)?;
        if !plugin.info.abilities.contains(&Ability::Timing) {
            return Ok(0);
        }
        let params = (params_json.to_owned(), stack.run.replicas, ms(stack.health_timeout_ms));
        let read = |wait: u64| Ok(wait.min(LONGEST_MS).cast_signed());
        self.runtime().invoke(plugin.callee(), LONGEST_WAIT, params, read).await
    }

    /// The strategy's next step.
    pub async fn strategy_decide(&self, name: &str, memory: Vec<u8>, situation: &Situation) -> Result<Step> {
        let plugin = self.find(name, PluginKind::DeploymentStrategy, DECIDE.name)?;
        let params = (memory, situation_to(situation));
        let read = |answer: Result<wit::Step, Failure>| step_from(answer?);
        self.runtime().invoke(plugin.callee(), DECIDE, params, read).await
    }
}

/// Points in time before 1970 do not occur; the contract has no way to write them.
fn ms(at: UnixMs) -> u64 {
    u64::try_from(at).unwrap_or(0)
}

fn release_to(release: &ReleaseFacts) -> wit::Release {
    wit::Release {
        id: release.id.as_str().to_owned(),
        image: release.image.clone(),
        commit: release.commit.clone(),
        created: ms(release.created),
        extras: Vec::new(),
    }
}

pub(super) fn stack_to(stack: &StackFacts) -> wit::Stack {
    let run = &stack.run;
    wit::Stack {
        name: stack.name.clone(),
        replicas: run.replicas,
        ports: run
            .ports
            .iter()
            .map(|port| wit::Port { container: port.container, host: port.host })
            .collect(),
        volumes: run
            .volumes
            .iter()
            .map(|volume| wit::Volume {
                name: volume.name.clone(),
                path: volume.path.clone(),
                read_only: volume.read_only,
            })
            .collect(),
        health_timeout_ms: ms(stack.health_timeout_ms),
        rollback_on_failure: stack.rollback_on_failure,
        extras: [
            ("allow-downtime", run.allows_downtime()),
            ("split", stack.can_split),
            ("ask", true),
            ("preview", stack.can_preview),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .into_iter()
        .chain(run.exclusive.clone().map(|why| ("exclusive".to_owned(), why)))
        .collect(),
    }
}

pub(super) fn situation_to(situation: &Situation) -> wit::Situation {
    wit::Situation {
        stack: stack_to(&situation.stack),
        target: release_to(&situation.target),
        stable: situation.stable.as_ref().map(release_to),
        params: situation.params.clone(),
        now: ms(situation.now),
        started: ms(situation.started),
        step_started: ms(situation.step_started),
        fleet: situation.fleet.iter().map(instance_to).collect(),
        traffic: situation
            .traffic
            .iter()
            .map(|weight| wit::Weight {
                release: weight.release.as_str().to_owned(),
                percent: weight.percent,
            })
            .collect(),
        samples: situation.samples.iter().map(sample_to).collect(),
        approval: situation.approval.as_ref().map(|decision| wit::Decision {
            approved: decision.approved,
            by: decision.by.clone(),
            at: ms(decision.at),
        }),
        abort_requested: situation.abort_requested,
    }
}

fn sample_to(sample: &Sample) -> wit::Sample {
    wit::Sample {
        release: sample.release.as_str().to_owned(),
        requests: sample.requests,
        errors_5xx: sample.errors_5xx,
        p50_ms: sample.p50_ms,
        p95_ms: sample.p95_ms,
        p99_ms: sample.p99_ms,
    }
}

fn instance_to(instance: &Instance) -> wit::Instance {
    wit::Instance {
        release: instance.release.as_str().to_owned(),
        id: instance.id.clone(),
        state: match instance.state {
            InstanceState::Starting => wit::InstanceState::Starting,
            InstanceState::Healthy => wit::InstanceState::Healthy,
            InstanceState::Unhealthy => wit::InstanceState::Unhealthy,
            InstanceState::Exited => wit::InstanceState::Exited,
        },
        since: ms(instance.since),
        restarts: instance.restarts,
        reason: instance.reason.clone(),
    }
}

fn step_from(step: wit::Step) -> Result<Step, CallError> {
    if step.memory.len() > MEMORY_BYTES {
        return Err(nonsense(format!("a memory of {} bytes (at most {MEMORY_BYTES})", step.memory.len())));
    }
    if step.actions.len() > ACTIONS {
        return Err(nonsense(format!("a step of {} actions (at most {ACTIONS})", step.actions.len())));
    }
    if step.progress > 100 {
        return Err(nonsense(format!("a progress of {} (at most 100)", step.progress)));
    }
    Ok(Step {
        memory: step.memory,
        label: text::line(&step.label, MESSAGE_BYTES),
        progress: step.progress,
        actions: step.actions.into_iter().map(action_from).collect::<Result<_, _>>()?,
        wake_after: step.wake_after,
    })
}

fn action_from(action: wit::Action) -> Result<Action, CallError> {
    Ok(match action {
        wit::Action::Scale(scale) => {
            Action::Scale { release: release_id(scale.release)?, count: scale.count }
        }
        wit::Action::Route(weights) => {
            if weights.len() > WEIGHTS {
                return Err(nonsense(format!("a route of {} weights (at most {WEIGHTS})", weights.len())));
            }
            let weights = weights
                .into_iter()
                .map(|weight| Ok(Weight { release: release_id(weight.release)?, percent: weight.percent }))
                .collect::<Result<_, CallError>>()?;
            Action::Route { weights }
        }
        wit::Action::Drain(release) => Action::Drain { release: release_id(release)? },
        wit::Action::Probe(release) => Action::Probe { release: release_id(release)? },
        wit::Action::Ask(prompt) => Action::Ask { prompt: text::line(&prompt, MESSAGE_BYTES) },
        wit::Action::Finish(outcome) => Action::Finish { outcome: outcome_from(outcome)? },
        wit::Action::Other(name) => Action::Other { name: text::line(&name, MESSAGE_BYTES) },
    })
}

/// An outcome nobody knows cannot end a rollout; as nonsense it takes the stack back to what served.
fn outcome_from(outcome: wit::Outcome) -> Result<Outcome, CallError> {
    match outcome {
        wit::Outcome::Succeeded => Ok(Outcome::Succeeded),
        wit::Outcome::RolledBack(reason) => Ok(Outcome::RolledBack(text::line(&reason, MESSAGE_BYTES))),
        wit::Outcome::Failed(reason) => Ok(Outcome::Failed(text::line(&reason, MESSAGE_BYTES))),
        wit::Outcome::Other(name) => {
            Err(nonsense(format!("the outcome `{}`, which this host does not know", text::line(&name, 128))))
        }
    }
}

/// Whether the release exists is for the rails to say; here it only has to be a possible id.
fn release_id(id: String) -> Result<Id, CallError> {
    if id.is_empty() || id.len() > 128 || id.chars().any(char::is_control) {
        return Err(nonsense(format!("`{}` as a release", text::line(&id, 128))));
    }
    Ok(Id::from_text(id))
}
