//! Jenkins: pipeline jobs in folders, their builds from the queue to the end, logs, artifacts and notifications.
//!
//! A job's id is its full name, `folder/job`. A build's id is its number, or `queue-143` as long as it has none.

mod artifacts;
mod ask;
mod builds;
mod cancel;
mod config;
mod convert;
mod create;
mod hook;
mod logs;
mod parse;
mod path;
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

use path::{BuildRef, JobPath};

pub struct Jenkins;

impl Provider for Jenkins {
    fn describe() -> Manifest {
        let crumb = [("mint-path", "/crumbIssuer/api/json")];
        // Jenkins' Notification plugin signs nothing; what it posts is a hint after which the host asks.
        let signed = WebhookScheme::hmac_sha256_hex("x-windlass-signature", "sha256=");
        Manifest::new("jenkins", env!("CARGO_PKG_VERSION"), "Runs pipeline jobs on a Jenkins server")
            .settings_schema(settings::schema())
            .credential(
                ask::TOKEN,
                "`user:token` with an API token of that user, the better way",
                "basic",
                false,
            )
            .minted_credential(
                ask::PASSWORD,
                "`user:password`, where API tokens are not wanted; with a crumb against forged requests",
                "crumb",
                false,
                &crumb,
            )
            .permission(&["GET"], "/api/json", "asks for the server's version")
            .permission(&["GET"], "/me/api/json", "asks whom the credential belongs to")
            .permission(&["POST"], "/createItem", "makes jobs and folders at the top")
            .permission(&["GET", "POST", "DELETE"], "/job/**", "makes, runs, reads, stops and deletes jobs")
            .permission(
                &["GET", "POST"],
                "/queue/**",
                "follows builds that wait, and takes them out of the queue",
            )
            .with("generator", "jenkins-pipeline")
            .with("trigger", "keyed")
            .webhooks(WebhookContract::new(vec![signed], &["x-windlass-delivery"], &[]))
    }

    fn test_connection(_: Connection) -> Result<Account, Failure> {
        let response =
            ask::read(Request::get("/api/json").query("tree", "mode,nodeDescription,quietingDown"))?;
        let Some(version) = response.header("x-jenkins").map(str::to_owned) else {
            let said = "What answers there is not Jenkins: the header X-Jenkins is missing. Please check the base URL, and \
                        the path behind the host if Jenkins has one.";
            return Err(Failure::permanent("not-jenkins", said));
        };
        let server: parse::Server = ask::json(&response)?;
        let me: parse::User =
            ask::json(&ask::read(Request::get("/me/api/json").query("tree", "id,fullName"))?)?;
        let mut extras = vec![("full-name".to_owned(), me.full_name.unwrap_or_default())];
        if server.quieting_down {
            extras.push(("quieting-down".to_owned(), "true".to_owned()));
        }
        Ok(Account { name: me.id, server_version: version, extras })
    }

    fn create_job(connection: Connection, spec: JobSpec) -> Result<Job, Failure> {
        create::create(&settings::read(&connection)?, &spec)
    }

    fn trigger_job(connection: Connection, job: &str, trigger: Trigger) -> Result<Build, Failure> {
        trigger::trigger(&settings::read(&connection)?, &JobPath::of(job)?, &trigger)
    }

    fn get_job_status(_: Connection, job: &str) -> Result<Job, Failure> {
        builds::job(&JobPath::of(job)?)
    }

    fn get_build_status(_: Connection, job: &str, build: &str) -> Result<Build, Failure> {
        builds::status(&JobPath::of(job)?, BuildRef::of(build)?)
    }

    fn get_build_logs(
        _: Connection,
        job: &str,
        build: &str,
        cursor: Option<&str>,
    ) -> Result<LogChunk, Failure> {
        logs::read(&JobPath::of(job)?, BuildRef::of(build)?, cursor)
    }

    fn cancel_build(_: Connection, job: &str, build: &str) -> Result<(), Failure> {
        cancel::cancel(&JobPath::of(job)?, BuildRef::of(build)?)
    }

    fn delete_job(_: Connection, job: &str) -> Result<(), Failure> {
        // The method DELETE answers 204; the form that browsers post would lead on to a page.
        let request = Request::delete(format!("{}/", JobPath::of(job)?.url_path()));
        match ask::change(request) {
            Err(failure) if failure.code == "status-404" => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

impl Webhooks for Jenkins {
    fn parse(delivery: Delivery) -> Result<Event, Failure> {
        hook::parse(&delivery)
    }
}

impl Artifacts for Jenkins {
    fn list_artifacts(_: Connection, job: &str, build: &str) -> Result<Vec<Artifact>, Failure> {
        artifacts::list(&JobPath::of(job)?, BuildRef::of(build)?)
    }

    fn read_artifact(
        _: Connection,
        job: &str,
        build: &str,
        artifact: &str,
        cursor: Option<&str>,
    ) -> Result<ArtifactChunk, Failure> {
        artifacts::read(&JobPath::of(job)?, BuildRef::of(build)?, artifact, cursor)
    }
}

windlass_sdk::export_provider!(Jenkins, webhooks, artifacts);
