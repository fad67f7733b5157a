//! Deployments, their steps, builds and tasks.

use serde::Serialize;
use utoipa::ToSchema;

use super::{time, times};
use crate::app::rollout::words;
use crate::domain::approval::Approval;
use crate::domain::build::Build;
use crate::domain::deployment::Deployment;
use crate::domain::log::LogSummary;
use crate::domain::repository::redact_url;
use crate::domain::rollout::JournalEntry;
use crate::domain::task::TaskRow;

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentView {
    pub id: String,
    pub seq: i64,
    pub project_id: String,
    pub stack_id: String,
    pub build_id: Option<String>,
    pub release_id: Option<String>,
    pub repository_id: Option<String>,
    pub build_config_id: Option<String>,
    pub commit_sha: String,
    pub commit_message: Option<String>,
    pub commit_author: Option<String>,
    pub branch: String,
    pub tag: Option<String>,
    pub image_tag: String,
    pub reason: Option<String>,
    /// pending, building, deploying, successful, failed, rolled_back or cancelled.
    pub status: String,
    /// What it is doing, for people.
    pub label: String,
    /// 0 to 100.
    pub progress: i64,
    pub strategy: String,
    pub error: Option<String>,
    /// webhook, manual, scheduled or api.
    pub triggered_by: String,
    pub triggered_by_user: Option<String>,
    pub previous_deployment_id: Option<String>,
    /// Since when a person holds it where it is.
    pub paused_at: Option<String>,
    /// Milliseconds in which nothing served while the port was handed over.
    pub pause_ms: Option<i64>,
    pub started_at: String,
    pub completed_at: Option<String>,
    /// Seconds.
    pub duration: Option<i64>,
    /// What is known of its logs since they are complete; only where one deployment is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<DeploymentLogsView>,
}

/// Of a build, here or at a provider, and of a rollout; each as soon as it is complete.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentLogsView {
    pub build: Option<LogView>,
    pub rollout: Option<LogView>,
}

/// A complete log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogView {
    pub bytes: u64,
    pub lines: u64,
    /// Of its whole text, in hexadecimal. It stays when the log's files have been removed.
    pub sha256: String,
}

impl From<LogSummary> for LogView {
    fn from(log: LogSummary) -> Self {
        Self { bytes: log.bytes, lines: log.lines, sha256: log.sha256 }
    }
}

impl DeploymentView {
    pub fn with_logs(self, (build, rollout): (Option<LogSummary>, Option<LogSummary>)) -> Self {
        let logs =
            DeploymentLogsView { build: build.map(LogView::from), rollout: rollout.map(LogView::from) };
        Self { logs: Some(logs), ..self }
    }
}

impl From<Deployment> for DeploymentView {
    fn from(row: Deployment) -> Self {
        Self {
            id: row.id.to_string(),
            seq: row.seq,
            project_id: row.project_id.to_string(),
            stack_id: row.stack_id.to_string(),
            build_id: row.build_id.map(|id| id.to_string()),
            release_id: row.release_id.map(|id| id.to_string()),
            repository_id: row.repository_id.map(|id| id.to_string()),
            build_config_id: row.build_config_id.map(|id| id.to_string()),
            commit_sha: row.commit_sha,
            commit_message: row.commit_message,
            commit_author: row.commit_author,
            branch: row.branch,
            tag: row.tag,
            image_tag: row.image_tag,
            reason: row.reason,
            status: row.status.as_str().into(),
            label: row.rollout.label,
            progress: row.rollout.progress,
            strategy: row.rollout.strategy,
            error: row.error,
            triggered_by: row.triggered_by.as_str().into(),
            triggered_by_user: row.triggered_by_user,
            previous_deployment_id: row.previous_deployment_id.map(|id| id.to_string()),
            paused_at: times(row.rollout.paused_at),
            pause_ms: row.rollout.pause_ms,
            started_at: time(row.started_at),
            duration: row.completed_at.map(|at| (at - row.started_at) / 1000),
            completed_at: times(row.completed_at),
            logs: None,
        }
    }
}

