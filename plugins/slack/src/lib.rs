//! Posts each event to a channel of Slack through an [incoming webhook](https://api.slack.com/messaging/webhooks).
//!
//! The webhook's address is `https://hooks.slack.com/services/` and then its secret: the first is the connection's base
//! URL, the rest the credential `webhook`. Slack answers with a status and a word, such as `400 invalid_payload`.

mod message;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::notifier::{Event, Notifier, Request};
use windlass_sdk::{Connection, Failure, Manifest};

pub struct Slack;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Put in front of what went wrong.
    #[serde(default)]
    mention: Option<String>,
}

fn schema() -> String {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "mention": {
                "type": "string",
                "pattern": "^(!here|!channel|@[UW][A-Z0-9]+|!subteam\\^S[A-Z0-9]+)$",
                "description": "Whom to call when something went wrong: `!here`, `!channel`, `@U…` or `!subteam^S…`"
            }
        },
        "additionalProperties": false
    })
    .to_string()
}

impl Notifier for Slack {
    fn describe() -> Manifest {
        Manifest::new(
            "slack",
            env!("CARGO_PKG_VERSION"),
            "Tells a channel of Slack what happened, through an incoming webhook",
        )
        .settings_schema(schema())
        .credential(
            "webhook",
            "What follows https://hooks.slack.com/services/ in the webhook's address: T…/B…/…",
            "path",
            true,
        )
        .permission(&["POST"], "/**", "posts each event to the webhook")
    }

    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
        let settings: Settings = target.read_settings()?;
        let message = message::of(&event, settings.mention.as_deref());
        Ok(vec![Request::post("").credential("webhook").json(&message)?])
    }
}

windlass_sdk::export_notifier!(Slack);
