//! How many wrong log-ins are taken in a minute: of one address, and of one name wherever they come from, so that a
//! password cannot be guessed from many addresses either. Right ones are never counted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::UnixMs;
use crate::domain::budget::Budget;
use crate::error::{Error, Result};

const PER_ADDRESS: u64 = 10;
const PER_NAME: u64 = 20;
/// Addresses and names that are remembered.
const REMEMBERED: usize = 20_000;

#[derive(Default)]
pub struct LoginLimits(Mutex<HashMap<(bool, String), Budget>>);

impl LoginLimits {
    /// An empty name or address is not counted.
    ///
    /// # Errors
    /// `RateLimited` after too many wrong ones in the last minute.
    pub fn check(&self, name: &str, address: &str, now: UnixMs) -> Result<()> {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(name, address) {
            let Some(free_at) = budgets.get_mut(&key).and_then(|budget| budget.free_at(now)) else {
                continue;
            };
            let limit = if key.0 { PER_NAME } else { PER_ADDRESS };
            return Err(Error::RateLimited {
                what: format!("{limit} wrong log-ins"),
                retry_after_secs: u64::try_from((free_at - now + 999) / 1000).unwrap_or(1).max(1),
            });
        }
        Ok(())
    }

    pub fn failed(&self, name: &str, address: &str, now: UnixMs) {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() >= REMEMBERED {
            budgets.retain(|_, budget| budget.used_us(now) > 0);
        }
        // Full of fresh ones: whoever has so many addresses is not slowed down by one more.
        if budgets.len() >= REMEMBERED {
            budgets.clear();
        }
        for key in keys(name, address) {
            let limit = if key.0 { PER_NAME } else { PER_ADDRESS };
            budgets.entry(key).or_insert_with(|| Budget::new(limit)).charge(now, 1);
        }
    }
}

/// What is counted; names are told from addresses by the flag.
fn keys(name: &str, address: &str) -> impl Iterator<Item = (bool, String)> {
    [(true, name.chars().take(64).collect::<String>()), (false, address.to_owned())]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = 1_700_000_000_000;

    #[test]
    fn ten_wrong_ones_block_an_address_and_twenty_a_name_for_a_minute() {
        let limits = LoginLimits::default();
        for _ in 0..10 {
            assert!(limits.check("ada", "10.0.0.1", NOW).is_ok());
            limits.failed("ada", "10.0.0.1", NOW);
        }
        assert!(matches!(limits.check("bob", "10.0.0.1", NOW), Err(Error::RateLimited { .. })));
        assert!(limits.check("ada", "10.0.0.2", NOW).is_ok());
        for n in 0..10 {
            limits.failed("ada", &format!("10.0.1.{n}"), NOW);
        }
        assert!(matches!(limits.check("ada", "10.0.9.9", NOW), Err(Error::RateLimited { .. })));
        assert!(limits.check("bob", "10.0.9.9", NOW).is_ok());
        assert!(limits.check("ada", "10.0.0.1", NOW + 61_000).is_ok());
    }
}
