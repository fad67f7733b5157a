//! Tasks as people see them: what the queue has to do, progress, cancelling, and not waiting for the next attempt.

use super::App;
use crate::domain::Id;
use crate::domain::page::{Page, PageRequest};
use crate::domain::task::TaskRow;
use crate::error::{Error, Result};
use crate::queue;
use crate::store::tasks;

/// Which tasks are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskChoice {
    /// Queued or running, oldest first.
    Unfinished,
    /// All that are kept, newest first; those before an id.
    All { before: Option<Id> },
}

/// At most `limit` tasks.
pub async fn task_list(app: &App, choice: TaskChoice, limit: Option<i64>) -> Result<Page<TaskRow, Id>> {
    let PageRequest { limit, .. } = PageRequest::new(None, limit);
    let mut conn = app.db.read().await?;
    match choice {
        TaskChoice::Unfinished => {
            Ok(Page { items: tasks::list_unfinished(&mut conn, limit).await?, next: None })
        }
        TaskChoice::All { before } => {
            let rows = tasks::list(&mut conn, before.as_ref(), limit + 1).await?;
            Ok(Page::from_rows(rows, limit, |task| task.id.clone()))
        }
    }
}

/// Lets a queued task run now instead of at its time.
///
/// # Errors
/// `Conflict` if it runs already or has ended.
pub async fn task_run_now(app: &App, id: &Id) -> Result<TaskRow> {
    let wanted = id.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let is_queued = queue::run_now(tx, &wanted).await?;
                let task = tasks::find(tx, wanted.as_str()).await?;
                if is_queued {
                    return Ok(task);
                }
                let status = task.status.as_str();
                Err(Error::conflict(format!(
                    "the task is not waiting: its state is `{status}`. Only a queued task can be told not to wait"
                )))
            })
        })
        .await
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
            .write(move |tx| Box::pin(async move { queue::cancel_subject(tx, &subject).await }))
            .await
            .map(|count| count > 0)
    }
}
