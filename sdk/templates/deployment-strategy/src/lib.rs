//! A deployment strategy: starts the new release beside the old one, watches it for a while, switches over, and goes back
//! if anything is wrong.
//!
//! It is a function from memory and situation to memory and actions. The host asks again whenever something happened,
//! and may have died in between, so each call orders what is still missing and looks before it believes.

use serde::{Deserialize, Serialize};
use windlass_sdk::params::{self, Param};
use windlass_sdk::strategy::{self, Action, InstanceState, Outcome, Situation, Stack, Step, Strategy};
use windlass_sdk::{Failure, Manifest, Problem};

const PARAMS: &[Param] = &[Param::integer(
    "watch_ms",
    0,
    0..=60_000,
    "How long the new release has to be healthy before it gets the requests, in milliseconds",
)];
/// What starting may take beyond the stack's own health timeout.
const GRACE_MS: u64 = 5_000;

pub struct Plugin;

#[derive(Default, Serialize, Deserialize)]
struct Memory {
    /// When the present attempt began: bringing the new release up, or bringing the old one back.
    since: Option<u64>,
    /// Why the new release is given up.
    trouble: Option<String>,
    progress: u8,
}

impl Strategy for Plugin {
    fn describe() -> Manifest {
        Manifest::new("{{name}}", env!("CARGO_PKG_VERSION"), "Watches a new release before it gets the requests")
            .settings_schema(params::schema(PARAMS))
    }

    fn validate(params: &str, _stack: &Stack) -> Vec<Problem> {
        params::read(PARAMS, params).err().unwrap_or_default()
    }

    fn decide(memory: &[u8], situation: Situation) -> Result<Step, Failure> {
        let values = params::read(PARAMS, &situation.params)
            .map_err(|_| Failure::permanent("invalid-parameters", "The parameters are not valid."))?;
        let mut memory: Memory = strategy::recall(memory)?;
        let view = View::of(&situation);
        if memory.trouble.is_none() {
            memory.trouble = view.trouble(*memory.since.get_or_insert(situation.now));
            if memory.trouble.is_some() {
                memory.since = Some(situation.now);
            }
        }
        let since = memory.since.unwrap_or(situation.now);
        let turn = match memory.trouble.clone() {
            None => view.forward(values.integer("watch_ms")),
            Some(reason) => view.back(reason, since),
        };
        // Progress never falls, whatever becomes of the instances.
        memory.progress = memory.progress.max(turn.progress);
        Ok(Step {
            label: turn.label,
            progress: memory.progress,
            actions: turn.actions,
            wake_after: Some(1_000),
            memory: strategy::remember(&memory)?,
        })
    }
}

windlass_sdk::export_strategy!(Plugin);

/// What one call comes to.
struct Turn {
    label: String,
    progress: u8,
    actions: Vec<Action>,
}

fn turn(label: impl Into<String>, progress: u8, actions: Vec<Action>) -> Turn {
    Turn { label: label.into(), progress, actions }
}

/// The situation, and what follows from it.
struct View<'a> {
    situation: &'a Situation,
    target: &'a str,
    /// The release that served before, unless it is the very one that is deployed again.
    old: Option<&'a str>,
    fixed_port: bool,
    /// Both releases would write to one volume, so the old one has to go before the new one starts.
    alone: bool,
}

impl<'a> View<'a> {
    fn of(situation: &'a Situation) -> Self {
        let target = situation.target.id.as_str();
        let old = situation.stable.as_ref().map(|stable| stable.id.as_str()).filter(|id| *id != target);
        let shares_volume = situation.stack.volumes.iter().any(|volume| !volume.read_only);
        let fixed_port = situation.stack.ports.iter().any(|port| port.host.is_some());
        Self { situation, target, old, fixed_port, alone: old.is_some() && shares_volume }
    }

    fn live(&self, release: &str) -> u32 {
        let running = self.situation.instances_of(release).filter(|one| one.state != InstanceState::Exited);
        running.count() as u32
    }

    fn healthy(&self, release: &str) -> u32 {
        let healthy = self.situation.instances_of(release).filter(|one| one.state == InstanceState::Healthy);
        healthy.count() as u32
    }

    fn serves(&self, release: &str) -> bool {
        self.healthy(release) > 0 && self.situation.share_of(release) == 100
    }

