//! What became of a load.

use std::time::{Duration, Instant};

use super::{Kind, Long};

/// A small answer.
#[derive(Debug, Clone)]
pub struct Visit {
    pub from: Instant,
    pub took: Duration,
    /// Who answered.
    pub name: String,
    /// When that instance passed its health checks, in microseconds since 1970.
    pub healthy_at: u64,
}

pub struct Outcome {
    /// Everything that was asked for.
    pub requests: u64,
    /// Of them, those that were sent twice, because a kept connection was closed in that moment.
    pub repeated: u64,
    /// Why, one for each.
    pub failed: Vec<String>,
    pub visits: Vec<Visit>,
    pub long: Vec<Long>,
    pub cutovers: Vec<Instant>,
}

impl Outcome {
    /// Cutovers during which not one of each kind was in flight and came through whole.
    pub fn uncrossed(&self) -> usize {
        let kinds = [Kind::Slow, Kind::Download, Kind::WebSocket];
        let met = |at: &Instant, kind: Kind| {
            self.long.iter().any(|long| long.kind == kind && long.from < *at && *at < long.to)
        };
        self.cutovers.iter().filter(|at| !kinds.iter().all(|kind| met(at, *kind))).count()
    }

    /// The slowest small answer that began within `around` of a cutover, and of all others: the baseline.
    pub fn slowest(&self, around: Duration) -> (Duration, Duration) {
        let is_near = |visit: &&Visit| {
            self.cutovers.iter().any(|at| {
                let apart = if *at > visit.from { *at - visit.from } else { visit.from - *at };
                apart <= around
            })
        };
        let (near, far): (Vec<&Visit>, Vec<&Visit>) = self.visits.iter().partition(is_near);
        let slowest = |visits: Vec<&Visit>| visits.iter().map(|visit| visit.took).max().unwrap_or_default();
        (slowest(near), slowest(far))
    }

    /// In microseconds since 1970, when its instance was healthy; `None` if it never answered.
    pub fn healthy_at(&self, name: &str) -> Option<u64> {
        self.visits.iter().find(|visit| visit.name == name).map(|visit| visit.healthy_at)
    }
}
