//! Deployments. One is found again by the host's key in its payload, so that a second attempt makes no second deployment.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use windlass_sdk::Failure;
use windlass_sdk::forge::{Deployment, DeploymentState};
use windlass_sdk::http::Request;

use crate::api::{Api, Codes};
use crate::{names, repository};

/// Characters that GitHub takes of a description.
const DESCRIPTION: usize = 140;
/// Where the host's key stands in a payload.
const KEY: &str = "windlass";
const UNKNOWN_COMMIT: Codes = &[(404, "no-such-repository"), (422, "no-such-commit")];
const REFUSED: Codes = &[(422, "invalid-deployment")];

#[derive(Deserialize)]
struct Known {
    id: u64,
    #[serde(default)]
    payload: Value,
}

impl Known {
    fn is_of(&self, key: &str) -> bool {
        // Older servers tell it as the text that it once was.
        let text = self.payload.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        text.as_ref().unwrap_or(&self.payload)[KEY] == key
    }
}

pub fn set(deployment: &Deployment) -> Result<String, Failure> {
    let (api, name) = (Api::default(), names::repository(&deployment.repository)?);
    let path = format!("/repos/{name}/deployments");
    let id = match &deployment.id {
        Some(id) => id.parse().map_err(|_| unknown(id))?,
        None => match find(&api, &path, deployment)? {
            Some(id) => id,
            None => create(&api, &path, deployment)?,
        },
    };
    let description: String = deployment.description.chars().take(DESCRIPTION).collect();
    let mut body = json!({ "state": word(&deployment.state), "description": description });
    if let Some(url) = &deployment.log_url {
        body["log_url"] = url.as_str().into();
    }
    if let Some(url) = &deployment.url {
        body["environment_url"] = url.as_str().into();
    }
    let request = Request::post(format!("{path}/{id}/statuses")).json(&body)?;
    let response = api.ask(request)?;
    if response.status == 404 {
        return Err(gone(&api, &name, id));
    }
    let response = api.checked(response, REFUSED)?;
    api.json::<Known>(&response).map(|_| id.to_string())
}

/// Why a deployment is not there: somebody has removed it, or the token may not see the repository any more.
fn gone(api: &Api, name: &str, id: u64) -> Failure {
    match repository::get::<IgnoredAny>(api, name, "no-such-repository") {
        Ok(_) => {
            let said = format!("The repository `{name}` has no deployment {id} on GitHub.");
            api.failed(Failure::permanent("no-such-deployment", said))
        }
        Err(failure) => failure,
    }
}

fn find(api: &Api, path: &str, deployment: &Deployment) -> Result<Option<u64>, Failure> {
    let request = Request::get(path)
        .query("sha", &deployment.commit)
        .query("environment", &deployment.environment)
        .query("per_page", "100");
    let response = api.read(request, UNKNOWN_COMMIT)?;
    let known: Vec<Known> = api.json(&response)?;
    Ok(known.into_iter().find(|known| known.is_of(&deployment.key)).map(|known| known.id))
}

fn create(api: &Api, path: &str, deployment: &Deployment) -> Result<u64, Failure> {
    let description: String = deployment.description.chars().take(DESCRIPTION).collect();
    // Whether it may be deployed was decided before, so GitHub merges nothing and waits for no check.
    let body = json!({
        "ref": deployment.commit, "environment": deployment.environment, "auto_merge": false, "required_contexts": [],
        "transient_environment": deployment.transient, "payload": { KEY: deployment.key }, "description": description,
    });
    let response = api.write(Request::post(path).json(&body)?, UNKNOWN_COMMIT)?;
    api.json::<Known>(&response).map(|made| made.id)
}

fn word(state: &DeploymentState) -> &'static str {
    match state {
        DeploymentState::Queued => "queued",
        DeploymentState::InProgress => "in_progress",
        DeploymentState::Success => "success",
        DeploymentState::Failure => "failure",
        DeploymentState::RolledBack | DeploymentState::Inactive => "inactive",
        // GitHub has no word for it; an error is neither a success nor the commit's fault.
        DeploymentState::Cancelled | DeploymentState::Other(_) => "error",
    }
}

fn unknown(id: &str) -> Failure {
    let shown: String = id.chars().take(200).collect();
    Failure::permanent(
        "no-such-deployment",
        format!("`{shown}` is no deployment on GitHub; its id is a number."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_found_by_its_key_however_the_payload_is_told() {
        for payload in [json!({ "windlass": "k-1" }), json!("{\"windlass\":\"k-1\"}")] {
            let known: Known = serde_json::from_value(json!({ "id": 7, "payload": payload })).expect("one");
            assert!(known.is_of("k-1") && !known.is_of("k-2"));
        }
        for payload in [json!(""), json!("k-1"), json!({}), json!(null), json!(["k-1"])] {
            let known: Known = serde_json::from_value(json!({ "id": 7, "payload": payload })).expect("one");
            assert!(!known.is_of("k-1"), "{payload}");
        }
    }
}
