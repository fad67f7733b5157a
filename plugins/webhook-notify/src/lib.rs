//! Posts each event as JSON to the target's URL:
//!
//! ```json
//! {
//!   "id": "0199…", "type": "deployment.successful", "timestamp": "2026-01-31T12:00:00.000Z", "severity": "success",
//!   "title": "shop is deployed", "text": "", "stack": "shop", "url": "https://…", "data": { … }
//! }
//! ```
//!
//! With the secret `signing` the request carries `webhook-id`, `webhook-timestamp` and `webhook-signature` of Standard
//! Webhooks 1.0.0, which libraries for all common languages verify. With `token` it carries `Authorization: Bearer`.

mod message;
mod settings;
#[cfg(test)]
mod tests;

use windlass_sdk::notifier::{Event, Notifier, Request};
use windlass_sdk::{Connection, Failure, Manifest};

use settings::{Authentication, Settings};

pub struct WebhookNotify;

impl Notifier for WebhookNotify {
    fn describe() -> Manifest {
        Manifest::new(
            "webhook-notify",
            env!("CARGO_PKG_VERSION"),
            "Posts events as JSON to any URL, signed as Standard Webhooks has it",
        )
        .settings_schema(settings::schema())
        .credential(
            "signing",
            "Key that requests are signed with: `whsec_` and then 24 to 64 bytes in base64",
            "sign:standard-webhooks",
            false,
        )
        .credential("token", "Token that the receiver asks for", "bearer", false)
        .permission(&["POST"], "/**", "posts each event to the target's URL")
    }

    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
        let settings: Settings = target.read_settings()?;
        if !settings.wants(&event) {
            return Ok(Vec::new());
        }
        let request = Request::post("").json(&message::of(event)?)?;
        Ok(vec![match settings.authentication {
            Authentication::Signature => request.credential("signing"),
            Authentication::Token => request.credential("token"),
            Authentication::None => request,
        }])
    }
}

windlass_sdk::export_notifier!(WebhookNotify);
