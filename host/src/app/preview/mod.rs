//! Previews of pull requests: switched on and off, shown, and kept in line with what the forge says is open.
//!
//! A delivery of the repository's webhook, whatever it tells, makes this server ask the forge which pull requests are open;
//! besides it asks regularly, so a delivery that got lost does no harm. What the answer changes is written down first and
//! done afterwards, step by step, so that a restart goes on where it ended.

mod environment;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::App;
use super::stack::{StackView, changed, stack_view};
use crate::domain::deployment::Deployment;
use crate::domain::preview::{Preview, PreviewSettings, PreviewWatch, stack_name};
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::store::{self, Db, previews};

pub use environment::address;

/// How soon work begins that has become due.
const ROUND: Duration = Duration::from_secs(1);
/// Stacks whose previews are worked on at a time.
const PARALLEL: usize = 4;
/// For one of them.
const LIMIT: Duration = Duration::from_secs(240);
/// So long after a server has died another one goes on. Who is at work claims anew long before.
const CLAIM_MS: UnixMs = 15_000;
const HOLD: Duration = Duration::from_secs(5);
/// After a turn that failed.
const RETRY_MS: UnixMs = 30_000;

/// The previews of a stack.
pub struct Previews {
    pub watch: Option<PreviewWatch>,
    pub items: Vec<Shown>,
}

/// A pull request with what shows it.
pub struct Shown {
    pub preview: Preview,
    /// Name of its stack.
    pub stack: Option<String>,
    /// Where it can be looked at, once it serves.
    pub address: Option<String>,
    pub deployment: Option<Deployment>,
}

/// Switches previews of a stack on, or changes how they are.
///
/// # Errors
/// `Invalid` for settings that cannot work, `Conflict` for a stack that cannot have previews.
pub async fn preview_enable(app: &App, reference: &str, settings: PreviewSettings) -> Result<Previews> {
    settings.check()?;
    let view = stack_view(app, reference).await?;
    stack_name(&view.stack.name, 100_000)?;
    suitable(app, &view).await?;
    switch(app, &view.stack.id, settings, true).await?;
    preview_list(app, view.stack.id.as_str()).await
}

/// Switches them off. What there is ends within seconds.
pub async fn preview_disable(app: &App, reference: &str) -> Result<()> {
    let view = stack_view(app, reference).await?;
    let mut conn = app.db.read().await?;
    let watch = previews::watch_opt(&mut conn, &view.stack.id).await?;
    drop(conn);
    match watch {
        Some(watch) => switch(app, &view.stack.id, watch.settings, false).await,
        None => Ok(()),
    }
}

async fn suitable(app: &App, view: &StackView) -> Result<()> {
    let name = &view.stack.name;
    let Some(row) = &view.repository else {
        return Err(Error::conflict(format!(
            "stack `{name}` has no repository whose pull requests could be shown"
        )));
    };
    if view.stack.run.service.is_some() || view.build.settings.compose_path.is_some() {
        return Err(Error::conflict(format!(
            "stack `{name}` is deployed from its compose file; previews are for stacks of one image"
        )));
    }
    let mut conn = app.db.read().await?;
    if previews::by_stack(&mut conn, &view.stack.id).await?.is_some() {
        return Err(Error::conflict(format!("stack `{name}` is a preview itself")));
    }
    drop(conn);
    // Whether the forge can be asked at all is said now, and not only in the background.
    work::open_pull_requests(app, row).await.map(|_| ())
}

async fn switch(app: &App, stack: &Id, settings: PreviewSettings, enabled: bool) -> Result<()> {
    let now = store::now();
    let watch = PreviewWatch {
        stack_id: stack.clone(),
        settings,
        enabled,
        next_at: now,
        ask_at: now,
        asked_at: None,
        error: None,
    };
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            previews::switch(tx, &watch).await?;
            store::events::append(tx, changed(&watch.stack_id, "previews")).await?;
            Ok(())
        })
    });
    write.await
}

/// How a stack's pull requests are shown; none where they are not.
pub(super) async fn preview_settings(app: &App, stack: &Id) -> Result<Option<PreviewSettings>> {
    let mut conn = app.db.read().await?;
    let watch = previews::watch_opt(&mut conn, stack).await?;
    Ok(watch.filter(|watch| watch.enabled).map(|watch| watch.settings))
}

/// What a stack's pull requests have come to.
pub async fn preview_list(app: &App, reference: &str) -> Result<Previews> {
    let view = stack_view(app, reference).await?;
    let mut conn = app.db.read().await?;
    let watch = previews::watch_opt(&mut conn, &view.stack.id).await?.filter(|watch| watch.enabled);
    let rows = previews::list(&mut conn, &view.stack.id).await?;
    drop(conn);
    let mut items = Vec::with_capacity(rows.len());
    for preview in rows {
        let child = match &preview.stack_id {
            Some(id) => found(stack_view(app, id.as_str()).await)?,
            None => None,
        };
        let address = match &child {
            Some(child) => address(app, child).await,
            None => None,
        };
        let (stack, deployment) = child.map(|child| (child.stack.name, child.latest_deployment)).unzip();
        items.push(Shown { preview, stack, address, deployment: deployment.flatten() });
    }
    Ok(Previews { watch, items })
}

