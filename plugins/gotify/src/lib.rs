//! Sends each event to a [Gotify](https://gotify.net/docs/pushmsg) server. The base URL is the server's, the credential an
//! application's token.

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::notifier::{Event, Notifier, Request, Severity, cut};
use windlass_sdk::{Connection, Failure, Manifest};

pub struct Gotify;

const TEXT: usize = 4000;
const TITLE: usize = 250;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Added to each message's own.
    #[serde(default)]
    louder: u8,
}

fn schema() -> String {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "louder": {
                "type": "integer",
                "minimum": 0,
                "maximum": 2,
                "default": 0,
                "description": "Added to the priority, which is 2 for news, 4 for successes, 6 for warnings and 8 for failures"
            }
        },
        "additionalProperties": false
    })
    .to_string()
}

impl Notifier for Gotify {
    fn describe() -> Manifest {
        Manifest::new("gotify", env!("CARGO_PKG_VERSION"), "Tells a Gotify server what happened")
            .settings_schema(schema())
            .credential(
                "token",
                "Token of the application that messages belong to",
                "header:x-gotify-key",
                true,
            )
            .permission(&["POST"], "/message", "sends each event")
    }

    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
        let settings: Settings = target.read_settings()?;
        // Gotify refuses a message without a text.
        let text = if event.text.is_empty() { &event.title } else { &event.text };
        let mut message = json!({
            "title": cut(&event.title, TITLE),
            "message": cut(text, TEXT),
            "priority": priority(&event.severity) + settings.louder,
        });
        if let Some(url) = event.url {
            message["extras"] = json!({ "client::notification": { "click": { "url": url } } });
        }
        Ok(vec![Request::post("/message").credential("token").json(&message)?])
    }
}

fn priority(severity: &Severity) -> u8 {
    match severity {
        Severity::Info => 2,
        Severity::Success => 4,
        Severity::Warning => 6,
        Severity::Error | Severity::Other(_) => 8,
    }
}

windlass_sdk::export_notifier!(Gotify);
