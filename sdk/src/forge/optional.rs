//! What a forge may be able to do beyond reading deliveries. Each trait is an interface of its own, exported by naming it:
//! `export_forge!(Mine, repository, webhook_admin, commit_status, pull_requests, deployments)`.

use super::{Component, Forge};
use crate::bindings::forge::{
    commit_status::exports::windlass::git_forge::commit_status,
    deployments::exports::windlass::git_forge::deployments,
    pull_requests::exports::windlass::git_forge::pull_requests,
    repository::exports::windlass::git_forge::repository,
    webhook_admin::exports::windlass::git_forge::webhook_admin,
};
use crate::{Connection, Failure};

pub use commit_status::{State, Status};
pub use deployments::{Deployment, State as DeploymentState};
pub use pull_requests::{Page, PullRequest, State as PullRequestState};
pub use repository::Details as RepositoryDetails;
pub use webhook_admin::Hook;

/// Asks the forge about repositories. A repository is named by one of its clone URLs or its full name.
pub trait Repositories: Forge {
    /// The branch that a clone checks out.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-repository` or `empty-repository`.
    fn get_default_branch(connection: Connection, repository: &str) -> Result<String, Failure>;

    /// Everything else about it.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-repository`.
    fn get_repository_details(connection: Connection, repository: &str)
    -> Result<RepositoryDetails, Failure>;
}

impl<T: Repositories> repository::Guest for Component<T> {
    fn get_default_branch(connection: Connection, repository: String) -> Result<String, Failure> {
        T::get_default_branch(connection, &repository)
    }

    fn get_repository_details(
        connection: Connection,
        repository: String,
    ) -> Result<RepositoryDetails, Failure> {
        T::get_repository_details(connection, &repository)
    }
}

/// Sets webhooks up.
pub trait WebhookAdmin: Forge {
    /// Makes the forge post to the hook's URL, and answers with the forge's id of it. The secret is not in `hook`: put
    /// the placeholder where the forge wants the secret.
    ///
    /// # Errors
    /// `auth-required` if the credential may not change hooks.
    fn register(connection: Connection, hook: Hook) -> Result<String, Failure>;

    /// Removes a hook. One that is not there is no error.
    ///
    /// # Errors
    /// `auth-required` if the credential may not change hooks.
    fn unregister(connection: Connection, repository: &str, hook_id: &str) -> Result<(), Failure>;
}

impl<T: WebhookAdmin> webhook_admin::Guest for Component<T> {
    fn register(connection: Connection, hook: Hook) -> Result<String, Failure> {
        T::register(connection, hook)
    }

    fn unregister(connection: Connection, repository: String, hook_id: String) -> Result<(), Failure> {
        T::unregister(connection, &repository, &hook_id)
    }
}

/// Shows beside a commit what became of it.
pub trait CommitStatus: Forge {
    /// Idempotent.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-commit`.
    fn set_commit_status(connection: Connection, status: Status) -> Result<(), Failure>;
}

impl<T: CommitStatus> commit_status::Guest for Component<T> {
    fn set_commit_status(connection: Connection, status: Status) -> Result<(), Failure> {
        T::set_commit_status(connection, status)
    }
}

/// Reads pull requests and keeps one comment on each.
pub trait PullRequests: Forge {
    /// Open ones, newest first, from the cursor on.
    ///
    /// # Errors
    /// Whatever the requests ran into.
    fn list_open(connection: Connection, repository: &str, cursor: Option<&str>) -> Result<Page, Failure>;

    /// One by its number.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-pull-request`.
    fn get_pull_request(
        connection: Connection,
        repository: &str,
        number: u64,
    ) -> Result<PullRequest, Failure>;

    /// Leaves one comment with this key, in Markdown; a later one with the same key takes its place.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-pull-request`.
    fn set_comment(
        connection: Connection,
        repository: &str,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> Result<(), Failure>;
}

impl<T: PullRequests> pull_requests::Guest for Component<T> {
    fn list_open(
        connection: Connection,
        repository: String,
        cursor: Option<String>,
    ) -> Result<Page, Failure> {
        T::list_open(connection, &repository, cursor.as_deref())
    }

    fn get_pull_request(
        connection: Connection,
        repository: String,
        number: u64,
    ) -> Result<PullRequest, Failure> {
        T::get_pull_request(connection, &repository, number)
    }

    fn set_comment(
        connection: Connection,
        repository: String,
        number: u64,
        key: String,
        markdown: String,
    ) -> Result<(), Failure> {
        T::set_comment(connection, &repository, number, &key, &markdown)
    }
}

/// Shows what was deployed where, and how that went.
pub trait Deployments: Forge {
    /// Tells of a deployment or of its new state, and answers with the forge's id of it. Idempotent: without an id, it may be
    /// there already, under its key.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-commit`, or `no-such-deployment` for an id that is not there any more.
    fn set_deployment(connection: Connection, deployment: Deployment) -> Result<String, Failure>;
}

impl<T: Deployments> deployments::Guest for Component<T> {
    fn set_deployment(connection: Connection, deployment: Deployment) -> Result<String, Failure> {
        T::set_deployment(connection, deployment)
    }
}
