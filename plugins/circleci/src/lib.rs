//! CircleCI: starts a project's pipelines, follows their workflows, and reads what their jobs wrote.
//!
//! CircleCI runs what a repository has committed as `.circleci/config.yml`, and keeps no jobs of its own. So a job here is a
//! project and a branch, `gh/org/repo:main`, and a build is a pipeline. To commit the file is a forge's work.

mod artifacts;
mod ask;
mod builds;
mod convert;
mod definition;
mod hook;
mod jobs;
mod logs;
mod name;
mod parse;
mod settings;
#[cfg(test)]
mod tests;
mod trigger;

use windlass_sdk::http::Request;
use windlass_sdk::provider::{
    Account, Artifact, ArtifactChunk, Artifacts, Build, Delivery, Event, Job, JobSpec, LogChunk, Provider,
    Trigger, Webhooks,
};
use windlass_sdk::{Connection, Failure, Manifest, WebhookContract, WebhookScheme};

use name::JobName;

pub struct CircleCi;

impl Provider for CircleCi {
    fn describe() -> Manifest {
        // Several versions of the signature may stand in the header; `v1` is the one there is.
        let signed = WebhookScheme::hmac_sha256_hex("circleci-signature", "v1=").with("separator", ",");
        Manifest::new("circleci", env!("CARGO_PKG_VERSION"), "Runs a project's pipelines on CircleCI")
            .settings_schema(settings::schema())
            .credential(
                ask::TOKEN,
                "A personal API token; project tokens are not taken by API v2",
                "header:circle-token",
                true,
            )
            .permission(&["GET"], "/api/v2/me", "asks whom the token belongs to")
            .permission(&["GET"], "/api/v2/project/**", "reads projects, their pipelines and artifacts")
            .permission(&["POST"], "/api/v2/project/*/*/*/pipeline", "starts pipelines")
            .permission(
                &["POST"],
                "/api/v2/project/*/*/*/pipeline/run",
                "starts pipelines by their definition",
            )
            .permission(&["GET"], "/api/v2/pipeline/**", "follows pipelines")
            .permission(&["GET"], "/api/v2/workflow/**", "follows workflows")
            .permission(&["POST"], "/api/v2/workflow/*/cancel", "stops workflows")
            .permission(&["GET"], "/api/v1.1/project/**", "asks what the steps of a job wrote")
            .permission(&["GET"], "/api/private/output/**", "reads what a step wrote")
            .permission(
                &["GET"],
                "https://circle-production-action-output.s3.amazonaws.com/**",
                "reads what a step wrote, where CircleCI keeps it there",
            )
            .permission(
                &["GET"],
                "https://output.circle-artifacts.com/**",
                "downloads artifacts of public projects",
            )
            .with("generator", "circleci-config")
            .webhooks(WebhookContract::new(vec![signed], &[], &["circleci-event-type"]))
    }

    fn test_connection(_: Connection) -> Result<Account, Failure> {
        let me: parse::User = ask::read(Request::get("/api/v2/me"))?;
        let extras = me.name.map(|name| ("full-name".to_owned(), name)).into_iter().collect();
        Ok(Account { name: me.login, server_version: "v2".to_owned(), extras })
    }

    fn create_job(connection: Connection, spec: JobSpec) -> Result<Job, Failure> {
        jobs::create(&connection, &spec)
    }

    fn trigger_job(connection: Connection, job: &str, trigger: Trigger) -> Result<Build, Failure> {
        trigger::trigger(&connection, &JobName::of(job)?, &trigger)
    }

    fn get_job_status(connection: Connection, job: &str) -> Result<Job, Failure> {
        jobs::status(&connection, &JobName::of(job)?)
    }

    fn get_build_status(connection: Connection, _: &str, build: &str) -> Result<Build, Failure> {
        builds::status(&connection, build)
    }

    fn get_build_logs(
        _: Connection,
        job: &str,
        build: &str,
        cursor: Option<&str>,
    ) -> Result<LogChunk, Failure> {
        logs::read(&JobName::of(job)?, build, cursor)
    }

    fn cancel_build(_: Connection, _: &str, build: &str) -> Result<(), Failure> {
        builds::cancel(build)
    }

    fn delete_job(_: Connection, job: &str) -> Result<(), Failure> {
        jobs::delete(&JobName::of(job)?)
    }
}

impl Webhooks for CircleCi {
    fn parse(delivery: Delivery) -> Result<Event, Failure> {
        hook::parse(&delivery)
    }
}

impl Artifacts for CircleCi {
    fn list_artifacts(_: Connection, job: &str, build: &str) -> Result<Vec<Artifact>, Failure> {
        artifacts::list(&JobName::of(job)?, build)
    }

    fn read_artifact(
        _: Connection,
        _: &str,
        _: &str,
        artifact: &str,
        cursor: Option<&str>,
    ) -> Result<ArtifactChunk, Failure> {
        artifacts::read(artifact, cursor)
    }
}

windlass_sdk::export_provider!(CircleCi, webhooks, artifacts);
