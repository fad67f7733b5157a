//! Health on demand, as `/api/v1` shows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::time;
use crate::app::deployment::{CheckedInstance, HealthReport};

/// What the instances of a deployment's release said when they were asked just now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckView {
    /// The deployment's number.
    pub deployment: i64,
    /// Something runs, and all of it is well.
    pub healthy: bool,
    /// The path that was asked for; without one the image's own health check or an open port decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub checked_at: String,
    /// Of a release that does not run any more: none.
    pub instances: Vec<CheckedInstanceView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckedInstanceView {
    /// The container's name.
    pub name: String,
    pub healthy: bool,
    /// Why it is not healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took to answer.
    pub took_ms: u64,
    /// How often the engine has restarted it by itself.
    pub restarts: u32,
}

impl From<HealthReport> for HealthCheckView {
    fn from(report: HealthReport) -> Self {
        Self {
            healthy: report.is_healthy(),
            deployment: report.deployment,
            path: report.path,
            checked_at: time(report.checked_at),
            instances: report.instances.into_iter().map(CheckedInstanceView::from).collect(),
        }
    }
}

impl From<CheckedInstance> for CheckedInstanceView {
    fn from(instance: CheckedInstance) -> Self {
        Self {
            healthy: instance.is_healthy(),
            name: instance.name,
            reason: instance.problem,
            took_ms: instance.took_ms,
            restarts: instance.restarts,
        }
    }
}
