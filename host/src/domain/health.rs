//! The health gate: when may an instance be called healthy? Pure; the probes themselves are made elsewhere.

use serde::{Deserialize, Serialize};

use super::UnixMs;

/// Consecutive successes an instance needs before traffic may reach it.
pub const REQUIRED_SUCCESSES: u32 = 2;
/// Consecutive failures after which an instance that was healthy is not any more.
pub const TOLERATED_FAILURES: u32 = 3;

/// How an instance is checked. The image's own HEALTHCHECK is used where `path` is absent, else an open port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// HTTP path that has to answer 200 to 399.
    pub path: Option<String>,
    /// Seconds an instance may take to pass the gate.
    pub timeout_secs: u32,
}

/// What one look at an instance showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Success,
    /// With the reason in words: `GET /health answered 500`.
    Failure(String),
}

/// The gate of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    successes: u32,
    failures: u32,
    passed: bool,
    pub last_failure: String,
    /// When it last changed between passed and not passed.
    pub since: UnixMs,
}

impl Gate {
    pub fn new(now: UnixMs) -> Self {
        Self { successes: 0, failures: 0, passed: false, last_failure: String::new(), since: now }
    }

    /// Takes one probe into account; true if that changed the verdict.
    pub fn observe(&mut self, probe: Probe, now: UnixMs) -> bool {
        match probe {
            Probe::Success => {
                self.successes += 1;
                self.failures = 0;
            }
            Probe::Failure(reason) => {
                self.successes = 0;
                self.failures += 1;
                self.last_failure = reason;
            }
        }
        let passed = if self.passed {
            self.failures < TOLERATED_FAILURES
        } else {
            self.successes >= REQUIRED_SUCCESSES
        };
        let changed = passed != self.passed;
        if changed {
            self.passed = passed;
            self.since = now;
        }
        changed
    }

    pub fn passed(&self) -> bool {
        self.passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lucky_answer_does_not_pass_the_gate() {
        let mut gate = Gate::new(0);
        assert!(!gate.observe(Probe::Success, 1));
        assert!(!gate.observe(Probe::Failure("no".into()), 2));
        assert!(!gate.observe(Probe::Success, 3));
        assert!(!gate.passed());
        assert!(gate.observe(Probe::Success, 4));
        assert!(gate.passed());
        assert_eq!(gate.since, 4);
    }

    #[test]
    fn a_healthy_instance_survives_a_hiccup_but_not_an_outage() {
        let mut gate = Gate::new(0);
        gate.observe(Probe::Success, 1);
        gate.observe(Probe::Success, 2);
        gate.observe(Probe::Failure("x".into()), 3);
        assert!(gate.passed());
        gate.observe(Probe::Failure("x".into()), 4);
        assert!(gate.observe(Probe::Failure("x".into()), 5));
        assert!(!gate.passed());
    }
}
