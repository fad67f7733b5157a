//! How many requests a provider still takes, as the headers of its answers say it: `X-RateLimit-Limit`, `-Remaining` and
//! `-Reset`, or the same names without `X-` (draft-ietf-httpapi-ratelimit-headers in its earlier versions).

use serde::{Deserialize, Serialize};

use crate::domain::UnixMs;

/// Below this part of its budget a provider is asked less often.
const LOW: i64 = 4;
/// The longest pause between two questions that a low budget leads to, in milliseconds.
const LONGEST_MS: UnixMs = 900_000;
/// A reset below this is a number of seconds, above it a time in Unix seconds.
const FIRST_TIME: i64 = 1_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateBudget {
    /// Requests in one window.
    pub limit: i64,
    /// What is left of them.
    pub remaining: i64,
    /// When the window ends.
    pub resets_at: Option<UnixMs>,
    pub seen_at: UnixMs,
}

impl RateBudget {
    /// `header` finds a header's value by its name in lower case.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>, now: UnixMs) -> Option<Self> {
        // Some say `100, 100;w=60`: the first number is what counts.
        let number = |name: &str| -> Option<i64> {
            let text =
                header(&format!("x-ratelimit-{name}")).or_else(|| header(&format!("ratelimit-{name}")))?;
            let text = text.split([',', ';']).next().unwrap_or_default().trim();
            text.parse().ok().filter(|number| *number >= 0)
        };
        let limit = number("limit").filter(|limit| *limit > 0)?;
        let remaining = number("remaining")?.min(limit);
        let resets_at = number("reset").map(|reset| match reset {
            time if time >= FIRST_TIME => time.saturating_mul(1000),
            seconds => now + seconds * 1000,
        });
        Some(Self { limit, remaining, resets_at, seen_at: now })
    }

    /// Whether the window that it is about has passed.
    pub fn is_over(&self, now: UnixMs) -> bool {
        self.resets_at.map_or(now - self.seen_at >= LONGEST_MS, |at| at <= now)
    }

    pub fn is_low(&self, now: UnixMs) -> bool {
        !self.is_over(now) && self.remaining < self.limit / LOW
    }

    /// A pause between two questions, in milliseconds, made longer the less is left: with half of what is low left it is twice
    /// as long, with nothing left it lasts until the window ends.
    pub fn stretched(&self, wait: UnixMs, now: UnixMs) -> UnixMs {
        if !self.is_low(now) {
            return wait;
        }
        let end = self.resets_at.map_or(LONGEST_MS, |at| at - now).clamp(0, LONGEST_MS);
        let longer = match self.remaining {
            0 => end,
            left => wait.saturating_mul(self.limit / LOW) / left,
        };
        longer.clamp(wait, end.max(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &'static str)]) -> Option<RateBudget> {
        RateBudget::read(|name| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value), 1000)
    }

    #[test]
    fn both_spellings_and_both_kinds_of_reset_are_understood() {
        let budget = read(&[
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "12"),
            ("x-ratelimit-reset", "1700000000"),
        ]);
        let wanted =
            RateBudget { limit: 5000, remaining: 12, resets_at: Some(1_700_000_000_000), seen_at: 1000 };
        assert_eq!(budget, Some(wanted));
        let budget = read(&[
            ("ratelimit-limit", "100, 100;w=60"),
            ("ratelimit-remaining", "7"),
            ("ratelimit-reset", "30"),
        ]);
        assert_eq!(
            budget,
            Some(RateBudget { limit: 100, remaining: 7, resets_at: Some(31_000), seen_at: 1000 })
        );
        assert_eq!(read(&[("x-ratelimit-limit", "many"), ("x-ratelimit-remaining", "7")]), None);
        assert_eq!(read(&[("x-ratelimit-limit", "0"), ("x-ratelimit-remaining", "0")]), None);
        assert_eq!(read(&[("x-ratelimit-remaining", "7")]), None);
    }

    #[test]
    fn the_less_is_left_the_longer_the_pauses_until_the_window_ends() {
        let budget = |remaining| RateBudget { limit: 100, remaining, resets_at: Some(600_000), seen_at: 0 };
        assert_eq!(budget(25).stretched(1000, 0), 1000, "a quarter is enough");
        assert_eq!(budget(12).stretched(1000, 0), 2083);
        assert_eq!(budget(1).stretched(1000, 0), 25_000);
        assert_eq!(budget(0).stretched(1000, 0), 600_000);
        assert_eq!(budget(1).stretched(60_000, 0), 600_000, "the next window is a new budget");
        assert_eq!(budget(0).stretched(1000, 600_000), 1000, "it has begun");
        let endless = RateBudget { resets_at: None, ..budget(0) };
        assert_eq!(endless.stretched(1000, 0), LONGEST_MS);
        assert_eq!(endless.stretched(1000, LONGEST_MS), 1000);
    }
}
