//! Looking at git servers for pushes that no webhook tells.

use serde::Deserialize;

use crate::error::{Error, Result};

#[derive(Debug, Clone, Deserialize)]
pub struct Polling {
    /// Between two looks at one repository.
    pub interval_secs: u64,
    /// Git servers asked at a time.
    pub parallel: usize,
}

impl Polling {
    pub(super) fn check(&self) -> Result<()> {
        let bounds = [("interval_secs", self.interval_secs, 86_400), ("parallel", self.parallel as u64, 64)];
        for (key, value, most) in bounds {
            if !(1..=most).contains(&value) {
                let key = format!("polling.{key}");
                let message = format!("{key} has to be between 1 and {most}");
                return Err(Error::invalid(key, message));
            }
        }
        Ok(())
    }
}
