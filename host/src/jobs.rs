//! From a task to the use case that carries it out: one exhaustive match.

use crate::app::{App, build, rollout, webhook};
use crate::domain::task::Task;
use crate::error::Result;
use crate::queue::TaskContext;

pub async fn run(app: &App, context: &TaskContext) -> Result<()> {
    match &context.row.task {
        Task::Webhook { event_id } => webhook::webhook_process(app, event_id).await,
        Task::Build { build_id } => build::build_run(app, context, build_id).await,
        Task::Deploy { deployment_id } => rollout::rollout_run(app, context, deployment_id).await,
    }
}
