//! The state machine.

use serde::{Deserialize, Serialize};
use windlass_sdk::Failure;
use windlass_sdk::strategy::{self, Action, Bake, Baseline, Ending, Fleet, Situation, Step};

use crate::Options;

const ABORTED: &str = "aborted on request";

/// Where the rollout is. It only ever goes forward, in this order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    #[default]
    New,
    /// Only where two releases cannot run side by side.
    StoppingStable,
    StartingTarget,
    /// The requests were sent to the target; waiting until it is seen to serve.
    Switching,
    /// The target serves and is watched; the old copy is ready, where the two can run side by side.
    Baking,
    /// The rollout failed, with the reason; the target has to go before the stable release can start.
    RemovingTarget(String),
    /// The rollout failed, with the reason; waiting until the stable release serves.
    RestoringStable(String),
}

/// How the old release answered; nothing in what a rollout remembered before there was a bake.
type Notes = Option<Baseline>;
type Walk<'a> = strategy::Walk<'a, Phase, Notes>;
type Turn = strategy::Turn<Phase>;

pub fn step(situation: &Situation, options: Options, memory: &[u8]) -> Result<Step, Failure> {
    Walk::step(memory, situation, |walk| options.turn(walk))
}

impl Options {
    /// The old release has to be gone before the new one starts.
    fn excludes_overlap(self, fleet: Fleet<'_>) -> bool {
        fleet.old().is_some() && (self.recreate || fleet.excludes_copies())
    }

    fn turn(self, walk: &mut Walk<'_>) -> Turn {
        let phase = walk.phase();
        let goes_back = matches!(phase, Phase::RemovingTarget(_) | Phase::RestoringStable(_));
        if !goes_back && walk.fleet.situation.abort_requested {
            return self.give_up(walk, ABORTED.to_owned());
        }
        match phase {
            Phase::New if self.excludes_overlap(walk.fleet) => Turn::Enter(Phase::StoppingStable),
            Phase::New => Turn::Enter(Phase::StartingTarget),
            Phase::StoppingStable => self.stop_stable(walk),
            Phase::StartingTarget => self.start_target(walk),
            Phase::Switching => self.switch(walk),
            Phase::Baking => self.bake(walk),
            Phase::RemovingTarget(reason) => remove_target(walk, reason),
            Phase::RestoringStable(reason) => {
                let swaps_port = walk.fleet.has_fixed_port() && !self.excludes_overlap(walk.fleet);
                walk.restore(reason, swaps_port)
            }
        }
    }

    fn stop_stable(self, walk: &mut Walk<'_>) -> Turn {
        let Some(old) = walk.fleet.old().filter(|old| walk.fleet.live(old) > 0) else {
            return Turn::Enter(Phase::StartingTarget);
        };
        if walk.is_late() {
            let reason = format!("the previous release did not stop within {}", walk.patience());
            return self.give_up(walk, reason);
        }
        walk.order(Action::scale(old, 0));
        walk.wait("Stopping the previous release, because the two cannot run side by side", 10)
    }

    fn start_target(self, walk: &mut Walk<'_>) -> Turn {
        if let Some(reason) = walk.target_failure(false) {
            return self.give_up(walk, reason);
        }
        let replicas = walk.fleet.replicas();
        walk.start_target(replicas);
        // Without overlap nothing serves meanwhile: settling is for after the switch.
        let settle = if self.excludes_overlap(walk.fleet) { 0 } else { self.settle_ms };
        self.await_health(walk, replicas, settle, 20).unwrap_or(Turn::Enter(Phase::Switching))
    }

