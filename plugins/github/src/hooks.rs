//! Webhooks of a repository.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::Failure;
use windlass_sdk::forge::Hook;
use windlass_sdk::http::Request;

use crate::api::{Api, Codes};
use crate::names;

const NO_REPOSITORY: Codes = &[(404, "no-such-repository"), (422, "invalid-hook")];

/// Pushes are deployed; whatever a pull request's event tells, its preview is looked after at once.
const EVENTS: [&str; 2] = ["push", "pull_request"];

#[derive(Deserialize)]
struct Known {
    id: u64,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    url: Option<String>,
}

pub fn register(hook: &Hook) -> Result<String, Failure> {
    let (api, name) = (Api::default(), names::repository(&hook.repository)?);
    let path = format!("/repos/{name}/hooks");
    // GitHub takes 20 hooks for each event, so they fit on one page.
    let known: Vec<Known> = api.get(format!("{path}?per_page=100"), NO_REPOSITORY)?;
    let same = known.into_iter().find(|known| known.config.url.as_deref() == Some(hook.url.as_str()));
    let config = json!({
        "url": hook.url, "content_type": "json", "secret": hook.secret_placeholder, "insecure_ssl": "0",
    });
    let request = match &same {
        Some(known) => {
            let body = json!({ "config": config, "events": EVENTS, "active": true });
            Request::patch(format!("{path}/{}", known.id)).json(&body)?
        }
        None => {
            let body = json!({ "name": "web", "config": config, "events": EVENTS, "active": true });
            Request::post(path).json(&body)?
        }
    };
    let response = api.write(request, NO_REPOSITORY)?;
    api.json::<Known>(&response).map(|known| known.id.to_string())
}

pub fn unregister(repository: &str, id: &str) -> Result<(), Failure> {
    let (api, name) = (Api::default(), names::repository(repository)?);
    // What is no number was never a hook of ours.
    let Ok(id) = id.parse::<u64>() else { return Ok(()) };
    let response = api.ask(Request::delete(format!("/repos/{name}/hooks/{id}")))?;
    if response.status == 404 { Ok(()) } else { api.checked(response, &[]).map(|_| ()) }
}
