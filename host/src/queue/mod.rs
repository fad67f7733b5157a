//! The queue's mechanism: claim, lease, heartbeat, retry, rescue, cancel, prune. It knows no task's meaning.
//!
//! A task is enqueued in the transaction that causes it ([`enqueue`]). A [`Queue`] claims what is due, gives each task
//! to its handler, and keeps the lease alive while the handler runs. Whoever loses the lease loses the right to write:
//! every claim raises the fencing token. A task may run more than once, so handlers have to be able to resume.

mod attempt;
mod dispatcher;
mod outcome;
mod stats;
mod upkeep;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

pub use crate::store::tasks::Cancelled;
use crate::{
    domain::{Id, task::NewTask},
    error::{Error, Result},
    store::{BoxFuture, Db, Tx, new_id, now, task_stats, tasks},
};
pub use attempt::{CancelReason, Done, SteppedAside, TaskContext, TaskError};
use dispatcher::Dispatcher;
pub use stats::{BOUNDS_MS, KindStats, QueueStats};

/// What runs a task. It gets a copy of the row as claimed.
pub type Handler = Arc<dyn Fn(TaskContext) -> BoxFuture<'static, Result<Done, TaskError>> + Send + Sync>;

/// Adds a task in the caller's transaction; it can run as soon as that is committed. `false` if a task with its unique
/// key is queued or running already.
pub async fn enqueue(tx: &mut Tx, new: &NewTask) -> Result<bool> {
    tasks::insert(tx, new).await
}

/// Lets a task that waits for its time run now. A task that runs is not told: whoever it asks answers it soon enough.
pub async fn hasten(tx: &mut Tx, unique_key: &str) -> Result<bool> {
    tasks::hasten(tx, unique_key, now()).await
}

/// The same for the task itself; `false` if it is not queued.
pub async fn run_now(tx: &mut Tx, id: &Id) -> Result<bool> {
    tasks::run_now(tx, id, now()).await
}

/// Cancels a task: at once if it is queued, by way of its token if it runs, on whichever node.
pub async fn cancel(tx: &mut Tx, id: &Id) -> Result<Cancelled> {
    tasks::request_cancel(tx, id, now()).await
}

/// Cancels every task about a build, deployment or webhook event, and answers how many.
pub async fn cancel_subject(tx: &mut Tx, subject: &Id) -> Result<usize> {
    tasks::request_cancel_by_subject(tx, subject, now()).await
}

#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// Tasks that run at the same time.
    pub workers: usize,
    /// Unique among the nodes of a database, and the same after a restart.
    pub node: String,
    /// How long a node may be silent before its tasks are taken from it.
    pub lease: Duration,
    /// How often it says it is alive, and looks for others that do not.
    pub heartbeat: Duration,
    /// Should a wake-up get lost, work is found this much later.
    pub poll: Duration,
    /// What a cancelled or timed-out handler gets to clean up before it is dropped.
    pub grace: Duration,
    /// How long finished tasks are kept.
    pub keep: Duration,
}

impl QueueConfig {
    pub fn new(workers: usize, node: impl Into<String>) -> Self {
        Self {
            workers: workers.max(1),
            node: node.into(),
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_millis(2500),
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            keep: Duration::from_secs(7 * 86_400),
        }
    }
}

/// A running queue. Dropping it is like pulling the plug: what ran will be taken over when its lease ends, or when a
/// queue with the same node name starts. [`Queue::stop`] is the polite way.
pub struct Queue {
    db: Db,
    stats: Arc<stats::Stats>,
    /// How long running work may still take; `None` until it is asked to stop.
    stop: watch::Sender<Option<Duration>>,
    dispatcher: Option<JoinHandle<()>>,
}

impl Queue {
    /// Takes back what an earlier life of this node held, and starts working.
    pub async fn start(db: Db, workers: usize, node: &str, handler: Handler) -> Result<Self> {
        Self::start_with(db, QueueConfig::new(workers, node), handler).await
    }

    pub async fn start_with(db: Db, config: QueueConfig, handler: Handler) -> Result<Self> {
        let boot = new_id();
        let (owner, life) = (config.node.clone(), boot.clone());
        let rescued = db
            .write(move |tx| {
                Box::pin(async move { tasks::rescue_own(tx, &owner, life.as_str(), now()).await })
            })
            .await?;
        if rescued != tasks::Rescued::default() {
            tracing::info!(
                queued = rescued.queued,
                ended = rescued.ended,
                "took back tasks of an earlier run"
            );
        }
        let stats = Arc::new(stats::Stats::default());
        let (stop, stopping) = watch::channel(None);
        let dispatcher = Dispatcher::new(db.clone(), config, boot, handler, stats.clone(), stopping);
        let dispatcher = Some(tokio::spawn(dispatcher.run()));
        Ok(Self { db, stats, stop, dispatcher })
    }

    /// Claims nothing more, tells handlers by `stopping`, waits at most `patience` for them, then cancels them and puts
    /// their tasks back without counting the attempt.
    pub async fn stop(mut self, patience: Duration) -> Result<()> {
        let _ = self.stop.send(Some(patience));
        match self.dispatcher.take() {
            Some(dispatcher) => dispatcher.await.map_err(Error::internal),
            None => Ok(()),
        }
    }

    /// Depth of the queue as the database has it, and what this node has done since it started.
    pub async fn stats(&self) -> Result<QueueStats> {
        let mut conn = self.db.read().await?;
        let depth = task_stats::depth(&mut conn).await?;
        let now = now();
        let oldest = task_stats::oldest_due(&mut conn, now).await?;
        Ok(QueueStats { depth, oldest_ms: oldest.map(|at| now - at), kinds: self.stats.snapshot() })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(dispatcher) = &self.dispatcher {
            dispatcher.abort();
        }
    }
}