    fn switch(self, walk: &mut Walk<'_>) -> Turn {
        let (fleet, target) = (walk.fleet, walk.fleet.target());
        if let Some(reason) = walk.target_failure(true) {
            return self.give_up(walk, reason);
        }
        let is_routed = fleet.has_all_traffic(target);
        if !is_routed {
            walk.notes.get_or_insert_default().note(fleet);
        }
        if !is_routed && fleet.healthy(target) > 0 {
            walk.order(Action::route_all(target));
        }
        // With a fixed port the host swaps the container that holds it, and there is one.
        let wanted = if fleet.has_fixed_port() { 1 } else { fleet.replicas() };
        if !fleet.has_fixed_port() && fleet.live(target) < wanted {
            walk.order(Action::scale(target, wanted));
        }
        if let Some(turn) = self.await_health(walk, wanted, self.settle_ms, 70) {
            return turn;
        }
        if is_routed {
            return if self.bake_ms > 0 { Turn::Enter(Phase::Baking) } else { succeed(walk) };
        }
        if walk.is_late() {
            let reason =
                format!("the requests could not be sent to the new release within {}", walk.patience());
            return self.give_up(walk, reason);
        }
        walk.wait("Sending the requests to the new release", 70)
    }

    fn bake(self, walk: &mut Walk<'_>) -> Turn {
        let bake = Bake {
            ms: self.bake_ms,
            // The one that held a fixed port waits until it gets it back.
            keeps_old: !self.excludes_overlap(walk.fleet) && !walk.fleet.has_fixed_port(),
            error_points: self.error_points,
            baseline: walk.notes.unwrap_or_default(),
        };
        let back = self.way_back(walk);
        bake.turn(walk, back)
    }

    /// Waits until so many instances of the target are healthy, and have been for so long; `None` if they are.
    fn await_health(self, walk: &mut Walk<'_>, wanted: u32, settle: u64, progress: u8) -> Option<Turn> {
        let now = walk.now();
        let Some(since) = walk.fleet.target_healthy_since(wanted) else {
            let healthy = walk.fleet.healthy(walk.fleet.target());
            if walk.is_late() {
                return Some(self.give_up(walk, walk.too_few_healthy(wanted)));
            }
            // Less than 30 more, since fewer are healthy than wanted.
            let progress = progress + u8::try_from(healthy * 30 / wanted.max(1)).unwrap_or_default();
            let label =
                format!("Waiting until the new release is healthy: {healthy} of {wanted} instances are");
            return Some(walk.wait(label, progress));
        };
        let settled = since.saturating_add(settle);
        if now >= settled {
            return None;
        }
        let last = walk.deadline().saturating_add(settle);
        if now >= last {
            return Some(self.give_up(walk, "the new release did not stay healthy".to_owned()));
        }
        let progress = progress + 30.min(90 - progress);
        Some(walk.wait_until("Watching whether the new release stays healthy", progress, settled.min(last)))
    }

    fn give_up(self, walk: &mut Walk<'_>, reason: String) -> Turn {
        let back = self.way_back(walk);
        walk.give_up(reason, back)
    }

    fn way_back(self, walk: &Walk<'_>) -> fn(String) -> Phase {
        let in_the_way = self.excludes_overlap(walk.fleet) && walk.fleet.live(walk.fleet.target()) > 0;
        if in_the_way { Phase::RemovingTarget } else { Phase::RestoringStable }
    }
}

fn succeed(walk: &mut Walk<'_>) -> Turn {
    if let Some(old) = walk.fleet.old() {
        if walk.fleet.live(old) > 0 {
            walk.order(Action::Drain(old.to_owned()));
        }
        walk.order(Action::scale(old, 0));
    }
    Turn::End(Ending::Succeeded)
}

fn remove_target(walk: &mut Walk<'_>, reason: String) -> Turn {
    let target = walk.fleet.target();
    if walk.fleet.live(target) == 0 {
        return Turn::Enter(Phase::RestoringStable(reason));
    }
    if walk.is_late() {
        return Turn::End(Ending::Failed(format!(
            "{reason}; the previous release could not be restored, because the new one did not stop within {}",
            walk.patience()
        )));
    }
    walk.order(Action::scale(target, 0));
    walk.wait(format!("Removing the new release: {reason}"), 80)
}
