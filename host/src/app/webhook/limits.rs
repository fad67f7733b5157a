//! How many deliveries are taken in a minute.
//!
//! Those that verify have a generous limit, against a forge that has gone mad. Those that do not are limited much sooner,
//! so that strangers cannot keep the database busy. Only addresses of repositories get here, so nobody can make up new ones.

use crate::app::rates::PerMinute;
use crate::domain::UnixMs;
use crate::error::Result;

/// By address, for deliveries that verify and for those that do not.
pub struct Limits {
    verified_per_minute: u32,
    refused_per_minute: u32,
    taken: PerMinute<(String, bool)>,
}

impl Limits {
    /// 0 means no limit.
    pub fn new(verified_per_minute: u32, refused_per_minute: u32) -> Self {
        Self { verified_per_minute, refused_per_minute, taken: PerMinute::default() }
    }

    /// Counts one delivery to an address.
    ///
    /// # Errors
    /// `RateLimited` if there were too many in the last minute; nothing is counted then.
    pub fn webhook_take(&self, address: &str, is_verified: bool, now: UnixMs) -> Result<()> {
        let (limit, what) = match is_verified {
            true => (self.verified_per_minute, "deliveries"),
            false => (self.refused_per_minute, "deliveries that do not verify"),
        };
        self.taken.take((address.to_owned(), is_verified), limit, what, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_and_either_sort_has_a_limit_of_its_own() {
        let limits = Limits::new(2, 1);
        let take =
            |address, is_verified| limits.webhook_take(address, is_verified, 1_700_000_000_000).is_ok();
        assert_eq!([take("a", true), take("a", true), take("a", true)], [true, true, false]);
        assert_eq!([take("a", false), take("a", false), take("b", true)], [true, false, true]);
    }
}
