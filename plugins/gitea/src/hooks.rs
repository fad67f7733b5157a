//! Sets webhooks up and takes them away.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::forge::{Hook, WebhookAdmin};
use windlass_sdk::http::{Request, segment};
use windlass_sdk::{Connection, Failure};

use crate::Gitea;
use crate::api::{NO_REPOSITORY, PAGE, path, sent};

const RIGHT: &str = "the scope write:repository, and a user who administers the repository";
/// Pages of hooks that are looked through for one of the same URL.
const PAGES: usize = 10;

#[derive(Deserialize)]
struct Known {
    id: u64,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    url: String,
}

/// The hook that posts to the URL already.
fn known(repository: &str, url: &str) -> Result<Option<u64>, Failure> {
    for page in 1..=PAGES {
        let request = Request::get(path(repository, "/hooks")?)
            .query("limit", &PAGE.to_string())
            .query("page", &page.to_string());
        let hooks: Vec<Known> = sent(request, RIGHT, NO_REPOSITORY)?.json()?;
        if let Some(hook) = hooks.iter().find(|hook| hook.config.url == url) {
            return Ok(Some(hook.id));
        }
        if hooks.len() < PAGE {
            break;
        }
    }
    Ok(None)
}

impl WebhookAdmin for Gitea {
    fn register(_: Connection, hook: Hook) -> Result<String, Failure> {
        let mut body = json!({
            "active": true,
            "branch_filter": "*",
            // Whatever a pull request's event tells, its preview is looked after at once.
            "events": ["push", "delete", "pull_request", "pull_request_sync"],
            // As JSON: of a form the forge would sign something else than what it sends.
            "config": { "url": hook.url, "content_type": "json", "secret": hook.secret_placeholder },
        });
        let request = match known(&hook.repository, &hook.url)? {
            Some(id) => Request::new("PATCH", path(&hook.repository, &format!("/hooks/{id}"))?),
            None => {
                body["type"] = json!("gitea");
                Request::post(path(&hook.repository, "/hooks")?)
            }
        };
        let made: Known = sent(request.json(&body)?, RIGHT, NO_REPOSITORY)?.json()?;
        Ok(made.id.to_string())
    }

    fn unregister(_: Connection, repository: &str, hook_id: &str) -> Result<(), Failure> {
        let request = Request::delete(path(repository, &format!("/hooks/{}", segment(hook_id)))?);
        match sent(request, RIGHT, ("gone", "There is no such webhook.")) {
            Err(failure) if failure.code == "gone" => Ok(()),
            other => other.map(|_| ()),
        }
    }
}
