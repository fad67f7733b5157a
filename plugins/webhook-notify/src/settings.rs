//! What an operator can set.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::notifier::{Event, Severity};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Kinds of events to post; all if there are none. `deployment.*` is every kind that begins so.
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    pub authentication: Authentication,
    #[serde(default)]
    least_severity: Least,
}

/// How the receiver knows who posts.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authentication {
    #[default]
    Signature,
    Token,
    None,
}

#[derive(Clone, Copy, Default, PartialEq, PartialOrd, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Least {
    #[default]
    Info,
    Warning,
    Error,
}

pub fn schema() -> String {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "events": {
                "type": "array",
                "items": { "type": "string", "pattern": "^[a-z][a-z_.-]*(\\*)?$", "maxLength": 64 },
                "maxItems": 64,
                "default": [],
                "description": "Kinds of events to post, such as `deployment.failed` or `deployment.*`; all if empty"
            },
            "least_severity": {
                "enum": ["info", "warning", "error"],
                "default": "info",
                "description": "Post nothing that matters less; `info` includes successes"
            },
            "authentication": {
                "enum": ["signature", "token", "none"],
                "default": "signature",
                "description": "What the requests carry: a Standard Webhooks signature, a bearer token, or nothing"
            }
        },
        "additionalProperties": false
    })
    .to_string()
}

impl Settings {
    pub fn wants(&self, event: &Event) -> bool {
        let fits = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => event.kind.starts_with(beginning),
            None => *wanted == event.kind,
        };
        (self.events.is_empty() || self.events.iter().any(fits))
            && matters(&event.severity) >= self.least_severity
    }
}

fn matters(severity: &Severity) -> Least {
    match severity {
        Severity::Info | Severity::Success => Least::Info,
        Severity::Warning => Least::Warning,
        // What this plugin does not know yet is rather told than kept.
        Severity::Error | Severity::Other(_) => Least::Error,
    }
}
