//! What `/api/v1` shows. Field names are seed 2's where it has one; times are RFC 3339 in UTC.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::rollout::words;
use crate::app::stack::StackView as AppStackView;
use crate::domain::UnixMs;
use crate::domain::build::Build;
use crate::domain::build_config::BuildSettings;
use crate::domain::deployment::Deployment;
use crate::domain::event::Event;
use crate::domain::page::Page;
use crate::domain::plugin::PluginStatus;
use crate::domain::release::Release;
use crate::domain::repository::{GitRepository, redact_url};
use crate::domain::rollout::JournalEntry;
use crate::domain::stack::{RunSpec, Stack};
use crate::domain::task::TaskRow;
use crate::domain::token::Token;
use crate::domain::webhook::WebhookEvent;

pub fn time(at: UnixMs) -> String {
    DateTime::<Utc>::from_timestamp_millis(at)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn times(at: Option<UnixMs>) -> Option<String> {
    at.map(time)
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PageView<T> {
    pub items: Vec<T>,
    /// Pass as `before` to get the next page.
    pub next: Option<i64>,
}

impl<T> PageView<T> {
    pub fn of<S>(page: Page<S>, view: impl Fn(S) -> T) -> Self {
        Self { items: page.items.into_iter().map(view).collect(), next: page.next }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackView {
    pub id: String,
    pub seq: i64,
    pub project_id: String,
    pub name: String,
    pub description: String,
    pub run: RunSpec,
    /// Empty: the configured default.
    pub strategy: String,
    pub strategy_params: Value,
    pub created_at: String,
    pub updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_repository: Option<RepositoryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_config: Option<BuildSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_deployment: Option<DeploymentView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_release: Option<ReleaseView>,
}

impl From<Stack> for StackView {
    fn from(stack: Stack) -> Self {
        Self {
            id: stack.id.to_string(),
            seq: stack.seq,
            project_id: stack.project_id.to_string(),
            name: stack.name,
            description: stack.description,
            run: stack.run,
            strategy: stack.strategy,
            strategy_params: stack.strategy_params,
            created_at: time(stack.created_at),
            updated_at: time(stack.updated_at),
            git_repository: None,
            build_config: None,
            latest_deployment: None,
            active_release: None,
        }
    }
}

impl From<AppStackView> for StackView {
    fn from(view: AppStackView) -> Self {
        let mut settings = view.build.settings;
        for variable in settings.environment_variables.iter_mut().filter(|variable| variable.secret) {
            variable.value = "***".into();
        }
        Self {
            git_repository: view.repository.map(Into::into),
            build_config: Some(settings),
            latest_deployment: view.latest_deployment.map(Into::into),
            active_release: view.active_release.map(Into::into),
            ..Self::from(view.stack)
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryView {
    pub id: String,
    pub url: String,
    pub branch: String,
    pub auth_type: String,
    pub has_credentials: bool,
    pub provider: String,
    pub webhook_url: Option<String>,
    pub has_webhook_secret: bool,
    pub auto_sync: bool,
    pub last_synced_at: Option<String>,
    pub last_synced_commit: Option<String>,
}

impl From<GitRepository> for RepositoryView {
    fn from(row: GitRepository) -> Self {
        Self {
            id: row.id.to_string(),
            url: redact_url(&row.url),
            branch: row.branch,
            auth_type: row.auth_type.as_str().into(),
            has_credentials: row.credentials.is_some(),
            provider: row.provider,
            webhook_url: row.webhook_url,
            has_webhook_secret: row.webhook_secret.is_some(),
            auto_sync: row.auto_sync,
            last_synced_at: times(row.last_synced_at),
            last_synced_commit: row.last_synced_commit,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseView {
    pub id: String,
    pub seq: i64,
    pub image_tag: String,
    pub image_digest: String,
    pub commit_sha: String,
    pub config_hash: String,
    pub state: String,
    pub plugin_digests: Value,
    pub created_at: String,
}

impl From<Release> for ReleaseView {
    fn from(release: Release) -> Self {
        Self {
            id: release.id.to_string(),
            seq: release.seq,
            image_tag: release.image_tag,
            image_digest: release.image_digest,
            commit_sha: release.commit_sha,
            config_hash: release.config_hash,
            state: release.state.as_str().into(),
            plugin_digests: release.plugin_digests,
            created_at: time(release.created_at),
        }
    }
}

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
    /// Milliseconds in which nothing served while the port was handed over.
    pub pause_ms: Option<i64>,
    pub started_at: String,
    pub completed_at: Option<String>,
    /// Seconds.
    pub duration: Option<i64>,
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
            pause_ms: row.rollout.pause_ms,
            started_at: time(row.started_at),
            duration: row.completed_at.map(|at| (at - row.started_at) / 1000),
            completed_at: times(row.completed_at),
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
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookEventView {
    pub id: String,
    pub seq: i64,
    pub repository_id: Option<String>,
    pub provider: String,
    pub event_type: String,
    pub delivery_id: Option<String>,
    pub verified: bool,
    pub processed: bool,
    /// Why it ended as it did: deployed, branch_mismatch, skip_ci, bad_signature, …
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub deployment_id: Option<String>,
    pub received_at: String,
    pub processed_at: Option<String>,
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<(String, String)>>,
    /// The body as text; only when one event is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

impl WebhookEventView {
    pub fn summary(event: WebhookEvent) -> Self {
        Self {
            id: event.id.to_string(),
            seq: event.seq,
            repository_id: event.repository_id.map(|id| id.to_string()),
            provider: event.provider,
            event_type: event.event_type,
            delivery_id: event.delivery_id,
            verified: event.verified,
            processed: event.processed,
            reason: event.reason.map(|reason| reason.as_str().into()),
            detail: event.detail,
            deployment_id: event.deployment_id.map(|id| id.to_string()),
            received_at: time(event.received_at),
            processed_at: times(event.processed_at),
            error: event.error,
            headers: None,
            payload: None,
        }
    }

    pub fn whole(event: WebhookEvent) -> Self {
        let (headers, payload) =
            (event.headers.clone(), String::from_utf8_lossy(&event.payload).into_owned());
        Self { headers: Some(headers), payload: Some(payload), ..Self::summary(event) }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    pub id: String,
    /// webhook, build or deploy.
    pub kind: String,
    /// queued, running, success, failed or cancelled.
    pub status: String,
    pub progress: i64,
    pub attempt: i64,
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
            status: row.status.as_str().into(),
            progress: row.progress,
            attempt: row.attempt,
            error: row.error,
            created_at: time(row.created_at),
            started_at: times(row.started_at),
            finished_at: times(row.finished_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    pub id: String,
    pub name: String,
    /// The first characters, to recognise it by.
    pub prefix: String,
    pub created_at: String,
    pub last_used_at: Option<String>,
    pub expires_at: Option<String>,
    pub revoked_at: Option<String>,
    /// The token itself; only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            prefix: token.prefix,
            created_at: time(token.created_at),
            last_used_at: times(token.last_used_at),
            expires_at: times(token.expires_at),
            revoked_at: times(token.revoked_at),
            secret: None,
        }
    }
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginView {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// Read from the component's type.
    pub kinds: Vec<String>,
    pub digest: String,
    pub source: String,
    pub size_bytes: u64,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    pub settings_schema: Value,
    pub webhook_schemes: Vec<String>,
    /// Why it could not be loaded.
    pub error: Option<String>,
}

impl From<PluginStatus> for PluginView {
    fn from(status: PluginStatus) -> Self {
        let (name, digest, source, error) =
            (status.name, status.digest.unwrap_or_default(), status.source, status.error);
        let Some(info) = status.info else {
            return Self { name, digest, source, error, ..Self::default() };
        };
        let schemes = info.manifest.webhooks.map(|contract| contract.schemes).unwrap_or_default();
        Self {
            name,
            version: info.manifest.version,
            summary: info.manifest.summary,
            kinds: info.kinds.iter().map(|kind| kind.as_str().to_string()).collect(),
            digest,
            source,
            size_bytes: info.size_bytes,
            imports: info.imports,
            exports: info.exports,
            settings_schema: serde_json::from_str(&info.manifest.settings_schema).unwrap_or_default(),
            webhook_schemes: schemes.into_iter().map(|scheme| scheme.name).collect(),
            error,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    pub seq: i64,
    pub kind: String,
    pub stack_id: Option<String>,
    pub subject_id: Option<String>,
    pub data: Value,
    pub at: String,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            seq: event.seq,
            kind: event.kind.as_str().into(),
            stack_id: event.stack_id.map(|id| id.to_string()),
            subject_id: event.subject_id.map(|id| id.to_string()),
            data: event.data,
            at: time(event.at),
        }
    }
}
