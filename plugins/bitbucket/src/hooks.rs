//! Sets webhooks up and takes them away.

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_sdk::forge::{Hook, WebhookAdmin};
use windlass_sdk::http::{Request, segment};
use windlass_sdk::{Connection, Failure};

use crate::Bitbucket;
use crate::api::{Api, NO_REPOSITORY, sent};
use crate::edition::Edition;

const RIGHT: &str = "the scope webhook, in a Data Center the right to administer the repository";
const PAGE: usize = 100;
/// Pages of hooks that are looked through for one of the same URL.
const PAGES: usize = 10;

#[derive(Deserialize)]
struct Known {
    /// Cloud's, in braces.
    uuid: Option<String>,
    /// The Data Center's.
    id: Option<u64>,
    #[serde(default)]
    url: String,
}

impl Known {
    fn id(self) -> Result<String, Failure> {
        let id = self.uuid.or(self.id.map(|id| id.to_string()));
        id.ok_or_else(|| {
            Failure::permanent("malformed-response", "Bitbucket named a webhook without its id.")
                .after_sending()
        })
    }
}

fn hooks(api: &Api) -> &'static str {
    match api.edition {
        Edition::Cloud => "/hooks",
        Edition::DataCenter => "/webhooks",
    }
}

/// The hook that posts to the URL already.
fn known(api: &Api, url: &str) -> Result<Option<Known>, Failure> {
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let (found, next): (Vec<Known>, _) =
            api.page(hooks(api), &[], (PAGE, cursor.as_deref()), RIGHT, NO_REPOSITORY)?;
        if let Some(hook) = found.into_iter().find(|hook| hook.url == url) {
            return Ok(Some(hook));
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(None)
}

/// Pushes are deployed; whatever a pull request's event tells, its preview is looked after at once.
const CLOUD_EVENTS: [&str; 5] = [
    "repo:push",
    "pullrequest:created",
    "pullrequest:updated",
    "pullrequest:fulfilled",
    "pullrequest:rejected",
];
const DATA_CENTER_EVENTS: [&str; 6] =
    ["repo:refs_changed", "pr:opened", "pr:from_ref_updated", "pr:merged", "pr:declined", "pr:deleted"];

fn body(edition: Edition, hook: &Hook) -> Value {
    match edition {
        Edition::Cloud => json!({
            "description": "Windlass", "url": hook.url, "active": true, "secret": hook.secret_placeholder,
            "events": CLOUD_EVENTS,
        }),
        Edition::DataCenter => json!({
            "name": "Windlass", "url": hook.url, "active": true,
            "configuration": { "secret": hook.secret_placeholder }, "events": DATA_CENTER_EVENTS,
        }),
    }
}

impl WebhookAdmin for Bitbucket {
    fn register(connection: Connection, hook: Hook) -> Result<String, Failure> {
        let api = Api::of(&connection, &hook.repository)?;
        let request = match known(&api, &hook.url)? {
            Some(found) => Request::put(api.path(&format!("{}/{}", hooks(&api), segment(&found.id()?)))),
            None => Request::post(api.path(hooks(&api))),
        };
        sent(request.json(&body(api.edition, &hook))?, RIGHT, NO_REPOSITORY)?.json::<Known>()?.id()
    }

    fn unregister(connection: Connection, repository: &str, hook_id: &str) -> Result<(), Failure> {
        let api = Api::of(&connection, repository)?;
        let request = Request::delete(api.path(&format!("{}/{}", hooks(&api), segment(hook_id))));
        match sent(request, RIGHT, ("gone", "There is no such webhook.")) {
            Err(failure) if failure.code == "gone" => Ok(()),
            other => other.map(|_| ()),
        }
    }
}
