//! The adapter for what a forge may be able to do beyond reading webhooks.

use std::sync::Arc;

use super::answer::{count, cursor, id, link, whole, words};
use super::bindings::commit_status::exports::windlass::git_forge::commit_status as status;
use super::bindings::deployments::exports::windlass::git_forge::deployments as placed;
use super::bindings::pull_requests::exports::windlass::git_forge::pull_requests as pulls;
use super::bindings::repository::exports::windlass::git_forge::repository as wit;
use super::bindings::webhook_admin::exports::windlass::git_forge::webhook_admin as admin;
use super::broker::{RefusalKind, Secret};
use super::call::{CallError, nonsense};
use super::forge::commit_id;
use super::target::Interface;
use super::{Plugins, Target, text};
use crate::domain::forge::{
    CommitState, CommitStatus, Placement, PlacementState, PullRequest, PullRequestPage, PullRequestState,
    RepositoryDetails,
};
use crate::domain::plugin::{Ability, PluginKind};
use crate::domain::reference;
use crate::error::{Error, Result};

/// Stands for a webhook's secret in the plugin's request. Long enough to occur nowhere by accident.
const PLACEHOLDER: &str = "windlass-webhook-secret-6f1d0c7e9b2a4d58";
/// Fewer could not be told from other text where the forge repeats it.
const SECRET_BYTES: usize = 16;
const URLS: usize = 64;
const PAGE: usize = 100;

const REPOSITORY: Interface = Interface {
    kind: PluginKind::GitForge,
    ability: Some(Ability::Repository),
    name: "windlass:git-forge/repository@0.1.0",
};
const WEBHOOK_ADMIN: Interface = Interface {
    ability: Some(Ability::WebhookAdmin),
    name: "windlass:git-forge/webhook-admin@0.1.0",
    ..REPOSITORY
};
const COMMIT_STATUS: Interface = Interface {
    ability: Some(Ability::CommitStatus),
    name: "windlass:git-forge/commit-status@0.1.0",
    ..REPOSITORY
};
const PULL_REQUESTS: Interface = Interface {
    ability: Some(Ability::PullRequests),
    name: "windlass:git-forge/pull-requests@0.1.0",
    ..REPOSITORY
};

const DEPLOYMENTS: Interface = Interface {
    ability: Some(Ability::Deployments),
    name: "windlass:git-forge/deployments@0.1.0",
    ..REPOSITORY
};

impl Plugins {
    /// The branch that a clone checks out. `repository` is a clone URL or the full name.
    pub async fn forge_default_branch(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
    ) -> Result<String> {
        let params = |on| (on, repository.to_owned());
        self.call_target(name, (REPOSITORY, "get-default-branch"), target, params, branch).await
    }

    pub async fn forge_repository(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
    ) -> Result<RepositoryDetails> {
        let params = |on| (on, repository.to_owned());
        self.call_target(name, (REPOSITORY, "get-repository-details"), target, params, details_from).await
    }

