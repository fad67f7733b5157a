//! How a plugin's calls went lately: for people, in memory, and only as much as a page shows.

use std::collections::VecDeque;
use std::time::Duration;

use super::supervisor::{Accounts, now, us};
use crate::domain::UnixMs;
use crate::domain::budget::Budget;
use crate::domain::plugin::{PluginFailure, PluginHealth};
use crate::error::PluginErrorKind;

/// Calls whose durations are kept.
const DURATIONS: usize = 256;
const FAILURES: usize = 10;

pub(super) struct Ledger {
    pub(super) accounts: Accounts,
    durations: VecDeque<u64>,
    failures: VecDeque<PluginFailure>,
    /// Counts calls the way budgets count microseconds.
    calls: Budget,
}

impl Ledger {
    pub(super) fn new(accounts: Accounts) -> Self {
        Self { accounts, durations: VecDeque::new(), failures: VecDeque::new(), calls: Budget::new(u64::MAX) }
    }

    pub(super) fn record(
        &mut self,
        now: UnixMs,
        call: &str,
        error: Option<&PluginErrorKind>,
        cpu: Duration,
        wall: Duration,
    ) {
        self.accounts.charge(now, cpu, wall);
        self.calls.charge(now, 1);
        if self.durations.len() == DURATIONS {
            self.durations.pop_front();
        }
        self.durations.push_back(us(wall));
        if let Some(kind) = error {
            self.failures.truncate(FAILURES - 1);
            self.failures.push_front(PluginFailure {
                at: now,
                call: call.to_owned(),
                message: kind.to_string(),
            });
        }
    }

    pub(super) fn health(&mut self) -> PluginHealth {
        let now = now();
        let mut sorted: Vec<u64> = self.durations.iter().copied().collect();
        sorted.sort_unstable();
        let at =
            |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        PluginHealth {
            calls_last_minute: u32::try_from(self.calls.used_us(now)).unwrap_or(u32::MAX),
            p50_us: at(50).copied(),
            p99_us: at(99).copied(),
            cpu_us_last_minute: self.accounts.cpu.used_us(now),
            wall_us_last_minute: self.accounts.wall.used_us(now),
            failures: self.failures.iter().cloned().collect(),
            breakers: Vec::new(),
        }
    }
}
