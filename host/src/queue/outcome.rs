//! How the end of an attempt is read, and written down.

use std::time::Duration;

use super::{Done, TaskError, attempt::CancelReason};
use crate::{
    domain::{
        Id,
        task::{TaskRow, TaskStatus, backoff_ms},
    },
    error::Result,
    store::{Tx, now, tasks},
};

/// What is to be written about an attempt that ended.
#[derive(Clone)]
pub(super) struct Outcome {
    pub id: Id,
    pub fence: i64,
    pub write: Write,
}

#[derive(Clone)]
pub(super) enum Write {
    Success,
    End(TaskStatus, Option<String>),
    Back(tasks::Return),
}

impl Write {
    /// The status this leads to; `Queued` for an attempt that will be repeated.
    pub fn status(&self, row: &TaskRow) -> TaskStatus {
        match self {
            Self::Success => TaskStatus::Success,
            Self::End(status, _) => *status,
            Self::Back(back) if back.counts && row.attempt >= row.max_attempts => TaskStatus::Failed,
            Self::Back(_) => TaskStatus::Queued,
        }
    }
}

/// What is to become of a task after this end.
pub(super) fn judge(row: &TaskRow, reason: Option<CancelReason>, result: Result<Done, TaskError>) -> Write {
    let back = |after: Duration, error: Option<String>, counts: bool| {
        Write::Back(tasks::Return { run_at: now() + millis(after), error, counts })
    };
    match (result, reason) {
        (Ok(Done::Finished), _) => Write::Success,
        (Ok(Done::Snooze(after)), _) => back(after, None, false),
        (Err(_), Some(CancelReason::Shutdown)) => back(Duration::ZERO, None, false),
        (Err(_), Some(CancelReason::Requested)) | (Err(TaskError::Cancelled), _) => {
            Write::End(TaskStatus::Cancelled, Some("cancelled".into()))
        }
        (Err(TaskError::Fail(error)), _) => {
            tracing::info!(task = %row.id, kind = row.task.kind(), error = error.for_log(), "a task failed");
            Write::End(TaskStatus::Failed, Some(error.to_string()))
        }
        (Err(TaskError::Retry { error, after }), _) => {
            let (kind, attempt) = (row.task.kind(), row.attempt);
            tracing::info!(task = %row.id, kind, attempt, error = error.for_log(), "an attempt failed");
            let wait = after.unwrap_or_else(|| {
                Duration::from_millis(backoff_ms(attempt, jitter()).max(0).unsigned_abs())
            });
            back(wait, Some(error.to_string()), true)
        }
    }
}

/// 0 to 999. Without randomness the waiting times are merely less spread.
fn jitter() -> i64 {
    getrandom::u32().map_or(500, |random| i64::from(random % 1000))
}

pub(super) async fn write_down(tx: &mut Tx, ended: &[Outcome]) -> Result<()> {
    let now = now();
    let mut succeeded = Vec::new();
    for outcome in ended {
        match &outcome.write {
            Write::Success => succeeded.push((outcome.id.clone(), outcome.fence)),
            Write::End(status, error) => {
                tasks::finish(tx, &outcome.id, outcome.fence, *status, error.as_deref(), now).await?;
            }
            Write::Back(back) => {
                tasks::give_back(tx, &outcome.id, outcome.fence, back, now).await?;
            }
        }
    }
    tasks::succeed_all(tx, &succeeded, now).await?;
    Ok(())
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
