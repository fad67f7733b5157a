//! One turn at the previews of a stack: the forge is asked if that is due, and what follows is begun, told or ended.

use super::environment::{self, address, input};
use super::found;
use crate::app::deployment::{Caller, deployment_cancel, deployment_create, page_of};
use crate::app::stack::{StackView, changed, stack_delete, stack_update, stack_view};
use crate::app::{App, housekeeping, repository};
use crate::domain::deployment::{Deployment, DeploymentStatus, TriggerType};
use crate::domain::forge::PullRequest;
use crate::domain::preview::{Preview, PreviewState, PreviewWatch, follow, is_over};
use crate::domain::repository::GitRepository;
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::store::{self, BoxFuture, previews};

/// Of at most 100 pull requests each.
const PAGES: usize = 10;
/// While something is under way, it is looked at again after so long.
const SOON_MS: UnixMs = 2_000;
/// A forge that did not answer is asked again after so long, if its regular turn is not before that.
const AGAIN_MS: UnixMs = 30_000;
/// Our comment on a pull request, among others.
const COMMENT: &str = "preview";

/// Does what is due, and says when there is something to do again.
pub(super) async fn take(app: &App, watch: PreviewWatch) -> Result<()> {
    let parent = stack_view(app, watch.stack_id.as_str()).await?;
    let (now, before) = (store::now(), watch.clone());
    let mut watch = watch;
    if !watch.enabled {
        end_listed(app, &watch.stack_id).await?;
    } else if watch.ask_at <= now {
        watch.ask_at = now + interval_ms(app);
        watch.error = match ask(app, &parent, &watch).await {
            Ok(()) => {
                watch.asked_at = Some(now);
                None
            }
            Err(error) => {
                watch.ask_at = watch.ask_at.min(now + AGAIN_MS);
                tracing::warn!(stack = parent.stack.name, error = %error.for_log(), "[@deploy:preview] the forge does not tell its pull requests");
                Some(error.to_string())
            }
        };
    }
    let next = advance(app, &parent, &watch).await?;
    watch.next_at = match next {
        Some(at) => at,
        None if watch.enabled => watch.ask_at,
        None => {
            let id = watch.stack_id;
            return app.db.write(move |tx| Box::pin(async move { previews::forget(tx, &id).await })).await;
        }
    };
    watch.next_at = watch.next_at.min(watch.ask_at.max(now + SOON_MS));
    app.db.write(move |tx| Box::pin(async move { previews::done(tx, &before, &watch).await })).await
}

fn interval_ms(app: &App) -> UnixMs {
    i64::try_from(app.config.polling.interval_secs).unwrap_or(86_400).saturating_mul(1000)
}

/// All open pull requests.
pub(super) async fn open_pull_requests(app: &App, row: &GitRepository) -> Result<Vec<PullRequest>> {
    let (target, name) = repository::target(app, row)?;
    let (mut all, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES {
        let page =
            app.plugins.forge_open_pull_requests(&row.provider, &target, &name, cursor.as_deref()).await?;
        all.extend(page.items);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(all)
}

async fn ask(app: &App, parent: &StackView, watch: &PreviewWatch) -> Result<()> {
    let Some(row) = &parent.repository else {
        return Err(Error::conflict("the stack has no repository any more".to_owned()));
    };
    let open = open_pull_requests(app, row).await?;
    let known = listed(app, &watch.stack_id).await?;
    let rows = follow(watch, &row.branch, &open, &known, store::now());
    let changes: Vec<Preview> = rows.into_iter().filter(|row| !known.contains(row)).collect();
    keep(app, changes).await
}

async fn listed(app: &App, stack: &Id) -> Result<Vec<Preview>> {
    let mut conn = app.db.read().await?;
    previews::list(&mut conn, stack).await
}

async fn end_listed(app: &App, stack: &Id) -> Result<()> {
    let rows = listed(app, stack).await?;
    keep(app, rows.into_iter().map(|row| Preview { state: PreviewState::Ending, ..row }).collect()).await
}

/// Stores rows together with the news of them.
async fn keep(app: &App, rows: Vec<Preview>) -> Result<()> {
    let Some(parent) = rows.first().map(|row| row.parent_id.clone()) else { return Ok(()) };
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            for row in &rows {
                previews::put(tx, row).await?;
            }
            store::events::append(tx, changed(&parent, "previews")).await?;
            Ok(())
        })
    });
    write.await
}

/// Brings each preview a step further. Answers when the next step is due, if there is one.
async fn advance(app: &App, parent: &StackView, watch: &PreviewWatch) -> Result<Option<UnixMs>> {
    let (mut next, mut ended): (Option<UnixMs>, bool) = (None, false);
    for mut row in listed(app, &watch.stack_id).await? {
        if is_over(&row, store::now()) {
            row.state = PreviewState::Expired;
            keep(app, vec![row.clone()]).await?;
        }
        let due = match row.state {
            PreviewState::Live => live(app, parent, watch, row).await?,
            _ => over(app, row, &mut ended).await?,
        };
        next = [next, due].into_iter().flatten().min();
    }
    if ended && let Err(error) = housekeeping::collect_images(app).await {
        tracing::warn!(error = %error.for_log(), "[@deploy:preview] images of previews are removed later");
    }
    Ok(next)
}

