//! What `/api/v1` shows. Field names are seed 2's where it has one; times are RFC 3339 in UTC.

mod admin;
mod build;
mod call;
mod health;
mod history;
mod plan;
mod rollout;
mod run;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub use admin::{EventView, PastEventView, PluginView, TokenView, WebhookEventView};
pub use build::{ArtifactView, BuildPlanView, RegistryView};
pub use call::{CallView, RecordingView, ReplayView};
pub use health::HealthCheckView;
pub use history::HistoryView;
pub use plan::PlanView;
pub use rollout::RolloutView;
pub use run::{ApprovalView, BuildView, DeploymentView, LogView, StepView, TaskView};

use crate::app::repository::Reached;
use crate::app::stack::StackView as AppStackView;
use crate::domain::UnixMs;
use crate::domain::build_config::BuildSettings;
use crate::domain::compose::ServiceFacts;
use crate::domain::forge::RepositoryDetails;
use crate::domain::look::Look;
use crate::domain::page::Page;
use crate::domain::release::Release;
use crate::domain::repository::{GitRepository, redact_url};
use crate::domain::stack::{RunSpec, Stack};
use crate::domain::target::LOCAL;
use crate::domain::traffic::Traffic;

pub fn time(at: UnixMs) -> String {
    DateTime::<Utc>::from_timestamp_millis(at)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub fn times(at: Option<UnixMs>) -> Option<String> {
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
    pub traffic: Traffic,
    /// Empty: the configured default.
    pub strategy: String,
    pub strategy_params: Value,
    /// `local`: this server's engine.
    pub target: String,
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
            traffic: stack.traffic,
            strategy: stack.strategy,
            strategy_params: stack.strategy_params,
            target: stack.target.unwrap_or_else(|| LOCAL.into()),
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
            git_repository: view.repository.map(|row| RepositoryView::from(row).with_look(view.look)),
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
    /// Whether this server has registered the webhook at the forge.
    pub webhook_registered: bool,
    /// Why the forge could not be told of the webhook as it is now; absent if it was.
    pub webhook_error: Option<String>,
    /// Until when the webhook secret before this one counts as well, if it was rotated.
    pub previous_webhook_secret_until: Option<String>,
    pub auto_sync: bool,
    /// Whether the forge is shown what becomes of each commit and deployment.
    pub commit_status: bool,
    /// Why the forge could not be shown the last one; absent if it could.
    pub commit_status_error: Option<String>,
    pub last_synced_at: Option<String>,
    pub last_synced_commit: Option<String>,
    /// Last time that the git server was looked at for pushes.
    pub looked_at: Option<String>,
    /// When it will be looked at again.
    pub next_look_at: Option<String>,
    /// Looks in a row that failed.
    pub look_failures: i64,
    pub look_error: Option<String>,
}

impl RepositoryView {
    fn with_look(self, look: Option<Look>) -> Self {
        let Some(look) = look else { return self };
        Self {
            looked_at: times(look.looked_at),
            next_look_at: times(look.next_at),
            look_failures: look.failures,
            look_error: look.error,
            ..self
        }
    }
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
            webhook_registered: row.hook_id.is_some(),
            webhook_error: row.hook_error,
            previous_webhook_secret_until: times(
                row.previous_webhook_secret_until.filter(|until| *until > Utc::now().timestamp_millis()),
            ),
            auto_sync: row.auto_sync,
            commit_status: row.commit_status,
            commit_status_error: row.commit_status_error,
            last_synced_at: times(row.last_synced_at),
            last_synced_commit: row.last_synced_commit,
            looked_at: None,
            next_look_at: None,
            look_failures: 0,
            look_error: None,
        }
    }
}

/// What a forge says of a repository.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryDetailsView {
    pub full_name: String,
    /// Absent if nothing was ever pushed.
    pub default_branch: Option<String>,
    pub clone_urls: Vec<String>,
    pub web_url: Option<String>,
    pub description: String,
    pub private: bool,
    pub archived: bool,
}

impl From<RepositoryDetails> for RepositoryDetailsView {
    fn from(details: RepositoryDetails) -> Self {
        Self {
            full_name: details.full_name,
            default_branch: details.default_branch,
            clone_urls: details.clone_urls,
            web_url: details.web_url,
            description: details.description,
            private: details.private,
            archived: details.archived,
        }
    }
}

/// A repository that could be connected to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionView {
    pub connected: bool,
    pub branch: String,
    pub branch_exists: bool,
    /// Absent if nothing was ever pushed.
    pub default_branch: Option<String>,
    /// For people.
    pub message: String,
}

impl From<Reached> for ConnectionView {
    fn from(found: Reached) -> Self {
        Self {
            connected: true,
            message: found.words(),
            branch: found.branch,
            branch_exists: found.has_branch,
            default_branch: found.default_branch,
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
    /// Of a compose stack: its services, and what a deployment means for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceFacts>,
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
            services: release.spec.compose.map(|compose| compose.services).unwrap_or_default(),
            created_at: time(release.created_at),
        }
    }
}
