//! The adapter for CI/CD providers and their optional interfaces.

use bytes::Bytes;

use super::answer::{count, cursor, id, link, time, words};
use super::bindings::artifacts::exports::windlass::ci_provider::artifacts;
use super::bindings::base::windlass::types::types::{Delivery, Failure};
use super::bindings::provider::exports::windlass::ci_provider::provider as wit;
use super::bindings::provider::windlass::ci_provider::types as ci;
use super::bindings::webhooks::exports::windlass::ci_provider::webhooks;
use super::call::{CallError, nonsense};
use super::delivery::{BODY_BYTES, public_headers};
use super::tape::Function;
use super::target::Interface;
use super::{Plugins, Target, text};
use crate::domain::ci::{
    CiAccount, CiArtifact, CiArtifactChunk, CiBuild, CiEvent, CiJob, CiJobSpec, CiLogChunk, CiStatus,
    CiTrigger,
};
use crate::domain::plugin::{Ability, PluginKind};
use crate::error::{Error, Result};

/// Most bytes of one piece of a log, and of an artifact.
const LOG_BYTES: usize = 1 << 20;
const ARTIFACT_BYTES: usize = 4 << 20;
const ARTIFACTS: usize = 1000;
/// Most builds that one webhook delivery reports.
const BUILDS: usize = 256;

const PROVIDER: Interface =
    Interface { kind: PluginKind::CiProvider, ability: None, name: "windlass:ci-provider/provider@0.1.0" };
const ARTIFACT: Interface =
    Interface { ability: Some(Ability::Artifacts), name: "windlass:ci-provider/artifacts@0.1.0", ..PROVIDER };
const PARSE: Function = Function { interface: "windlass:ci-provider/webhooks@0.1.0", name: "parse" };

impl Plugins {
    /// Whether the provider answers and takes the credential.
    pub async fn provider_test(&self, name: &str, target: &Target) -> Result<CiAccount> {
        let read = |account: wit::Account| {
            Ok(CiAccount { name: words(&account.name), server_version: words(&account.server_version) })
        };
        self.call_target(name, (PROVIDER, "test-connection"), target, |on| (on,), read).await
    }

    /// Makes the job, or brings the one of that name into the state asked for.
    pub async fn provider_create_job(&self, name: &str, target: &Target, spec: &CiJobSpec) -> Result<CiJob> {
        let params = |on| (on, spec_to(spec));
        self.call_target(name, (PROVIDER, "create-job"), target, params, job_from).await
    }

    /// Starts a build.
    pub async fn provider_trigger(
        &self,
        name: &str,
        target: &Target,
        job: &str,
        trigger: &CiTrigger,
    ) -> Result<CiBuild> {
        let trigger = wit::Trigger {
            ref_name: trigger.ref_name.clone(),
            parameters: trigger.parameters.clone(),
            idempotency_key: trigger.idempotency_key.clone(),
            extras: Vec::new(),
        };
        let params = |on| (on, job.to_owned(), trigger);
        self.call_target(name, (PROVIDER, "trigger-job"), target, params, build_from).await
    }

    pub async fn provider_job_status(&self, name: &str, target: &Target, job: &str) -> Result<CiJob> {
        let params = |on| (on, job.to_owned());
        self.call_target(name, (PROVIDER, "get-job-status"), target, params, job_from).await
    }

    /// The build; with another id than asked for if the provider gave it a final one meanwhile.
    pub async fn provider_build_status(
        &self,
        name: &str,
        target: &Target,
        job: &str,
        build: &str,
    ) -> Result<CiBuild> {
        let params = |on| (on, job.to_owned(), build.to_owned());
        self.call_target(name, (PROVIDER, "get-build-status"), target, params, build_from).await
    }

    /// What the build wrote after the cursor.
    pub async fn provider_build_logs(
        &self,
        name: &str,
        target: &Target,
        job: &str,
        build: &str,
        after: Option<&str>,
    ) -> Result<CiLogChunk> {
        let asked = after.map(str::to_owned);
        let after = asked.clone();
        let params = |on| (on, job.to_owned(), build.to_owned(), after);
        let read = move |chunk| log_from(chunk, asked.as_deref());
        self.call_target(name, (PROVIDER, "get-build-logs"), target, params, read).await
    }

    /// Asks the provider to stop; the status tells when it has.
    pub async fn provider_cancel(&self, name: &str, target: &Target, job: &str, build: &str) -> Result<()> {
        let params = |on| (on, job.to_owned(), build.to_owned());
        self.call_target(name, (PROVIDER, "cancel-build"), target, params, Ok::<(), _>).await
    }

    pub async fn provider_delete_job(&self, name: &str, target: &Target, job: &str) -> Result<()> {
        let params = |on| (on, job.to_owned());
        self.call_target(name, (PROVIDER, "delete-job"), target, params, Ok::<(), _>).await
    }

    /// Reads a webhook delivery, which has been verified before.
    pub async fn provider_parse(
        &self,
        name: &str,
        headers: Vec<(String, String)>,
        body: Bytes,
    ) -> Result<CiEvent> {
        if body.len() > BODY_BYTES {
            return Err(Error::TooLarge { what: "webhook's body", limit: BODY_BYTES as u64 });
        }
        let plugin = self.find_able(name, PluginKind::CiProvider, Some(Ability::Webhooks), PARSE.name)?;
        let headers = public_headers(headers, plugin.info.manifest.webhooks.as_ref());
        let delivery = Delivery { headers, body: body.into() };
        let read = |answer: Result<webhooks::Event, Failure>| event_from(answer?);
        self.runtime().invoke(plugin.callee(), PARSE, (delivery,), read).await
    }

