//! Rules for what sends requests: the other side fails, at each request of each call and in each way.
//!
//! How it fails, and what a failure has to say then, is the test kit's of the SDK, so that an author meets the same in a
//! native test.

use std::sync::Arc;

use windlass_sdk::Disposition as Said;
use windlass_sdk::testkit::{Ended, Trial, Trials};

use super::provider::{spec, trigger};
use super::{Rule, nobody, settings_of};
use crate::domain::forge::{CommitState, CommitStatus, Placement, PlacementState};
use crate::domain::plugin::{Ability, PluginKind};
use crate::error::{Disposition, Error, PluginError, PluginErrorKind, Result};
use crate::plugins::{Plugins, Secret, Target};

const PROMISE: &str = "whatever the other side answers instead (401, 403, 404, 409, 429, 500, half a body, nonsense, nothing), each \
                       function ends with the failure that fits, within its requests, and makes nothing up";
/// By its full name.
const REPOSITORY: &str = "group/app";
/// Nobody gets to see it: no credential is put into a request of a trial.
const SECRET: &str = "conformance-secret-0123456789";

/// The functions that may send requests, by what exports them.
const CALLS: [(PluginKind, Option<Ability>, &[&str]); 7] = [
    (
        PluginKind::CiProvider,
        None,
        &[
            "test-connection",
            "create-job",
            "trigger-job",
            "get-job-status",
            "get-build-status",
            "get-build-logs",
            "cancel-build",
            "delete-job",
        ],
    ),
    (PluginKind::CiProvider, Some(Ability::Artifacts), &["list-artifacts", "read-artifact"]),
    (PluginKind::GitForge, Some(Ability::Repository), &["get-default-branch", "get-repository-details"]),
    (PluginKind::GitForge, Some(Ability::WebhookAdmin), &["register", "unregister"]),
    (PluginKind::GitForge, Some(Ability::CommitStatus), &["set-commit-status"]),
    (PluginKind::GitForge, Some(Ability::Deployments), &["set-deployment"]),
    (PluginKind::GitForge, Some(Ability::PullRequests), &["list-open", "get-pull-request", "set-comment"]),
];

/// The rule for a plugin of this kind; none if it exports no function that may send requests.
pub(super) fn rule<'a>(plugins: &'a Plugins, name: &'a str, kind: PluginKind) -> Option<Rule<'a>> {
    let able = plugins.inspect(name).ok()?.info?.abilities;
    let is_exported = |ability: Option<Ability>| ability.is_none_or(|ability| able.contains(&ability));
    let exported = CALLS.into_iter().filter(|(of, ability, _)| *of == kind && is_exported(*ability));
    let calls: Vec<&str> = exported.flat_map(|(_, _, calls)| calls.iter().copied()).collect();
    let rule = match kind {
        PluginKind::CiProvider => "provider-tells-trouble",
        _ => "forge-tells-trouble",
    };
    (!calls.is_empty()).then(|| Rule::new(rule, PROMISE, tells_trouble(plugins, name, kind, calls)))
}

async fn tells_trouble(
    plugins: &Plugins,
    name: &str,
    kind: PluginKind,
    calls: Vec<&str>,
) -> Result<String, String> {
    let mut tried = 0;
    for call in calls {
        let mut trials = Trials::of(call);
        while let Some(trial) = trials.next() {
            let on = target_in(plugins, name, &trial)?;
            let answer = match kind {
                PluginKind::CiProvider => of_provider(plugins, name, call, &on, &trial).await,
                _ => of_forge(plugins, name, call, &on).await,
            };
            trials.tell(&trial, ended(answer));
        }
        tried += trials.result()?;
    }
    Ok(format!("{tried} tried"))
}

/// A connection that leads to the trial, with all that the manifest asks for and a secret in each slot.
fn target_in(plugins: &Plugins, name: &str, trial: &Trial) -> Result<Target, String> {
    let info = plugins.inspect(name).map_err(|error| error.to_string())?.info;
    let slots = info.into_iter().flat_map(|info| info.manifest.credentials);
    let mut connection = nobody()?.in_trial(trial.clone());
    for slot in slots {
        connection = connection.secret(&slot.name, Secret::new(SECRET)).map_err(|error| error.to_string())?;
    }
    Ok(Target { connection: Arc::new(connection), settings: settings_of(plugins, name)? })
}

