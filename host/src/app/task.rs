//! Tasks as people see them: progress, and cancelling.

use super::App;
use crate::domain::Id;
use crate::domain::task::TaskRow;
use crate::error::Result;
use crate::store::tasks;

pub async fn task_view(app: &App, id: &Id) -> Result<TaskRow> {
    let mut conn = app.db.read().await?;
    tasks::find(&mut conn, id).await
}

impl App {
    /// Cancels the task with this unique key. True if it was still queued and so ended at once; a running one is told.
    pub async fn cancel_task(&self, unique_key: &str) -> Result<bool> {
        self.canceller.cancel(unique_key).await
    }

    pub async fn task_cancel_requested(&self, id: &Id) -> Result<bool> {
        Ok(task_view(self, id).await?.cancel_requested)
    }
}
