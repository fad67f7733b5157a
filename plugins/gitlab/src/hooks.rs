//! Webhooks of a project.

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_sdk::forge::Hook;
use windlass_sdk::http::Request;
use windlass_sdk::{Connection, Failure};

use crate::api::{Api, Codes};
use crate::names;

const REFUSED: Codes = &[(404, "no-such-repository"), (400, "invalid-hook"), (422, "invalid-hook")];
/// A project has at most 100 webhooks.
const PAGE: &str = "100";

#[derive(Deserialize)]
struct Known {
    /// A number, though GitLab's own document says a text.
    id: Value,
    url: Option<String>,
}

impl Known {
    fn id(&self) -> String {
        self.id.as_str().map_or_else(|| self.id.to_string(), str::to_owned)
    }
}

pub fn register(connection: &Connection, hook: &Hook) -> Result<String, Failure> {
    let (api, project) = (Api::default(), names::project(connection, &hook.repository)?);
    let path = format!("{}/hooks", names::address(&project));
    let known: Vec<Known> = api.get(&format!("{path}?per_page={PAGE}"), REFUSED)?;
    let body = json!({
        "url": hook.url,
        "token": hook.secret_placeholder,
        "push_events": true,
        "tag_push_events": true,
        // Whatever it tells, the preview of the merge request is looked after at once.
        "merge_requests_events": true,
        "enable_ssl_verification": true,
    });
    let request = match known.iter().find(|known| known.url.as_deref() == Some(hook.url.as_str())) {
        Some(known) => Request::put(format!("{path}/{}", known.id())),
        None => Request::post(path),
    };
    let response = api.write(request.json(&body)?, REFUSED)?;
    api.json::<Known>(&response).map(|known| known.id())
}

pub fn unregister(connection: &Connection, repository: &str, id: &str) -> Result<(), Failure> {
    let (api, project) = (Api::default(), names::project(connection, repository)?);
    // What is no number was never a hook of ours.
    let Ok(id) = id.parse::<u64>() else { return Ok(()) };
    let response = api.ask(Request::delete(format!("{}/hooks/{id}", names::address(&project))))?;
    if response.status == 404 { Ok(()) } else { api.checked(response, &[]).map(|_| ()) }
}
