//! Deployments. GitLab itself shows only the newest good one of an environment as the one that serves.

use serde::Deserialize;
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
}

pub fn set(connection: &Connection, deployment: &Deployment) -> Result<String, Failure> {
    let (api, project) = (Api::default(), names::project(connection, &deployment.repository)?);
    let project = names::address(&project);
    let path = format!("{project}/deployments");
    let known = match &deployment.id {
        Some(id) => change(&api, &format!("{path}/{}", number(id)?), &deployment.state)?,
        None => create(&api, &path, deployment)?,
    };
    if let (Some(environment), Some(url)) = (&known.environment, &deployment.url)
        && environment.external_url.as_deref().unwrap_or_default().is_empty()
    {
        lead_to(&api, &format!("{project}/environments/{}", environment.id), url)?;
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

fn change(api: &Api, path: &str, state: &DeploymentState) -> Result<Known, Failure> {
    let unknown = &[(404, "no-such-deployment")];
    let known: Known = api.get(path, unknown)?;
    // GitLab takes a status for a step, and there is none from a status to itself.
    if known.status == word(state) {
        return Ok(known);
    }
    let request = Request::put(path).json(&json!({ "status": word(state) }))?;
    let response = api.write(request, &[(404, "no-such-deployment"), (400, "invalid-deployment")])?;
    api.json(&response)
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
        // What has served stays a success; a newer one takes its place.
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
