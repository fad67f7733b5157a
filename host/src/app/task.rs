//! Tasks as people see them: progress, and cancelling.

use super::App;
use crate::domain::Id;
use crate::domain::task::TaskRow;
use crate::error::Result;
use crate::queue;
use crate::store::tasks;

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
            .write(move |tx| Box::pin(async move { queue::cancel_subject(tx, &subject).await }))
            .await
            .map(|count| count > 0)
    }
}
