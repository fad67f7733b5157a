//! The conformance suite: what a component has to keep, beyond loading, before it is believed.
//!
//! It calls the component through the same adapters as the server does, so an answer that the server would refuse is
//! refused here. `windlass plugin check` and the admission of a plugin run this very code.

mod forge;
mod generator;
mod notifier;
mod planner;
mod provider;
pub(super) mod strategy;
mod trouble;

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};

use super::{Connection, PluginSource, Plugins, Settings, Target};
use crate::domain::conformance::{Conformance, Finding};
use crate::domain::plugin::PluginKind;
use crate::error::{Error, PluginError, PluginErrorKind, Result};

/// Loads one component and checks it. `settings` says where compiled code may be kept, and the limits of a call.
///
/// # Errors
/// Only if the engine does not start: what is wrong with the component is a finding.
pub async fn check_component(source: PluginSource, settings: Settings) -> Result<Conformance> {
    let promise = "it is a component that fits the contract, and its manifest fits its exports";
    match Plugins::open(source, settings).await {
        Ok((plugins, info)) => {
            let shape = format!(
                "{} {}, {} bytes, imports {}",
                info.manifest.name,
                info.manifest.version,
                info.size_bytes,
                if info.imports.is_empty() { "nothing".to_owned() } else { info.imports.join(", ") }
            );
            let mut findings = vec![Finding::new("loads", promise, Ok(shape))];
            findings.extend(plugins.conformance(&info.manifest.name).await?);
            Ok(Conformance { plugin: Some(info), findings })
        }
        Err(Error::Plugin(PluginError { kind: PluginErrorKind::Load(why), .. })) => {
            Ok(Conformance { plugin: None, findings: vec![Finding::new("loads", promise, Err(why))] })
        }
        Err(other) => Err(other),
    }
}

/// One rule, and the work of finding out whether it is kept; it begins when it is first awaited.
struct Rule<'a> {
    name: &'static str,
    promise: &'static str,
    test: LocalBoxFuture<'a, Result<String, String>>,
}

impl<'a> Rule<'a> {
    fn new(
        name: &'static str,
        promise: &'static str,
        test: impl Future<Output = Result<String, String>> + 'a,
    ) -> Self {
        Self { name, promise, test: test.boxed_local() }
    }

    async fn finding(self) -> Finding {
        Finding::new(self.name, self.promise, self.test.await)
    }
}

impl Plugins {
    /// Checks a loaded plugin by the rules of each of its kinds.
    pub async fn conformance(&self, name: &str) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for rule in self.rules(name)? {
            findings.push(rule.finding().await);
        }
        Ok(findings)
    }

    /// The first rule that a loaded plugin breaks: whoever only wants to know whether it conforms need not wait for the
    /// rest.
    pub(super) async fn first_breach(&self, name: &str) -> Result<Option<Finding>> {
        for rule in self.rules(name)? {
            let finding = rule.finding().await;
            if !finding.passed {
                return Ok(Some(finding));
            }
        }
        Ok(None)
    }

    fn rules<'a>(&'a self, name: &'a str) -> Result<Vec<Rule<'a>>> {
        let info = self.inspect(name)?.info.ok_or_else(|| Error::not_found("plugin", name))?;
        let promise = "describe answers the same each time";
        let mut rules = vec![Rule::new("manifest-is-stable", promise, manifest_is_stable(self, name))];
        for kind in info.kinds {
            rules.extend(match kind {
                PluginKind::GitForge => forge::check(self, name),
                PluginKind::BuildPlanner => planner::check(self, name),
                PluginKind::DeploymentStrategy => strategy::check(self, name),
                PluginKind::CiProvider => provider::check(self, name),
                PluginKind::PipelineGenerator => generator::check(self, name),
                PluginKind::Notifier => notifier::check(self, name),
            });
            rules.extend(trouble::rule(self, name, kind));
        }
        Ok(rules)
    }
}

async fn manifest_is_stable(plugins: &Plugins, name: &str) -> Result<String, String> {
    match plugins.describe_again(name).await {
        Ok(true) => Ok("described twice".to_owned()),
        Ok(false) => Err("it described itself otherwise the second time".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Settings to call the plugin with: none, the schema's defaults, or its first example that fits.
fn settings_of(plugins: &Plugins, name: &str) -> Result<Value, String> {
    let info = plugins.inspect(name).map_err(|error| error.to_string())?.info;
    let schema = info.map(|info| info.manifest.settings_schema).unwrap_or_default();
    let schema: Value = serde_json::from_str(&schema).unwrap_or_default();
    let defaults: Map<String, Value> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
        .collect();
    let examples = schema.get("examples").and_then(Value::as_array).cloned().unwrap_or_default();
    let candidates = [Value::Object(Map::new()), Value::Object(defaults)].into_iter().chain(examples);
    let fits = |settings: &Value| {
        plugins.settings_problems(name, settings).is_ok_and(|problems| problems.is_empty())
    };
    candidates.into_iter().find(fits).ok_or_else(|| {
        "its schema demands settings, so it cannot be called without; give the schema `examples` with settings that fit"
            .to_owned()
    })
}

/// The other side in calls of the suite: nobody listens there, so no request ever leaves this machine.
fn target_of(plugins: &Plugins, name: &str) -> Result<Target, String> {
    Ok(Target { connection: Arc::new(nobody()?.grant(&[])), settings: settings_of(plugins, name)? })
}

/// A connection to an address where nobody listens.
fn nobody() -> Result<Connection, String> {
    Connection::new("conformance", "http://127.0.0.1:1").map_err(|error| error.to_string())
}

/// Whether two answers to the same question are the same, and neither is a crash.
fn same<T: Debug>(question: &str, first: &Result<T>, second: &Result<T>) -> Result<(), String> {
    for answer in [first, second] {
        if let Some(why) = crash(answer) {
            return Err(format!("{question}: {why}"));
        }
    }
    // `Debug` shows every field of an answer.
    let (first, second) = (format!("{first:?}"), format!("{second:?}"));
    if first == second {
        return Ok(());
    }
    Err(format!("{question}: asked twice, it answered first {first}, then {second}"))
}

/// Why an answer is none: a typed failure is one, whatever else ended the call is not.
fn crash<T>(answer: &Result<T>) -> Option<String> {
    match answer {
        Ok(_) | Err(Error::Plugin(PluginError { kind: PluginErrorKind::Failure { .. }, .. })) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// All of them, or the first that is wrong; `tried` says how many there were.
fn all(results: impl IntoIterator<Item = Result<(), String>>) -> Result<String, String> {
    let mut tried = 0;
    for result in results {
        result?;
        tried += 1;
    }
    Ok(format!("{tried} tried"))
}
