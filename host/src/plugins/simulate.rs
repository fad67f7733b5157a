//! A strategy's component in the worlds of the SDK's test kit: the same worlds and rules that its author has.

use std::sync::Arc;

use windlass_sdk::strategy as kit;
use windlass_sdk::testkit::{Forecast, Outlook, Report, Simulation, Subject, forecast};

use super::Plugins;
use super::bindings::strategy::StrategyPre;
use super::bindings::strategy::exports::windlass::deployment_strategy::strategy as wit;
use super::call::{Callee, Runtime};
use super::recorder::Occasion;
use super::strategy::{DECIDE, LONGEST_WAIT, VALIDATE, stack_to as facts_to};
use crate::domain::plugin::{Ability, PluginKind};
use crate::domain::rollout::StackFacts;
use crate::error::{Error, Result};

impl Plugins {
    /// Runs `decide` in many worlds, on all processors, as far as so many calls may run at once.
    pub async fn strategy_simulate(&self, name: &str, simulation: Simulation) -> Result<Report> {
        let guest = self.guest(name, "simulate")?;
        let simulation = simulation.at_most_threads(self.runtime().limits.concurrent_calls as usize);
        tokio::task::spawn_blocking(move || simulation.run_subject(&guest))
            .await
            .map_err(|error| Error::internal(format!("the simulation broke off: {error}")))
    }

    /// Asks the strategy through a rollout of the stack in which nothing goes wrong. The inner error says why it does not
    /// come to its end.
    pub async fn strategy_forecast(
        &self,
        name: &str,
        params: &str,
        stack: &StackFacts,
        outlook: Outlook,
    ) -> Result<std::result::Result<Forecast, String>> {
        let guest = self.guest(name, "forecast")?;
        let (stack, params) = (stack_from(facts_to(stack)), params.to_owned());
        tokio::task::spawn_blocking(move || forecast(&guest, &stack, &params, &outlook))
            .await
            .map_err(|error| Error::internal(format!("the forecast broke off: {error}")))
    }

    fn guest(&self, name: &str, purpose: &'static str) -> Result<Guest> {
        let plugin = self.find(name, PluginKind::DeploymentStrategy, purpose)?;
        Ok(Guest {
            runtime: self.runtime().clone(),
            callee: plugin.callee(),
            is_timed: plugin.info.abilities.contains(&Ability::Timing),
        })
    }
}

struct Guest {
    runtime: Arc<Runtime>,
    callee: Callee,
    /// It says how long it waits.
    is_timed: bool,
}

impl Subject for Guest {
    fn validate(&self, params: &str, stack: &kit::Stack) -> Result<Vec<windlass_sdk::Problem>, String> {
        let stack = stack_to(stack);
        let problems =
            self.runtime.call_blocking(&self.callee, VALIDATE, Occasion::Unrecorded, |store, pre| {
                let strategy = StrategyPre::new(pre.clone())?.instantiate(&mut *store)?;
                let guest = strategy.windlass_deployment_strategy_strategy();
                Ok(guest.call_validate(store, params, &stack)?)
            });
        let problems = problems.map_err(|error| error.to_string())?.into_iter();
        Ok(problems.map(|problem| windlass_sdk::Problem::at(problem.path, problem.message)).collect())
    }

    fn decide(&self, memory: &[u8], situation: &kit::Situation) -> Result<kit::Step, String> {
        let situation = situation_to(situation);
        let step = self.runtime.call_blocking(&self.callee, DECIDE, Occasion::Unrecorded, |store, pre| {
            let strategy = StrategyPre::new(pre.clone())?.instantiate(&mut *store)?;
            let guest = strategy.windlass_deployment_strategy_strategy();
            Ok(guest.call_decide(store, memory, &situation)??)
        });
        step.map(step_from).map_err(|error| error.to_string())
    }

    fn longest_wait(&self, params: &str, stack: &kit::Stack) -> Result<u64, String> {
        if !self.is_timed {
            return Ok(0);
        }
        let params = (params.to_owned(), stack.replicas, stack.health_timeout_ms);
        self.runtime
            .call_blocking(&self.callee, LONGEST_WAIT, Occasion::Unrecorded, |store, pre| {
                Ok(LONGEST_WAIT.run(store, pre, params)?)
            })
            .map_err(|error| error.to_string())
    }
}

fn release_to(release: &kit::Release) -> wit::Release {
    wit::Release {
        id: release.id.clone(),
        image: release.image.clone(),
        commit: release.commit.clone(),
        created: release.created,
        extras: release.extras.clone(),
    }
}

