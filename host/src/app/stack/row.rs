//! The row of a stack's repository: made of what a person writes, and stored without losing what happened meanwhile.

use crate::app::App;
use crate::app::forge::hook_owe;
use crate::app::webhook_secret::webhook_context;
use crate::domain::Id;
use crate::domain::repository::{GitRepository, RepositoryInput, normalized_url};
use crate::error::{Error, Result};
use crate::store::{self, Tx, at_forge, repositories};

/// The row that an input means. What it leaves out is that of `old`; `secret` is that of a new webhook.
pub(super) fn repository_row(
    app: &App,
    stack_id: &Id,
    given: &RepositoryInput,
    old: Option<&GitRepository>,
    secret: Option<&str>,
) -> Result<GitRepository> {
    let now = store::now();
    let id = old.map_or_else(store::new_id, |row| row.id.clone());
    let credentials = match &given.credentials {
        Some(credentials) => {
            let plain = serde_json::to_vec(credentials).map_err(Error::internal)?;
            Some(app.vault.seal(&super::credentials_context(&id), &plain)?)
        }
        None => old.and_then(|row| row.credentials.clone()),
    };
    let webhook_secret = match secret.or(given.webhook_secret.as_deref().filter(|secret| !secret.is_empty()))
    {
        Some(secret) => Some(app.vault.seal(&webhook_context(&id), secret.as_bytes())?),
        None => old.and_then(|row| row.webhook_secret.clone()),
    };
    // Whoever sets another secret by hand wants the old ones to end.
    let is_kept = |row: &&GitRepository| row.webhook_secret == webhook_secret;
    let previous = old.filter(is_kept);
    Ok(GitRepository {
        webhook_url: Some(format!("{}/api/webhooks/{id}", app.config.public_url())),
        stack_id: stack_id.clone(),
        url: given.url.clone(),
        branch: given.branch.clone(),
        auth_type: given.auth_type,
        credentials,
        previous_webhook_secret: previous.and_then(|row| row.previous_webhook_secret.clone()),
        previous_webhook_secret_until: previous.and_then(|row| row.previous_webhook_secret_until),
        webhook_secret,
        provider: given.provider.clone(),
        auto_sync: given.auto_sync,
        commit_status: given.commit_status,
        commit_status_error: old.and_then(|row| row.commit_status_error.clone()),
        hook_id: old.and_then(|row| row.hook_id.clone()),
        hook_error: old.and_then(|row| row.hook_error.clone()),
        last_synced_at: old.and_then(|row| row.last_synced_at),
        last_synced_commit: old.and_then(|row| row.last_synced_commit.clone()),
        created_at: old.map_or(now, |row| row.created_at),
        updated_at: now,
        id,
    })
}

/// What an input leaves as it is stored.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    credentials: bool,
    secret: bool,
}

impl Kept {
    pub(super) fn by(given: Option<&RepositoryInput>) -> Self {
        Self {
            credentials: given.is_none_or(|given| given.credentials.is_none()),
            secret: given.is_none_or(|given| given.webhook_secret.as_deref().is_none_or(str::is_empty)),
        }
    }
}

/// Whether a forge that knows the one repository knows nothing of the other.
pub(super) fn is_elsewhere(old: &GitRepository, new: &GitRepository) -> bool {
    old.provider != new.provider || normalized_url(&old.url) != normalized_url(&new.url)
}

/// Stores a changed repository. The forge hears of what it was told differently before.
pub(super) async fn repository_save(tx: &mut Tx, row: &GitRepository, kept: Kept) -> Result<()> {
    // What stays may have been sealed with another key, or rotated, since it was read.
    let stored = repositories::find(tx, &row.id).await?;
    let mut row = row.clone();
    if kept.credentials {
        row.credentials.clone_from(&stored.credentials);
    }
    if kept.secret {
        row.webhook_secret.clone_from(&stored.webhook_secret);
        row.previous_webhook_secret.clone_from(&stored.previous_webhook_secret);
        row.previous_webhook_secret_until = stored.previous_webhook_secret_until;
    }
    repositories::update(tx, &row).await?;
    if is_elsewhere(&stored, &row) {
        at_forge::forget(tx, &row.id).await?;
    }
    let is_other = row.webhook_secret != stored.webhook_secret || row.webhook_url != stored.webhook_url;
    match stored.hook_id {
        Some(_) if is_elsewhere(&stored, &row) => repositories::set_hook(tx, &row.id, None).await,
        Some(_) if is_other => hook_owe(tx, &row.id).await,
        _ => Ok(()),
    }
}
