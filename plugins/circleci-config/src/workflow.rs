//! The order of the jobs: which wait for which, and for whose approval.

use serde_json::{Map, Value, json};
use windlass_sdk::generator::{Environment, Host, Model, check, hosts};
use windlass_sdk::params::Values;

/// Name of the job that reports a success.
pub const REPORT: &str = "report";

/// One environment: its job, and how often that runs.
pub struct Stage<'a> {
    /// None: the scripts run once, in no environment.
    pub environment: Option<&'a Environment>,
    /// Of the job.
    pub id: String,
    /// Of the job that a person has to approve before.
    pub approval: Option<String>,
    /// What the workflow calls each run of the job, and where it is. Without hosts it is one run nowhere in particular.
    pub runs: Vec<(String, Option<&'a Host>)>,
}

/// Every name is used once.
pub fn plan(model: &Model) -> Vec<Stage<'_>> {
    let mut taken = vec![REPORT.to_owned()];
    let mut name = |wish: &str| {
        let known: Vec<&str> = taken.iter().map(String::as_str).collect();
        let name = check::identifiers([wish], &known).remove(0);
        taken.push(name.clone());
        name
    };
    let mut stages = Vec::new();
    for environment in &model.environments {
        let id = name(&environment.name);
        let approval = environment.approval.then(|| name(&format!("approve-{}", environment.name)));
        let hosts = hosts(model, &environment.name);
        let mut runs: Vec<(String, Option<&Host>)> =
            hosts.into_iter().map(|host| (name(&format!("{id}-{}", host.name)), Some(host))).collect();
        if runs.is_empty() {
            runs.push((id.clone(), None));
        }
        stages.push(Stage { environment: Some(environment), id, approval, runs });
    }
    if stages.is_empty() {
        let id = name("run");
        stages.push(Stage { environment: None, approval: None, runs: vec![(id.clone(), None)], id });
    }
    stages
}

pub fn jobs(model: &Model, plan: &[Stage<'_>], settings: &Values) -> Value {
    let mut jobs = Vec::new();
    let mut before: Vec<&str> = Vec::new();
    for stage in plan {
        if let Some(approval) = &stage.approval {
            jobs.push(job(approval, json!({ "type": "approval" }), &before));
            before = vec![approval];
        }
        for (name, host) in &stage.runs {
            let mut how = json!({});
            if let Some(host) = host {
                how = json!({ "name": name, "host": host.name, "address": host.address });
            }
            jobs.push(job(&stage.id, with_context(how, settings), &before));
        }
        before = stage.runs.iter().map(|(name, _)| name.as_str()).collect();
    }
    if model.report_url.is_some() {
        jobs.push(job(REPORT, with_context(json!({}), settings), &before));
    }
    Value::Array(jobs)
}

fn job(id: &str, mut how: Value, before: &[&str]) -> Value {
    if !before.is_empty() {
        how["requires"] = json!(before);
    }
    if how.as_object().is_some_and(Map::is_empty) { json!(id) } else { json!({ id: how }) }
}

fn with_context(mut how: Value, settings: &Values) -> Value {
    let context = settings.text("context");
    if !context.is_empty() {
        how["context"] = json!([context]);
    }
    how
}