    pub async fn provider_artifacts(
        &self,
        name: &str,
        target: &Target,
        job: &str,
        build: &str,
    ) -> Result<Vec<CiArtifact>> {
        let params = |on| (on, job.to_owned(), build.to_owned());
        let read = |found: Vec<artifacts::Artifact>| {
            count("artifacts", found.len(), ARTIFACTS)?;
            found.into_iter().map(artifact_from).collect()
        };
        self.call_target(name, (ARTIFACT, "list-artifacts"), target, params, read).await
    }

    /// The piece of an artifact at the cursor; the first one without.
    pub async fn provider_artifact(
        &self,
        name: &str,
        target: &Target,
        (job, build, artifact): (&str, &str, &str),
        after: Option<&str>,
    ) -> Result<CiArtifactChunk> {
        let asked = after.map(str::to_owned);
        let after = asked.clone();
        let params = |on| (on, job.to_owned(), build.to_owned(), artifact.to_owned(), after);
        let read = move |chunk| chunk_from(chunk, asked.as_deref());
        self.call_target(name, (ARTIFACT, "read-artifact"), target, params, read).await
    }
}

fn spec_to(spec: &CiJobSpec) -> wit::JobSpec {
    let file = |(path, content): &(String, String)| wit::PipelineFile {
        path: path.clone(),
        content: content.clone(),
    };
    wit::JobSpec {
        name: spec.name.clone(),
        description: spec.description.clone(),
        folder: spec.folder.clone(),
        repository_url: spec.repository_url.clone(),
        branch: spec.branch.clone(),
        pipeline: spec.pipeline.iter().map(file).collect(),
        parameters: spec
            .parameters
            .iter()
            .map(|parameter| wit::Parameter {
                name: parameter.name.clone(),
                default: parameter.default.clone(),
                description: parameter.description.clone(),
            })
            .collect(),
        extras: Vec::new(),
    }
}

fn job_from(job: wit::Job) -> Result<CiJob, CallError> {
    Ok(CiJob {
        id: id("job id", job.id)?,
        name: words(&job.name),
        url: link(job.url),
        trigger_url: link(job.trigger_url),
        buildable: job.buildable,
        last_build: job.last_build.map(build_from).transpose()?,
    })
}

fn build_from(build: ci::Build) -> Result<CiBuild, CallError> {
    let (status, status_word) = match build.status {
        ci::BuildStatus::Pending => (CiStatus::Pending, None),
        ci::BuildStatus::Running => (CiStatus::Running, None),
        ci::BuildStatus::Success => (CiStatus::Success, None),
        ci::BuildStatus::Failure => (CiStatus::Failure, None),
        ci::BuildStatus::Cancelled => (CiStatus::Cancelled, None),
        ci::BuildStatus::Other(word) => (CiStatus::Unknown, Some(text::line(&word, 64))),
    };
    Ok(CiBuild {
        id: id("build id", build.id)?,
        number: text::line(&build.number, 64),
        status,
        status_word,
        url: link(build.url),
        started_at: build.started.map(time),
        finished_at: build.finished.map(time),
        poll_after_secs: build.poll_after,
    })
}

fn log_from(chunk: wit::LogChunk, after: Option<&str>) -> Result<CiLogChunk, CallError> {
    count("bytes in a piece of a log", chunk.text.len(), LOG_BYTES)?;
    let cursor = cursor(chunk.cursor)?;
    // Asked again with the same cursor, the plugin would answer with the same text: the log would never end.
    if !chunk.complete && !chunk.text.is_empty() && after == Some(cursor.as_str()) {
        return Err(nonsense("a piece of a log whose cursor does not move on"));
    }
    Ok(CiLogChunk { text: text::block(&chunk.text, LOG_BYTES), cursor, complete: chunk.complete })
}

fn event_from(event: webhooks::Event) -> Result<CiEvent, CallError> {
    Ok(match event {
        webhooks::Event::Ping => CiEvent::Ping,
        webhooks::Event::Builds(reports) => {
            count("builds in a delivery", reports.len(), BUILDS)?;
            let report =
                |report: webhooks::BuildReport| Ok((id("job id", report.job)?, build_from(report.build)?));
            CiEvent::Builds(reports.into_iter().map(report).collect::<Result<_, CallError>>()?)
        }
        webhooks::Event::Unsupported(name) | webhooks::Event::Other(name) => {
            CiEvent::Unsupported(text::line(&name, 128))
        }
    })
}

fn artifact_from(artifact: artifacts::Artifact) -> Result<CiArtifact, CallError> {
    Ok(CiArtifact {
        id: id("artifact id", artifact.id)?,
        path: words(&artifact.path),
        size_bytes: artifact.size,
    })
}

fn chunk_from(chunk: artifacts::ArtifactChunk, after: Option<&str>) -> Result<CiArtifactChunk, CallError> {
    count("bytes in a piece of an artifact", chunk.bytes.len(), ARTIFACT_BYTES)?;
    let next = chunk.cursor.map(cursor).transpose()?;
    if next.is_some() && next.as_deref() == after {
        return Err(nonsense("a piece of an artifact whose cursor does not move on"));
    }
    Ok(CiArtifactChunk { bytes: chunk.bytes, cursor: next })
}