/// Makes one call; the answer is whether the plugin says anything.
async fn of_provider(plugins: &Plugins, name: &str, call: &str, on: &Target, trial: &Trial) -> Result<bool> {
    let (job, build) = (trial.job(), trial.build());
    match call {
        "test-connection" => plugins.provider_test(name, on).await.map(|_| true),
        "create-job" => plugins.provider_create_job(name, on, &spec()).await.map(|_| true),
        "trigger-job" => plugins.provider_trigger(name, on, job, &trigger()).await.map(|_| true),
        "get-job-status" => plugins.provider_job_status(name, on, job).await.map(|_| true),
        "get-build-status" => plugins.provider_build_status(name, on, job, build).await.map(|_| true),
        "get-build-logs" => {
            let chunk = plugins.provider_build_logs(name, on, job, build, None).await;
            chunk.map(|chunk| !chunk.text.is_empty())
        }
        "cancel-build" => plugins.provider_cancel(name, on, job, build).await.map(|()| true),
        "list-artifacts" => plugins.provider_artifacts(name, on, job, build).await.map(|_| true),
        "read-artifact" => {
            let chunk = plugins.provider_artifact(name, on, (job, build, "7"), None).await;
            chunk.map(|chunk| !chunk.bytes.is_empty())
        }
        _ => plugins.provider_delete_job(name, on, job).await.map(|()| true),
    }
}

/// As [`of_provider`].
async fn of_forge(plugins: &Plugins, name: &str, call: &str, on: &Target) -> Result<bool> {
    match call {
        "get-default-branch" => plugins.forge_default_branch(name, on, REPOSITORY).await.map(|_| true),
        "get-repository-details" => plugins.forge_repository(name, on, REPOSITORY).await.map(|_| true),
        "register" => {
            let hook = (REPOSITORY, "https://windlass.example/hook");
            plugins.forge_register_hook(name, on, hook, &Secret::new(SECRET)).await.map(|_| true)
        }
        "unregister" => plugins.forge_unregister_hook(name, on, REPOSITORY, "7").await.map(|()| true),
        "set-commit-status" => plugins.forge_set_status(name, on, &status()).await.map(|()| true),
        "set-deployment" => plugins.forge_set_deployment(name, on, &placement()).await.map(|_| true),
        "list-open" => plugins.forge_open_pull_requests(name, on, REPOSITORY, None).await.map(|_| true),
        "get-pull-request" => plugins.forge_pull_request(name, on, REPOSITORY, 7).await.map(|_| true),
        _ => {
            let at = (REPOSITORY, 7);
            plugins.forge_set_comment(name, on, at, "preview", "It is there.").await.map(|()| true)
        }
    }
}

fn status() -> CommitStatus {
    CommitStatus {
        repository: REPOSITORY.into(),
        commit: "67b56589a45103f891bdee7c0546e5d40bc02001".into(),
        state: CommitState::Success,
        context: "windlass/app".into(),
        description: "Deployed".into(),
        url: None,
    }
}

fn placement() -> Placement {
    Placement {
        repository: REPOSITORY.into(),
        commit: "67b56589a45103f891bdee7c0546e5d40bc02001".into(),
        ref_name: "main".into(),
        is_tag: false,
        environment: "app".into(),
        transient: false,
        key: "0190f7c2-7a3b-7c4d-8e5f-0123456789ab".into(),
        id: None,
        state: PlacementState::Success,
        url: None,
        log_url: None,
    }
}

fn ended(answer: Result<bool>) -> Ended {
    match answer {
        Ok(says_something) => Ended::Answer { says_something },
        Err(Error::Plugin(PluginError {
            kind: PluginErrorKind::Failure { code, disposition, .. }, ..
        })) => {
            let said = match disposition {
                Disposition::Retry(after) => Said::Retry(after),
                Disposition::Permanent => Said::Permanent,
                Disposition::AuthRequired => Said::AuthRequired,
                Disposition::RateLimited(after) => Said::RateLimited(after),
                Disposition::Other(word) => Said::Other(word),
            };
            Ended::Failure(said, code)
        }
        Err(Error::Plugin(PluginError { kind: PluginErrorKind::Nonsense(why), .. })) => Ended::Senseless(why),
        Err(error) => Ended::Crash(error.to_string()),
    }
}