    /// Makes the forge post to the URL, signed with the secret, and answers with the forge's id of the hook. The secret
    /// does not enter the plugin.
    ///
    /// # Errors
    /// `Invalid` for a secret that would have to be encoded: the plugin could not know.
    pub async fn forge_register_hook(
        &self,
        name: &str,
        target: &Target,
        (repository, url): (&str, &str),
        secret: &Secret,
    ) -> Result<String> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        if secret.expose().len() < SECRET_BYTES || !secret.expose().iter().all(is_plain) {
            return Err(Error::invalid(
                "secret",
                format!(
                    "The webhook's secret cannot be handed to the forge: it has to have at least {SECRET_BYTES} \
                     characters, and only letters, digits, `-`, `.`, `_` and `~`. Please set another one."
                ),
            ));
        }
        let connection = target.connection.as_ref().clone().placeholder(PLACEHOLDER, secret.clone());
        let target = Target { connection: Arc::new(connection), settings: target.settings.clone() };
        let hook = admin::Hook {
            repository: repository.to_owned(),
            url: url.to_owned(),
            secret_placeholder: PLACEHOLDER.to_owned(),
            extras: Vec::new(),
        };
        let read = |hook| id("hook's id", hook);
        self.call_target(name, (WEBHOOK_ADMIN, "register"), &target, |on| (on, hook), read).await
    }

    pub async fn forge_unregister_hook(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
        hook: &str,
    ) -> Result<()> {
        let params = |on| (on, repository.to_owned(), hook.to_owned());
        self.call_target(name, (WEBHOOK_ADMIN, "unregister"), target, params, Ok::<(), _>).await
    }

    /// The token that is minted for a slot, such as an app's, for git itself. The plugin does not see it.
    ///
    /// # Errors
    /// `Failed` if the forge does not take the secret, `Unavailable` if it does not answer.
    pub async fn forge_token(&self, name: &str, target: &Target, slot: &str) -> Result<Secret> {
        let plugin = self.find(name, PluginKind::GitForge, "token")?;
        let connection = target.connected(&plugin.info.manifest.credentials);
        let session = self.runtime().session(plugin.outbound(connection));
        session.token(slot).await.map_err(|refusal| {
            let said = format!("The forge gave no token to read the repository with: {}.", refusal.said);
            match refusal.kind {
                RefusalKind::Denied | RefusalKind::AddressRefused => Error::failed(said),
                _ => Error::unavailable(said),
            }
        })
    }

    /// Has the newest refresh token for a slot stored, where the target's own may be used up already. Asks the forge nothing.
    ///
    /// # Errors
    /// `Failed` if the plugin may not use the secret.
    pub async fn forge_keep_newest(&self, name: &str, target: &Target, slot: &str) -> Result<()> {
        let plugin = self.find(name, PluginKind::GitForge, "token")?;
        let connection = target.connected(&plugin.info.manifest.credentials);
        let session = self.runtime().session(plugin.outbound(connection));
        session.keep_newest(slot).await.map_err(|refusal| Error::failed(refusal.said))
    }

    /// Shows beside a commit what became of it. Idempotent.
    pub async fn forge_set_status(&self, name: &str, target: &Target, status: &CommitStatus) -> Result<()> {
        let params = |on| (on, status_to(status));
        self.call_target(name, (COMMIT_STATUS, "set-commit-status"), target, params, Ok::<(), _>).await
    }

    /// Shows a deployment, or its new state, and answers with the forge's id of it. Idempotent.
    pub async fn forge_set_deployment(
        &self,
        name: &str,
        target: &Target,
        placement: &Placement,
    ) -> Result<String> {
        let params = |on| (on, placement_to(placement));
        let read = |id_there| id("deployment's id", id_there);
        self.call_target(name, (DEPLOYMENTS, "set-deployment"), target, params, read).await
    }

    /// Open pull requests, newest first, from the cursor on.
    pub async fn forge_open_pull_requests(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
        after: Option<&str>,
    ) -> Result<PullRequestPage> {
        let asked = after.map(str::to_owned);
        let after = asked.clone();
        let params = |on| (on, repository.to_owned(), after);
        let read = move |page| page_from(page, asked.as_deref());
        self.call_target(name, (PULL_REQUESTS, "list-open"), target, params, read).await
    }

    pub async fn forge_pull_request(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
        number: u64,
    ) -> Result<PullRequest> {
        let params = |on| (on, repository.to_owned(), number);
        self.call_target(name, (PULL_REQUESTS, "get-pull-request"), target, params, pull_request_from).await
    }

    /// Leaves one comment with this key; a later one takes its place.
    pub async fn forge_set_comment(
        &self,
        name: &str,
        target: &Target,
        (repository, number): (&str, u64),
        key: &str,
        markdown: &str,
    ) -> Result<()> {
        let params = |on| (on, repository.to_owned(), number, key.to_owned(), markdown.to_owned());
        self.call_target(name, (PULL_REQUESTS, "set-comment"), target, params, Ok::<(), _>).await
    }
}

