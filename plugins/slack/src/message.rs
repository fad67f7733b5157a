//! The event as a message in Slack's blocks.

use serde_json::{Value, json};
use windlass_sdk::notifier::{Event, Severity, cut};

/// A section's text has at most 3000 characters; escaping makes three of one at most five.
const TEXT: usize = 2000;
const TITLE: usize = 250;

/// `text` is what notifications and screen readers show.
pub fn of(event: &Event, mention: Option<&str>) -> Value {
    let title = escaped(&cut(&event.title, TITLE));
    let heading = match &event.url {
        Some(url) if is_plain(url) => format!("{} *<{url}|{title}>*", sign(&event.severity)),
        _ => format!("{} *{title}*", sign(&event.severity)),
    };
    let heading = match mention.filter(|_| is_bad(&event.severity)) {
        Some(mention) => format!("<{mention}> {heading}"),
        None => heading,
    };
    let mut blocks = vec![json!({ "type": "section", "text": { "type": "mrkdwn", "text": heading } })];
    if !event.text.is_empty() {
        let text = escaped(&cut(&event.text, TEXT));
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
    }
    json!({ "text": title, "blocks": blocks })
}

fn is_bad(severity: &Severity) -> bool {
    matches!(severity, Severity::Error | Severity::Other(_))
}

fn sign(severity: &Severity) -> &'static str {
    match severity {
        Severity::Info => ":information_source:",
        Severity::Success => ":white_check_mark:",
        Severity::Warning => ":warning:",
        Severity::Error | Severity::Other(_) => ":x:",
    }
}

/// What is control in mrkdwn, so that nobody is called and no link hides behind a name: Slack asks for these three.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Nothing that would end the link.
fn is_plain(url: &str) -> bool {
    !url.contains(['|', '<', '>'])
}
