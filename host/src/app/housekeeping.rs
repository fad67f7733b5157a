//! What would otherwise pile up is removed: images that no rollback needs, old deliveries, events and logs.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::App;
use super::logs::logs_prune;
use super::repository::mirror_of;
use super::target::engines;
use crate::docker::{Docker, OwnImage};
use crate::domain::deployment::Deployment;
use crate::domain::page::PageRequest;
use crate::domain::release::ReleaseState;
use crate::domain::stack::Stack;
use crate::domain::{Id, UnixMs, retention};
use crate::error::{Error, Result};
use crate::store::{
    self, BoxFuture, Conn, Tx, artifacts, backups, builds, deployments, events, notification_deliveries,
    plugin_components, releases, repositories, stacks, webhook_events,
};

const DAY_MS: UnixMs = 24 * 3600 * 1000;
/// A mirror that was fetched lately is somebody's who goes on to read it.
const UNUSED: Duration = Duration::from_secs(3600);
/// Rows that one transaction removes; others wait meanwhile.
const CHUNK: i64 = 500;

/// Does all of it. What fails is logged and tried again the next time.
pub async fn tidy(app: &App) {
    let retention = &app.config.retention;
    let before = |days: u32| store::now() - i64::from(days) * DAY_MS;
    let (webhooks, outdated) = (before(retention.webhook_days), before(retention.event_days));
    let prune = in_chunks(app, move |tx| Box::pin(webhook_events::prune(tx, webhooks, CHUNK)));
    report("webhook deliveries", prune.await);
    let prune = in_chunks(app, move |tx| Box::pin(events::prune(tx, outdated, CHUNK)));
    report("events", prune.await);
    let prune = in_chunks(app, move |tx| Box::pin(notification_deliveries::prune(tx, outdated, CHUNK)));
    report("notifications", prune.await);
    report("entries of the record", app.auditor.prune(before(retention.audit_days)).await);
    let prune = app.db.write(move |tx| Box::pin(backups::prune(tx, outdated)));
    report("accounts of backups", prune.await);
    if let Err(error) = app.db.write(|tx| Box::pin(repositories::key_urls(tx))).await {
        tracing::warn!(
            error = error.for_log(),
            "[@server:housekeeping] repositories stay without a key of their URL"
        );
    }
    let yesterday = before(1);
    let prune = app.db.write(move |tx| Box::pin(plugin_components::prune(tx, yesterday)));
    report("plugin components", prune.await);
    let prune = app.db.write(|tx| Box::pin(repositories::forget_previous_secrets(tx, store::now())));
    report("webhook secrets", prune.await);
    let now = store::now();
    let prune = in_chunks(app, move |tx| Box::pin(artifacts::prune(tx, now, CHUNK)));
    report("artifacts", prune.await);
    report("files of artifacts", super::artifact::artifacts_sweep(app).await);
    let log_age = Duration::from_secs(u64::from(retention.log_days) * 24 * 3600);
    report("logs", logs_prune(app, log_age).await);
    report("git mirrors", remove_mirrors(app).await);
    report("containers of builds", remove_command_containers(app).await);
    report("images", collect_images(app).await);
}

/// On every engine, however many of them are away now: those are asked again the next time.
async fn on_each_engine<F>(app: &App, tidy: impl Fn(Docker) -> F) -> Result<u64>
where
    F: Future<Output = Result<u64>>,
{
    let (mut removed, mut failed) = (0, None);
    for docker in engines(app).await? {
        match tidy(docker).await {
            Ok(count) => removed += count,
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(removed), Err)
}

/// Mirrors of repositories that nobody has any more, and then those that were used longest ago until the others fit.
async fn remove_mirrors(app: &App) -> Result<u64> {
    let since = SystemTime::now() - UNUSED;
    let (mut removed, mut kept) = (0, Vec::new());
    let mirrors = app.git.mirrors().await?;
    let shared = shared_mirrors(app).await?;
    for mirror in mirrors {
        match shared.contains(&mirror.owner) || is_building(app, &mirror.owner).await? {
            false => removed += u64::from(app.git.mirror_remove(&mirror.id, since).await?),
            true => kept.push(mirror),
        }
    }
    let limit = app.config.retention.mirrors_gib << 30;
    let mut all: u64 = kept.iter().map(|mirror| mirror.bytes).sum();
    for mirror in kept.iter().take_while(|mirror| mirror.used < since) {
        if limit == 0 || all <= limit {
            break;
        }
        if app.git.mirror_remove(&mirror.id, since).await? {
            (removed, all) = (removed + 1, all - mirror.bytes);
        }
    }
    Ok(removed)
}

/// The mirrors that the repositories of stacks have. One whose credentials cannot be opened is fetched by nobody.
async fn shared_mirrors(app: &App) -> Result<HashSet<Id>> {
    let mut conn = app.db.read().await?;
    let rows = repositories::list(&mut conn).await?;
    drop(conn);
    let mut all = HashSet::new();
    for row in &rows {
        match mirror_of(app, row).await {
            Ok(mirror) => {
                all.insert(mirror);
            }
            Err(error) => {
                tracing::warn!(repository = %row.id, error = %error.for_log(), "[@server:housekeeping] a repository has no mirror");
            }
        }
    }
    Ok(all)
}

/// A build of another repository than the stack's has a mirror for as long as it runs.
async fn is_building(app: &App, mirror: &Id) -> Result<bool> {
    let mut conn = app.db.read().await?;
    let build = builds::find_opt(&mut conn, mirror.as_str()).await?;
    Ok(build.is_some_and(|build| !build.status.is_terminal()))
}

/// Containers whose build has ended without them: a server that was killed could not remove them.
async fn remove_command_containers(app: &App) -> Result<u64> {
    on_each_engine(app, |docker| async move {
        let mut removed = 0;
        for (container, build) in docker.command_containers().await? {
            let mut conn = app.db.read().await?;
            let found = builds::find_opt(&mut conn, &build).await?;
            drop(conn);
            if found.is_none_or(|build| build.status.is_terminal()) {
                docker.remove(&container, None).await?;
                removed += 1;
            }
        }
        Ok(removed)
    })
    .await
}

fn report(what: &str, removed: Result<u64>) {
    match removed {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "[@server:housekeeping] removed old {what}"),
        Err(error) => {
            tracing::warn!(error = error.for_log(), "[@server:housekeeping] old {what} could not be removed");
        }
    }
}

