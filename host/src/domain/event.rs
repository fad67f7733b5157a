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

/// An event of the past, with the name that its stack has now; none if it is about no stack, or about one that is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct PastEvent {
    pub event: Event,
    pub stack: Option<String>,
}

impl Event {
    /// In a line, for people.
    pub fn words(&self) -> String {
        let of = |name: &str| match self.data.get(name) {
            Some(serde_json::Value::String(text)) => text.replace('_', " "),
            Some(serde_json::Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let because = |words: String| match of("error").as_str() {
            "" => words,
            error => format!("{words}: {error}"),
        };
        match self.kind {
            EventKind::StackChanged => match of("change").as_str() {
                what @ ("created" | "changed" | "deleted") => format!("The stack was {what}"),
                what => format!("The stack was changed: {what}"),
            },
            EventKind::BuildStatus => format!("Build {} is {}", of("build"), of("status")),
            EventKind::DeploymentStatus => format!("Deployment {} is {}", of("deployment"), of("status")),
            EventKind::DeploymentStep => match of("effect").as_str() {
                "" => of("label"),
                effect => because(format!("{}: {effect}", of("label"))),
            },
            EventKind::DeploymentTransition => of("text"),
            EventKind::DeploymentApproval => match of("by").as_str() {
                "" => format!("{}: {}", of("prompt"), of("state")),
                by => format!("{}: {} by {by}", of("prompt"), of("state")),
            },
            EventKind::WebhookProcessed => format!("A delivery was processed: {}", of("reason")),
            EventKind::PluginChanged => format!("Plugin {} is {}", of("name"), of("state")),
            EventKind::ProviderChanged => format!("Provider {}: {}", of("provider"), of("change")),
            EventKind::CiBuildStatus => format!("Build {} at the provider is {}", of("number"), of("status")),
            EventKind::CiBuildMoved => {
                format!("A build was moved from {} to {}: {}", of("from"), of("to"), of("reason"))
            }
            EventKind::DeploymentStatusUpdate
            | EventKind::DeploymentRunStart
            | EventKind::DeploymentRunFailure => because(format!(
                "The deployment's build {} at the provider: {}",
                of("buildNumber"),
                of("status")
            )),
            EventKind::CertificateChanged => {
                because(format!("The certificate of {} is {}", of("host"), of("state")))
            }
            EventKind::TargetChanged => format!("Target {}: {}", of("target"), of("change")),
        }
    }

    /// The number of the deployment or build that it names.
    pub fn number(&self, of: &str) -> Option<i64> {
        self.data.get(of)?.as_i64()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(kind: EventKind, data: serde_json::Value) -> String {
        Event { seq: 1, kind, stack_id: None, subject_id: None, data, at: 0 }.words()
    }

    #[test]
    fn an_event_is_told_in_a_line_with_what_went_wrong() {
        let step = json!({ "label": "Starting", "effect": "start 2 instances", "error": "no such image" });
        assert_eq!(words(EventKind::DeploymentStep, step), "Starting: start 2 instances: no such image");
        assert_eq!(words(EventKind::DeploymentStep, json!({ "label": "Waiting" })), "Waiting");
        let status = json!({ "deployment": 7, "status": "rolled_back" });
        assert_eq!(words(EventKind::DeploymentStatus, status), "Deployment 7 is rolled back");
        let change = json!({ "change": "webhook_secret_rotated" });
        assert_eq!(words(EventKind::StackChanged, change), "The stack was changed: webhook secret rotated");
        let answer = json!({ "prompt": "Go on?", "state": "approved", "by": "ada" });
        assert_eq!(words(EventKind::DeploymentApproval, answer), "Go on?: approved by ada");
    }

    #[test]
    fn whatever_is_stored_there_are_words_for_it() {
        for kind in EventKind::ALL {
            for data in [json!(null), json!({}), json!({ "status": [1], "label": { "a": 1 } })] {
                words(*kind, data);
            }
        }
    }
}
