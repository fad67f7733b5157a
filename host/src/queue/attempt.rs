//! One attempt at one task: what the handler gets, and how its end is read.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::Handler;
use crate::{
    domain::task::TaskRow,
    error::{Error, PluginErrorKind, Result},
    store::{Db, tasks},
};

/// How an attempt ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Finished,
    /// Not ready yet: run it again after this time. It does not count as an attempt.
    Snooze(Duration),
}

/// How an attempt ended badly. `?` on an [`Error`] picks the right one.
#[derive(Debug, Clone)]
pub enum TaskError {
    /// Try again, after this time or by exponential backoff.
    Retry {
        error: Error,
        after: Option<Duration>,
    },
    /// Trying again would change nothing.
    Fail(Error),
    Cancelled,
}

impl From<Error> for TaskError {
    fn from(error: Error) -> Self {
        match &error {
            Error::Cancelled(_) => Self::Cancelled,
            Error::Plugin(plugin) if error.is_transient() => {
                let after = match &plugin.kind {
                    PluginErrorKind::Failure { disposition, .. } => {
                        disposition.retry_after_secs().map(|secs| Duration::from_secs(secs.into()))
                    }
                    kind => kind.pause_ms().map(Duration::from_millis),
                };
                Self::Retry { after, error }
            }
            _ if error.is_transient() => Self::Retry { error, after: None },
            _ => Self::Fail(error),
        }
    }
}

/// Why the token of a running task was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// A person wants it: undo or stop, and end.
    Requested,
    /// The server stops; the task will be continued.
    Shutdown,
    /// Another node owns the task by now: touch nothing more.
    LeaseLost,
    TimedOut,
}

/// The token and why it was cancelled; the first reason stays.
#[derive(Clone, Default)]
pub(super) struct Cancel {
    pub token: CancellationToken,
    reason: Arc<OnceLock<CancelReason>>,
}

impl Cancel {
    pub fn because(&self, reason: CancelReason) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    pub fn reason(&self) -> Option<CancelReason> {
        self.reason.get().copied()
    }
}

/// Attempts that only wait for something, and so have given their place to others.
#[derive(Default)]
pub(super) struct Aside {
    count: AtomicUsize,
    changed: Notify,
}

impl Aside {
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// While this is kept, the attempt holds no place. Afterwards it goes on at once, though there may be more than
/// `workers` then.
pub struct SteppedAside(Arc<Aside>);

impl Drop for SteppedAside {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a handler gets.
pub struct TaskContext {
    /// The row as it was claimed.
    pub row: TaskRow,
    /// Cancelled when the work has to stop now; [`TaskContext::cancel_reason`] says why.
    pub cancel: CancellationToken,
    /// Cancelled when the server wants to stop: work that can be continued later should end with
    /// `Done::Snooze(Duration::ZERO)`, other work has a little time left.
    pub stopping: CancellationToken,
    pub(super) why: Cancel,
    pub(super) db: Db,
    pub(super) shown: AtomicI64,
    pub(super) aside: Arc<Aside>,
}

impl TaskContext {
    /// Larger than that of every earlier claim of any task: store it with what the task writes, and refuse smaller ones.
    pub fn fence(&self) -> i64 {
        self.row.fence
    }

    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.why.reason()
    }

    /// Gives the place to another task while this one only waits, for hours perhaps.
    pub fn step_aside(&self) -> SteppedAside {
        self.aside.count.fetch_add(1, Ordering::AcqRel);
        self.aside.changed.notify_one();
        SteppedAside(self.aside.clone())
    }

    /// Shows progress, 0 to 100. Fails with `Cancelled` if the task belongs to another node by now.
    pub async fn progress(&self, percent: u8) -> Result<()> {
        let percent = i64::from(percent.min(100));
        if self.shown.swap(percent, Ordering::Relaxed) == percent {
            return Ok(());
        }
        let (id, fence) = (self.row.id.clone(), self.row.fence);
        let held = self
            .db
            .write(move |tx| Box::pin(async move { tasks::set_progress(tx, &id, fence, percent).await }))
            .await?;
        if held { Ok(()) } else { Err(Error::cancelled(format!("the task {}", self.row.id))) }
    }
}

/// Runs the handler within its time. After a cancellation it gets `grace` to end by itself.
pub(super) async fn run(handler: Handler, context: TaskContext, grace: Duration) -> Result<Done, TaskError> {
    let (why, kind) = (context.why.clone(), context.row.task.kind());
    let seconds = context.row.task.timeout_secs().unsigned_abs();
    let mut work = std::pin::pin!(AssertUnwindSafe(async move { handler(context).await }).catch_unwind());
    let ended = tokio::select! {
        ended = &mut work => Some(ended),
        () = sleep(Duration::from_secs(seconds)) => {
            why.because(CancelReason::TimedOut);
            timeout(grace, &mut work).await.ok()
        }
        () = why.token.cancelled() => timeout(grace, &mut work).await.ok(),
    };
    match ended {
        Some(Ok(Ok(done))) => Ok(done),
        // The work noticed the token, which is not the reason why it ended.
        _ if why.reason() == Some(CancelReason::TimedOut) => {
            Err(TaskError::Fail(Error::timeout(format!("the {kind} task"), seconds)))
        }
        Some(Ok(Err(error))) => Err(error),
        Some(Err(panic)) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            let error = Error::internal(format!("the handler of a {kind} task panicked: {text}"));
            Err(TaskError::Retry { error, after: None })
        }
        None => Err(TaskError::Cancelled),
    }
}
