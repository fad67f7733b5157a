//! From a task to the use case that carries it out: one exhaustive match.

use std::time::Duration;

use crate::app::{App, Ended, build, rollout, webhook};
use crate::domain::task::Task;
use crate::queue::{Done, TaskContext, TaskError};

pub async fn run(app: &App, context: &TaskContext) -> Result<Done, TaskError> {
    let ended = match &context.row.task {
        Task::Webhook { event_id } => {
            webhook::webhook_process(app, event_id).await?;
            Ended::Finished
        }
        Task::Build { build_id } => build::build_run(app, context, build_id).await?,
        Task::Deploy { deployment_id } => rollout::rollout_run(app, context, deployment_id).await?,
    };
    Ok(match ended {
        Ended::Finished => Done::Finished,
        Ended::Interrupted => Done::Snooze(Duration::ZERO),
    })
}
