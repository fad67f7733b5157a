//! Commit statuses: the forge shows beside a commit what became of its deployment. Where it has a list of deployments, the
//! same task brings that up to date.
//!
//! A task does not carry a state, it looks: it shows what the newest deployment of the commit is when it runs. Those of a
//! stack run one at a time. So however late a task is, an older state never takes the place of a newer one.

use super::deployment::deployments_show;
use crate::app::deployment::{page_of, status_event};
use crate::app::stack::changed;
use crate::app::{App, repository};
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::forge::{CommitState, CommitStatus, status_context};
use crate::domain::plugin::Ability;
use crate::domain::reference::check_commit;
use crate::domain::repository::GitRepository;
use crate::domain::task::{NewTask, Task};
use crate::domain::{Id, stack::Stack};
use crate::error::{Error, Result};
use crate::queue::{self, Done, TaskContext};
use crate::store::{self, Tx, at_forge, deployments, events, repositories, stacks};

/// Tells everybody which state a deployment is in from now on, its forge included, in the caller's transaction. As with
/// every event: last.
pub async fn announce(tx: &mut Tx, deployment: &Deployment, status: DeploymentStatus) -> Result<()> {
    owe(tx, deployment).await?;
    events::append(tx, status_event(deployment, status)).await.map(|_| ())
}

/// Has the forge shown what becomes of a deployment's commit, once it is known which one that is.
pub(in crate::app) async fn owe(tx: &mut Tx, deployment: &Deployment) -> Result<()> {
    let Some(id) = &deployment.repository_id else { return Ok(()) };
    if check_commit(&deployment.commit_sha).is_err() {
        return Ok(());
    }
    let Some(row) = repositories::find_opt(tx, id).await?.filter(is_shown) else { return Ok(()) };
    let task = NewTask {
        id: store::new_id(),
        task: Task::CommitStatus { repository_id: row.id, commit: deployment.commit_sha.clone() },
        priority: 0,
        // One that runs may have looked already, so it does not stand for this one.
        unique_key: None,
        concurrency_key: Some(format!("commit-status-of:{}", row.stack_id)),
        run_at: None,
        trace: None,
    };
    queue::enqueue(tx, &task).await.map(|_| ())
}

pub(super) fn is_shown(row: &GitRepository) -> bool {
    row.commit_status && row.has_token()
}

/// The task: shows the forge the newest state of a commit, and the stack's deployments, unless it knows all that already.
pub async fn commit_status_run(app: &App, task: &TaskContext, repository: &Id, commit: &str) -> Result<Done> {
    let _aside = task.step_aside();
    let mut conn = app.db.read().await?;
    let Some(row) = repositories::find_opt(&mut conn, repository).await?.filter(is_shown) else {
        return Ok(Done::Finished);
    };
    let stack = stacks::find(&mut conn, row.stack_id.as_str()).await?;
    let Some(newest) = deployments::latest_of_commit(&mut conn, &stack.id, commit).await? else {
        return Ok(Done::Finished);
    };
    let is_told = at_forge::told(&mut conn, &newest.id).await? == Some(newest.status);
    drop(conn);
    let is_due = !is_told && app.plugins.has_ability(&row.provider, Ability::CommitStatus);
    let status = if is_due { Some(show(app, &row, &stack, &newest).await) } else { None };
    let shown = match (status, deployments_show(app, &row, &stack, &newest).await) {
        (None, None) => return Ok(Done::Finished),
        (Some(status), placed) => both(status, placed.unwrap_or(Ok(()))),
        (None, Some(placed)) => placed,
    };
    if let Err(error) = &shown {
        let number = newest.seq;
        tracing::info!(number, error = %error.for_log(), "[@deploy:forge] a forge was not shown a deployment");
    }
    note(app, &row, shown.as_ref().err()).await?;
    shown.map(|()| Done::Finished)
}

/// Of two failures the one that another try may mend, so that there is another try.
pub(super) fn both(first: Result<()>, second: Result<()>) -> Result<()> {
    match (first, second) {
        (Err(_), Err(second)) if second.is_transient() => Err(second),
        (first, second) => first.and(second),
    }
}

async fn show(app: &App, row: &GitRepository, stack: &Stack, deployment: &Deployment) -> Result<()> {
    let (target, repository) = repository::target(app, row)?;
    let (state, words) = CommitState::of(deployment.status);
    let status = CommitStatus {
        repository,
        commit: deployment.commit_sha.clone(),
        state,
        context: status_context(&stack.name),
        description: words.to_owned(),
        url: Some(page_of(app, deployment)),
    };
    app.plugins.forge_set_status(&row.provider, &target, &status).await?;
    let (id, status) = (deployment.id.clone(), deployment.status);
    app.db.write(move |tx| Box::pin(async move { at_forge::set_told(tx, &id, status).await })).await
}

/// Remembers why not all was shown; what changes thereby is news of the stack.
async fn note(app: &App, row: &GitRepository, failure: Option<&Error>) -> Result<()> {
    let (row, failure) = (row.clone(), failure.map(ToString::to_string));
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            if repositories::set_commit_status_error(tx, &row.id, failure.as_deref()).await? {
                events::append(tx, changed(&row.stack_id, "commit_status")).await?;
            }
            Ok(())
        })
    });
    write.await
}