fn stack_from(stack: wit::Stack) -> kit::Stack {
    let ports = stack.ports.into_iter().map(|port| kit::Port { container: port.container, host: port.host });
    let volumes = stack.volumes.into_iter().map(|volume| kit::Volume {
        name: volume.name,
        path: volume.path,
        read_only: volume.read_only,
    });
    kit::Stack {
        name: stack.name,
        replicas: stack.replicas,
        ports: ports.collect(),
        volumes: volumes.collect(),
        health_timeout_ms: stack.health_timeout_ms,
        rollback_on_failure: stack.rollback_on_failure,
        extras: stack.extras,
    }
}

fn stack_to(stack: &kit::Stack) -> wit::Stack {
    let ports = stack.ports.iter().map(|port| wit::Port { container: port.container, host: port.host });
    let volumes = stack.volumes.iter().map(|volume| wit::Volume {
        name: volume.name.clone(),
        path: volume.path.clone(),
        read_only: volume.read_only,
    });
    wit::Stack {
        name: stack.name.clone(),
        replicas: stack.replicas,
        ports: ports.collect(),
        volumes: volumes.collect(),
        health_timeout_ms: stack.health_timeout_ms,
        rollback_on_failure: stack.rollback_on_failure,
        extras: stack.extras.clone(),
    }
}

fn situation_to(situation: &kit::Situation) -> wit::Situation {
    let weight_to =
        |weight: &kit::Weight| wit::Weight { release: weight.release.clone(), percent: weight.percent };
    let sample_to = |sample: &kit::Sample| wit::Sample {
        release: sample.release.clone(),
        requests: sample.requests,
        errors_5xx: sample.errors_5xx,
        p50_ms: sample.p50_ms,
        p95_ms: sample.p95_ms,
        p99_ms: sample.p99_ms,
    };
    let decision_to = |decision: &kit::Decision| wit::Decision {
        approved: decision.approved,
        by: decision.by.clone(),
        at: decision.at,
    };
    wit::Situation {
        stack: stack_to(&situation.stack),
        target: release_to(&situation.target),
        stable: situation.stable.as_ref().map(release_to),
        params: situation.params.clone(),
        now: situation.now,
        started: situation.started,
        step_started: situation.step_started,
        fleet: situation.fleet.iter().map(instance_to).collect(),
        traffic: situation.traffic.iter().map(weight_to).collect(),
        samples: situation.samples.iter().map(sample_to).collect(),
        approval: situation.approval.as_ref().map(decision_to),
        abort_requested: situation.abort_requested,
    }
}

fn instance_to(instance: &kit::Instance) -> wit::Instance {
    wit::Instance {
        release: instance.release.clone(),
        id: instance.id.clone(),
        state: match &instance.state {
            kit::InstanceState::Starting => wit::InstanceState::Starting,
            kit::InstanceState::Healthy => wit::InstanceState::Healthy,
            kit::InstanceState::Unhealthy => wit::InstanceState::Unhealthy,
            kit::InstanceState::Exited => wit::InstanceState::Exited,
            kit::InstanceState::Other(name) => wit::InstanceState::Other(name.clone()),
        },
        since: instance.since,
        restarts: instance.restarts,
        reason: instance.reason.clone(),
    }
}

/// As the guest wrote it: what is wrong with it is for the rules to say.
fn step_from(step: wit::Step) -> kit::Step {
    kit::Step {
        memory: step.memory,
        label: step.label,
        progress: step.progress,
        actions: step.actions.into_iter().map(action_from).collect(),
        wake_after: step.wake_after,
    }
}

fn action_from(action: wit::Action) -> kit::Action {
    match action {
        wit::Action::Scale(scale) => {
            kit::Action::Scale(kit::Scale { release: scale.release, count: scale.count })
        }
        wit::Action::Route(weights) => {
            let weight =
                |weight: wit::Weight| kit::Weight { release: weight.release, percent: weight.percent };
            kit::Action::Route(weights.into_iter().map(weight).collect())
        }
        wit::Action::Drain(release) => kit::Action::Drain(release),
        wit::Action::Probe(release) => kit::Action::Probe(release),
        wit::Action::Ask(prompt) => kit::Action::Ask(prompt),
        wit::Action::Finish(outcome) => kit::Action::Finish(match outcome {
            wit::Outcome::Succeeded => kit::Outcome::Succeeded,
            wit::Outcome::RolledBack(reason) => kit::Outcome::RolledBack(reason),
            wit::Outcome::Failed(reason) => kit::Outcome::Failed(reason),
            wit::Outcome::Other(name) => kit::Outcome::Other(name),
        }),
        wit::Action::Other(name) => kit::Action::Other(name),
    }
}
