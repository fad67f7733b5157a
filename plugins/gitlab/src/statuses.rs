//! Commit statuses.

use serde_json::json;
use windlass_sdk::forge::{State, Status};
use windlass_sdk::http::Request;
use windlass_sdk::{Connection, Failure};

use crate::api::{Api, complaint};
use crate::names;

/// Characters that GitLab takes of a description.
const DESCRIPTION: usize = 255;

pub fn set(connection: &Connection, status: &Status) -> Result<(), Failure> {
    let (api, project) = (Api::default(), names::project(connection, &status.repository)?);
    let state = match status.state {
        State::Pending => "pending",
        State::Running => "running",
        State::Success => "success",
        State::Failure => "failed",
        State::Cancelled | State::Other(_) => "canceled",
    };
    let description: String = status.description.chars().take(DESCRIPTION).collect();
    let mut body = json!({ "state": state, "name": status.context, "description": description });
    if let Some(url) = &status.url {
        body["target_url"] = url.as_str().into();
    }
    let path = format!("{}/statuses/{}", names::address(&project), status.commit);
    let response = api.ask(Request::post(path).json(&body)?)?;
    // GitLab takes a state for a step, and there is none from a state to itself.
    if response.status == 400 && complaint(&response).contains("Cannot transition status") {
        return Ok(());
    }
    let code = if complaint(&response).contains("Project") { "no-such-repository" } else { "no-such-commit" };
    api.checked(response, &[(404, code)]).map(|_| ())
}
