//! Commit statuses.

use serde_json::json;
use windlass_sdk::Failure;
use windlass_sdk::forge::{State, Status};
use windlass_sdk::http::Request;

use crate::api::Api;
use crate::names;

/// Characters that GitHub takes of a description.
const DESCRIPTION: usize = 140;

pub fn set(status: &Status) -> Result<(), Failure> {
    let (api, name) = (Api::default(), names::repository(&status.repository)?);
    let state = match status.state {
        State::Pending | State::Running => "pending",
        State::Success => "success",
        State::Failure => "failure",
        // GitHub has no word for it; an error is neither a success nor the commit's fault.
        State::Cancelled | State::Other(_) => "error",
    };
    let description: String = status.description.chars().take(DESCRIPTION).collect();
    let mut body = json!({ "state": state, "context": status.context, "description": description });
    if let Some(url) = &status.url {
        body["target_url"] = url.as_str().into();
    }
    let request = Request::post(format!("/repos/{name}/statuses/{}", status.commit)).json(&body)?;
    api.write(request, &[(404, "no-such-repository"), (422, "no-such-commit")]).map(|_| ())
}
