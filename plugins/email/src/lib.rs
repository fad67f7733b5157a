//! A mail for each event. The base URL is the mail server's, `smtps://mail.example` or `smtp://mail.example:587`; the plugin
//! composes, the host encodes and sends.

mod settings;
#[cfg(test)]
mod tests;

use windlass_sdk::notifier::{Event, Notifier, Request, Severity};
use windlass_sdk::{Connection, Failure, Manifest};

use settings::Settings;

pub struct Email;

impl Notifier for Email {
    fn describe() -> Manifest {
        Manifest::new("email", env!("CARGO_PKG_VERSION"), "Tells people by e-mail what happened")
            .settings_schema(settings::schema())
            .credential("login", "User and password of the mail server: `user:password`", "basic", false)
            .permission(&["MAIL"], "/**", "sends a mail for each event through the connection's server")
    }

    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
        let settings: Settings = target.read_settings()?;
        let mut mail = Request::mail(&settings.from, &subject(&settings.prefix, &event)).body(text(&event));
        for address in &settings.to {
            mail = mail.header("to", address);
        }
        if let Some(address) = &settings.reply_to {
            mail = mail.header("reply-to", address);
        }
        Ok(vec![if settings.login { mail.credential("login") } else { mail }])
    }
}

/// In one line, whatever the title is.
fn subject(prefix: &str, event: &Event) -> String {
    let word = match event.severity {
        Severity::Error | Severity::Other(_) => "Failure: ",
        Severity::Warning => "Attention: ",
        Severity::Info | Severity::Success => "",
    };
    let line = format!("{prefix} {word}{}", event.title);
    let pieces = line.split(|c: char| c.is_whitespace() || c.is_control());
    pieces.filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join(" ")
}

fn text(event: &Event) -> String {
    let mut text = format!("{}\n", event.title);
    if !event.text.is_empty() {
        text.push_str(&format!("\n{}\n", event.text));
    }
    if let Some(stack) = &event.stack {
        text.push_str(&format!("\nStack: {stack}"));
    }
    if let Some(url) = &event.url {
        text.push_str(&format!("\nMore: {url}"));
    }
    text.push_str(&format!("\nEvent: {}\n", event.kind));
    text
}

windlass_sdk::export_notifier!(Email);
