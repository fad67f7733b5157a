//! GitHub: reads `push` and `ping`; GitHub Enterprise Server posts the same.

mod convert;
mod parse;
#[cfg(test)]
mod tests;

use windlass_sdk::forge::{Delivery, Event, Forge, malformed};
use windlass_sdk::{Failure, Manifest, WebhookContract, WebhookScheme};

pub struct GitHub;

impl Forge for GitHub {
    fn describe() -> Manifest {
        // The older header `x-hub-signature` is SHA-1 and is not taken.
        let signed = WebhookScheme::hmac_sha256_hex("x-hub-signature-256", "sha256=");
        Manifest::new(
            "github",
            env!("CARGO_PKG_VERSION"),
            "Reads what GitHub posts about pushes to repositories",
        )
        .settings_schema(windlass_sdk::params::schema(&[]))
        .webhooks(WebhookContract::new(vec![signed], &["x-github-delivery"], &["x-github-event"]))
    }

    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        match delivery.header("x-github-event") {
            Some("push") => convert::push(delivery.json()?).map(Event::Push),
            Some("ping") => delivery.json::<parse::Ping>().map(|_| Event::Ping),
            // `create` and `delete` are among them: what they say, `push` says as well.
            Some(other) => Ok(Event::Unsupported(other.to_owned())),
            None => Err(malformed("The header X-GitHub-Event is missing, so this was not sent by GitHub.")),
        }
    }
}

windlass_sdk::export_forge!(GitHub);
