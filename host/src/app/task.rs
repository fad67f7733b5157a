//! Tasks as people see them: progress, and cancelling.

use super::App;
use crate::domain::Id;
use crate::domain::task::{TaskRow, TaskStatus};
use crate::error::Result;
use crate::store::{self, task_stats, tasks};

/// How many tasks of one kind are unfinished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueDepth {
    pub queued: i64,
    pub running: i64,
}

pub async fn queue_depth(app: &App, kind: &str) -> Result<QueueDepth> {
    let mut conn = app.db.read().await?;
    let rows = task_stats::depth(&mut conn).await?;
    let count = |status| rows.iter().filter(|row| row.kind == kind && row.status == status).map(|row| row.count).sum();
    Ok(QueueDepth { queued: count(TaskStatus::Queued), running: count(TaskStatus::Running) })
}

pub async fn task_view(app: &App, id: &Id) -> Result<TaskRow> {
    let mut conn = app.db.read().await?;
    tasks::find(&mut conn, id.as_str()).await
}

impl App {
    /// Cancels the tasks about a build or deployment: what was queued ends at once, what runs is told. True if there was
    /// something to cancel.
    pub async fn cancel_task(&self, subject: &Id) -> Result<bool> {
        let subject = subject.clone();
        self.db
            .write(move |tx| {
                Box::pin(async move { tasks::request_cancel_by_subject(tx, &subject, store::now()).await })
            })
            .await
            .map(|count| count > 0)
    }

    pub async fn task_cancel_requested(&self, id: &Id) -> Result<bool> {
        Ok(task_view(self, id).await?.cancel_requested)
    }
}