/// A branch's name that git takes as one.
fn branch(name: String) -> Result<String, CallError> {
    match reference::check_name(&name) {
        Ok(()) => Ok(name),
        Err(_) => Err(nonsense(format!("`{}` as a branch's name", text::line(&name, 128)))),
    }
}

fn details_from(details: wit::Details) -> Result<RepositoryDetails, CallError> {
    count("URLs of a repository", details.clone_urls.len(), URLS)?;
    let clone_urls = details.clone_urls.into_iter().map(|url| whole("URL", url));
    let is_empty = details.default_branch.is_empty();
    Ok(RepositoryDetails {
        full_name: id("repository name", details.full_name)?,
        default_branch: if is_empty { None } else { Some(branch(details.default_branch)?) },
        clone_urls: clone_urls.collect::<Result<_, _>>()?,
        web_url: link(details.web_url),
        description: words(&details.description),
        private: details.private,
        archived: details.archived,
    })
}

fn status_to(given: &CommitStatus) -> status::Status {
    status::Status {
        repository: given.repository.clone(),
        commit: given.commit.clone(),
        state: match given.state {
            CommitState::Pending => status::State::Pending,
            CommitState::Running => status::State::Running,
            CommitState::Success => status::State::Success,
            CommitState::Failure => status::State::Failure,
            CommitState::Cancelled => status::State::Cancelled,
        },
        context: given.context.clone(),
        description: given.description.clone(),
        url: given.url.clone(),
        extras: Vec::new(),
    }
}

fn placement_to(given: &Placement) -> placed::Deployment {
    placed::Deployment {
        repository: given.repository.clone(),
        commit: given.commit.clone(),
        ref_name: given.ref_name.clone(),
        is_tag: given.is_tag,
        environment: given.environment.clone(),
        transient: given.transient,
        key: given.key.clone(),
        id: given.id.clone(),
        state: match given.state {
            PlacementState::Queued => placed::State::Queued,
            PlacementState::InProgress => placed::State::InProgress,
            PlacementState::Success => placed::State::Success,
            PlacementState::Failure => placed::State::Failure,
            PlacementState::Cancelled => placed::State::Cancelled,
            PlacementState::RolledBack => placed::State::RolledBack,
            PlacementState::Inactive => placed::State::Inactive,
        },
        description: given.state.words().to_owned(),
        url: given.url.clone(),
        log_url: given.log_url.clone(),
        extras: Vec::new(),
    }
}

fn page_from(page: pulls::Page, after: Option<&str>) -> Result<PullRequestPage, CallError> {
    count("pull requests on a page", page.items.len(), PAGE)?;
    let next = page.cursor.map(cursor).transpose()?;
    if next.is_some() && next.as_deref() == after {
        return Err(nonsense("a page of pull requests whose cursor does not move on"));
    }
    let items = page.items.into_iter().map(pull_request_from).collect::<Result<_, _>>()?;
    Ok(PullRequestPage { items, cursor: next })
}

fn pull_request_from(pull: pulls::PullRequest) -> Result<PullRequest, CallError> {
    Ok(PullRequest {
        number: pull.number,
        title: words(&pull.title),
        state: match pull.state {
            pulls::State::Open => PullRequestState::Open,
            pulls::State::Merged => PullRequestState::Merged,
            pulls::State::Closed => PullRequestState::Closed,
            pulls::State::Other(word) => PullRequestState::Other(text::line(&word, 64)),
        },
        author: text::line(&pull.author, 256),
        head_branch: branch(pull.head_branch)?,
        head_commit: commit_id(pull.head_commit)?,
        base_branch: branch(pull.base_branch)?,
        from_fork: pull.from_fork,
        url: link(Some(pull.url)).unwrap_or_default(),
    })
}
