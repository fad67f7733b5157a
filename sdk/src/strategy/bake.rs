//! The time after promotion in which the old copy stays ready, and the new release is watched.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::analysis::{self, Tally, Verdict};
use super::{Action, Ending, Fleet, News, Sample, Turn, Walk, words};

/// A baseline of fewer requests is filled up with such that did not fail: of whom nothing is known, no errors are
/// expected.
const FEWEST_REQUESTS: u64 = 200;

/// What is remembered of the stable release's answers, for when it gets no requests any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline(Tally);

impl Baseline {
    /// Notes what the stable release's sample says as long as it serves.
    pub fn note(&mut self, fleet: Fleet<'_>) {
        if let Some(sample) = fleet.old().and_then(|old| fleet.sample(old)) {
            let seen = Tally::of(sample);
            if seen.requests >= self.0.requests.min(FEWEST_REQUESTS) {
                self.0 = seen;
            }
        }
    }

    fn filled_up(self) -> Tally {
        Tally { requests: self.0.requests.max(FEWEST_REQUESTS), ..self.0 }
    }
}

/// How long and how strictly to watch.
#[derive(Clone, Copy, Debug)]
pub struct Bake {
    pub ms: u64,
    /// The old copy runs beside the new one meanwhile, whole and ready. Otherwise it is started again if it has to be.
    pub keeps_old: bool,
    /// So many more of 100 answers may not fail than before.
    pub error_points: u64,
    pub baseline: Baseline,
}

impl Bake {
    /// The phase after the switch: the target is watched, the old copy is kept if it is to be, and at the end, or when
    /// somebody says that it has been watched for long enough, it is drained and stopped.
    /// Gives up if the target's instances fail, if it answers with more errors than the stable release did, or on
    /// request.
    pub fn turn<P, N>(self, walk: &mut Walk<'_, P, N>, back: impl FnOnce(String) -> P) -> Turn<P>
    where
        P: Clone + Default + Serialize + DeserializeOwned,
        N: Default + Serialize + DeserializeOwned,
    {
        let (fleet, target) = (walk.fleet, walk.fleet.target());
        if let Some(reason) = walk.target_failure(false) {
            return walk.give_up(reason, back);
        }
        if let Some(reason) = self.too_many_errors(fleet) {
            walk.tell(News::Judged, format!("Worse: {reason}"));
            return walk.give_up(reason, back);
        }
        // A fixed port has one holder, however many are wanted.
        let replicas = if fleet.has_fixed_port() { 1 } else { fleet.replicas() };
        let is_whole = fleet.target_healthy_since(replicas).is_some() && fleet.has_all_traffic(target);
        let over = walk.since().saturating_add(if fleet.old().is_some() { self.ms } else { 0 });
        if !is_whole {
            // Whatever is missing has the time of a new instance to come back.
            let due = over.max(walk.deadline());
            if walk.now() >= due {
                return walk.give_up(
                    format!("only {} of {replicas} instances stayed healthy", fleet.healthy(target)),
                    back,
                );
            }
            walk.start_target(replicas);
            if fleet.healthy(target) > 0 && !fleet.has_all_traffic(target) {
                walk.order(Action::route_all(target));
            }
        }
        if is_whole && (walk.now() >= over || walk.is_hurried()) {
            if let Some(old) = fleet.old() {
                if fleet.live(old) > 0 {
                    walk.order(Action::Drain(old.to_owned()));
                }
                walk.order(Action::scale(old, 0));
            }
            return Turn::End(Ending::Succeeded);
        }
        if let Some(old) = fleet.old().filter(|old| self.keeps_old && fleet.live(old) < replicas) {
            walk.order(Action::scale(old, replicas));
        }
        let left = words::remaining(over.saturating_sub(walk.now()));
        let name = fleet.situation.target.short_name();
        let what = if self.keeps_old { "the old copy stays ready" } else { "it is watched" };
        let label = format!("All requests go to {name}; {what} for {left}");
        if walk.entered() && over > walk.now() {
            walk.tell(News::Baking, &label);
        }
        walk.wait_until(label, 85, if is_whole { over } else { over.max(walk.deadline()) })
    }

    fn too_many_errors(self, fleet: Fleet<'_>) -> Option<String> {
        let sample: &Sample = fleet.sample(fleet.target())?;
        let (new, before) = (Tally::of(sample), self.baseline.filled_up());
        let evidence = analysis::errors(new, before, self.error_points);
        (analysis::verdict(evidence) == Verdict::Failed).then(|| {
            format!(
                "{} of {} answers of the new release failed, before it was {}",
                words::percent(new.rate()),
                new.requests,
                words::percent(before.rate())
            )
        })
    }
}