    /// How long an attempt may take.
    fn patience(&self) -> u64 {
        self.situation.stack.health_timeout_ms + GRACE_MS
    }

    /// Why the new release will not do.
    fn trouble(&self, since: u64) -> Option<String> {
        if self.situation.abort_requested {
            return Some("somebody aborted it".to_owned());
        }
        let is_lost = |state: &InstanceState| matches!(state, InstanceState::Unhealthy | InstanceState::Exited);
        // Deployed again, it may be ill already; and while a fixed port changes hands, the trial instance ends.
        let is_judged = self.old.is_some() && !(self.fixed_port && self.situation.share_of(self.target) > 0);
        let mut fleet = self.situation.instances_of(self.target);
        if is_judged && fleet.any(|one| is_lost(&one.state) && one.since >= since || one.restarts >= 3) {
            return Some("an instance of the new release failed".to_owned());
        }
        let late = self.situation.now >= since + 2 * self.patience();
        late.then(|| "the new release did not become healthy in time".to_owned())
    }

    fn forward(&self, watch_ms: u64) -> Turn {
        let (target, replicas) = (self.target, self.situation.stack.replicas);
        if let Some(old) = self.old.filter(|old| self.alone && self.live(old) > 0) {
            return turn("Stopping the old release, which uses the same volume", 10, vec![Action::scale(old, 0)]);
        }
        if self.serves(target) {
            let mut actions = Vec::new();
            actions.extend(self.old.map(|old| Action::scale(old, 0)));
            actions.push(Action::Finish(Outcome::Succeeded));
            return turn("The new release serves", 100, actions);
        }
        let switching = self.situation.share_of(target) > 0;
        if self.live(target) < replicas && !(switching && self.fixed_port) {
            return turn("Starting the new release", 20, vec![Action::scale(target, replicas)]);
        }
        let now = self.situation.now;
        let is_proven = |one: &&strategy::Instance| {
            one.state == InstanceState::Healthy && now >= one.since + watch_ms
        };
        let proven = self.situation.instances_of(target).filter(is_proven).count() as u32;
        if proven >= replicas && !switching {
            return turn("Sending the requests to the new release", 80, vec![Action::route_all(target)]);
        }
        turn(format!("Watching the new release: {proven} of {replicas} instances are good"), 50, Vec::new())
    }

    fn back(&self, reason: String, since: u64) -> Turn {
        let rolls_back = self.situation.stack.rollback_on_failure;
        let Some(old) = self.old.filter(|_| rolls_back) else {
            let idle = self.old.is_some() && self.situation.share_of(self.target) == 0;
            let mut actions = Vec::new();
            actions.extend(idle.then(|| Action::scale(self.target, 0)));
            actions.push(Action::Finish(Outcome::Failed(reason)));
            return turn("The rollout failed", 100, actions);
        };
        if self.serves(old) {
            let actions = vec![Action::scale(self.target, 0), Action::Finish(Outcome::RolledBack(reason))];
            return turn("The old release serves again", 100, actions);
        }
        if self.situation.now >= since + 2 * self.patience() {
            let reason = format!("{reason}; and the old release did not come back");
            return turn("The rollout failed", 100, vec![Action::Finish(Outcome::Failed(reason))]);
        }
        if self.alone && self.live(self.target) > 0 {
            return turn("Removing the new release", 90, vec![Action::scale(self.target, 0)]);
        }
        let mut actions = Vec::new();
        // The instance that held a fixed port is kept, and started again by routing to it.
        let is_kept = self.fixed_port && self.situation.instances_of(old).next().is_some();
        if self.live(old) < self.situation.stack.replicas && !is_kept {
            actions.push(Action::scale(old, self.situation.stack.replicas));
        }
        if self.healthy(old) > 0 || is_kept && (self.live(old) == 0 || self.situation.share_of(old) < 100) {
            actions.push(Action::route_all(old));
        }
        turn("Bringing the old release back", 90, actions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_sdk::testkit::Simulation;

    #[test]
    fn it_keeps_its_promises_in_every_world() {
        Simulation::new().run::<Plugin>().expect_good();
    }

    #[test]
    fn watching_breaks_no_promise() {
        Simulation::new().params(r#"{"watch_ms": 3000}"#).run::<Plugin>().expect_good();
    }
}
