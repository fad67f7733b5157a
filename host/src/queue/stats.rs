//! What a queue has done, for `/metrics`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{domain::task::TaskStatus, store::task_stats::Depth};

/// Upper bounds of the duration buckets in milliseconds; one more bucket has no bound.
pub const BOUNDS_MS: [i64; 10] = [5, 25, 100, 500, 1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000];

/// What became of the attempts of one kind since the queue started, on this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindStats {
    pub success: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Attempts that will be repeated.
    pub retried: u64,
    /// Milliseconds that attempts took, in sum.
    pub run_ms: i64,
    /// Milliseconds that tasks waited between being due and their first attempt, in sum.
    pub wait_ms: i64,
    /// Attempts by duration: see [`BOUNDS_MS`]. Not cumulative.
    pub buckets: [u64; BOUNDS_MS.len() + 1],
}

#[derive(Debug, Clone, Default)]
pub struct QueueStats {
    pub depth: Vec<Depth>,
    /// Milliseconds that the longest waiting task has been due.
    pub oldest_ms: Option<i64>,
    pub kinds: BTreeMap<&'static str, KindStats>,
}

#[derive(Default)]
pub(super) struct Stats {
    kinds: Mutex<BTreeMap<&'static str, KindStats>>,
}

impl Stats {
    /// `became` is `Queued` for an attempt that will be repeated.
    pub fn record(&self, kind: &'static str, became: TaskStatus, run_ms: i64) {
        self.with(kind, |stats| {
            match became {
                TaskStatus::Success => stats.success += 1,
                TaskStatus::Failed => stats.failed += 1,
                TaskStatus::Cancelled => stats.cancelled += 1,
                TaskStatus::Queued | TaskStatus::Running => stats.retried += 1,
            }
            stats.run_ms += run_ms;
            let bucket = BOUNDS_MS.iter().position(|bound| run_ms <= *bound).unwrap_or(BOUNDS_MS.len());
            stats.buckets[bucket] += 1;
        });
    }

    pub fn waited(&self, kind: &'static str, wait_ms: i64) {
        self.with(kind, |stats| stats.wait_ms += wait_ms.max(0));
    }

    pub fn snapshot(&self) -> BTreeMap<&'static str, KindStats> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, kind: &'static str, change: impl FnOnce(&mut KindStats)) {
        // Numbers are sound even if a thread panicked while it held the lock.
        change(self.kinds.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default());
    }
}
