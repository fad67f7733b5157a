//! Looking at a git server for pushes that nobody told: when, and what a look has found.

use std::collections::HashMap;

use super::head::Head;
use super::webhook::Origin;
use super::{Id, UnixMs};

/// Branches of one repository that are watched, and tags; beyond them, by name, nothing is known.
pub const MOST_BRANCHES: usize = 5000;

/// How looking at a repository goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub repository_id: Id,
    /// The address that was looked at.
    pub url: String,
    /// Why the next look is taken.
    pub cause: Cause,
    pub next_at: Option<UnixMs>,
    /// Last success.
    pub looked_at: Option<UnixMs>,
    /// In a row.
    pub failures: i64,
    /// Of the last look, if it failed.
    pub error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The server has started.
    Start,
    /// Its time has come, or somebody asked.
    Poll,
}

impl Cause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Poll => "poll",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Start, Self::Poll].into_iter().find(|cause| cause.as_str() == word)
    }

    pub fn origin(self) -> Origin {
        match self {
            Self::Start => Origin::Start,
            Self::Poll => Origin::Poll,
        }
    }
}

/// Milliseconds until the next look of a repository that is polled: the interval and up to a tenth more, so that many
/// repositories do not ask one server in the same moment. `jitter` is 0 to 999.
pub fn pause_ms(interval_secs: u64, jitter: u64) -> UnixMs {
    let interval = i64::try_from(interval_secs.min(86_400) * 1000).unwrap_or(i64::MAX);
    interval + interval / 10 * i64::try_from(jitter.min(999)).unwrap_or(0) / 1000
}

/// Milliseconds until a failed look is tried again: from 5 s, doubled each time, at most an hour.
pub fn backoff_ms(failures: i64, jitter: u64) -> UnixMs {
    let doublings = u32::try_from(failures.clamp(1, 11) - 1).unwrap_or(0);
    let base = (5_000_i64 << doublings).min(3_600_000);
    base * 3 / 4 + base / 4 * i64::try_from(jitter.min(999)).unwrap_or(0) / 1000
}

/// A branch that is not where it was known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub branch: String,
    /// `None` for a new branch.
    pub before: Option<String>,
    pub after: String,
}

/// Branches that moved or came, by name.
pub fn moved(known: &HashMap<String, Head>, there: &[(String, String)]) -> Vec<Moved> {
    let is_news =
        |(branch, commit): &&(String, String)| known.get(branch).is_none_or(|head| head.commit != *commit);
    let change = |(branch, commit): &(String, String)| Moved {
        branch: branch.clone(),
        before: known.get(branch).map(|head| head.commit.clone()),
        after: commit.clone(),
    };
    there.iter().filter(is_news).map(change).collect()
}

/// Branches that are known and no longer there.
pub fn gone<'k>(known: &'k HashMap<String, Head>, there: &[(String, String)]) -> Vec<&'k str> {
    let there: std::collections::HashSet<&str> = there.iter().map(|(branch, _)| branch.as_str()).collect();
    known.keys().map(String::as_str).filter(|branch| !there.contains(branch)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_server_is_asked_ever_less_often_but_never_given_up() {
        let waits: Vec<UnixMs> = (1..20).map(|failures| backoff_ms(failures, 0)).collect();
        assert!(waits.is_sorted());
        assert_eq!((waits[0], waits[18]), (3_750, 2_700_000));
        assert!((0..30).all(|failures| backoff_ms(failures, 999) <= 3_600_000));
    }

    #[test]
    fn polls_of_one_interval_are_spread() {
        assert_eq!(pause_ms(100, 0), 100_000);
        assert!((100_001..=110_000).contains(&pause_ms(100, 999)));
    }

    #[test]
    fn only_what_differs_is_news() {
        let head = |commit: &str| Head {
            branch: String::new(),
            commit: commit.into(),
            via: String::new(),
            event: 0,
        };
        let known: HashMap<String, Head> =
            [("main", "1"), ("dev", "2"), ("old", "3")].map(|(name, at)| (name.into(), head(at))).into();
        let there = [("dev", "2"), ("main", "9"), ("new", "4")].map(|(name, at)| (name.into(), at.into()));
        let found: Vec<_> =
            moved(&known, &there).into_iter().map(|one| (one.branch, one.before, one.after)).collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(found, [(text("main"), Some(text("1")), text("9")), (text("new"), None, text("4"))]);
        assert_eq!(gone(&known, &there), ["old"]);
    }
}
