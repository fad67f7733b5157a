//! What people are told: the host's side of `windlass:notifier`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::UnixMs;

/// The worse, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Success,
    Warning,
    Error,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The same for each attempt to deliver it.
    pub id: String,
    /// For programs: `deployment.successful`.
    pub kind: String,
    pub at: UnixMs,
    pub severity: Severity,
    pub title: String,
    pub text: String,
    pub stack: Option<String>,
    /// Page of the dashboard.
    pub url: Option<String>,
    pub data: Value,
}

/// A request that a notifier wants to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyRequest {
    pub method: String,
    /// Relative to the target's base URL; empty for the URL itself.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Name of the credential slot to inject.
    pub credential: Option<String>,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of HTTP; of a mail server 250.
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after_secs: Option<u32>,
    /// The beginning of what it said.
    pub excerpt: String,
}

impl Answer {
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it may work later.
    pub fn may_change(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500..=599)
    }

    /// In one line, for people.
    pub fn said(&self) -> String {
        match self.excerpt.trim() {
            "" => format!("the receiver answered with status {}", self.status),
            text => format!("the receiver answered with status {}: {text}", self.status),
        }
    }
}
