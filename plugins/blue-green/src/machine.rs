//! The state machine.

use serde::{Deserialize, Serialize};
use windlass_sdk::Failure;
use windlass_sdk::strategy::{self, Action, Bake, Baseline, News, Situation, Step, words};

use crate::{Options, Promotion};

/// Between two health checks before promotion.
pub const CHECK_EVERY_MS: u64 = 1_000;
const ABORTED: &str = "aborted on request";

/// Where the rollout is. It only ever goes forward, in this order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    #[default]
    Starting,
    /// So many health checks were ordered.
    Checking(u64),
    /// For time to pass or for people.
    Waiting,
    /// The requests were sent to the new release; waiting until that is seen.
    Switching,
    /// The new release serves, the old copy is ready.
    Baking,
    /// The rollout failed, with the reason; waiting until the stable release serves alone.
    Restoring(String),
}

type Walk<'a> = strategy::Walk<'a, Phase, Baseline>;
type Turn = strategy::Turn<Phase>;

pub fn step(situation: &Situation, options: Options, memory: &[u8]) -> Result<Step, Failure> {
    Walk::step(memory, situation, |walk| options.turn(walk))
}

impl Options {
    fn turn(self, walk: &mut Walk<'_>) -> Turn {
        let phase = walk.phase();
        if walk.fleet.situation.abort_requested && !matches!(phase, Phase::Restoring(_)) {
            return walk.go_back(ABORTED.to_owned(), Phase::Restoring);
        }
        match phase {
            Phase::Starting => unless_whole(walk, 10).unwrap_or(Turn::Enter(Phase::Checking(0))),
            Phase::Checking(done) => self.check(walk, done),
            Phase::Waiting => self.await_promotion(walk),
            Phase::Switching => switch(walk),
            Phase::Baking => {
                let baseline = walk.notes;
                Bake { ms: self.bake_ms, keeps_old: true, error_points: self.error_points, baseline }
                    .turn(walk, Phase::Restoring)
            }
            Phase::Restoring(reason) => walk.restore(reason, false),
        }
    }

    /// Every check has to find every instance healthy; what it finds shows in the fleet.
    fn check(self, walk: &mut Walk<'_>, done: u64) -> Turn {
        if let Some(turn) = unless_whole(walk, 30) {
            return turn;
        }
        self.show(walk);
        let due = walk.since().saturating_add(CHECK_EVERY_MS);
        if done > 0 && walk.now() < due {
            let label = format!("Checking the new copy before promotion: {done} of {} checks", self.checks);
            return walk.wait_until(label, 40, due);
        }
        if done >= self.checks {
            return Turn::Enter(Phase::Waiting);
        }
        let target = walk.fleet.target().to_owned();
        walk.order(Action::Probe(target));
        Turn::Enter(Phase::Checking(done + 1))
    }

    fn await_promotion(self, walk: &mut Walk<'_>) -> Turn {
        if let Some(turn) = unless_whole(walk, 50) {
            return turn;
        }
        let name = walk.fleet.situation.target.short_name().to_owned();
        match self.promotion {
            Promotion::AtOnce => Turn::Enter(Phase::Switching),
            Promotion::Timer { ms } => {
                let due = walk.since().saturating_add(ms);
                if walk.now() >= due || walk.is_hurried() {
                    if !walk.entered() {
                        walk.tell(News::Resumed, "The time before promotion is over");
                    }
                    return Turn::Enter(Phase::Switching);
                }
                self.show(walk);
                let left = words::remaining(due - walk.now());
                let label = format!("{name} is ready and will be promoted in {left}");
                if walk.entered() {
                    walk.tell(News::Paused, &label);
                }
                walk.wait_until(label, 50, due)
            }
            Promotion::Approval { patience_ms } => {
                self.show(walk);
                let prompt = format!("Send all requests to {name}? A full copy of it is healthy.");
                match walk.ask(prompt, patience_ms) {
                    Ok(true) => Turn::Enter(Phase::Switching),
                    Ok(false) => {
                        let until = walk.since().saturating_add(patience_ms);
                        walk.wait_until(format!("{name} is ready; somebody has to approve it"), 50, until)
                    }
                    Err(reason) => walk.go_back(reason, Phase::Restoring),
                }
            }
        }
    }

    /// The preview is ordered again and again, since it is not seen whether the last order was carried out.
    fn show(self, walk: &mut Walk<'_>) {
        if self.preview {
            walk.order(Action::preview(walk.fleet.target()));
        }
    }
}

fn switch(walk: &mut Walk<'_>) -> Turn {
    let target = walk.fleet.target();
    if walk.fleet.has_all_traffic(target) {
        return Turn::Enter(Phase::Baking);
    }
    walk.notes.note(walk.fleet);
    if let Some(turn) = unless_whole(walk, 60) {
        return turn;
    }
    if walk.is_late() {
        let reason = format!("the requests could not be sent to the new release within {}", walk.patience());
        return walk.give_up(reason, Phase::Restoring);
    }
    walk.order(Action::route_all(target));
    walk.wait("Sending all requests to the new copy", 70)
}

/// Waits until all instances of the target are healthy; `None` if they are.
fn unless_whole(walk: &mut Walk<'_>, progress: u8) -> Option<Turn> {
    let (fleet, replicas) = (walk.fleet, walk.fleet.replicas());
    if let Some(reason) = walk.target_failure(false) {
        return Some(walk.give_up(reason, Phase::Restoring));
    }
    if fleet.target_healthy_since(replicas).is_some() {
        return None;
    }
    let healthy = fleet.healthy(fleet.target());
    if walk.is_late() {
        return Some(walk.give_up(walk.too_few_healthy(replicas), Phase::Restoring));
    }
    walk.start_target(replicas);
    Some(walk.wait(format!("Starting a full copy: {healthy} of {replicas} instances are healthy"), progress))
}
