//! A git forge: turns what a vendor posts into what happened to which ref.
//!
//! The host has verified the signature by what the manifest declares; the plugin never sees the secret.

use serde::Deserialize;
use windlass_sdk::forge::{
    Change, ChangeKind, Commit, Delivery, Event, Forge, Push, Repository, asks_to_skip_ci, is_no_commit,
    malformed,
};
use windlass_sdk::{Failure, Manifest, WebhookContract, WebhookScheme};

pub struct Plugin;

/// The vendor's body, as far as it matters. `fixtures` has real ones.
#[derive(Deserialize)]
struct Body {
    event: String,
    repository: Option<VendorRepository>,
    #[serde(default)]
    sender: String,
    #[serde(rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    before: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct VendorRepository {
    name: String,
    clone_url: String,
    default_branch: Option<String>,
}

impl Forge for Plugin {
    fn describe() -> Manifest {
        let signed = WebhookScheme::hmac_sha256_hex("x-signature", "sha256=");
        let contract = WebhookContract::new(vec![signed], &["x-delivery"], &["x-event"]);
        Manifest::new("{{name}}", env!("CARGO_PKG_VERSION"), "Reads the webhooks of an example forge")
            .webhooks(contract)
    }

    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        let body: Body = delivery.json()?;
        match body.event.as_str() {
            "ping" => Ok(Event::Ping),
            "push" => push(body).map(Event::Push),
            other => Ok(Event::Unsupported(other.to_owned())),
        }
    }
}

windlass_sdk::export_forge!(Plugin);

fn push(body: Body) -> Result<Push, Failure> {
    let repository = body.repository.ok_or_else(|| malformed("A push has to name its `repository`."))?;
    let reference = body.reference.ok_or_else(|| malformed("A push has to name its `ref`."))?;
    let is_gone = is_no_commit(&body.after);
    let (kind, name) = match (reference.strip_prefix("refs/heads/"), reference.strip_prefix("refs/tags/")) {
        (Some(name), _) if is_gone => (ChangeKind::BranchDeleted, name),
        (Some(name), _) => (ChangeKind::BranchPushed, name),
        (_, Some(name)) if is_gone => (ChangeKind::TagDeleted, name),
        (_, Some(name)) => (ChangeKind::TagPushed, name),
        _ => return Err(malformed(format!("`{reference}` is neither a branch nor a tag."))),
    };
    let mut change = Change::new(kind, name);
    if !is_no_commit(&body.before) {
        change = change.before(&body.before);
    }
    if !is_gone {
        change = change.after(&body.after);
        change.skip_ci = asks_to_skip_ci(&body.message);
        change.head =
            Some(Commit { sha: body.after, message: body.message, author: String::new(), at: None });
    }
    Ok(Push {
        repository: Repository {
            full_name: repository.name,
            urls: vec![repository.clone_url],
            default_branch: repository.default_branch,
        },
        sender: body.sender,
        changes: vec![change],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Event, Failure> {
        Plugin::parse_webhook(Delivery { headers: Vec::new(), body: body.as_bytes().to_vec() })
    }

    #[test]
    fn a_push_names_repository_branch_and_commit() {
        let event = parse(include_str!("../fixtures/push.json")).expect("the fixture is good");
        let Event::Push(push) = event else { panic!("{event:?}") };
        assert_eq!(push.repository.full_name, "team/app");
        assert_eq!((push.changes[0].name.as_str(), push.changes[0].skip_ci), ("main", false));
        assert_eq!(push.changes[0].after.as_deref(), Some("2222222222222222222222222222222222222222"));
    }

    #[test]
    fn a_push_without_a_ref_is_malformed() {
        let failure = parse(r#"{"event":"push","repository":{"name":"a","clone_url":"b"}}"#).expect_err("no ref");
        assert_eq!(failure.code, "malformed-payload");
    }
}
