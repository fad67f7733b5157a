//! The state machine. Within a rollout that goes forward nothing is remembered but how far it got: how many instances
//! each release should have follows from how many there are.

use serde::{Deserialize, Serialize};
use windlass_sdk::Failure;
use windlass_sdk::strategy::{self, Action, Bake, Baseline, Ending, Situation, Step};

use crate::Options;

/// What a batch may take besides its instances' start.
pub const BATCH_MS: u64 = 15_000;
const ABORTED: &str = "aborted on request";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// So many instances of the new release are up; what comes next has the time of one batch.
    Rolling { up: u32 },
    /// All instances are the new release's, and are watched.
    Baking,
    /// The rollout failed, with the reason; waiting until the stable release serves alone.
    Restoring(String),
}

impl Default for Phase {
    fn default() -> Self {
        Self::Rolling { up: 0 }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Notes {
    /// With so many instances somebody did not want to wait until they have settled.
    hurried: Option<u32>,
    baseline: Baseline,
}

type Walk<'a> = strategy::Walk<'a, Phase, Notes>;
type Turn = strategy::Turn<Phase>;

pub fn step(situation: &Situation, options: Options, memory: &[u8]) -> Result<Step, Failure> {
    Walk::step(memory, situation, |walk| match walk.phase() {
        Phase::Restoring(reason) => walk.restore(reason, false),
        _ if situation.abort_requested => walk.go_back(ABORTED.to_owned(), Phase::Restoring),
        Phase::Rolling { up } => options.roll(walk, up),
        Phase::Baking => options.bake(walk),
    })
}

impl Options {
    fn roll(self, walk: &mut Walk<'_>, up: u32) -> Turn {
        let (fleet, target) = (walk.fleet, walk.fleet.target());
        if let Some(reason) = walk.target_failure(false) {
            return walk.give_up(reason, Phase::Restoring);
        }
        let replicas = fleet.replicas();
        if walk.is_hurried() {
            walk.notes.hurried = Some(fleet.healthy(target));
        }
        walk.notes.baseline.note(fleet);
        let settled = self.settled(walk);
        if settled > up {
            return Turn::Enter(Phase::Rolling { up: settled });
        }
        let running = fleet.old().map_or(0, |old| fleet.live(old));
        let kept = running.min(self.wanted_of_old(settled, replicas));
        walk.start_target(self.wanted_of_target(walk, running));
        let is_routed = self.route(walk, settled, kept);
        if settled >= replicas && fleet.has_all_traffic(target) {
            if let Some(old) = fleet.old() {
                if running > 0 {
                    walk.order(Action::Drain(old.to_owned()));
                }
                walk.order(Action::scale(old, 0));
            }
            return if self.bake_ms > 0 { Turn::Enter(Phase::Baking) } else { Turn::End(Ending::Succeeded) };
        }
        if walk.now() >= walk.deadline().saturating_add(self.settle_ms) {
            let reason = walk.with_trouble(format!(
                "the next instances did not become healthy within {}: {settled} of {replicas} are",
                walk.patience()
            ));
            return walk.give_up(reason, Phase::Restoring);
        }
        // The old release only shrinks once the requests are seen to go elsewhere.
        if let Some(old) = fleet.old().filter(|_| is_routed) {
            // Which instances go is the host's choice: as long as only the old ones serve, a healthy one is left for sure.
            let alone = fleet.situation.share_of(target) == 0;
            let fewest = if alone { (running + 1).saturating_sub(fleet.healthy(old)) } else { 0 };
            if kept.max(fewest) < running {
                walk.order(Action::scale(old, kept.max(fewest)));
            }
        }
        // Less than 100, since the last batch ends the rollout.
        let progress = 5 + u8::try_from(settled * 90 / replicas).unwrap_or(90).min(90);
        let name = fleet.situation.target.short_name();
        walk.wait_until(
            format!("{settled} of {replicas} instances run {name}"),
            progress,
            self.next_look(walk, settled),
        )
    }

    fn bake(self, walk: &mut Walk<'_>) -> Turn {
        let baseline = walk.notes.baseline;
        // There is no room for the old ones: they are started again if they are needed.
        Bake { ms: self.bake_ms, keeps_old: false, error_points: self.error_points, baseline }
            .turn(walk, Phase::Restoring)
    }

    /// Instances of the target that have been healthy for long enough.
    fn settled(self, walk: &Walk<'_>) -> u32 {
        let is_settled = |count: &u32| {
            let since = walk.fleet.target_healthy_since(*count);
            let is_hurried = walk.notes.hurried.is_some_and(|hurried| *count <= hurried);
            since.is_some_and(|since| is_hurried || walk.now() >= since.saturating_add(self.settle_ms))
        };
        (1..=walk.fleet.replicas()).rev().find(is_settled).unwrap_or(0)
    }

    /// When the next instance has settled, or the batch is late.
    fn next_look(self, walk: &Walk<'_>, settled: u32) -> u64 {
        let last = walk.deadline().saturating_add(self.settle_ms);
        let next =
            walk.fleet.target_healthy_since(settled + 1).map(|since| since.saturating_add(self.settle_ms));
        next.filter(|next| *next > walk.now()).map_or(last, |next| next.min(last))
    }

    /// As many as there is room for beside the old ones that still run; never fewer than there are.
    fn wanted_of_target(self, walk: &Walk<'_>, running: u32) -> u32 {
        let replicas = walk.fleet.replicas();
        let room = replicas.saturating_add(self.max_surge).saturating_sub(running);
        room.max(walk.fleet.live(walk.fleet.target())).min(replicas)
    }

    /// As many as are needed beside the new ones that are up; the last one waits for the first of those.
    fn wanted_of_old(self, settled: u32, replicas: u32) -> u32 {
        let needed = replicas.saturating_sub(self.max_unavailable).saturating_sub(settled);
        if settled == 0 { needed.max(1) } else { needed }
    }

    /// Sends each release as many requests as it has of the instances; true if that is how they go already. A host that
    /// cannot split them switches when the new release has the majority.
    fn route(self, walk: &mut Walk<'_>, settled: u32, kept: u32) -> bool {
        let (fleet, target) = (walk.fleet, walk.fleet.target());
        let now = fleet.situation.share_of(target);
        let old = fleet.old().filter(|old| kept > 0 && fleet.healthy(old) > 0);
        let share = match old {
            None if settled > 0 => 100,
            _ if settled == 0 => 0,
            _ if self.splits => (100 * settled / (settled + kept)).clamp(1, 99),
            _ if settled >= kept => 100,
            _ => 0,
        };
        // The new release's share only grows, so that a look at a bad moment does not send the requests back and forth.
        if share <= now || settled == 0 {
            return share <= now;
        }
        match old {
            Some(old) if share < 100 => walk.order(Action::route(&[(target, share), (old, 100 - share)])),
            _ => walk.order(Action::route_all(target)),
        }
        false
    }
}
