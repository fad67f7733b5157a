//! Commit statuses: the forge shows beside a commit what became of its deployment.
//!
//! A task does not carry a state, it looks: it shows what the newest deployment of the commit is when it runs. Those of a
//! stack run one at a time. So however late a task is, an older state never takes the place of a newer one.

use crate::app::deployment::status_event;
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
use crate::store::{self, Tx, deployments, events, repositories, stacks};

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

fn is_shown(row: &GitRepository) -> bool {
    row.commit_status && row.has_token()
}

/// The task: shows the forge the newest state of a commit, unless it was shown that one already.
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
    let is_told = deployments::told(&mut conn, &newest.id).await? == Some(newest.status);
    drop(conn);
    if is_told || !app.plugins.has_ability(&row.provider, Ability::CommitStatus) {
        return Ok(Done::Finished);
    }
    let shown = show(app, &row, &stack, &newest).await;
    if let Err(error) = &shown {
        let number = newest.seq;
        tracing::info!(number, error = %error.for_log(), "[@deploy:forge] a forge was not shown a deployment");
    }
    note(app, &row, &newest, shown.as_ref().err()).await?;
    shown.map(|()| Done::Finished)
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
        url: Some(format!("{}/deployments/{}", app.config.public_url(), deployment.seq)),
    };
    app.plugins.forge_set_status(&row.provider, &target, &status).await
}

/// Remembers what was shown, or why nothing was; what changes thereby is news of the stack.
async fn note(
    app: &App,
    row: &GitRepository,
    deployment: &Deployment,
    failure: Option<&Error>,
) -> Result<()> {
    let (row, id, status) = (row.clone(), deployment.id.clone(), deployment.status);
    let failure = failure.map(ToString::to_string);
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            if failure.is_none() {
                deployments::set_told(tx, &id, status).await?;
            }
            if repositories::set_commit_status_error(tx, &row.id, failure.as_deref()).await? {
                events::append(tx, changed(&row.stack_id, "commit_status")).await?;
            }
            Ok(())
        })
    });
    write.await
}
