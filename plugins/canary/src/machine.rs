//! The state machine.

use serde::{Deserialize, Serialize};
use windlass_sdk::Failure;
use windlass_sdk::strategy::{self, Action, Bake, Baseline, News, Situation, Step, words};

use crate::options::{LowTraffic, Options, Share};
use crate::watch::Watch;

/// Health checks that stand in for requests where there are too few.
const PROBES: u32 = 5;
/// While people are waited for, which may be days, it is not judged more often than this.
const ASKING_MS: u64 = 60_000;
const ABORTED: &str = "aborted on request";

/// Where the rollout is. It only ever goes forward; steps are counted from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Starting what the step needs, then giving it its share. The step after the last is the one with all requests.
    Raising(usize),
    /// The share is served; time passes and the answers are judged.
    Holding(usize),
    /// The step was too quiet for a verdict; so many health checks were ordered instead.
    Probing(usize, u32),
    /// Somebody has to say whether to go on.
    Asking(usize),
    /// The new release has all requests, the old copy is ready.
    Baking,
    /// The rollout failed, with the reason; waiting until the stable release serves alone.
    Restoring(String),
}

impl Default for Phase {
    fn default() -> Self {
        Self::Raising(0)
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Notes {
    watch: Watch,
    baseline: Baseline,
}

type Walk<'a> = strategy::Walk<'a, Phase, Notes>;
type Turn = strategy::Turn<Phase>;

pub fn step(situation: &Situation, options: &Options, memory: &[u8]) -> Result<Step, Failure> {
    Walk::step(memory, situation, |walk| options.turn(walk))
}

impl Options {
    fn turn(&self, walk: &mut Walk<'_>) -> Turn {
        let phase = walk.phase();
        if walk.fleet.situation.abort_requested && !matches!(phase, Phase::Restoring(_)) {
            return walk.go_back(ABORTED.to_owned(), Phase::Restoring);
        }
        match phase {
            Phase::Raising(at) => match self.steps.get(at).filter(|_| walk.fleet.old().is_some()) {
                Some(share) => self.raise(walk, at, share.weight),
                None => self.raise(walk, self.steps.len(), 100),
            },
            Phase::Holding(at) => self.with_share(walk, at, Self::hold),
            Phase::Probing(at, done) => {
                self.with_share(walk, at, |options, walk, at, share| options.probe(walk, at, share, done))
            }
            Phase::Asking(at) => self.with_share(walk, at, Self::ask),
            Phase::Baking => {
                let baseline = walk.notes.baseline;
                Bake { ms: self.bake_ms, keeps_old: true, error_points: self.error_points, baseline }
                    .turn(walk, Phase::Restoring)
            }
            Phase::Restoring(reason) => walk.restore(reason, false),
        }
    }

    /// Before the last step a failure always sends the requests back: a split is no place to stay.
    fn give_up(walk: &mut Walk<'_>, reason: String) -> Turn {
        walk.go_back(reason, Phase::Restoring)
    }

    fn raise(&self, walk: &mut Walk<'_>, at: usize, weight: u32) -> Turn {
        let (fleet, target) = (walk.fleet, walk.fleet.target());
        if let Some(reason) = walk.target_failure(false) {
            return Self::give_up(walk, reason);
        }
        walk.notes.baseline.note(fleet);
        let wanted = (fleet.replicas() * weight).div_ceil(100);
        walk.start_target(wanted);
        let is_whole = fleet.target_healthy_since(wanted).is_some();
        if is_whole && fleet.situation.share_of(target) == weight {
            walk.notes.watch = Watch::default();
            return Turn::Enter(if weight == 100 { Phase::Baking } else { Phase::Holding(at) });
        }
        let progress = self.progress(at);
        if walk.is_late() {
            let reason = if is_whole {
                format!("the requests could not be sent to the new release within {}", walk.patience())
            } else {
                walk.too_few_healthy(wanted)
            };
            return Self::give_up(walk, reason);
        }
        if !is_whole {
            let healthy = fleet.healthy(target);
            let label = format!("Starting the new release: {healthy} of {wanted} instances are healthy");
            return walk.wait(label, progress);
        }
        match fleet.old().filter(|_| weight < 100) {
            None => walk.order(Action::route_all(target)),
            Some(old) => share_with(walk, old, weight),
        }
        let name = fleet.situation.target.short_name();
        walk.wait(format!("Sending {weight} % of the requests to {name}"), progress)
    }

    /// What holds as long as a share is served: the instances are fit, the answers are watched, and the share is as it should
    /// be.
    fn with_share(
        &self,
        walk: &mut Walk<'_>,
        at: usize,
        go_on: impl FnOnce(&Self, &mut Walk<'_>, usize, Share) -> Turn,
    ) -> Turn {
        let Some(&share) = self.steps.get(at) else { return Turn::Enter(Phase::Raising(at)) };
        let (fleet, target) = (walk.fleet, walk.fleet.target());
        if let Some(reason) = walk.target_failure(false) {
            return Self::give_up(walk, reason);
        }
        if fleet.healthy(target) == 0 {
            return Self::give_up(walk, "no instance of the new release is healthy any more".to_owned());
        }
        walk.notes.baseline.note(fleet);
        if share.analysis
            && let Some(reason) = walk.notes.watch.judge(fleet, self)
        {
            walk.tell(News::Judged, format!("Worse: {reason}"));
            return Self::give_up(walk, reason);
        }
        if let Some(old) = fleet.old().filter(|_| fleet.situation.share_of(target) != share.weight) {
            share_with(walk, old, share.weight);
        }
        go_on(self, walk, at, share)
    }

    fn hold(&self, walk: &mut Walk<'_>, at: usize, share: Share) -> Turn {
        if walk.is_hurried() {
            return Self::end_hold(walk, at, share);
        }
        let (now, over) = (walk.now(), walk.since().saturating_add(share.ms));
        let watch = &walk.notes.watch;
        let judgement = watch.judged.max(walk.since()).saturating_add(self.interval_ms);
        let name = walk.fleet.situation.target.short_name();
        let serves = format!("{} % of requests go to {name}", share.weight);
        if now < over {
            let left = words::remaining(over - now);
            let label = format!("{serves}, {left} left of {}", words::duration(share.ms));
            let until = if share.analysis { over.min(judgement) } else { over };
            if walk.entered() && !share.analysis {
                walk.tell(News::Paused, &label);
            }
            return walk.wait_until(label, self.progress(at) + 1, until);
        }
        if !share.analysis || watch.is_as_good() {
            return Self::end_hold(walk, at, share);
        }
        let last = over.saturating_add(self.extend_ms);
        let extends = self.low_traffic == LowTraffic::Extend;
        if now < last && (extends || watch.is_unclear()) {
            let label = format!("{serves}; waiting for more of them: {}", watch.words());
            return walk.wait_until(label, self.progress(at) + 2, last.min(judgement));
        }
        // Where it looks worse nobody goes on without a verdict, whatever the policy says.
        let known = watch.words();
        let is_suspicious = watch.is_suspicious();
        walk.tell(News::Judged, format!("No verdict: {known}"));
        if extends || is_suspicious {
            return Self::give_up(walk, format!("it could not be judged in time: {known}"));
        }
        match self.low_traffic {
            LowTraffic::Ask => Turn::Enter(Phase::Asking(at)),
            LowTraffic::Probe => Turn::Enter(Phase::Probing(at, 0)),
            LowTraffic::Promote | LowTraffic::Extend => Self::go_on(at, share),
        }
    }

    /// All checks have to leave all instances healthy; one that is not fails before this is asked.
    fn probe(&self, walk: &mut Walk<'_>, at: usize, share: Share, done: u32) -> Turn {
        let due = walk.since().saturating_add(1_000);
        if done > 0 && walk.now() < due && !walk.is_hurried() {
            let label = format!(
                "{}, so its health is checked {PROBES} times instead: {done} done",
                walk.notes.watch.words()
            );
            return walk.wait_until(label, self.progress(at) + 2, due);
        }
        if done >= PROBES || walk.is_hurried() {
            return Self::go_on(at, share);
        }
        let target = walk.fleet.target().to_owned();
        walk.order(Action::Probe(target));
        Turn::Enter(Phase::Probing(at, done + 1))
    }

    fn ask(&self, walk: &mut Walk<'_>, at: usize, share: Share) -> Turn {
        let name = walk.fleet.situation.target.short_name().to_owned();
        let next = self.steps.get(at + 1).map_or(100, |next| next.weight);
        let known = walk.notes.watch.words();
        let prompt =
            format!("Raise the share of {name} from {} % to {next} %? So far {known}.", share.weight);
        match walk.ask(prompt, self.approval_ms) {
            Ok(true) => Turn::Enter(Phase::Raising(at + 1)),
            Ok(false) => {
                let label =
                    format!("{} % of requests go to {name}; somebody has to approve {next} %", share.weight);
                let until = walk.since().saturating_add(self.approval_ms);
                let judgement = walk.now().saturating_add(self.interval_ms.max(ASKING_MS));
                walk.wait_until(label, self.progress(at) + 2, until.min(judgement))
            }
            Err(reason) => Self::give_up(walk, reason),
        }
    }

    /// The step's time is over, or somebody did not want to wait for that.
    fn end_hold(walk: &mut Walk<'_>, at: usize, share: Share) -> Turn {
        let watch = &walk.notes.watch;
        if !share.analysis {
            walk.tell(News::Resumed, format!("The pause at {} % is over", share.weight));
        } else if watch.is_as_good() {
            let verdict = format!("Good: {}", watch.words());
            walk.tell(News::Judged, verdict);
        }
        Self::go_on(at, share)
    }

    fn go_on(at: usize, share: Share) -> Turn {
        Turn::Enter(if share.approval { Phase::Asking(at) } else { Phase::Raising(at + 1) })
    }

    /// Each step has its part of the way to the bake.
    fn progress(&self, at: usize) -> u8 {
        let part = 75 * at / (self.steps.len() + 1);
        5 + u8::try_from(part).unwrap_or(75)
    }
}

/// Splits the requests, unless the old release could not take its part at the moment.
fn share_with(walk: &mut Walk<'_>, old: &str, weight: u32) {
    if walk.fleet.healthy(old) > 0 {
        let target = walk.fleet.target();
        walk.order(Action::route(&[(target, weight), (old, 100 - weight)]));
    }
}