/// What a rollout asked people.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalView {
    pub id: String,
    pub prompt: String,
    /// What the answer is about; it changes with releases, strategy, parameters and traffic.
    pub plan_hash: String,
    /// open, approved, rejected, expired or withdrawn.
    pub state: String,
    pub asked_at: String,
    /// Unanswered until then, it counts as rejected.
    pub expires_at: String,
    pub decided_at: Option<String>,
    pub decided_by: Option<String>,
    pub comment: Option<String>,
}

impl From<Approval> for ApprovalView {
    fn from(row: Approval) -> Self {
        Self {
            id: row.id.to_string(),
            prompt: row.prompt,
            plan_hash: row.plan_hash,
            state: row.state.as_str().into(),
            asked_at: time(row.asked_at),
            expires_at: time(row.expires_at),
            decided_at: times(row.decided_at),
            decided_by: row.decided_by,
            comment: row.comment,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    pub n: i64,
    pub label: String,
    /// The effect in words.
    pub effect: String,
    /// intent, done or failed.
    pub state: String,
    pub error: Option<String>,
    pub intended_at: String,
    pub done_at: Option<String>,
}

impl From<JournalEntry> for StepView {
    fn from(entry: JournalEntry) -> Self {
        Self {
            n: entry.n,
            label: entry.label,
            effect: words(&entry.effect),
            state: entry.state.as_str().into(),
            error: entry.error,
            intended_at: time(entry.intended_at),
            done_at: times(entry.done_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildView {
    pub id: String,
    pub seq: i64,
    pub stack_id: String,
    pub deployment_id: Option<String>,
    pub git_url: String,
    pub git_ref: String,
    pub commit_sha: String,
    pub context_path: String,
    pub dockerfile: String,
    pub image_tag: String,
    pub image_digest: String,
    /// queued, building, success, failed or cancelled.
    pub status: String,
    pub error: Option<String>,
    pub planner: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub created_at: String,
    /// Names with digests that registries have given the image: `registry.example/web@sha256:…`.
    pub pushed: Vec<String>,
    /// What is known of its log since it is complete; only where one build is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogView>,
}

impl From<Build> for BuildView {
    fn from(build: Build) -> Self {
        Self {
            id: build.id.to_string(),
            seq: build.seq,
            stack_id: build.stack_id.to_string(),
            deployment_id: build.deployment_id.map(|id| id.to_string()),
            git_url: redact_url(&build.git_url),
            git_ref: build.git_ref,
            commit_sha: build.commit_sha,
            context_path: build.context_path,
            dockerfile: build.dockerfile,
            image_tag: build.image_tag,
            image_digest: build.image_digest,
            status: build.status.as_str().into(),
            error: build.error,
            planner: build.planner,
            started_at: times(build.started_at),
            finished_at: times(build.finished_at),
            created_at: time(build.created_at),
            pushed: build.pushed,
            log: None,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    pub id: String,
    /// `webhook`, `build`, `deploy`, `ci_build`, `ci_job`, `rotate_keys`, `backup`, `notify`, `commit_status` or `forge_hook`.
    pub kind: String,
    /// Of what it is about: the delivery, build, deployment, …
    pub subject_id: String,
    /// queued, running, success, failed or cancelled.
    pub status: String,
    /// 0 to 100.
    pub progress: i64,
    pub attempt: i64,
    pub max_attempts: i64,
    /// A queued one runs no earlier.
    pub run_at: String,
    /// Somebody has asked for its end.
    pub cancel_requested: bool,
    pub error: Option<String>,
    pub created_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
}

impl From<TaskRow> for TaskView {
    fn from(row: TaskRow) -> Self {
        Self {
            id: row.id.to_string(),
            kind: row.task.kind().into(),
            subject_id: row.task.subject().to_string(),
            status: row.status.as_str().into(),
            progress: row.progress,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            run_at: time(row.run_at),
            cancel_requested: row.cancel_requested,
            error: row.error,
            created_at: time(row.created_at),
            started_at: times(row.started_at),
            finished_at: times(row.finished_at),
        }
    }
}
