//! Posts each event to a channel of Discord through a [webhook](https://discord.com/developers/docs/resources/webhook).
//!
//! The webhook's address is `https://discord.com/api/webhooks/` and then an id and a token: the first is the connection's
//! base URL, the rest the credential `webhook`. Discord answers with 204, and with 429 and `Retry-After` if there are
//! too many.

mod message;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::notifier::{Event, Notifier, Request};
use windlass_sdk::{Connection, Failure, Manifest};

pub struct Discord;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Shown as the author; the webhook's own name without one.
    #[serde(default)]
    username: Option<String>,
}

fn schema() -> String {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "username": {
                "type": "string",
                "minLength": 1,
                "maxLength": 80,
                "description": "Name that messages are shown under; the webhook's own if absent"
            }
        },
        "additionalProperties": false
    })
    .to_string()
}

impl Notifier for Discord {
    fn describe() -> Manifest {
        Manifest::new(
            "discord",
            env!("CARGO_PKG_VERSION"),
            "Tells a channel of Discord what happened, through a webhook",
        )
        .settings_schema(schema())
        .credential(
            "webhook",
            "What follows https://discord.com/api/webhooks/ in the webhook's address: an id, `/` and a token",
            "path",
            true,
        )
        .permission(&["POST"], "/**", "posts each event to the webhook")
    }

    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
        let settings: Settings = target.read_settings()?;
        let message = message::of(&event, settings.username.as_deref());
        Ok(vec![Request::post("").credential("webhook").json(&message)?])
    }
}

windlass_sdk::export_notifier!(Discord);
