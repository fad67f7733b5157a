//! The outbox: every state change appends one event in its own transaction; everything that tells somebody is a reader.

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs};

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Strictly increasing in commit order; a reader's cursor.
    pub seq: i64,
    pub kind: EventKind,
    pub stack_id: Option<Id>,
    /// The build, deployment, task or webhook event it is about.
    pub subject_id: Option<Id>,
    pub data: serde_json::Value,
    pub at: UnixMs,
}

/// What a state change appends; the store adds `seq` and `at`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub kind: EventKind,
    pub stack_id: Option<Id>,
    pub subject_id: Option<Id>,
    pub data: serde_json::Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    #[serde(rename = "stack.changed")]
    StackChanged,
    #[serde(rename = "build.status")]
    BuildStatus,
    #[serde(rename = "deployment.status")]
    DeploymentStatus,
    #[serde(rename = "deployment.step")]
    DeploymentStep,
    /// A rollout asked people something, or was answered.
    #[serde(rename = "deployment.approval")]
    DeploymentApproval,
    #[serde(rename = "webhook.processed")]
    WebhookProcessed,
    #[serde(rename = "plugin.changed")]
    PluginChanged,
}

impl EventKind {
    pub const ALL: [Self; 7] = [
        Self::StackChanged,
        Self::BuildStatus,
        Self::DeploymentStatus,
        Self::DeploymentStep,
        Self::DeploymentApproval,
        Self::WebhookProcessed,
        Self::PluginChanged,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::StackChanged => "stack.changed",
            Self::BuildStatus => "build.status",
            Self::DeploymentStatus => "deployment.status",
            Self::DeploymentStep => "deployment.step",
            Self::DeploymentApproval => "deployment.approval",
            Self::WebhookProcessed => "webhook.processed",
            Self::PluginChanged => "plugin.changed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
