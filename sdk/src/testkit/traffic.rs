//! Who gets the requests, and what a router would have counted.

use super::scenario::Scenario;
use super::world::TARGET;
use crate::strategy::{Sample, Weight};

#[derive(Default)]
pub(super) struct Traffic {
    pub(super) weights: Vec<Weight>,
    /// When the shares last changed: counting begins anew then.
    since: u64,
    pending: Option<Vec<Weight>>,
    /// How often somebody changed it.
    pub(super) changes: u64,
}

impl Traffic {
    pub(super) fn share(&self, release: &str) -> u32 {
        self.weights.iter().filter(|weight| weight.release == release).map(|weight| weight.percent).sum()
    }

    pub(super) fn set(&mut self, weights: Vec<Weight>, now: u64) {
        self.pending = None;
        if self.weights != weights {
            (self.weights, self.since) = (weights, now);
            self.changes += 1;
        }
    }

    pub(super) fn set_later(&mut self, weights: Vec<Weight>) {
        self.changes += u64::from(weights != self.weights);
        self.pending = Some(weights);
    }

    /// What was set for later takes effect.
    pub(super) fn settle(&mut self, now: u64) {
        if let Some(weights) = self.pending.take() {
            self.set(weights, now);
        }
    }

    pub(super) fn samples(&self, scenario: &Scenario, now: u64) -> Vec<Sample> {
        let sample = |weight: &Weight| {
            let share = u64::from(weight.percent);
            let requests = scenario.requests_a_minute * (now - self.since) * share / 100 / 60_000;
            let suffers = |from: u32| weight.release == TARGET && weight.percent >= from;
            let errors = scenario.errors.as_ref().filter(|errors| suffers(errors.from_percent));
            let slowness = errors.map_or(100, |errors| 100 + errors.slower_percent) as f64 / 100.0;
            Sample {
                release: weight.release.clone(),
                requests,
                errors_5xx: errors.map_or(0, |errors| requests * errors.per_mille / 1_000),
                p50_ms: 20.0 * slowness,
                p95_ms: 60.0 * slowness,
                p99_ms: 90.0 * slowness,
            }
        };
        self.weights.iter().filter(|weight| weight.percent > 0).map(sample).collect()
    }
}