/// The stack whose pull request this stack shows, and the pull request.
pub async fn preview_of(app: &App, stack: &Id) -> Result<Option<Preview>> {
    let mut conn = app.db.read().await?;
    previews::by_stack(&mut conn, stack).await
}

/// Asks the forge as soon as possible.
///
/// # Errors
/// `Conflict` where previews are off.
pub async fn preview_look(app: &App, reference: &str) -> Result<Previews> {
    let list = preview_list(app, reference).await?;
    let Some(watch) = &list.watch else {
        return Err(Error::conflict("previews of this stack are off; switch them on first".to_owned()));
    };
    due(&app.db, watch.stack_id.clone()).await?;
    Ok(list)
}

/// A delivery has come in for a repository: something may have happened to its pull requests. Answers whether anybody cares.
pub(super) async fn preview_hint(app: &App, repository: Option<&Id>) -> Result<bool> {
    let Some(repository) = repository else { return Ok(false) };
    let mut conn = app.db.read().await?;
    let watch = previews::watch_of_repository(&mut conn, repository).await?;
    drop(conn);
    match watch {
        Some(watch) if watch.enabled => due(&app.db, watch.stack_id).await.map(|()| true),
        _ => Ok(false),
    }
}

async fn due(db: &Db, stack: Id) -> Result<()> {
    let now = store::now();
    db.write(move |tx| Box::pin(async move { previews::set_due(tx, &stack, now).await })).await
}

/// Ends all previews of a stack that is going to be deleted.
///
/// # Errors
/// `Conflict` while one of them is being deployed.
pub(super) async fn preview_end_all(app: &App, stack: &Id) -> Result<()> {
    let mut conn = app.db.read().await?;
    let rows = previews::list(&mut conn, stack).await?;
    drop(conn);
    for row in rows {
        if let Some(child) = &row.stack_id
            && !work::end(app, child).await?
        {
            return Err(Error::conflict(format!(
                "the preview of pull request {} is being deployed and has been told to stop; try again in a moment",
                row.number
            )));
        }
    }
    Ok(())
}

/// Does what is due until the server stops.
pub async fn preview_keep(app: App, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(PARALLEL));
    while !stop.is_cancelled() {
        if let Err(error) = round(&app, &places).await {
            tracing::warn!(error = %error.for_log(), "[@deploy:preview] looking after previews failed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

async fn round(app: &App, places: &Arc<Semaphore>) -> Result<()> {
    let now = store::now();
    let mut conn = app.db.read().await?;
    let free = i64::try_from(places.available_permits()).unwrap_or(1);
    if free == 0 || !previews::any_due(&mut conn, now).await? {
        return Ok(());
    }
    drop(conn);
    let until = now + CLAIM_MS;
    let claim = app.db.write(move |tx| Box::pin(async move { previews::claim(tx, now, until, free).await }));
    for watch in claim.await? {
        let place = Arc::clone(places).acquire_owned().await.map_err(Error::internal)?;
        let app = app.clone();
        tokio::spawn(async move {
            let _place = place;
            let outcome = tokio::time::timeout(LIMIT, take_held(&app, watch.clone(), until)).await;
            let outcome =
                outcome.unwrap_or_else(|_| Err(Error::timeout("looking after previews", LIMIT.as_secs())));
            if let Err(error) = outcome {
                let stack = &watch.stack_id;
                tracing::warn!(%stack, error = %error.for_log(), "[@deploy:preview] previews were not looked after");
                put_off(&app, watch).await;
            }
        });
    }
    Ok(())
}

/// A turn, as long as nobody else has taken it over.
async fn take_held(app: &App, watch: PreviewWatch, until: UnixMs) -> Result<()> {
    let (stack, mut held) = (watch.stack_id.clone(), until);
    let turn = work::take(app, watch);
    tokio::pin!(turn);
    loop {
        tokio::select! {
            biased;
            outcome = &mut turn => return outcome,
            () = tokio::time::sleep(HOLD) => {}
        }
        let (id, until) = (stack.clone(), store::now() + CLAIM_MS);
        let hold =
            app.db.write(move |tx| Box::pin(async move { previews::hold(tx, &id, held, until).await }));
        if !hold.await? {
            tracing::info!(%stack, "[@deploy:preview] the turn is another server's, or previews are off by now");
            return Ok(());
        }
        held = until;
    }
}

/// The next turn comes a little later. If even this cannot be stored, it comes when the claim has ended.
async fn put_off(app: &App, watch: PreviewWatch) {
    let later = PreviewWatch { next_at: store::now() + RETRY_MS, ..watch.clone() };
    let write = app.db.write(move |tx| Box::pin(async move { previews::done(tx, &watch, &later).await }));
    if let Err(error) = write.await {
        tracing::warn!(error = %error.for_log(), "[@deploy:preview] a turn at previews was not put off");
    }
}

/// What is gone is no error.
fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
