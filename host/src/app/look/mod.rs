//! Pushes that nobody told: this server looks for them itself, when it starts and, where a stack wants that, regularly.
//!
//! A look compares the branches of the git server with what is known of them. What has moved is stored as an event of the
//! inbox and goes on as if a delivery had told it: through the same rules, to one reason.

mod find;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::App;
use super::build::auth;
use super::repository::mirror_of;
use super::stack::{StackView, stack_view};
use crate::domain::build::Build;
use crate::domain::head::Head;
use crate::domain::look::{Cause, Look, backoff_ms, pause_ms};
use crate::domain::repository::GitRepository;
use crate::error::{Error, Result};
use crate::git::RepoAccess;
use crate::store::{self, git_heads, git_looks, task_stats};

/// How soon a look is taken that has become due.
const ROUND: Duration = Duration::from_secs(1);
/// For one look as a whole; the next node may have it a little later.
const LIMIT: Duration = Duration::from_secs(120);
const CLAIM_MS: i64 = 150_000;
/// Deliveries that were taken before the server stopped have precedence for so long, so that each push is recorded by
/// what told it first.
const PRECEDENCE_MS: i64 = 20_000;

/// Looks at what is due until the server stops. What was pushed while it did not run is due first.
pub async fn look_keep(app: App, stop: CancellationToken) {
    let now = store::now();
    if let Err(error) = app.db.write(move |tx| Box::pin(git_looks::all_due(tx, now))).await {
        tracing::error!(error = %error.for_log(), "[@git:look] pushes made before this start may be missed");
    }
    let places = Arc::new(Semaphore::new(app.config.polling.parallel));
    while !stop.is_cancelled() {
        if let Err(error) = round(&app, &places, &stop).await {
            tracing::warn!(error = %error.for_log(), "[@git:look] looking for pushes failed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

/// Claims as much as there are free places for.
async fn round(app: &App, places: &Arc<Semaphore>, stop: &CancellationToken) -> Result<()> {
    let now = store::now();
    let mut conn = app.db.read().await?;
    let is_early = now - app.started_at < PRECEDENCE_MS;
    if !git_looks::any_due(&mut conn, now).await?
        || (is_early && task_stats::any_open(&mut conn, "webhook").await?)
    {
        return Ok(());
    }
    drop(conn);
    let free = i64::try_from(places.available_permits()).unwrap_or(1);
    if free == 0 {
        return Ok(());
    }
    let until = now + CLAIM_MS;
    let claim = app.db.write(move |tx| Box::pin(async move { git_looks::claim(tx, now, until, free).await }));
    for claimed in claim.await? {
        let place = Arc::clone(places).acquire_owned().await.map_err(Error::internal)?;
        let (app, stop) = (app.clone(), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            let id = claimed.repository_id.clone();
            if let Err(error) = take(&app, claimed, until, &stop).await {
                tracing::warn!(repository = %id, error = %error.for_log(), "[@git:look] a look was not recorded");
            }
        });
    }
    Ok(())
}

/// One look, and when the next one is due.
async fn take(app: &App, look: Look, claimed: i64, stop: &CancellationToken) -> Result<()> {
    let mut conn = app.db.read().await?;
    let Some(row) = store::repositories::find_opt(&mut conn, &look.repository_id).await? else {
        return Ok(());
    };
    drop(conn);
    let outcome = match tokio::time::timeout(LIMIT, find::find(app, &look, &row, stop)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::timeout("looking for pushes", LIMIT.as_secs())),
    };
    if stop.is_cancelled() {
        return Ok(());
    }
    let (now, jitter) = (store::now(), jitter());
    app.metrics.looked(match &outcome {
        Ok(0) => "unchanged",
        Ok(_) => "found",
        Err(_) => "failed",
    });
    let next = match outcome {
        Ok(found) => {
            if found > 0 {
                tracing::info!(repository = %row.id, pushes = found, "[@git:look] found pushes that nobody told");
            }
            let pause = pause_ms(app.config.polling.interval_secs, jitter);
            let next_at = row.auto_sync.then_some(now + pause);
            Look {
                url: row.url,
                cause: Cause::Poll,
                next_at,
                looked_at: Some(now),
                failures: 0,
                error: None,
                ..look
            }
        }
        Err(error) => {
            tracing::warn!(repository = %row.id, error = %error.for_log(), "[@git:look] could not look for pushes");
            let failures = look.failures + 1;
            let next_at = Some(now + backoff_ms(failures, jitter));
            Look { next_at, failures, error: Some(error.to_string()), ..look }
        }
    };
    app.db.write(move |tx| Box::pin(async move { git_looks::done(tx, &next, claimed).await })).await
}

/// 0 to 999, from bits of the clock that nobody chooses.
fn jitter() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_micros()) % 1000
}

/// How a stack's repository is reached.
pub async fn access(app: &App, row: &GitRepository) -> Result<RepoAccess> {
    Ok(RepoAccess { id: mirror_of(app, row).await?, url: row.url.clone(), auth: auth(app, row).await? })
}

/// Looks for pushes of a stack's repository as soon as possible.
///
/// # Errors
/// `Conflict` for a stack without a repository.
pub async fn look_now(app: &App, stack: &str) -> Result<StackView> {
    let view = stack_view(app, stack).await?;
    let Some(row) = &view.repository else {
        let name = &view.stack.name;
        return Err(Error::conflict(format!("stack `{name}` has no repository to look at; add one")));
    };
    let (id, now) = (row.id.clone(), store::now());
    app.db.write(move |tx| Box::pin(async move { git_looks::set_due(tx, &id, now).await })).await?;
    stack_view(app, stack).await
}

/// Remembers where a build has found the branch that it was asked for, so that this is not news to the next look.
pub async fn branch_seen(app: &App, view: &StackView, build: &Build, commit: &str) -> Result<()> {
    let Some(row) = view.repository.as_ref().filter(|row| row.url == build.git_url) else { return Ok(()) };
    // A build that names its commit says nothing about where the branch is.
    if !build.commit_sha.is_empty() || build.git_ref == commit {
        return Ok(());
    }
    let head = Head { branch: build.git_ref.clone(), commit: commit.into(), via: String::new(), event: 0 };
    let id = row.id.clone();
    let work = app.db.write(move |tx| {
        Box::pin(async move {
            match git_heads::find_opt(tx, &id, &head.branch).await? {
                Some(known) if known.commit == head.commit => Ok(()),
                _ => git_heads::put(tx, &id, &[head]).await,
            }
        })
    });
    work.await
}
