//! What people are told: the host's side of `windlass:notifier`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::UnixMs;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Success,
    Warning,
    Error,
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
