//! Gitea, and its relatives: Forgejo, which sends the same under further names, and Gogs, from which both come. Deliveries
//! of all three are read; the API is that of Gitea and Forgejo (`/api/v1`), since Gogs takes tokens in another form.

mod api;
#[cfg(test)]
mod api_tests;
mod convert;
mod hooks;
mod parse;
mod pulls;
mod repository;
mod status;
#[cfg(test)]
mod tests;

use windlass_sdk::forge::{Delivery, Event, Forge, malformed};
use windlass_sdk::{Failure, Manifest, WebhookContract, WebhookScheme};

/// Each names the event, since the younger forges keep the older names. They also send `X-GitHub-Event`.
const EVENT_HEADERS: [&str; 3] = ["x-forgejo-event", "x-gitea-event", "x-gogs-event"];

pub struct Gitea;

impl Forge for Gitea {
    fn describe() -> Manifest {
        // All of the same strength, and made with the same secret: a delivery carries several of them at once.
        let schemes = vec![
            WebhookScheme::hmac_sha256_hex("x-hub-signature-256", "sha256="),
            WebhookScheme::hmac_sha256_hex("x-forgejo-signature", ""),
            WebhookScheme::hmac_sha256_hex("x-gitea-signature", ""),
            WebhookScheme::hmac_sha256_hex("x-gogs-signature", ""),
        ];
        let delivery_headers = ["x-forgejo-delivery", "x-gitea-delivery", "x-gogs-delivery"];
        let repository = "/api/v1/repos/*/*";
        Manifest::new(
            "gitea",
            env!("CARGO_PKG_VERSION"),
            "Reads what Gitea, Forgejo and Gogs post about pushes, and asks Gitea and Forgejo about repositories",
        )
        .settings_schema(windlass_sdk::params::schema(&[]))
        .credential("token", "An access token with the scopes that the permissions need", "bearer", true)
        .permission(&["GET"], repository, "reads a repository's default branch and addresses")
        .permission(
            &["GET", "POST", "PATCH", "DELETE"],
            &format!("{repository}/hooks/**"),
            "sets the webhook up and removes it (scope write:repository)",
        )
        .permission(&["POST"], &format!("{repository}/statuses/*"), "shows beside a commit what became of it")
        .permission(&["GET"], &format!("{repository}/pulls/**"), "reads pull requests")
        .permission(
            &["GET", "POST", "PATCH"],
            &format!("{repository}/issues/**"),
            "keeps one comment on a pull request (scope write:issue)",
        )
        .webhooks(WebhookContract::new(schemes, &delivery_headers, &EVENT_HEADERS))
    }

    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        let event = EVENT_HEADERS.iter().find_map(|name| delivery.header(name));
        match event {
            Some("push") => convert::push(delivery.json()?),
            // Of a branch that is gone nothing else tells. `create` is left out: a push comes with it.
            Some("delete") => convert::deleted(delivery.json()?),
            Some(other) => Ok(Event::Unsupported(other.to_owned())),
            None => Err(malformed(
                "The header X-Gitea-Event is missing (X-Forgejo-Event, X-Gogs-Event), so none of these forges sent this.",
            )),
        }
    }
}

windlass_sdk::export_forge!(Gitea, repository, webhook_admin, commit_status, pull_requests);
