//! How a command ends when it does not end well: what happened, what to do, and an exit code.

use std::io::Write;

/// Exit codes, as `windlass --help` documents them.
pub mod exit {
    pub const SUCCESS: u8 = 0;
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const CANCELLED: u8 = 3;
    pub const TIMEOUT: u8 = 4;
    pub const UNREACHABLE: u8 = 5;
    /// What a shell reports for a program that Ctrl-C ended.
    pub const INTERRUPTED: u8 = 130;
}

pub type Outcome<T> = Result<T, Failure>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    /// What happened and why, as whole sentences.
    pub what: String,
    /// What to do about it; empty if there is nothing to say.
    pub advice: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command makes no sense as it was written.
    Usage,
    /// The server understood and refused, with this status code.
    Refused(u16),
    /// Nobody answers, or not in time, or the answer broke off.
    Unreachable,
    /// The server answers but does not know who asks, or does not allow it.
    Unauthenticated,
    /// The deadline passed while the deployment went on.
    Timeout,
    Interrupted,
    /// Something on this machine.
    Local,
}

impl Failure {
    pub fn usage(what: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, what: what.into(), advice: "See `windlass --help`.".into() }
    }

    pub fn local(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { kind: Kind::Local, what: what.into(), advice: advice.into() }
    }

    /// Replaces the advice.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// Where something is not there, says which command lists what is.
    pub fn listed_by(self, command: &str) -> Self {
        if self.is_not_found() { self.advise(format!("`{command}` shows what there is.")) } else { self }
    }

    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::Refused(404)
    }

    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => exit::USAGE,
            Kind::Refused(_) | Kind::Local => exit::FAILED,
            Kind::Unreachable | Kind::Unauthenticated => exit::UNREACHABLE,
            Kind::Timeout => exit::TIMEOUT,
            Kind::Interrupted => exit::INTERRUPTED,
        }
    }

    /// Tells the person on standard error. Nobody may be reading there; that changes nothing.
    pub fn report(&self) {
        let mut text = format!("error: {}\n", self.what.trim_end());
        if !self.advice.is_empty() {
            text.push_str(self.advice.trim_end());
            text.push('\n');
        }
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}
