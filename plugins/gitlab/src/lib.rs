//! GitLab, forge and CI provider in one: reads what it posts about pushes and pipelines, asks it about projects and merge
//! requests, and drives GitLab CI. A connection's base URL is GitLab's own address: `https://gitlab.com`.

mod api;
mod artifacts;
mod builds;
mod convert;
mod definition;
mod deliveries;
mod deployments;
mod files;
mod hooks;
mod jobs;
mod logs;
mod manifest;
mod merges;
mod names;
mod parse;
mod project;
mod statuses;
#[cfg(test)]
mod tests;
mod words;

use windlass_sdk::forge::{
    CommitStatus, Delivery, Deployment, Deployments, Event, Forge, Hook, Page, PullRequest, PullRequests,
    Repositories, RepositoryDetails, Status, WebhookAdmin,
};
use windlass_sdk::provider::{
    Account, Artifact, ArtifactChunk, Artifacts, Build, Job, JobSpec, LogChunk, Provider, Trigger, Webhooks,
};
use windlass_sdk::{Connection, Failure, Manifest, provider};

pub struct GitLab;

impl Forge for GitLab {
    fn describe() -> Manifest {
        manifest::describe()
    }

    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        deliveries::forge(&delivery)
    }
}

impl Repositories for GitLab {
    fn get_default_branch(connection: Connection, repository: &str) -> Result<String, Failure> {
        project::default_branch(&connection, repository)
    }

    fn get_repository_details(
        connection: Connection,
        repository: &str,
    ) -> Result<RepositoryDetails, Failure> {
        project::details(&connection, repository)
    }
}

impl WebhookAdmin for GitLab {
    fn register(connection: Connection, hook: Hook) -> Result<String, Failure> {
        hooks::register(&connection, &hook)
    }

    fn unregister(connection: Connection, repository: &str, hook_id: &str) -> Result<(), Failure> {
        hooks::unregister(&connection, repository, hook_id)
    }
}

impl CommitStatus for GitLab {
    fn set_commit_status(connection: Connection, status: Status) -> Result<(), Failure> {
        statuses::set(&connection, &status)
    }
}

impl PullRequests for GitLab {
    fn list_open(connection: Connection, repository: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        merges::list(&connection, repository, cursor)
    }

    fn get_pull_request(
        connection: Connection,
        repository: &str,
        number: u64,
    ) -> Result<PullRequest, Failure> {
        merges::get(&connection, repository, number)
    }

    fn set_comment(
        connection: Connection,
        repository: &str,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> Result<(), Failure> {
        merges::set_comment(&connection, repository, number, key, markdown)
    }
}

impl Deployments for GitLab {
    fn set_deployment(connection: Connection, deployment: Deployment) -> Result<String, Failure> {
        deployments::set(&connection, &deployment)
    }
}

impl Provider for GitLab {
    fn describe() -> Manifest {
        manifest::describe()
    }

    fn test_connection(connection: Connection) -> Result<Account, Failure> {
        jobs::test_connection(&connection)
    }

    fn create_job(connection: Connection, spec: JobSpec) -> Result<Job, Failure> {
        jobs::create(&connection, spec)
    }

    fn trigger_job(_: Connection, job: &str, trigger: Trigger) -> Result<Build, Failure> {
        builds::trigger(job, &trigger)
    }

    fn get_job_status(_: Connection, job: &str) -> Result<Job, Failure> {
        jobs::status(job)
    }

    fn get_build_status(_: Connection, job: &str, build: &str) -> Result<Build, Failure> {
        builds::status(job, build)
    }

    fn get_build_logs(
        _: Connection,
        job: &str,
        build: &str,
        cursor: Option<&str>,
    ) -> Result<LogChunk, Failure> {
        logs::read(job, build, cursor)
    }

    fn cancel_build(_: Connection, job: &str, build: &str) -> Result<(), Failure> {
        builds::cancel(job, build)
    }

    fn delete_job(connection: Connection, job: &str) -> Result<(), Failure> {
        jobs::delete(&connection, job)
    }
}

impl Webhooks for GitLab {
    fn parse(delivery: Delivery) -> Result<provider::Event, Failure> {
        deliveries::provider(&delivery)
    }
}

impl Artifacts for GitLab {
    fn list_artifacts(_: Connection, job: &str, build: &str) -> Result<Vec<Artifact>, Failure> {
        artifacts::list(job, build)
    }

    fn read_artifact(
        _: Connection,
        job: &str,
        _: &str,
        artifact: &str,
        cursor: Option<&str>,
    ) -> Result<ArtifactChunk, Failure> {
        artifacts::read(job, artifact, cursor)
    }
}

windlass_sdk::export_plugin!(
    GitLab: forge(repository, webhook_admin, commit_status, pull_requests, deployments),
    provider(webhooks, artifacts)
);
