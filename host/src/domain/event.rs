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
    /// A rollout has come to something that is worth a word: a share moved, a batch was replaced, a release was promoted.
    #[serde(rename = "deployment.transition")]
    DeploymentTransition,
    /// A rollout asked people something, or was answered.
    #[serde(rename = "deployment.approval")]
    DeploymentApproval,
    #[serde(rename = "webhook.processed")]
    WebhookProcessed,
    #[serde(rename = "plugin.changed")]
    PluginChanged,
    /// A provider's health, or the provider itself.
    #[serde(rename = "provider.changed")]
    ProviderChanged,
    /// A build at a provider.
    #[serde(rename = "ci_build.status")]
    CiBuildStatus,
    /// A build is moved to its job's second provider.
    #[serde(rename = "ci_build.moved")]
    CiBuildMoved,
    /// Seed 1's events, under seed 1's names.
    #[serde(rename = "DEPLOYMENT_STATUS_UPDATE")]
    DeploymentStatusUpdate,
    #[serde(rename = "DEPLOYMENT_RUN_START")]
    DeploymentRunStart,
    #[serde(rename = "DEPLOYMENT_RUN_FAILURE")]
    DeploymentRunFailure,
    /// A certificate was issued, or could not be.
    #[serde(rename = "certificate.changed")]
    CertificateChanged,
    /// A target's health, or the target itself.
    #[serde(rename = "target.changed")]
    TargetChanged,
}

impl EventKind {
    pub const ALL: &[Self] = &[
        Self::StackChanged,
        Self::BuildStatus,
        Self::DeploymentStatus,
        Self::DeploymentStep,
        Self::DeploymentTransition,
        Self::DeploymentApproval,
        Self::WebhookProcessed,
        Self::PluginChanged,
        Self::ProviderChanged,
        Self::CiBuildStatus,
        Self::CiBuildMoved,
        Self::DeploymentStatusUpdate,
        Self::DeploymentRunStart,
        Self::DeploymentRunFailure,
        Self::CertificateChanged,
        Self::TargetChanged,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::StackChanged => "stack.changed",
            Self::BuildStatus => "build.status",
            Self::DeploymentStatus => "deployment.status",
            Self::DeploymentStep => "deployment.step",
            Self::DeploymentTransition => "deployment.transition",
            Self::DeploymentApproval => "deployment.approval",
            Self::WebhookProcessed => "webhook.processed",
            Self::PluginChanged => "plugin.changed",
            Self::ProviderChanged => "provider.changed",
            Self::CiBuildStatus => "ci_build.status",
            Self::CiBuildMoved => "ci_build.moved",
            Self::DeploymentStatusUpdate => "DEPLOYMENT_STATUS_UPDATE",
            Self::DeploymentRunStart => "DEPLOYMENT_RUN_START",
            Self::DeploymentRunFailure => "DEPLOYMENT_RUN_FAILURE",
            Self::CertificateChanged => "certificate.changed",
            Self::TargetChanged => "target.changed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}
