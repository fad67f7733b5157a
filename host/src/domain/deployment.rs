//! A deployment: one release brought into service, or the attempt (seed 2, `Deployment`; DESIGN §3).

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs};

#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    pub id: Id,
    pub seq: i64,
    pub project_id: Id,
    pub stack_id: Id,
    pub build_config_id: Option<Id>,
    pub repository_id: Option<Id>,
    pub build_id: Option<Id>,
    /// What is being brought into service; known once the build has succeeded.
    pub release_id: Option<Id>,
    /// What served when the rollout started.
    pub stable_release_id: Option<Id>,
    pub commit_sha: String,
    pub commit_message: Option<String>,
    pub commit_author: Option<String>,
    pub branch: String,
    pub tag: Option<String>,
    pub image_tag: String,
    /// Why a person asked for it.
    pub reason: Option<String>,
    pub status: DeploymentStatus,
    pub error: Option<String>,
    pub triggered_by: TriggerType,
    pub triggered_by_user: Option<String>,
    /// The deployment that this one goes back behind, or that it replaced.
    pub previous_deployment_id: Option<Id>,
    pub rollout: RolloutState,
    pub started_at: UnixMs,
    pub completed_at: Option<UnixMs>,
}

/// Where the rollout of a deployment is. Written before every action.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RolloutState {
    /// Name of the strategy plugin, and its digest once the rollout has started.
    pub strategy: String,
    pub strategy_digest: String,
    pub strategy_params: serde_json::Value,
    /// The strategy's memory, opaque.
    pub memory: Vec<u8>,
    pub label: String,
    /// 0 to 100.
    pub progress: i64,
    pub rollout_started_at: Option<UnixMs>,
    pub step_started_at: Option<UnixMs>,
    pub deadline_at: Option<UnixMs>,
    pub abort_requested: bool,
    /// Since when a person holds it where it is.
    pub paused_at: Option<UnixMs>,
    /// Set when the host took over from a strategy that failed; the reason.
    pub fallback_reason: Option<String>,
    /// Milliseconds in which nothing served while the traffic moved; known once it has.
    pub pause_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentStatus {
    Pending,
    Building,
    Deploying,
    Successful,
    Failed,
    RolledBack,
    Cancelled,
}

impl DeploymentStatus {
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Building,
        Self::Deploying,
        Self::Successful,
        Self::Failed,
        Self::RolledBack,
        Self::Cancelled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Building => "building",
            Self::Deploying => "deploying",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Successful | Self::Failed | Self::RolledBack | Self::Cancelled)
    }

    /// Whether the same may be wanted again: it has ended, and not well.
    pub fn may_be_retried(self) -> bool {
        self.is_terminal() && self != Self::Successful
    }

    /// Whether the state machine allows this step. A successful deployment may still be rolled back later.
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Pending, Self::Building | Self::Deploying)
            | (Self::Building, Self::Deploying)
            | (Self::Deploying, Self::Successful | Self::RolledBack)
            | (Self::Successful, Self::RolledBack) => true,
            (from, Self::Failed | Self::Cancelled) => !from.is_terminal(),
            _ => false,
        }
    }

    /// The word of seed 1's deployments (DESIGN §3).
    pub fn seed1(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Building | Self::Deploying => "running",
            Self::Successful => "completed",
            Self::Failed | Self::RolledBack | Self::Cancelled => "failed",
        }
    }

    /// The word of seed 4's deployments (DESIGN §3).
    pub fn seed4(self) -> &'static str {
        match self {
            Self::Pending | Self::Building | Self::Deploying => "deploying",
            Self::Successful => "success",
            Self::Failed | Self::Cancelled => "failed",
            Self::RolledBack => "rolled_back",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerType {
    Webhook,
    Manual,
    Scheduled,
    Api,
}

impl TriggerType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
            Self::Api => "api",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Webhook, Self::Manual, Self::Scheduled, Self::Api]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_deployment_changes_only_from_successful_to_rolled_back() {
        for from in DeploymentStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            for to in DeploymentStatus::ALL {
                let allowed = (from, to) == (DeploymentStatus::Successful, DeploymentStatus::RolledBack);
                assert_eq!(from.may_become(to), allowed, "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn every_running_deployment_can_fail_and_be_cancelled() {
        for from in DeploymentStatus::ALL.into_iter().filter(|status| !status.is_terminal()) {
            assert!(from.may_become(DeploymentStatus::Failed));
            assert!(from.may_become(DeploymentStatus::Cancelled));
        }
    }

    #[test]
    fn what_runs_or_was_successful_is_not_retried() {
        let retried: Vec<_> =
            DeploymentStatus::ALL.into_iter().filter(|status| status.may_be_retried()).collect();
        assert_eq!(
            retried,
            [DeploymentStatus::Failed, DeploymentStatus::RolledBack, DeploymentStatus::Cancelled]
        );
    }

    #[test]
    fn words_survive_the_database() {
        for status in DeploymentStatus::ALL {
            assert_eq!(DeploymentStatus::parse(status.as_str()), Some(status));
        }
    }
}
