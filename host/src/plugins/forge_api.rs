//! The adapter for what a forge may be able to do beyond reading webhooks.

use super::answer::{count, cursor, id, link, whole, words};
use super::bindings::commit_status::CommitStatusPre;
use super::bindings::commit_status::exports::windlass::git_forge::commit_status as status;
use super::bindings::pull_requests::PullRequestsPre;
use super::bindings::pull_requests::exports::windlass::git_forge::pull_requests as pulls;
use super::bindings::repository::RepositoryPre;
use super::bindings::repository::exports::windlass::git_forge::repository as wit;
use super::bindings::webhook_admin::WebhookAdminPre;
use super::call::{CallError, nonsense};
use super::forge::commit_id;
use super::{Plugins, Target, text};
use crate::domain::forge::{
    CommitState, CommitStatus, PullRequest, PullRequestPage, PullRequestState, RepositoryDetails,
};
use crate::domain::plugin::{Ability, PluginKind};
use crate::domain::reference;
use crate::error::Result;

const URLS: usize = 64;
const PAGE: usize = 100;

fn able(name: &str, ability: Ability) -> (&str, PluginKind, Option<Ability>) {
    (name, PluginKind::GitForge, Some(ability))
}

impl Plugins {
    /// The branch that a clone checks out. `repository` is a clone URL or the full name.
    pub async fn forge_default_branch(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
    ) -> Result<String> {
        let repository = repository.to_owned();
        let able = able(name, Ability::Repository);
        self.call_target(able, "get-default-branch", target, move |store, pre, connection| {
            let guest = RepositoryPre::new(pre.clone())?.instantiate(&mut *store)?;
            let guest = guest.windlass_git_forge_repository();
            branch(guest.call_get_default_branch(store, connection, &repository)??)
        })
        .await
    }

    pub async fn forge_repository(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
    ) -> Result<RepositoryDetails> {
        let repository = repository.to_owned();
        let able = able(name, Ability::Repository);
        self.call_target(able, "get-repository-details", target, move |store, pre, connection| {
            let guest = RepositoryPre::new(pre.clone())?.instantiate(&mut *store)?;
            let guest = guest.windlass_git_forge_repository();
            details_from(guest.call_get_repository_details(store, connection, &repository)??)
        })
        .await
    }

    pub async fn forge_unregister_hook(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
        hook: &str,
    ) -> Result<()> {
        let (repository, hook) = (repository.to_owned(), hook.to_owned());
        self.call_target(
            able(name, Ability::WebhookAdmin),
            "unregister",
            target,
            move |store, pre, connection| {
                let guest = WebhookAdminPre::new(pre.clone())?.instantiate(&mut *store)?;
                Ok(guest.windlass_git_forge_webhook_admin().call_unregister(
                    store,
                    connection,
                    &repository,
                    &hook,
                )??)
            },
        )
        .await
    }

    /// Shows beside a commit what became of it. Idempotent.
    pub async fn forge_set_status(&self, name: &str, target: &Target, status: &CommitStatus) -> Result<()> {
        let status = status_to(status);
        let able = able(name, Ability::CommitStatus);
        self.call_target(able, "set-commit-status", target, move |store, pre, connection| {
            let guest = CommitStatusPre::new(pre.clone())?.instantiate(&mut *store)?;
            let guest = guest.windlass_git_forge_commit_status();
            Ok(guest.call_set_commit_status(store, connection, &status)??)
        })
        .await
    }

    /// Open pull requests, newest first, from the cursor on.
    pub async fn forge_open_pull_requests(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
        after: Option<&str>,
    ) -> Result<PullRequestPage> {
        let (repository, after) = (repository.to_owned(), after.map(str::to_owned));
        let able = able(name, Ability::PullRequests);
        self.call_target(able, "list-open", target, move |store, pre, connection| {
            let guest = PullRequestsPre::new(pre.clone())?.instantiate(&mut *store)?;
            let guest = guest.windlass_git_forge_pull_requests();
            page_from(
                guest.call_list_open(store, connection, &repository, after.as_deref())??,
                after.as_deref(),
            )
        })
        .await
    }

    pub async fn forge_pull_request(
        &self,
        name: &str,
        target: &Target,
        repository: &str,
        number: u64,
    ) -> Result<PullRequest> {
        let repository = repository.to_owned();
        let able = able(name, Ability::PullRequests);
        self.call_target(able, "get-pull-request", target, move |store, pre, connection| {
            let guest = PullRequestsPre::new(pre.clone())?.instantiate(&mut *store)?;
            let guest = guest.windlass_git_forge_pull_requests();
            pull_request_from(guest.call_get_pull_request(store, connection, &repository, number)??)
        })
        .await
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
        let [repository, key, markdown] = [repository, key, markdown].map(str::to_owned);
        let able = able(name, Ability::PullRequests);
        self.call_target(able, "set-comment", target, move |store, pre, connection| {
            let guest = PullRequestsPre::new(pre.clone())?.instantiate(&mut *store)?;
            let guest = guest.windlass_git_forge_pull_requests();
            Ok(guest.call_set_comment(store, connection, &repository, number, &key, &markdown)??)
        })
        .await
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
