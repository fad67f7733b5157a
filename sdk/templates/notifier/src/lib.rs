//! A notifier: turns an event into the requests that tell about it. The host sends them, and puts the credential in.

use serde_json::json;
use windlass_sdk::notifier::{Event, Notifier, Request, Severity};
use windlass_sdk::params::{self, Param};
use windlass_sdk::{Connection, Failure, Manifest};

const SETTINGS: &[Param] = &[
    Param::choice("from", "info", &["info", "warning", "error"], "The least important events that are told"),
    Param::flag("links", true, "Whether a message links to the dashboard"),
];

pub struct Plugin;

impl Notifier for Plugin {
    fn describe() -> Manifest {
        Manifest::new("{{name}}", env!("CARGO_PKG_VERSION"), "Posts messages to an example chat")
            .settings_schema(params::schema(SETTINGS))
            .credential("token", "A token that may post messages", "bearer", true)
            .permission(&["POST"], "/messages", "posts messages")
    }

    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
        let settings = params::read(SETTINGS, &target.settings).map_err(|problems| {
            let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
            Failure::permanent("invalid-settings", messages.join(" "))
        })?;
        let from = match settings.choice("from") {
            "error" => 2,
            "warning" => 1,
            _ => 0,
        };
        if importance(&event.severity) < from {
            return Ok(Vec::new());
        }
        let link = event.url.filter(|_| settings.flag("links"));
        let message = json!({ "title": event.title, "text": event.text, "stack": event.stack, "link": link });
        Ok(vec![Request::post("/messages").credential("token").json(&message)?])
    }
}

windlass_sdk::export_notifier!(Plugin);

fn importance(severity: &Severity) -> u8 {
    match severity {
        Severity::Info | Severity::Success => 0,
        Severity::Warning => 1,
        // What is not known yet is better told than missed.
        Severity::Error | Severity::Other(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(settings: &str, severity: Severity) -> Result<Vec<Request>, Failure> {
        let target = Connection {
            base_url: "https://chat.example".to_owned(),
            settings: settings.to_owned(),
            extras: Vec::new(),
        };
        let event = Event {
            id: "1".to_owned(),
            kind: "deployment.failed".to_owned(),
            at: 0,
            severity,
            title: "web was not deployed".to_owned(),
            text: String::new(),
            stack: Some("web".to_owned()),
            url: None,
            data: "{}".to_owned(),
            extras: Vec::new(),
        };
        Plugin::render(target, event)
    }

    #[test]
    fn an_event_becomes_one_message_with_a_named_credential() {
        let requests = render("{}", Severity::Error).expect("it renders");
        assert_eq!((requests[0].path.as_str(), requests[0].credential.as_deref()), ("/messages", Some("token")));
        assert!(String::from_utf8_lossy(&requests[0].body).contains("web was not deployed"));
    }

    #[test]
    fn what_is_less_important_than_asked_for_is_not_told() {
        assert!(render(r#"{"from":"error"}"#, Severity::Warning).expect("it renders").is_empty());
    }

    #[test]
    fn settings_that_make_no_sense_are_a_failure() {
        assert_eq!(render(r#"{"from":"now"}"#, Severity::Info).expect_err("bad").code, "invalid-settings");
    }
}