/// Deletes chunk by chunk until there is nothing left, and answers how much it was.
async fn in_chunks<F>(app: &App, delete: F) -> Result<u64>
where
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<u64>> + Clone + Send + 'static,
{
    let mut all = 0;
    loop {
        let removed = app.db.write(delete.clone()).await?;
        all += removed;
        if removed < CHUNK.unsigned_abs() {
            return Ok(all);
        }
    }
}

/// Removes images that this server built and that nothing may want again; answers how many.
///
/// An image that a container uses, or that somebody gave a name of their own, stays as well.
pub async fn collect_images(app: &App) -> Result<u64> {
    on_each_engine(app, |docker| async move {
        let removed = collect_on(app, &docker).await?;
        app.metrics.images_removed(removed);
        Ok(removed)
    })
    .await
}

async fn collect_on(app: &App, docker: &Docker) -> Result<u64> {
    // What is built from now on is not among them.
    let images = docker.own_images().await?;
    let (mut wanted, mut removed) = (HashSet::new(), 0);
    let mut conn = app.db.read().await?;
    let building = builds::list_nonterminal(&mut conn).await?;
    let rolling = deployments::list_nonterminal(&mut conn).await?;
    drop(conn);
    let names: HashSet<&str> = images.iter().map(|image| image.stack.as_str()).collect();
    for name in names {
        let mut conn = app.db.read().await?;
        let Some(stack) = stacks::find_opt(&mut conn, name).await? else { continue };
        drop(conn);
        if building.iter().any(|build| build.stack_id == stack.id) {
            // An image may be there already that its build does not name yet. The next time will do.
            wanted
                .extend(images.iter().filter(|image| image.stack == name).map(|image| image.digest.clone()));
        } else {
            wanted.extend(digests_of(app, &stack, &rolling).await?);
        }
    }
    for image in images.iter().filter(|image| !wanted.contains(&image.digest)) {
        removed += u64::from(remove(docker, image).await?);
    }
    Ok(removed)
}

/// Digests of a stack that have to stay: what serves or is being rolled out, what can be rolled back to, and what was
/// built last, since it may still be deployed.
async fn digests_of(app: &App, stack: &Stack, rolling: &[Deployment]) -> Result<HashSet<String>> {
    let keep = app.config.retention.releases;
    let routed = app.route_weights(&stack.id).await?;
    let mut conn = app.db.read().await?;
    let of_stack = rolling.iter().filter(|row| row.stack_id == stack.id);
    let mut used: HashSet<Id> = stack.active_release_id.iter().cloned().collect();
    used.extend(routed.into_iter().map(|weight| weight.release));
    used.extend(of_stack.flat_map(|row| row.release_id.iter().chain(&row.stable_release_id).cloned()));
    let mut digests = HashSet::new();
    for id in used {
        let release = releases::find(&mut conn, id.as_str()).await?;
        digests.extend(release.images().into_iter().map(str::to_string));
    }
    digests.extend(rollback_digests(&mut conn, stack, keep).await?);
    let newest = PageRequest::new(None, Some(i64::try_from(keep).unwrap_or(i64::MAX)));
    let built = builds::list_by_stack(&mut conn, &stack.id, newest).await?;
    digests.extend(built.items.into_iter().map(|build| build.image_digest));
    Ok(digests)
}

async fn rollback_digests(conn: &mut Conn, stack: &Stack, keep: usize) -> Result<HashSet<String>> {
    let (mut deployed, mut seen, mut before) = (Vec::new(), HashSet::new(), None);
    loop {
        let page = PageRequest::new(before, Some(200));
        let page = deployments::list_by_stack(conn, &stack.id, page).await?;
        for id in page.items.into_iter().filter_map(|row| row.release_id) {
            // Only a release's newest deployment says where it stands among those to return to.
            if seen.insert(id.clone()) {
                deployed.extend(releases::find_opt(conn, id.as_str()).await?);
            }
        }
        before = page.next;
        // Many bad releases may lie between the good ones.
        let good = deployed.iter().filter(|release| release.state == ReleaseState::Good).count();
        if good >= keep || before.is_none() {
            return Ok(retention::pinned(&deployed, keep));
        }
    }
}

/// True if the image is gone. Its own names go first; the image goes with its last one.
async fn remove(docker: &Docker, image: &OwnImage) -> Result<bool> {
    let own = format!("{}:", image.stack);
    let (ours, others): (Vec<&String>, Vec<&String>) =
        image.tags.iter().partition(|tag| tag.starts_with(&own));
    let names = if image.tags.is_empty() { vec![&image.digest] } else { ours };
    for name in names {
        match docker.remove_image(name).await {
            Ok(()) => {}
            Err(Error::Conflict(why)) => {
                tracing::debug!(image = %image.digest, why, "[@server:housekeeping] an image is in use and stays");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(others.is_empty())
}
