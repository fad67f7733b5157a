//! GitHub, forge and CI provider in one: reads what it posts about pushes and runs, asks it about repositories and pull
//! requests, and drives GitHub Actions. A connection's base URL is that of the REST API: `https://api.github.com`, or
//! `https://HOST/api/v3` of an Enterprise Server.

mod api;
mod artifacts;
mod builds;
mod convert;
mod definition;
mod deployments;
mod files;
mod hooks;
mod jobs;
mod logs;
mod manifest;
mod names;
mod parse;
mod pulls;
mod repository;
mod runs;
mod statuses;
#[cfg(test)]
mod tests;
mod time;
mod words;

use windlass_sdk::forge::{
    CommitStatus, Delivery, Deployment, Deployments, Event, Forge, Hook, Page, PullRequest, PullRequests,
    Repositories, RepositoryDetails, Status, WebhookAdmin, malformed,
};
use windlass_sdk::provider::{
    Account, Artifact, ArtifactChunk, Artifacts, Build, Job, JobSpec, LogChunk, Provider, Trigger, Webhooks,
};
use windlass_sdk::{Connection, Failure, Manifest, provider};

pub struct GitHub;

impl Forge for GitHub {
    fn describe() -> Manifest {
        manifest::describe()
    }

    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        match delivery.header("x-github-event") {
            Some("push") => convert::push(delivery.json()?).map(Event::Push),
            Some("ping") => delivery.json::<parse::Ping>().map(|_| Event::Ping),
            // `create` and `delete` are among them: what they say, `push` says as well.
            Some(other) => Ok(Event::Unsupported(other.to_owned())),
            None => Err(malformed("The header X-GitHub-Event is missing, so this was not sent by GitHub.")),
        }
    }
}

impl Repositories for GitHub {
    fn get_default_branch(_: Connection, repository: &str) -> Result<String, Failure> {
        repository::default_branch(repository)
    }

    fn get_repository_details(_: Connection, repository: &str) -> Result<RepositoryDetails, Failure> {
        repository::details(repository)
    }
}

impl WebhookAdmin for GitHub {
    fn register(_: Connection, hook: Hook) -> Result<String, Failure> {
        hooks::register(&hook)
    }

    fn unregister(_: Connection, repository: &str, hook_id: &str) -> Result<(), Failure> {
        hooks::unregister(repository, hook_id)
    }
}

impl CommitStatus for GitHub {
    fn set_commit_status(_: Connection, status: Status) -> Result<(), Failure> {
        statuses::set(&status)
    }
}

impl PullRequests for GitHub {
    fn list_open(_: Connection, repository: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        pulls::list(repository, cursor)
    }

    fn get_pull_request(_: Connection, repository: &str, number: u64) -> Result<PullRequest, Failure> {
        pulls::get(repository, number)
    }

    fn set_comment(
        _: Connection,
        repository: &str,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> Result<(), Failure> {
        pulls::set_comment(repository, number, key, markdown)
    }
}

impl Deployments for GitHub {
    fn set_deployment(_: Connection, deployment: Deployment) -> Result<String, Failure> {
        deployments::set(&deployment)
    }
}

impl Provider for GitHub {
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

impl Webhooks for GitHub {
    fn parse(delivery: Delivery) -> Result<provider::Event, Failure> {
        runs::read(&delivery)
    }
}

impl Artifacts for GitHub {
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
    GitHub: forge(repository, webhook_admin, commit_status, pull_requests, deployments),
    provider(webhooks, artifacts)
);
