//! The adapter for CI/CD providers and their optional interfaces.

use bytes::Bytes;

use super::answer::{count, cursor, id, link, time, words};
use super::bindings::artifacts::ArtifactsPre;
use super::bindings::artifacts::exports::windlass::ci_provider::artifacts;
use super::bindings::base::windlass::types::types::Delivery;
use super::bindings::provider::ProviderPre;
use super::bindings::provider::exports::windlass::ci_provider::provider as wit;
use super::bindings::provider::windlass::ci_provider::types as ci;
use super::bindings::webhooks::WebhooksPre;
use super::bindings::webhooks::exports::windlass::ci_provider::webhooks;
use super::call::{CallError, nonsense};
use super::delivery::{BODY_BYTES, public_headers};
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

/// Binds the provider's interface in a call.
macro_rules! provider {
    ($store:ident, $pre:ident) => {
        ProviderPre::new($pre.clone())?.instantiate(&mut *$store)?.windlass_ci_provider_provider()
    };
}

fn provider(name: &str) -> (&str, PluginKind, Option<Ability>) {
    (name, PluginKind::CiProvider, None)
}

fn with_artifacts(name: &str) -> (&str, PluginKind, Option<Ability>) {
    (name, PluginKind::CiProvider, Some(Ability::Artifacts))
}

impl Plugins {
    /// Whether the provider answers and takes the credential.
    pub async fn provider_test(&self, name: &str, target: &Target) -> Result<CiAccount> {
        self.call_target(provider(name), "test-connection", target, |store, pre, connection| {
            let account = provider!(store, pre).call_test_connection(store, connection)??;
            Ok(CiAccount { name: words(&account.name), server_version: words(&account.server_version) })
        })
        .await
    }

    /// Makes the job, or brings the one of that name into the state asked for.
    pub async fn provider_create_job(&self, name: &str, target: &Target, spec: &CiJobSpec) -> Result<CiJob> {
        let spec = spec_to(spec);
        self.call_target(provider(name), "create-job", target, move |store, pre, connection| {
            job_from(provider!(store, pre).call_create_job(store, connection, &spec)??)
        })
        .await
    }

    /// Starts a build.
    pub async fn provider_trigger(
        &self,
        name: &str,
        target: &Target,
        job: &str,
        trigger: &CiTrigger,
    ) -> Result<CiBuild> {
        let job = job.to_owned();
        let trigger = wit::Trigger {
            ref_name: trigger.ref_name.clone(),
            parameters: trigger.parameters.clone(),
            idempotency_key: trigger.idempotency_key.clone(),
            extras: Vec::new(),
        };
        self.call_target(provider(name), "trigger-job", target, move |store, pre, connection| {
            build_from(provider!(store, pre).call_trigger_job(store, connection, &job, &trigger)??)
        })
        .await
    }

    pub async fn provider_job_status(&self, name: &str, target: &Target, job: &str) -> Result<CiJob> {
        let job = job.to_owned();
        self.call_target(provider(name), "get-job-status", target, move |store, pre, connection| {
            job_from(provider!(store, pre).call_get_job_status(store, connection, &job)??)
        })
        .await
    }

    /// The build; with another id than asked for if the provider gave it a final one meanwhile.
    pub async fn provider_build_status(
        &self,
        name: &str,
        target: &Target,
        job: &str,
        build: &str,
    ) -> Result<CiBuild> {
        let (job, build) = (job.to_owned(), build.to_owned());
        self.call_target(provider(name), "get-build-status", target, move |store, pre, connection| {
            build_from(provider!(store, pre).call_get_build_status(store, connection, &job, &build)??)
        })
        .await
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
        let (job, build, after) = (job.to_owned(), build.to_owned(), after.map(str::to_owned));
        self.call_target(provider(name), "get-build-logs", target, move |store, pre, connection| {
            let chunk = provider!(store, pre).call_get_build_logs(
                store,
                connection,
                &job,
                &build,
                after.as_deref(),
            )??;
            log_from(chunk, after.as_deref())
        })
        .await
    }

    /// Asks the provider to stop; the status tells when it has.
    pub async fn provider_cancel(&self, name: &str, target: &Target, job: &str, build: &str) -> Result<()> {
        let (job, build) = (job.to_owned(), build.to_owned());
        self.call_target(provider(name), "cancel-build", target, move |store, pre, connection| {
            Ok(provider!(store, pre).call_cancel_build(store, connection, &job, &build)??)
        })
        .await
    }

    pub async fn provider_delete_job(&self, name: &str, target: &Target, job: &str) -> Result<()> {
        let job = job.to_owned();
        self.call_target(provider(name), "delete-job", target, move |store, pre, connection| {
            Ok(provider!(store, pre).call_delete_job(store, connection, &job)??)
        })
        .await
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
        let call = "parse";
        let plugin = self.find_able(name, PluginKind::CiProvider, Some(Ability::Webhooks), call)?;
        let headers = public_headers(headers, plugin.info.manifest.webhooks.as_ref());
        self.runtime()
            .call(plugin.callee(), call, move |store, pre| {
                let delivery = Delivery { headers, body: body.into() };
                let guest = WebhooksPre::new(pre.clone())?.instantiate(&mut *store)?;
                event_from(guest.windlass_ci_provider_webhooks().call_parse(store, &delivery)??)
            })
            .await
    }

    pub async fn provider_artifacts(
        &self,
        name: &str,
        target: &Target,
        job: &str,
        build: &str,
    ) -> Result<Vec<CiArtifact>> {
        let (job, build) = (job.to_owned(), build.to_owned());
        self.call_target(with_artifacts(name), "list-artifacts", target, move |store, pre, connection| {
            let guest = ArtifactsPre::new(pre.clone())?.instantiate(&mut *store)?;
            let artifacts = guest
                .windlass_ci_provider_artifacts()
                .call_list_artifacts(store, connection, &job, &build)??;
            count("artifacts", artifacts.len(), ARTIFACTS)?;
            artifacts.into_iter().map(artifact_from).collect()
        })
        .await
    }

    /// The piece of an artifact at the cursor; the first one without.
    pub async fn provider_artifact(
        &self,
        name: &str,
        target: &Target,
        (job, build, artifact): (&str, &str, &str),
        after: Option<&str>,
    ) -> Result<CiArtifactChunk> {
        let [job, build, artifact] = [job, build, artifact].map(str::to_owned);
        let after = after.map(str::to_owned);
        self.call_target(with_artifacts(name), "read-artifact", target, move |store, pre, connection| {
            let guest = ArtifactsPre::new(pre.clone())?.instantiate(&mut *store)?;
            let chunk = guest.windlass_ci_provider_artifacts().call_read_artifact(
                store,
                connection,
                &job,
                &build,
                &artifact,
                after.as_deref(),
            )??;
            chunk_from(chunk, after.as_deref())
        })
        .await
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
