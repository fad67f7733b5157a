//! How many requests are taken in a minute: with one token, so that a program that has gone mad leaves something for others, and
//! with tokens that are not valid, from one address.

use super::rates::PerMinute;
use crate::domain::{Id, UnixMs};
use crate::error::Result;

/// Requests with wrong tokens. They cannot be guessed; looking them up costs time.
const WRONG: u32 = 300;

pub struct ApiLimits {
    per_minute: u32,
    tokens: PerMinute<Id>,
    strangers: PerMinute<String>,
}

impl ApiLimits {
    /// 0 means no limit for valid tokens.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, tokens: PerMinute::default(), strangers: PerMinute::default() }
    }

    /// # Errors
    /// `RateLimited` if too many requests with that token were taken in the last minute.
    pub fn take(&self, token: &Id, now: UnixMs) -> Result<()> {
        self.tokens.take(token.clone(), self.per_minute, "requests with one token", now)
    }

    /// # Errors
    /// `RateLimited` after too many wrong tokens from that address in the last minute.
    pub fn check(&self, address: &str, now: UnixMs) -> Result<()> {
        self.strangers.check(&address.to_owned(), WRONG, "requests with wrong tokens", now)
    }

    pub fn failed(&self, address: &str, now: UnixMs) {
        self.strangers.count(address.to_owned(), WRONG, now);
    }
}
