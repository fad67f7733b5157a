//! A circuit breaker: who faults several times in a row is left alone for a while, then tried once.
//!
//! Pure: the caller has the clock. There is one for each (component × connection), so what fails towards one end does not
//! stop the calls to another.

use serde::{Deserialize, Serialize};

use super::UnixMs;

/// When a breaker opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRules {
    /// Faults without an answer in between that open it.
    pub faults: u32,
    /// Milliseconds it stays open the first time; each failed probe doubles them.
    pub first_pause_ms: i64,
    pub longest_pause_ms: i64,
    /// A probe that has not come back after this many milliseconds never will.
    pub probe_patience_ms: i64,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { faults: 5, first_pause_ms: 1_000, longest_pause_ms: 300_000, probe_patience_ms: 60_000 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// Faults in a row.
    faults: u32,
    /// How often it opened without an answer in between.
    openings: u32,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: UnixMs },
    HalfOpen { since: UnixMs },
}

/// What people see of a breaker that is not closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerStatus {
    /// The connection it is for; empty for calls that need none.
    pub connection: String,
    /// `open`, `half-open`, or `closed` after faults that were too few to open it.
    pub state: String,
    /// Faults in a row.
    pub faults: u32,
    /// When the next call is let through.
    pub until: Option<UnixMs>,
    /// The last fault.
    pub reason: String,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, faults: 0, openings: 0, reason: String::new() }
    }
}

impl Breaker {
    /// Whether a call may go now; if not, when to come again.
    ///
    /// # Errors
    /// The time from which on it is worth trying.
    pub fn admit(&mut self, rules: &BreakerRules, now: UnixMs) -> Result<(), UnixMs> {
        match self.state {
            State::Closed => Ok(()),
            State::Open { until } if now < until => Err(until),
            State::HalfOpen { since } if now < since + rules.probe_patience_ms => {
                Err((now + rules.first_pause_ms).min(since + rules.probe_patience_ms))
            }
            // Its time is over, or the probe got lost: this call is the probe.
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { since: now };
                Ok(())
            }
        }
    }

    /// A call was answered: all is forgiven.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// A call ended by a fault. True if that opened the breaker.
    pub fn faulted(&mut self, rules: &BreakerRules, now: UnixMs, reason: &str) -> bool {
        self.faults = self.faults.saturating_add(1);
        self.reason = reason.to_owned();
        let opens = match self.state {
            State::Closed => self.faults >= rules.faults,
            State::HalfOpen { .. } => true,
            // A call that began before it opened.
            State::Open { .. } => false,
        };
        if opens {
            let doubled = 1_i64.checked_shl(self.openings.min(32)).unwrap_or(i64::MAX);
            let pause = rules.first_pause_ms.saturating_mul(doubled).min(rules.longest_pause_ms);
            self.openings = self.openings.saturating_add(1);
            self.state = State::Open { until: now + pause };
        }
        opens
    }

    /// A breaker that is as good as new need not be kept.
    pub fn is_pristine(&self) -> bool {
        self.state == State::Closed && self.faults == 0
    }

    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub fn status(&self, connection: &str) -> BreakerStatus {
        let (state, until) = match self.state {
            State::Closed => ("closed", None),
            State::Open { until } => ("open", Some(until)),
            State::HalfOpen { .. } => ("half-open", None),
        };
        BreakerStatus {
            connection: connection.to_owned(),
            state: state.to_owned(),
            faults: self.faults,
            until,
            reason: self.reason.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BreakerRules =
        BreakerRules { faults: 3, first_pause_ms: 100, longest_pause_ms: 350, probe_patience_ms: 1_000 };

    fn opened(now: UnixMs) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            breaker.faulted(&RULES, now, "trapped");
        }
        breaker
    }

    #[test]
    fn it_opens_after_that_many_faults_in_a_row() {
        let mut breaker = Breaker::default();
        assert!(!breaker.faulted(&RULES, 0, "a"));
        assert!(!breaker.faulted(&RULES, 1, "b"));
        breaker.answered();
        assert!(breaker.is_pristine(), "an answer forgives");
        assert!(!breaker.faulted(&RULES, 2, "c"));
        assert!(!breaker.faulted(&RULES, 3, "d"));
        assert_eq!(breaker.admit(&RULES, 3), Ok(()));
        assert!(breaker.faulted(&RULES, 4, "e"));
        assert_eq!(breaker.admit(&RULES, 5), Err(104));
        assert_eq!(breaker.reason(), "e");
    }

    #[test]
    fn one_probe_goes_through_when_its_time_is_over() {
        let mut breaker = opened(0);
        assert_eq!(breaker.admit(&RULES, 99), Err(100));
        assert_eq!(breaker.admit(&RULES, 100), Ok(()));
        assert!(breaker.admit(&RULES, 101).is_err(), "the second has to wait for the probe");
        assert_eq!(breaker.status("").state, "half-open");
        breaker.answered();
        assert_eq!(breaker.admit(&RULES, 102), Ok(()));
        assert_eq!(breaker.admit(&RULES, 102), Ok(()));
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_up_to_the_longest() {
        let mut breaker = opened(0);
        let mut now = 100;
        for pause in [200, 350, 350] {
            assert_eq!(breaker.admit(&RULES, now), Ok(()));
            assert!(breaker.faulted(&RULES, now, "again"));
            assert_eq!(breaker.admit(&RULES, now), Err(now + pause));
            now += pause;
        }
    }

    #[test]
    fn a_probe_that_never_comes_back_is_replaced() {
        let mut breaker = opened(0);
        assert_eq!(breaker.admit(&RULES, 100), Ok(()));
        assert!(breaker.admit(&RULES, 1_099).is_err());
        assert_eq!(breaker.admit(&RULES, 1_100), Ok(()));
    }

    #[test]
    fn a_call_that_began_before_does_not_open_it_again() {
        let mut breaker = opened(0);
        assert!(!breaker.faulted(&RULES, 50, "late"));
        assert_eq!(breaker.admit(&RULES, 50), Err(100));
    }
}
