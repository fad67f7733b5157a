//! CI/CD providers, their jobs and builds as this server keeps them (seed 0), and the stacks that are deployed by them.

mod build;
mod failover;
mod job;
mod provider;
mod rate;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use build::{CicdBuild, LOOK_MS, Origin, Start, Step, look_after_ms, next_step, poll_after_ms};
pub use failover::{Failover, LEAVE_MS};
pub use job::{CicdJob, Host, JobFile, JobParams, JobRepository, JobScript, check_retries, values};
pub use provider::{AuthType, CicdProvider, ProviderHealth, ProviderState};
pub use rate::RateBudget;

use super::ci::CiStatus;
use super::deployment::DeploymentStatus;
use super::{Id, UnixMs};

/// How a stack is deployed by a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct StackCi {
    pub stack_id: Id,
    pub provider_id: Id,
    /// The job that deploys it, once there was a deployment.
    pub job_id: Option<Id>,
    pub settings: StackCiSettings,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What a person says about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StackCiSettings {
    /// The job. Its name is the stack's and its repository the stack's, unless it says otherwise.
    #[serde(default)]
    pub job: JobParams,
    /// What each build is started with.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// Seconds from its start after which a build is stopped, and counts as failed.
    #[serde(default = "hour")]
    pub timeout_secs: u32,
    /// How often a build that failed is started again.
    #[serde(default)]
    pub retries: u32,
}

fn hour() -> u32 {
    3600
}

/// Which deployment waits for which job (seed 0).
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    pub id: Id,
    pub deployment_id: Id,
    pub cicd_job_id: Id,
    pub parameters: Map<String, Value>,
    pub build_number: Option<String>,
    pub build_url: Option<String>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What a build's status means for the deployment that waits for it (seed 1, in the words of seed 2).
pub fn deployment_status(status: CiStatus) -> DeploymentStatus {
    match status {
        CiStatus::Success => DeploymentStatus::Successful,
        CiStatus::Failure => DeploymentStatus::Failed,
        CiStatus::Cancelled => DeploymentStatus::Cancelled,
        CiStatus::Running => DeploymentStatus::Deploying,
        CiStatus::Pending | CiStatus::Unknown => DeploymentStatus::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_1_maps_statuses_like_this() {
        for (status, word) in [
            (CiStatus::Success, "completed"),
            (CiStatus::Failure, "failed"),
            (CiStatus::Running, "running"),
            (CiStatus::Pending, "pending"),
            (CiStatus::Unknown, "pending"),
        ] {
            assert_eq!(deployment_status(status).seed1(), word, "{status:?}");
        }
    }
}
