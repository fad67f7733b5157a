//! How many deliveries are taken in a minute.
//!
//! Those that verify have a generous limit, against a forge that has gone mad. Those that do not are limited much sooner,
//! so that strangers cannot keep the database busy.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::UnixMs;
use crate::domain::budget::Budget;
use crate::error::{Error, Result};

/// Addresses that are remembered; strangers cannot make up new ones, since only those of repositories get here.
const ADDRESSES: usize = 10_000;

/// Budgets by address, for deliveries that verify and for those that do not.
pub struct Limits {
    verified_per_minute: u32,
    refused_per_minute: u32,
    budgets: Mutex<HashMap<(String, bool), Budget>>,
}

impl Limits {
    /// 0 means no limit.
    pub fn new(verified_per_minute: u32, refused_per_minute: u32) -> Self {
        Self { verified_per_minute, refused_per_minute, budgets: Mutex::default() }
    }

    /// Counts one delivery to an address.
    ///
    /// # Errors
    /// `RateLimited` if there were too many in the last minute; nothing is counted then.
    pub fn webhook_take(&self, address: &str, is_verified: bool, now: UnixMs) -> Result<()> {
        let limit = if is_verified { self.verified_per_minute } else { self.refused_per_minute };
        if limit == 0 {
            return Ok(());
        }
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() >= ADDRESSES {
            budgets.retain(|_, budget| budget.used_us(now) > 0);
        }
        let budget =
            budgets.entry((address.to_owned(), is_verified)).or_insert_with(|| Budget::new(u64::from(limit)));
        if let Some(free_at) = budget.free_at(now) {
            let what = if is_verified { "deliveries" } else { "deliveries that do not verify" };
            return Err(Error::RateLimited {
                what: format!("{limit} {what}"),
                retry_after_secs: u64::try_from((free_at - now + 999) / 1000).unwrap_or(1).max(1),
            });
        }
        budget.charge(now, 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = 1_700_000_000_000;

    fn pause(taken: Result<()>) -> Option<u64> {
        match taken {
            Ok(()) => None,
            Err(Error::RateLimited { retry_after_secs, .. }) => Some(retry_after_secs),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_address_and_either_sort_has_a_limit_of_its_own() {
        let limits = Limits::new(3, 1);
        for _ in 0..3 {
            assert_eq!(pause(limits.webhook_take("a", true, NOW)), None);
        }
        assert_eq!(pause(limits.webhook_take("a", true, NOW + 20_000)), Some(40));
        assert_eq!(pause(limits.webhook_take("b", true, NOW)), None);
        assert_eq!(pause(limits.webhook_take("a", false, NOW)), None);
        assert_eq!(pause(limits.webhook_take("a", false, NOW)), Some(60));
        assert_eq!(pause(limits.webhook_take("a", true, NOW + 60_000)), None);
    }

    #[test]
    fn without_a_limit_everything_is_taken() {
        let limits = Limits::new(0, 0);
        assert!((0..1000).all(|_| limits.webhook_take("a", false, NOW).is_ok()));
    }
}