/// What is to be shown: deployed where it is not, and told where that has ended.
async fn live(
    app: &App,
    parent: &StackView,
    watch: &PreviewWatch,
    mut row: Preview,
) -> Result<Option<UnixMs>> {
    if row.deployed.as_ref() != Some(&row.commit) {
        row.error = match deploy(app, parent, watch, &mut row).await {
            Ok(()) => None,
            Err(error) => {
                let number = row.number;
                tracing::warn!(number, error = %error.for_log(), "[@deploy:preview] a preview was not deployed");
                Some(error.to_string())
            }
        };
        keep(app, vec![row.clone()]).await?;
        // What failed is tried again with the next question to the forge.
        let at = if row.error.is_some() { watch.ask_at } else { store::now() + SOON_MS };
        return Ok(Some(at));
    }
    let Some(stack) = row.stack_id.clone().filter(|_| row.told != row.deployed) else {
        return Ok(Some(row.expires_at));
    };
    let Some(child) = found(stack_view(app, stack.as_str()).await)? else { return Ok(Some(store::now())) };
    match &child.latest_deployment {
        Some(last) if last.status.is_terminal() => {
            if let Err(error) = tell(app, parent, &row, &child, last).await {
                let number = row.number;
                tracing::warn!(number, error = %error.for_log(), "[@deploy:preview] a pull request was not told of its preview");
            }
            row.told = row.deployed.clone();
            keep(app, vec![row.clone()]).await?;
            Ok(Some(row.expires_at))
        }
        _ => Ok(Some(store::now() + SOON_MS)),
    }
}

async fn deploy(app: &App, parent: &StackView, watch: &PreviewWatch, row: &mut Preview) -> Result<()> {
    let wanted = input(app, parent, watch, row).await?;
    let child = match &row.stack_id {
        Some(id) => stack_update(app, id.as_str(), wanted).await?,
        None => environment::make(app, parent, wanted).await?,
    };
    let id = child.stack.id;
    row.stack_id = Some(id.clone());
    // Known before anything of it runs.
    keep(app, vec![row.clone()]).await?;
    let reason = format!("pull request {}: {}", row.number, row.title);
    let caller = Caller { trigger: TriggerType::Webhook, user: None, user_id: None };
    deployment_create(app, id.as_str(), Some(&row.commit), Some(reason), caller).await?;
    row.deployed = Some(row.commit.clone());
    Ok(())
}

/// Writes the address, or what went wrong, beside the pull request.
async fn tell(
    app: &App,
    parent: &StackView,
    row: &Preview,
    child: &StackView,
    last: &Deployment,
) -> Result<()> {
    let Some(repository) = &parent.repository else { return Ok(()) };
    let commit: String = row.commit.chars().take(12).collect();
    let page = page_of(app, last);
    let text = match address(app, child).await.filter(|_| last.status == DeploymentStatus::Successful) {
        Some(url) => format!("Preview of {commit}: {url} ([deployment {}]({page}))", last.seq),
        None => format!("The preview of {commit} could not be deployed: [deployment {}]({page})", last.seq),
    };
    let (target, name) = repository::target(app, repository)?;
    let number = u64::try_from(row.number).map_err(Error::internal)?;
    app.plugins
        .forge_set_comment(&repository.provider, &target, (name.as_str(), number), COMMENT, &text)
        .await
}

/// What is not to be shown: its stack goes, and what belongs to a closed pull request is forgotten.
async fn over(app: &App, mut row: Preview, ended: &mut bool) -> Result<Option<UnixMs>> {
    if let Some(stack) = &row.stack_id {
        if !end(app, stack).await? {
            return Ok(Some(store::now() + SOON_MS));
        }
        *ended = true;
        (row.stack_id, row.deployed, row.told) = (None, None, None);
        keep(app, vec![row.clone()]).await?;
    }
    if row.state == PreviewState::Ending {
        app.db.write(move |tx| Box::pin(async move { previews::delete(tx, &row).await })).await?;
    }
    Ok(None)
}

/// Removes the stack of a preview with all it has. False while a deployment of it has to stop first.
pub(super) fn end<'a>(app: &'a App, stack: &'a Id) -> BoxFuture<'a, Result<bool>> {
    // In a box, since deleting a stack ends its previews.
    Box::pin(async move {
        let Some(view) = found(stack_view(app, stack.as_str()).await)? else { return Ok(true) };
        if let Some(running) = view.latest_deployment.filter(|last| !last.status.is_terminal()) {
            deployment_cancel(app, running.id.as_str()).await?;
            return Ok(false);
        }
        found(stack_delete(app, stack.as_str()).await)?;
        Ok(true)
    })
}
