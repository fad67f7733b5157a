//! Publishes each event to a topic of [ntfy](https://docs.ntfy.sh/publish/#publish-as-json), at ntfy.sh or a server of one's
//! own. The base URL is the server's, such as `https://ntfy.sh`.

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::notifier::{Event, Notifier, Request, Severity, cut};
use windlass_sdk::{Connection, Failure, Manifest};

pub struct Ntfy;

/// ntfy makes an attachment of a message above 4096 bytes.
const TEXT: usize = 1000;
const TITLE: usize = 250;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    topic: String,
    /// Whether the topic asks for a token.
    #[serde(default)]
    protected: bool,
}

fn schema() -> String {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "topic": {
                "type": "string",
                "pattern": "^[-_A-Za-z0-9]{1,64}$",
                "description": "Topic to publish to"
            },
            "protected": {
                "type": "boolean",
                "default": false,
                "description": "The topic asks for the credential `token`"
            }
        },
        "required": ["topic"],
        "additionalProperties": false,
        "examples": [{ "topic": "deployments" }]
    })
    .to_string()
}

impl Notifier for Ntfy {
    fn describe() -> Manifest {
        Manifest::new(
            "ntfy",
            env!("CARGO_PKG_VERSION"),
            "Tells the subscribers of a topic of ntfy what happened",
        )
        .settings_schema(schema())
        .credential("token", "Access token of a user who may write to the topic", "bearer", false)
        .permission(&["POST"], "/", "publishes each event")
    }

    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
        let settings: Settings = target.read_settings()?;
        let (priority, tag) = weight(&event.severity);
        // A message without a text would read `triggered`.
        let text = if event.text.is_empty() { &event.title } else { &event.text };
        let mut message = json!({
            "topic": settings.topic,
            "title": cut(&event.title, TITLE),
            "message": cut(text, TEXT),
            "priority": priority,
            "tags": [tag],
        });
        if let Some(url) = event.url {
            message["click"] = json!(url);
        }
        let request = Request::post("/").json(&message)?;
        Ok(vec![if settings.protected { request.credential("token") } else { request }])
    }
}

/// How loud it is, from 1 to 5, and the picture.
fn weight(severity: &Severity) -> (u8, &'static str) {
    match severity {
        Severity::Info => (2, "information_source"),
        Severity::Success => (3, "white_check_mark"),
        Severity::Warning => (4, "warning"),
        Severity::Error | Severity::Other(_) => (5, "x"),
    }
}

windlass_sdk::export_notifier!(Ntfy);
