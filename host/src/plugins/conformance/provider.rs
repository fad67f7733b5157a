//! Rules for CI/CD providers. There is no vendor: what is tried is how a provider takes requests that come to nothing.

use std::fmt::Debug;

use bytes::Bytes;

use super::{Rule, all, crash, target_of};
use crate::domain::ci::{CiEvent, CiJobSpec, CiTrigger};
use crate::domain::plugin::Ability;
use crate::error::{Error, PluginError, PluginErrorKind, Result};
use crate::plugins::Plugins;

pub(super) fn check<'a>(plugins: &'a Plugins, name: &'a str) -> Vec<Rule<'a>> {
    let mut rules = vec![Rule::new(
        "provider-survives-silence",
        "where no request gets an answer, each function fails with a reason, and claims nothing",
        survives_silence(plugins, name),
    )];
    let abilities = plugins.inspect(name).ok().and_then(|status| status.info).map(|info| info.abilities);
    if abilities.is_some_and(|abilities| abilities.contains(&Ability::Webhooks)) {
        rules.push(Rule::new(
            "provider-refuses-malformed",
            "a body that is not what its headers promise is a permanent failure `malformed-payload`, never a build",
            refuses_malformed(plugins, name),
        ));
    }
    rules
}

async fn survives_silence(plugins: &Plugins, name: &str) -> Result<String, String> {
    let target = target_of(plugins, name)?;
    let (spec, trigger) = (spec(), trigger());
    all([
        silent("test-connection", plugins.provider_test(name, &target).await),
        silent("create-job", plugins.provider_create_job(name, &target, &spec).await),
        silent("trigger-job", plugins.provider_trigger(name, &target, "job", &trigger).await),
        silent("get-job-status", plugins.provider_job_status(name, &target, "job").await),
        silent("get-build-status", plugins.provider_build_status(name, &target, "job", "7").await),
        silent("get-build-logs", plugins.provider_build_logs(name, &target, "job", "7", None).await),
        silent("cancel-build", plugins.provider_cancel(name, &target, "job", "7").await),
        silent("delete-job", plugins.provider_delete_job(name, &target, "job").await),
    ])
}

/// A job to be made.
pub(super) fn spec() -> CiJobSpec {
    CiJobSpec {
        name: "job".into(),
        description: String::new(),
        folder: None,
        repository_url: "https://forge.example/group/app.git".into(),
        branch: "main".into(),
        pipeline: vec![("pipeline".into(), "steps".into())],
        parameters: Vec::new(),
    }
}

/// A build to be started.
pub(super) fn trigger() -> CiTrigger {
    CiTrigger { ref_name: None, parameters: Vec::new(), idempotency_key: "key-1".into() }
}

/// Without a single answer nobody can know anything.
fn silent<T: Debug>(call: &str, answer: Result<T>) -> Result<(), String> {
    match answer {
        Ok(claim) => Err(format!("{call}: no request got an answer, and still it says {claim:?}")),
        Err(error) => crash::<T>(&Err(error)).map_or(Ok(()), |why| Err(format!("{call}: {why}"))),
    }
}

async fn refuses_malformed(plugins: &Plugins, name: &str) -> Result<String, String> {
    let mut results = Vec::new();
    for body in ["", "{", "null", "[]", "\"text\"", "\u{fffd}\0", &"[".repeat(10_000)] {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let shown: String = body.chars().take(20).collect();
        let answer = plugins.provider_parse(name, headers, Bytes::from(body.to_owned())).await;
        results.push(match answer {
            Ok(CiEvent::Builds(_)) => Err(format!("`{}` was taken for builds", shown.escape_debug())),
            Ok(_) => Ok(()),
            Err(Error::Plugin(PluginError {
                kind: PluginErrorKind::Failure { code, disposition, .. },
                ..
            })) if code == "malformed-payload" && !disposition.is_retryable() => Ok(()),
            Err(error) => Err(format!("`{}`: {error}", shown.escape_debug())),
        });
    }
    all(results)
}
