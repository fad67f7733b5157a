//! From a task to the use case that carries it out: one exhaustive match.

use std::time::{Duration, Instant};

use tracing::Instrument as _;

use crate::app::vault::rotate;
use crate::app::{App, Ended, account, audit, backup, build, cicd, forge, notify, rollout, webhook};
use crate::domain::task::{Task, TaskRow};
use crate::error::Result;
use crate::queue::{Done, TaskContext, TaskError};
use crate::telemetry;

pub async fn run(app: &App, context: &TaskContext) -> Result<Done, TaskError> {
    let task = &context.row.task;
    let work = audit::during_task(task.kind(), task.subject(), carry_out(app, context));
    let work = account::for_task(app, task, work);
    let row = &context.row;
    let span = telemetry::task_span(task.kind(), task.subject().as_str(), row.attempt, row.trace.as_deref());
    if row.attempt <= 1 {
        app.metrics.task_waited(task.kind(), Duration::from_millis(waited_ms(row).unsigned_abs()));
    }
    let started = Instant::now();
    let outcome = work.instrument(span.clone()).await.map_err(TaskError::from).flatten();
    let word = match &outcome {
        Ok(_) => "success",
        Err(TaskError::Retry { .. }) => "retry",
        Err(TaskError::Fail(_)) => "failed",
        Err(TaskError::Cancelled) => "cancelled",
    };
    app.metrics.task_ended(task.kind(), word, started.elapsed());
    if matches!(outcome, Err(TaskError::Fail(_) | TaskError::Retry { .. })) {
        telemetry::failed(&span);
    }
    outcome
}

/// How long it was due before this, its first attempt.
fn waited_ms(row: &TaskRow) -> i64 {
    (row.started_at.unwrap_or(row.run_at) - row.run_at).max(0)
}

/// What each kind does is on the heap: the futures of whole builds and rollouts are too large to be moved about on a stack.
async fn carry_out(app: &App, context: &TaskContext) -> Result<Done, TaskError> {
    let ended = match &context.row.task {
        Task::Webhook { event_id } => {
            Box::pin(webhook::webhook_process(app, event_id)).await?;
            Ended::Finished
        }
        Task::Build { build_id } => Box::pin(build::build_run(app, context, build_id)).await?,
        Task::Deploy { deployment_id } => Box::pin(rollout::rollout_run(app, context, deployment_id)).await?,
        Task::RotateKeys { rotation_id } => Box::pin(rotate::rotation_run(app, context, rotation_id)).await?,
        Task::Backup { backup_id } => Box::pin(backup::backup_run(app, context, backup_id)).await?,
        Task::CiBuild { build_id } => return Ok(Box::pin(cicd::ci_build_run(app, context, build_id)).await?),
        Task::Notify { delivery_id } => {
            return Ok(Box::pin(notify::delivery_run(app, context, delivery_id)).await?);
        }
        Task::CommitStatus { repository_id, commit } => {
            return Ok(Box::pin(forge::commit_status_run(app, context, repository_id, commit)).await?);
        }
        Task::ForgeHook { repository_id } => {
            return Ok(Box::pin(forge::hook_run(app, context, repository_id)).await?);
        }
        Task::CiJob { job_id } => return Ok(Box::pin(cicd::ci_job_run(app, context, job_id)).await?),
    };
    Ok(match ended {
        Ended::Finished => Done::Finished,
        Ended::Interrupted => Done::Snooze(Duration::ZERO),
    })
}
