//! Deployments. GitLab itself shows only the newest good one of an environment as the one that serves, until that is stopped.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use windlass_sdk::forge::{Deployment, DeploymentState};
use windlass_sdk::http::Request;
use windlass_sdk::{Connection, Failure};

use crate::api::{Api, complaint};
use crate::names;

#[derive(Deserialize)]
struct Known {
    id: u64,
    status: String,
    #[serde(default)]
    environment: Option<Environment>,
}

#[derive(Deserialize)]
struct Environment {
    id: u64,
    external_url: Option<String>,
    /// `available`, `stopping` or `stopped`.
    state: Option<String>,
    /// The newest good one. Told only of an environment that is asked for by itself.
    last_deployment: Option<Last>,
}

#[derive(Deserialize)]
struct Last {
    id: u64,
}

pub fn set(connection: &Connection, deployment: &Deployment) -> Result<String, Failure> {
    let (api, project) = (Api::default(), names::project(connection, &deployment.repository)?);
    let project = names::address(&project);
    let path = format!("{project}/deployments");
    let known = match &deployment.id {
        Some(id) => change(&api, &project, number(id)?, &deployment.state)?,
        None => create(&api, &path, deployment)?,
    };
    let Some(environment) = &known.environment else { return Ok(known.id.to_string()) };
    let path = format!("{project}/environments/{}", environment.id);
    if let Some(url) = &deployment.url
        && environment.external_url.as_deref().unwrap_or_default().is_empty()
    {
        lead_to(&api, &path, url)?;
    }
    if matches!(deployment.state, DeploymentState::Inactive) {
        close(&api, &path, known.id)?;
    }
    Ok(known.id.to_string())
}

fn create(api: &Api, path: &str, deployment: &Deployment) -> Result<Known, Failure> {
    let body = json!({
        "environment": deployment.environment, "sha": deployment.commit, "ref": deployment.ref_name,
        "tag": deployment.is_tag, "status": word(&deployment.state),
    });
    let response = api.ask(Request::post(path).json(&body)?)?;
    let said = complaint(&response);
    let code = if said.contains("commit does not exist") { "no-such-commit" } else { "invalid-deployment" };
    let response = api.checked(response, &[(400, code), (404, "no-such-repository")])?;
    api.json(&response)
}

fn change(api: &Api, project: &str, id: u64, state: &DeploymentState) -> Result<Known, Failure> {
    let path = &format!("{project}/deployments/{id}");
    let Some(known) = api.find::<Known>(path)? else { return Err(gone(api, project, id)) };
    // GitLab takes a status for a step, and there is none from a status to itself.
    if known.status == word(state) {
        return Ok(known);
    }
    let request = Request::put(path).json(&json!({ "status": word(state) }))?;
    let response = api.write(request, &[(404, "no-such-deployment"), (400, "invalid-deployment")])?;
    api.json(&response)
}

/// Why a deployment is not there: somebody has removed it, or the token may not see the project any more.
fn gone(api: &Api, project: &str, id: u64) -> Failure {
    match api.get::<IgnoredAny>(project, &[(404, "no-such-repository")]) {
        Ok(_) => {
            let said = format!("The project has no deployment {id} on GitLab.");
            api.failed(Failure::permanent("no-such-deployment", said))
        }
        Err(failure) => failure,
    }
}

/// Stops an environment in which nothing took this deployment's place. The next good one starts it again.
fn close(api: &Api, environment: &str, deployment: u64) -> Result<(), Failure> {
    let Some(found) = api.find::<Environment>(environment)? else { return Ok(()) };
    let is_open = found.state.as_deref().is_none_or(|state| state == "available");
    if !is_open || found.last_deployment.is_none_or(|last| last.id != deployment) {
        return Ok(());
    }
    // Without the jobs that people may have for it: this only says what is so.
    let request = Request::post(format!("{environment}/stop")).json(&json!({ "force": true }))?;
    let response = api.write(request, &[(404, "no-such-environment"), (400, "invalid-deployment")])?;
    api.json::<Environment>(&response).map(|_| ())
}

/// Says where an environment can be reached that has no address yet. What people have entered stays.
fn lead_to(api: &Api, environment: &str, url: &str) -> Result<(), Failure> {
    let request = Request::put(environment).json(&json!({ "external_url": url }))?;
    let response = api.write(request, &[(404, "no-such-environment"), (400, "invalid-deployment")])?;
    api.json::<Environment>(&response).map(|_| ())
}

fn word(state: &DeploymentState) -> &'static str {
    match state {
        DeploymentState::Queued | DeploymentState::InProgress => "running",
        // What has served stays a success; a newer one takes its place, or its environment stops.
        DeploymentState::Success | DeploymentState::Inactive => "success",
        DeploymentState::Failure | DeploymentState::RolledBack => "failed",
        DeploymentState::Cancelled | DeploymentState::Other(_) => "canceled",
    }
}

fn number(id: &str) -> Result<u64, Failure> {
    id.parse().map_err(|_| {
        let shown: String = id.chars().take(200).collect();
        let said = format!("`{shown}` is no deployment on GitLab; its id is a number.");
        Failure::permanent("no-such-deployment", said)
    })
}
