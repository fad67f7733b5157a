//! Anvil: a CI/CD provider with a small API of its own, so that the adapter is tested against a whole provider. The
//! server's side is `tests/src/anvil.rs`.

mod parse;

use serde_json::json;
use windlass_sdk::http::{Request, Response, segment};
use windlass_sdk::provider::{
    Account, Artifact, ArtifactChunk, Artifacts, Build, BuildReport, Delivery, Event, Job, JobSpec, LogChunk,
    Provider, Trigger, Webhooks,
};
use windlass_sdk::{Connection, Failure, Manifest, WebhookContract, WebhookScheme};

pub struct Anvil;

/// The job's path, with more behind it.
fn of_job(job: &str, rest: &str) -> String {
    format!("/jobs/{}{rest}", segment(job))
}

fn of_build(job: &str, build: &str, rest: &str) -> String {
    of_job(job, &format!("/builds/{}{rest}", segment(build)))
}

/// Sends it; a 404 becomes a failure with this code.
fn sent(request: Request, missing: &str) -> Result<Response, Failure> {
    let response = request.credential("token").send()?;
    if response.status == 404 {
        return Err(Failure::permanent(missing, "Anvil does not know it."));
    }
    response.success()
}

fn number(response: &Response, header: &str) -> Option<u64> {
    response.header(header).and_then(|value| value.parse().ok())
}

impl Provider for Anvil {
    fn describe() -> Manifest {
        Manifest::new("anvil", env!("CARGO_PKG_VERSION"), "Runs jobs on the tests' own CI server")
            .settings_schema(
                json!({
                    "type": "object",
                    "properties": { "folder": { "type": "string", "pattern": "^[a-z/]*$" } },
                    "additionalProperties": false,
                })
                .to_string(),
            )
            .credential("token", "A token of Anvil", "bearer", true)
            .permission(&["GET"], "/me", "checks the token")
            .permission(&["GET", "PUT", "POST", "DELETE"], "/jobs/**", "makes jobs and runs them")
            .webhooks(WebhookContract::new(
                vec![WebhookScheme::standard_webhooks()],
                &["webhook-id"],
                &["x-anvil-event"],
            ))
    }

    fn test_connection(_: Connection) -> Result<Account, Failure> {
        let me: parse::Me = sent(Request::get("/me"), "no-account")?.json()?;
        Ok(Account { name: me.login, server_version: me.version, extras: Vec::new() })
    }

    fn create_job(connection: Connection, spec: JobSpec) -> Result<Job, Failure> {
        let settings: parse::Settings = serde_json::from_str(&connection.settings)
            .map_err(|error| Failure::permanent("invalid-job", format!("Strange settings: {error}.")))?;
        let Some(first) = spec.pipeline.first() else {
            return Err(Failure::permanent("invalid-job", "A job of Anvil needs a pipeline file."));
        };
        let body = json!({
            "repository": spec.repository_url, "branch": spec.branch, "folder": settings.folder,
            "pipeline": first.content,
        });
        let request = Request::new("PUT", of_job(&spec.name, "")).json(&body)?;
        sent(request, "invalid-job")?.json::<parse::Job>().map(parse::Job::into_job)
    }

    fn trigger_job(_: Connection, job: &str, trigger: Trigger) -> Result<Build, Failure> {
        let parameters: serde_json::Map<_, _> =
            trigger.parameters.into_iter().map(|(name, value)| (name, value.into())).collect();
        let request = Request::post(of_job(job, "/builds"))
            .idempotency_key(trigger.idempotency_key)
            .json(&json!({ "ref": trigger.ref_name, "parameters": parameters }))?;
        sent(request, "no-such-job")?.json::<parse::Build>().map(parse::Build::into_build)
    }

    fn get_job_status(_: Connection, job: &str) -> Result<Job, Failure> {
        sent(Request::get(of_job(job, "")), "no-such-job")?.json::<parse::Job>().map(parse::Job::into_job)
    }

    fn get_build_status(_: Connection, job: &str, build: &str) -> Result<Build, Failure> {
        let request = Request::get(of_build(job, build, ""));
        sent(request, "no-such-build")?.json::<parse::Build>().map(parse::Build::into_build)
    }

    fn get_build_logs(
        _: Connection,
        job: &str,
        build: &str,
        cursor: Option<&str>,
    ) -> Result<LogChunk, Failure> {
        let request = Request::get(of_build(job, build, "/log")).query("from", cursor.unwrap_or("0"));
        let response = sent(request, "no-such-build")?;
        let next = number(&response, "x-next").unwrap_or_default().to_string();
        Ok(LogChunk { text: response.text(), cursor: next, complete: response.header("x-more").is_none() })
    }

    fn cancel_build(_: Connection, job: &str, build: &str) -> Result<(), Failure> {
        sent(Request::post(of_build(job, build, "/cancel")), "no-such-build").map(|_| ())
    }

    fn delete_job(_: Connection, job: &str) -> Result<(), Failure> {
        match sent(Request::delete(of_job(job, "")), "gone") {
            Err(failure) if failure.code == "gone" => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

impl Webhooks for Anvil {
    fn parse(delivery: Delivery) -> Result<Event, Failure> {
        match delivery.header("x-anvil-event") {
            Some("ping") => Ok(Event::Ping),
            Some("build") => {
                let report: parse::Report = delivery.json()?;
                Ok(Event::Builds(vec![BuildReport { job: report.job, build: report.build.into_build() }]))
            }
            other => Ok(Event::Unsupported(other.unwrap_or_default().to_owned())),
        }
    }
}

impl Artifacts for Anvil {
    fn list_artifacts(_: Connection, job: &str, build: &str) -> Result<Vec<Artifact>, Failure> {
        let request = Request::get(of_build(job, build, "/artifacts"));
        let found: Vec<parse::Artifact> = sent(request, "no-such-build")?.json()?;
        Ok(found.into_iter().map(parse::Artifact::into_artifact).collect())
    }

    fn read_artifact(
        _: Connection,
        job: &str,
        build: &str,
        artifact: &str,
        cursor: Option<&str>,
    ) -> Result<ArtifactChunk, Failure> {
        let path = of_build(job, build, &format!("/artifacts/{}", segment(artifact)));
        let response = sent(Request::get(path).query("from", cursor.unwrap_or("0")), "artifact-gone")?;
        let cursor = number(&response, "x-next").map(|next| next.to_string());
        Ok(ArtifactChunk { bytes: response.body, cursor })
    }
}

windlass_sdk::export_provider!(Anvil, webhooks, artifacts);
