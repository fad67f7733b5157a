//! What an operator can set.

use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub from: String,
    pub to: Vec<String>,
    #[serde(default)]
    pub reply_to: Option<String>,
    /// In front of each subject.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// Whether the server asks for the credential.
    #[serde(default = "yes")]
    pub login: bool,
}

fn prefix() -> String {
    "[Windlass]".to_owned()
}

fn yes() -> bool {
    true
}

/// An address, or a name and an address in angle brackets. The host reads it more strictly.
const ADDRESS: &str = "^[^\\r\\n]*[^\\s<>@]+@[^\\s<>@]+>?$";

pub fn schema() -> String {
    let address = json!({ "type": "string", "pattern": ADDRESS, "maxLength": 320 });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "from": { "$ref": "#/$defs/address", "description": "Whom the mails come from: `Windlass <ci@example.org>`" },
            "to": {
                "type": "array",
                "items": { "$ref": "#/$defs/address" },
                "minItems": 1,
                "maxItems": 32,
                "description": "Whom they go to"
            },
            "reply_to": { "$ref": "#/$defs/address", "description": "Where answers go" },
            "prefix": {
                "type": "string",
                "maxLength": 40,
                "default": "[Windlass]",
                "description": "Put in front of each subject"
            },
            "login": {
                "type": "boolean",
                "default": true,
                "description": "The server asks for the credential `login`"
            }
        },
        "required": ["from", "to"],
        "additionalProperties": false,
        "$defs": { "address": address },
        "examples": [{ "from": "ci@example.org", "to": ["team@example.org"] }]
    })
    .to_string()
}
