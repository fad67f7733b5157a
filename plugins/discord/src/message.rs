//! The event as an embed.

use serde_json::{Value, json};
use windlass_sdk::notifier::{Event, Severity, cut};

/// Discord's limits are 256 and 4096 characters; the text is quoted by up to one backslash a character.
const TITLE: usize = 250;
const TEXT: usize = 2000;

pub fn of(event: &Event, username: Option<&str>) -> Value {
    let mut embed = json!({
        "title": cut(&event.title, TITLE),
        "description": quoted(&cut(&event.text, TEXT)),
        "color": colour(&event.severity),
    });
    if let Some(url) = &event.url {
        embed["url"] = json!(url);
    }
    // Whatever the texts say, nobody is called.
    let mut message = json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } });
    if let Some(name) = username {
        message["username"] = json!(name);
    }
    message
}

fn colour(severity: &Severity) -> u32 {
    match severity {
        Severity::Info => 0x00_3b_82_f6,
        Severity::Success => 0x00_22_a0_6b,
        Severity::Warning => 0x00_e2_a0_3f,
        Severity::Error | Severity::Other(_) => 0x00_d1_3b_3b,
    }
}

/// Markdown's signs as they are.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '[' | ']' | '#') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
