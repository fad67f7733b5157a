//! A rollout that runs, as `/api/v1` shows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::time;
use crate::app::rollout::{RolloutView as AppRolloutView, Side};
use crate::domain::rollout::{Instance, Sample};

/// Who gets the requests, what runs, and how it answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    /// Whether it runs. A rollout that waits to begin or has ended has no releases to show.
    pub running: bool,
    /// The router carries the requests, so shares are exact and answers are counted.
    pub routed: bool,
    /// It waits for time to pass, and `POST …/promote` lets it go on now.
    pub waits: bool,
    /// The new one first.
    pub releases: Vec<RolloutReleaseView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutReleaseView {
    pub id: String,
    pub seq: i64,
    /// `new` or `stable`.
    pub role: &'static str,
    pub image_tag: String,
    pub commit_sha: String,
    /// Of the requests.
    pub percent: u32,
    pub instances: Vec<InstanceView>,
    /// Since the shares last changed; absent as long as nothing was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswersView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    /// The container's id.
    pub id: String,
    /// starting, healthy, unhealthy or exited.
    pub state: &'static str,
    pub since: String,
    pub restarts: u32,
    /// Why it is not healthy.
    pub reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnswersView {
    pub requests: u64,
    /// Answers with a status of 500 or more, and requests that got none.
    pub errors_5xx: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

impl From<Option<AppRolloutView>> for RolloutView {
    fn from(view: Option<AppRolloutView>) -> Self {
        Self {
            running: view.is_some(),
            routed: view.as_ref().is_some_and(|view| view.is_routed),
            waits: view.as_ref().is_some_and(|view| view.waits),
            releases: view.into_iter().flat_map(|view| view.sides).map(Into::into).collect(),
        }
    }
}

impl From<Side> for RolloutReleaseView {
    fn from(side: Side) -> Self {
        Self {
            id: side.release.id.to_string(),
            seq: side.release.seq,
            role: if side.is_new { "new" } else { "stable" },
            image_tag: side.release.image_tag,
            commit_sha: side.release.commit_sha,
            percent: side.percent,
            instances: side.instances.into_iter().map(Into::into).collect(),
            answers: side.sample.map(Into::into),
        }
    }
}

impl From<Instance> for InstanceView {
    fn from(instance: Instance) -> Self {
        Self {
            id: instance.id,
            state: instance.state.as_str(),
            since: time(instance.since),
            restarts: instance.restarts,
            reason: instance.reason,
        }
    }
}

impl From<Sample> for AnswersView {
    fn from(sample: Sample) -> Self {
        Self {
            requests: sample.requests,
            errors_5xx: sample.errors_5xx,
            p50_ms: sample.p50_ms,
            p95_ms: sample.p95_ms,
            p99_ms: sample.p99_ms,
        }
    }
}
