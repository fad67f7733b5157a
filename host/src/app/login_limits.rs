//! How many wrong log-ins are taken in a minute: of one address, and of one name wherever they come from, so that a
//! password cannot be guessed from many addresses either. Right ones are never counted.

use super::rates::PerMinute;
use crate::domain::UnixMs;
use crate::error::Result;

const PER_ADDRESS: u32 = 10;
const PER_NAME: u32 = 20;

#[derive(Default)]
pub struct LoginLimits(PerMinute<(bool, String)>);

impl LoginLimits {
    /// An empty name or address is not counted.
    ///
    /// # Errors
    /// `RateLimited` after too many wrong ones in the last minute.
    pub fn check(&self, name: &str, address: &str, now: UnixMs) -> Result<()> {
        keys(name, address).try_for_each(|key| self.0.check(&key, limit(&key), "wrong log-ins", now))
    }

    pub fn failed(&self, name: &str, address: &str, now: UnixMs) {
        for key in keys(name, address) {
            let limit = limit(&key);
            self.0.count(key, limit, now);
        }
    }
}

fn limit(key: &(bool, String)) -> u32 {
    if key.0 { PER_NAME } else { PER_ADDRESS }
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
    use crate::error::Error;

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
