//! Any script or server that can post JSON. Nothing but this is needed; the stack's page shows the address and the secret:
//!
//! ```sh
//! curl https://windlass.example/api/webhooks/$ID -H "Authorization: Bearer $SECRET" --json '{
//!   "branch": "main",
//!   "after": "0123456789abcdef0123456789abcdef01234567",
//!   "repository": { "url": "https://git.example/team/app.git" }
//! }'
//! ```
//!
//! | field | |
//! |---|---|
//! | `ref`, or `branch`, or `tag` | what was pushed: the full name `refs/heads/main`, or the name alone |
//! | `after` | the full id of the commit now; not needed with `"deleted": true` |
//! | `before` | the commit before, if there was one |
//! | `repository` | its address, or an object with `url` and, if known, `full_name` and `default_branch` |
//! | `"forced": true` | the commit before is none of the history now |
//! | `message`, `author`, `timestamp`, `paths` | about the newest commit |
//! | `sender` | who pushed |
//! | `"ping": true` | only a test of the connection |
//!
//! The header `X-Event` may say `push` or `ping`. The body that GitHub and its relatives post for a push is
//! understood as well. Sign the raw body with HMAC-SHA256 into `X-Hub-Signature-256: sha256=<hex>`, or send the
//! secret itself as `Authorization: Bearer <secret>`.

mod convert;
mod parse;
#[cfg(test)]
mod tests;

use windlass_sdk::forge::{Delivery, Event, Forge};
use windlass_sdk::{Failure, Manifest, WebhookContract, WebhookScheme};

pub struct Generic;

impl Forge for Generic {
    fn describe() -> Manifest {
        let schemes = vec![
            WebhookScheme::hmac_sha256_hex("x-hub-signature-256", "sha256="),
            WebhookScheme::shared_token("authorization", "Bearer "),
        ];
        Manifest::new(
            "generic",
            env!("CARGO_PKG_VERSION"),
            "Reads a push that any script or server can post as JSON",
        )
        .settings_schema(windlass_sdk::params::schema(&[]))
        .webhooks(WebhookContract::new(schemes, &["x-delivery-id", "x-request-id"], &["x-event"]))
    }

    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        match delivery.header("x-event") {
            Some("ping") => return Ok(Event::Ping),
            Some("push") | None => {}
            Some(other) => return Ok(Event::Unsupported(other.to_owned())),
        }
        if delivery.json::<parse::Ping>()?.ping {
            return Ok(Event::Ping);
        }
        convert::push(delivery.json()?).map(Event::Push)
    }
}

windlass_sdk::export_forge!(Generic);
