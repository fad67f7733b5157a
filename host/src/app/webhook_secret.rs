//! The secrets of webhooks: which ones count for a delivery, and how a new one takes over without a gap.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::App;
use super::forge::hook_owe;
use super::stack::{changed, stack_view};
use super::vault::random;
use crate::domain::plugin::WebhookContract;
use crate::domain::repository::GitRepository;
use crate::domain::webhook::MatchedSecret;
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::store::{self, events, repositories};

/// How long the previous secret counts if nobody says otherwise, and at most, in seconds.
pub const DEFAULT_OVERLAP_SECS: u32 = 24 * 3600;
pub const MAX_OVERLAP_SECS: u32 = 30 * 24 * 3600;
/// Shorter ones could be guessed; longer ones no forge takes.
const MIN_SECRET_BYTES: usize = 8;
const MAX_SECRET_BYTES: usize = 1024;

/// A secret in the clear, and how long it counts.
pub(super) struct Key {
    /// Whose it is; nobody's for the configuration's.
    pub(super) repository_id: Option<Id>,
    pub(super) which: MatchedSecret,
    pub(super) bytes: Zeroizing<Vec<u8>>,
    until: Option<UnixMs>,
}

impl Key {
    pub(super) fn counts_at(&self, now: UnixMs) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A repository's own secret and the one before it; nothing if it never had one.
pub(super) fn own(app: &App, row: &GitRepository) -> Result<Vec<Key>> {
    let open = |which, sealed: &str, until| {
        let bytes = app.vault.open_sealed(&webhook_context(&row.id), sealed)?;
        Ok(Key { repository_id: Some(row.id.clone()), which, bytes, until })
    };
    let current = row.webhook_secret.as_deref().map(|sealed| open(MatchedSecret::Current, sealed, None));
    let previous = row
        .previous_webhook_secret
        .as_deref()
        .map(|sealed| open(MatchedSecret::Previous, sealed, row.previous_webhook_secret_until));
    current.into_iter().chain(previous).collect()
}

/// The repository's present secret in the clear, if it has one of its own.
pub(super) fn current(app: &App, row: &GitRepository) -> Result<Option<String>> {
    let key = own(app, row)?.into_iter().find(|key| key.which == MatchedSecret::Current);
    Ok(key.map(|key| String::from_utf8_lossy(&key.bytes).into_owned()))
}

/// The configuration's secret, if there is one.
pub(super) fn global(app: &App) -> Vec<Key> {
    let secret = &app.config.webhooks.secret;
    if secret.is_empty() {
        return Vec::new();
    }
    vec![Key {
        repository_id: None,
        which: MatchedSecret::Global,
        bytes: Zeroizing::new(secret.clone().into_bytes()),
        until: None,
    }]
}

/// A secret nobody knows yet. Where the forge has a scheme that takes any text, it is one for that, since not every version
/// of a forge knows a stronger one; whoever enters a secret in the form of the stronger scheme has chosen it.
pub(super) fn fresh(contract: Option<&WebhookContract>) -> Result<String> {
    let bytes = random::<24>()?;
    let schemes = contract.map(|contract| contract.schemes.as_slice()).unwrap_or_default();
    let takes_any = schemes.iter().any(|scheme| scheme.secret_prefix.is_none());
    let prefix = schemes.iter().find_map(|scheme| scheme.secret_prefix.as_deref());
    Ok(match prefix.filter(|_| !takes_any) {
        Some(prefix) => format!("{prefix}{}", STANDARD.encode(bytes)),
        None => hex::encode(bytes),
    })
}

pub(super) fn webhook_context(repository_id: &Id) -> String {
    format!("git_repositories/{repository_id}/webhook_secret")
}

fn check_given(secret: &str) -> Result<()> {
    let problem = if secret.len() < MIN_SECRET_BYTES || secret.len() > MAX_SECRET_BYTES {
        format!("it has {} bytes", secret.len())
    } else if secret.trim() != secret || secret.chars().any(char::is_control) {
        "it has control characters, or blanks at its ends".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::invalid(
        "secret",
        format!(
            "the secret cannot be the forge's: {problem}. Give it as the forge shows it, {MIN_SECRET_BYTES} to \
             {MAX_SECRET_BYTES} bytes, or none at all, then one is made here"
        ),
    ))
}

/// A repository's webhook after a rotation.
#[derive(Debug, Clone)]
pub struct Rotated {
    pub url: String,
    /// The secret if it was made here, to be shown this once; whoever gave one has it.
    pub secret: Option<String>,
    /// Until when the secret before it counts as well; `None` if it ended at once.
    pub previous_until: Option<UnixMs>,
    /// This server has registered the webhook, so it tells the forge.
    pub registered: bool,
}

/// Gives the stack's repository a new webhook secret: the `given` one, which a forge has made, or a fresh one. What counted
/// before counts on for `overlap_secs`, so that the forge can be told meanwhile (by this server, where it has registered the
/// webhook); a secret that is even older ends at once.
///
/// # Errors
/// `Invalid` for an overlap of more than [`MAX_OVERLAP_SECS`] and for a secret that no forge can have made, `Conflict` for a
/// stack without a repository.
pub async fn webhook_secret_rotate(
    app: &App,
    reference: &str,
    overlap_secs: u32,
    given: Option<&str>,
) -> Result<Rotated> {
    given.map_or(Ok(()), check_given)?;
    if overlap_secs > MAX_OVERLAP_SECS {
        let days = MAX_OVERLAP_SECS / (24 * 3600);
        let message =
            format!("the previous secret can count for at most {MAX_OVERLAP_SECS} s ({days} days) more");
        return Err(Error::invalid("overlap", message));
    }
    let view = stack_view(app, reference).await?;
    let Some(row) = view.repository else {
        let name = view.stack.name;
        return Err(Error::conflict(format!(
            "stack `{name}` has no repository, so it has no webhook secret"
        )));
    };
    let made = match given {
        Some(_) => None,
        None => Some(fresh(Some(&app.plugins.webhook_contract(&row.provider)?))?),
    };
    let context = webhook_context(&row.id);
    let sealed = app.vault.seal(&context, made.as_deref().or(given).unwrap_or_default().as_bytes())?;
    let before = global(app).first().map(|key| app.vault.seal(&context, &key.bytes)).transpose()?;
    let now = store::now();
    let until = (overlap_secs > 0).then(|| now + i64::from(overlap_secs) * 1000);
    let (id, stack_id) = (row.id.clone(), row.stack_id.clone());
    let registered = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let before = before.as_deref();
                repositories::rotate_webhook_secret(tx, &id, &sealed, before, until, now).await?;
                let registered = repositories::find(tx, &id).await?.hook_id.is_some();
                if registered {
                    hook_owe(tx, &id).await?;
                }
                events::append(tx, changed(&stack_id, "webhook_secret_rotated")).await?;
                Ok(registered)
            })
        })
        .await?;
    app.endpoints.forget();
    tracing::info!("[@webhooks:secret] the webhook secret of stack `{}` is rotated", view.stack.name);
    Ok(Rotated { url: row.webhook_url.unwrap_or_default(), secret: made, previous_until: until, registered })
}
