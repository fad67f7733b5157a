//! The webhook at the forge: registered, kept as it is here, and removed, so that nobody has to copy an address and a secret.

use std::time::Duration;

use crate::app::stack::{StackView, changed, stack_view};
use crate::app::{App, repository, webhook_secret};
use crate::domain::Id;
use crate::domain::plugin::Ability;
use crate::domain::repository::GitRepository;
use crate::domain::task::{NewTask, Task};
use crate::error::{Error, Result};
use crate::plugins::Secret;
use crate::queue::{self, Done, TaskContext};
use crate::store::{self, Tx, events, repositories};

/// What a forge gets to remove the webhook of a stack that goes.
const LAST_TRY: Duration = Duration::from_secs(10);

/// Has the forge post to this server: the stack's address, signed with its present secret. A webhook that is there already is
/// changed instead of doubled.
///
/// # Errors
/// `Conflict` for a stack without a repository or without a token, and for a forge whose plugin cannot register webhooks;
/// otherwise what the forge said.
pub async fn hook_register(app: &App, reference: &str) -> Result<StackView> {
    let view = stack_view(app, reference).await?;
    let row = suitable(app, &view)?;
    let hook = place(app, row).await?;
    let (id, secret) = (row.id.clone(), row.webhook_secret.clone());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                repositories::set_hook(tx, &id, Some(&hook)).await?;
                let stored = repositories::find(tx, &id).await?;
                // It was rotated while the forge was told, when nobody knew yet that the forge has to hear of it.
                if stored.webhook_secret != secret {
                    hook_owe(tx, &id).await?;
                }
                events::append(tx, changed(&stored.stack_id, "webhook_registered")).await.map(|_| ())
            })
        })
        .await?;
    tracing::info!("[@webhooks:forge] the webhook of stack `{}` is registered", view.stack.name);
    stack_view(app, view.stack.id.as_str()).await
}

/// Removes what [`hook_register`] has made. Nothing happens where there is nothing.
///
/// # Errors
/// As [`hook_register`]: who cannot register cannot remove either.
pub async fn hook_remove(app: &App, reference: &str) -> Result<()> {
    let view = stack_view(app, reference).await?;
    let Some(hook) = view.repository.as_ref().and_then(|row| row.hook_id.clone()) else { return Ok(()) };
    let row = suitable(app, &view)?;
    unplace(app, row, &hook).await?;
    let (id, stack) = (row.id.clone(), view.stack.id.clone());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                repositories::set_hook(tx, &id, None).await?;
                events::append(tx, changed(&stack, "webhook_removed")).await.map(|_| ())
            })
        })
        .await
}

fn suitable<'a>(app: &App, view: &'a StackView) -> Result<&'a GitRepository> {
    let name = &view.stack.name;
    let Some(row) = &view.repository else {
        return Err(Error::conflict(format!("stack `{name}` has no repository, so there is no webhook")));
    };
    if !app.plugins.has_ability(&row.provider, Ability::WebhookAdmin) {
        return Err(Error::conflict(format!(
            "plugin `{}` cannot change webhooks at the forge; do it there, in the repository's settings",
            row.provider
        )));
    }
    if !row.has_token() {
        return Err(Error::conflict(format!(
            "the repository of stack `{name}` has no access token, and without one the forge takes no webhook from here; \
             store one (authType `http_token`), or do it there, in the repository's settings"
        )));
    }
    Ok(row)
}

/// In the transaction that changes the address or the secret of a webhook that the forge was given.
pub(in crate::app) async fn hook_owe(tx: &mut Tx, repository: &Id) -> Result<()> {
    let task = NewTask {
        id: store::new_id(),
        task: Task::ForgeHook { repository_id: repository.clone() },
        priority: 0,
        // One that runs may have read the secret before.
        unique_key: None,
        concurrency_key: Some(format!("hook-of:{repository}")),
        run_at: None,
        trace: None,
    };
    queue::enqueue(tx, &task).await.map(|_| ())
}

/// The task: tells the forge the webhook as it is now.
pub async fn hook_run(app: &App, task: &TaskContext, repository: &Id) -> Result<Done> {
    let _aside = task.step_aside();
    let found = repositories::find_opt(&mut *app.db.read().await?, repository).await?;
    let Some(row) = found else { return Ok(Done::Finished) };
    let Some(known) = row.hook_id.clone() else { return Ok(Done::Finished) };
    let placed = place(app, &row).await;
    let (kept, told) = (row.clone(), placed.clone().map_err(|error| error.to_string()));
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            let told = told.as_deref().map_err(String::as_str);
            let is_known = repositories::set_hook_told(tx, &kept.id, &known, told).await?;
            if is_known && (told.is_err() || kept.hook_error.is_some()) {
                events::append(tx, changed(&kept.stack_id, "webhook_told")).await?;
            }
            let now = repositories::find_opt(tx, &kept.id).await?.and_then(|row| row.hook_id);
            Ok(told.is_ok_and(|hook| now.as_deref() != Some(hook)))
        })
    });
    let is_unwanted = write.await?;
    let hook = placed.inspect_err(|error| {
        tracing::warn!(repository = %row.id, error = %error.for_log(), "[@webhooks:forge] a forge was not told of its webhook");
    })?;
    if is_unwanted {
        // Somebody removed it meanwhile.
        unplace(app, &row, &hook).await?;
    }
    Ok(Done::Finished)
}

/// Removes the webhook of a repository that is gone, or elsewhere now. There is nobody left who could try again, and nothing
/// that is waited for: a forge that does not hear of it posts to an address that nobody answers.
pub(in crate::app) async fn hook_drop(app: &App, row: &GitRepository) {
    let Some(hook) = &row.hook_id else { return };
    let why = match tokio::time::timeout(LAST_TRY, unplace(app, row, hook)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.for_log(),
        Err(_) => format!("no answer within {} s", LAST_TRY.as_secs()),
    };
    tracing::warn!(repository = %row.id, why, "[@webhooks:forge] a webhook stays at its forge");
}

async fn place(app: &App, row: &GitRepository) -> Result<String> {
    let secret = match webhook_secret::current(app, row)? {
        Some(secret) => secret.into_bytes(),
        None => webhook_secret::global(app).first().map(|key| key.bytes.to_vec()).unwrap_or_default(),
    };
    if secret.is_empty() {
        return Err(Error::conflict("the repository has no webhook secret yet; make one by rotating it"));
    }
    let Some(url) = &row.webhook_url else {
        return Err(Error::conflict("the repository has no webhook address yet; save the stack once more"));
    };
    let (target, name) = repository::target(app, row)?;
    let secret = Secret::new(secret);
    app.plugins.forge_register_hook(&row.provider, &target, (&name, url), &secret).await
}

async fn unplace(app: &App, row: &GitRepository, hook: &str) -> Result<()> {
    let (target, name) = repository::target(app, row)?;
    app.plugins.forge_unregister_hook(&row.provider, &target, &name, hook).await
}
