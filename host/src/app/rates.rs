//! How often something may be done in a minute: by one person, from one address, for one repository.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::UnixMs;
use crate::domain::budget::Budget;
use crate::error::{Error, Result};

/// Keys that are remembered.
const REMEMBERED: usize = 20_000;

/// What was done in the last minute, by whoever did it.
pub struct PerMinute<K>(Mutex<HashMap<K, Budget>>);

impl<K> Default for PerMinute<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> PerMinute<K> {
    /// Whether once more is possible. A limit of 0 is none.
    ///
    /// # Errors
    /// `RateLimited`, in the words of `what` (`wrong log-ins`), if the limit is reached.
    pub fn check(&self, key: &K, limit: u32, what: &str, now: UnixMs) -> Result<()> {
        check(&mut self.lock(), key, limit, what, now)
    }

    pub fn count(&self, key: K, limit: u32, now: UnixMs) {
        count(&mut self.lock(), key, limit, now);
    }

    /// Checks, and counts if it is possible.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn take(&self, key: K, limit: u32, what: &str, now: UnixMs) -> Result<()> {
        let mut budgets = self.lock();
        check(&mut budgets, &key, limit, what, now)?;
        count(&mut budgets, key, limit, now);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Budget>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check<K: Eq + Hash>(
    budgets: &mut HashMap<K, Budget>,
    key: &K,
    limit: u32,
    what: &str,
    now: UnixMs,
) -> Result<()> {
    let Some(free_at) = budgets.get_mut(key).and_then(|budget| budget.free_at(now)) else { return Ok(()) };
    Err(Error::RateLimited {
        what: format!("{limit} {what}"),
        retry_after_secs: u64::try_from((free_at - now + 999) / 1000).unwrap_or(1).max(1),
    })
}

fn count<K: Eq + Hash>(budgets: &mut HashMap<K, Budget>, key: K, limit: u32, now: UnixMs) {
    if limit == 0 {
        return;
    }
    if budgets.len() >= REMEMBERED {
        budgets.retain(|_, budget| budget.used_us(now) > 0);
    }
    // Full of fresh ones: whoever has so many addresses is not slowed down by one more.
    if budgets.len() >= REMEMBERED {
        budgets.clear();
    }
    budgets.entry(key).or_insert_with(|| Budget::new(limit.into())).charge(now, 1);
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
    fn each_key_has_a_limit_of_its_own_for_any_minute() {
        let rates = PerMinute::default();
        for _ in 0..3 {
            assert_eq!(pause(rates.take("a", 3, "times", NOW)), None);
        }
        assert_eq!(pause(rates.take("a", 3, "times", NOW + 20_000)), Some(40));
        assert_eq!(pause(rates.take("b", 3, "times", NOW)), None);
        assert_eq!(pause(rates.take("a", 3, "times", NOW + 60_000)), None);
    }

    #[test]
    fn without_a_limit_everything_is_taken() {
        let rates = PerMinute::default();
        assert!((0..1000).all(|_| rates.take("a", 0, "times", NOW).is_ok()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rates = PerMinute::default();
        for n in 0..=REMEMBERED {
            rates.count(n, 1, NOW);
        }
        assert!(rates.lock().len() <= REMEMBERED);
    }
}
