//! Bitbucket in both editions: Cloud (bitbucket.org) and Data Center. They share a name, the header with the event and the
//! way to sign, but neither the payloads nor the API.
//!
//! Which API a connection means is in its base URL: everything but bitbucket.org is a Data Center, unless the setting
//! `edition` says otherwise.

mod api;
#[cfg(test)]
mod api_tests;
mod cloud;
mod data_center;
mod edition;
mod hooks;
mod pulls;
mod repository;
mod status;
#[cfg(test)]
mod tests;

use windlass_sdk::forge::{Delivery, Event, Forge, malformed};
use windlass_sdk::{Failure, Manifest, WebhookContract, WebhookScheme};

pub struct Bitbucket;

/// Any object will do.
#[derive(serde::Deserialize)]
struct Ping {}

impl Forge for Bitbucket {
    fn describe() -> Manifest {
        // The name is that of GitHub's old header, but it carries SHA-256; `sha1=` is not taken.
        let signed = WebhookScheme::hmac_sha256_hex("x-hub-signature", "sha256=");
        let mut manifest = Manifest::new(
            "bitbucket",
            env!("CARGO_PKG_VERSION"),
            "Reads what Bitbucket Cloud and Data Center post about pushes, and asks both about repositories",
        )
        .settings_schema(windlass_sdk::params::schema(edition::PARAMS))
        .credential(
            "token",
            "An access token of the repository, project or workspace; or leave it empty and fill in `oauth`",
            "bearer",
            true,
        )
        .minted_credential(
            "oauth",
            "Cloud: a refresh token of an OAuth consumer, with its secret as `oauth-client` and the setting `client_id`",
            "oauth2",
            false,
            &[
                ("mint-path", "/site/oauth2/access_token"),
                ("mint-client", "{client_id}"),
                ("mint-client-by", "basic"),
                ("git-user", "x-token-auth"),
            ],
        );
        for (methods, path, reason) in edition::PERMISSIONS {
            manifest = manifest.permission(methods, path, reason);
        }
        manifest.webhooks(WebhookContract::new(
            vec![signed],
            &["x-request-uuid", "x-request-id"],
            &["x-event-key"],
        ))
    }

    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        match delivery.header("x-event-key") {
            Some("repo:push") => cloud::push(delivery.json()?).map(Event::Push),
            Some("repo:refs_changed") => data_center::push(delivery.json()?).map(Event::Push),
            Some("diagnostics:ping") => delivery.json::<Ping>().map(|_| Event::Ping),
            Some(other) => Ok(Event::Unsupported(other.to_owned())),
            None => Err(malformed("The header X-Event-Key is missing, so this was not sent by Bitbucket.")),
        }
    }
}

windlass_sdk::export_forge!(Bitbucket, repository, webhook_admin, commit_status, pull_requests);
