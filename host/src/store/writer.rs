//! The one writer: many callers' work, one transaction, one fsync.
//!
//! A disk confirms a few hundred commits a second, so what stands in line shares one. Each closure runs in a savepoint
//! of its own; webhook deliveries are written together in few statements. On PostgreSQL only the deliveries come here.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use sqlx::AnyPool;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    BoxFuture, Tx,
    faults::fault,
    notify::Bus,
    rows::query,
    webhooks::{Delivery, Ingested},
};
use crate::error::{Error, Result};

/// Jobs that share a commit at most.
const BATCH: usize = 256;
/// One closure may keep everybody else waiting this long.
const WORK_DEADLINE: Duration = Duration::from_secs(10);

pub(super) enum Job {
    Closure(Box<dyn Work>),
    Delivery(Box<Delivery>, oneshot::Sender<Result<Ingested>>),
}

impl Job {
    pub fn closure<T, F>(work: F, reply: oneshot::Sender<Result<T>>) -> Self
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        Self::Closure(Box::new(Closure { work: Some(work), outcome: None, reply }))
    }

    /// The caller has gone away, so nobody needs the work any more.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Closure(work) => work.is_abandoned(),
            Self::Delivery(_, reply) => reply.is_closed(),
        }
    }

    fn refuse(self, error: Error) {
        match self {
            Self::Closure(work) => work.answer(Err(error)),
            Self::Delivery(_, reply) => {
                let _ = reply.send(Err(error));
            }
        }
    }
}

/// A closure whose result type has been put out of sight.
pub(super) trait Work: Send {
    fn is_abandoned(&self) -> bool;
    /// Whether its changes are to stay.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool>;
    /// Tells the caller: its own error if there was one, else how the commit went.
    fn answer(self: Box<Self>, commit: Result<()>);
}

struct Closure<T, F> {
    work: Option<F>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Work for Closure<T, F>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            let outcome = guarded(work, tx).await;
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        })
    }

    fn answer(self: Box<Self>, commit: Result<()>) {
        let answer = match (self.outcome, commit) {
            (Some(Err(own)), _) => Err(own),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(Error::internal("a write was answered before it had run")),
        };
        // The caller may have given up in the meantime.
        let _ = self.reply.send(answer);
    }
}

/// Runs a caller's work with a deadline, and turns a panic into an error.
pub(super) async fn guarded<T, F>(work: F, tx: &mut Tx) -> Result<T>
where
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
{
    let attempt = AssertUnwindSafe(async move { work(tx).await }).catch_unwind();
    match timeout(WORK_DEADLINE, attempt).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(Error::internal(format!("a write panicked: {text}")))
        }
        Err(_) => Err(Error::timeout("a write", WORK_DEADLINE.as_secs())),
    }
}

pub(super) struct Writer {
    pub pool: AnyPool,
    pub begin: &'static str,
    pub jobs: mpsc::Receiver<Job>,
    pub bus: Arc<Bus>,
}

impl Writer {
    /// Until `stop`, and then until the line is empty.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut last = 0;
        loop {
            tokio::select! {
                biased;
                taken = self.jobs.recv_many(&mut batch, BATCH) => if taken == 0 { return },
                () = stop.cancelled(), if !self.jobs.is_closed() => {
                    self.jobs.close();
                    continue;
                }
            }
            // Those who were answered a moment ago are about to come back: give them the chance to share this commit.
            for _ in 0..LINGER {
                if batch.len() >= last || batch.len() >= BATCH {
                    break;
                }
                tokio::task::yield_now().await;
                while batch.len() < BATCH
                    && let Ok(job) = self.jobs.try_recv()
                {
                    batch.push(job);
                }
            }
            last = batch.len();
            self.commit(batch.drain(..).filter(|job| !job.is_abandoned()).collect()).await;
        }
    }

    async fn commit(&self, jobs: Vec<Job>) {
        let mut tx = match Tx::begin(&self.pool, self.begin).await {
            Ok(tx) => tx,
            Err(error) => return jobs.into_iter().for_each(|job| job.refuse(error.clone())),
        };
        let (mut closures, mut deliveries, mut replies) = (Vec::new(), Vec::new(), Vec::new());
        for job in jobs {
            match job {
                Job::Closure(work) => closures.push(work),
                Job::Delivery(delivery, reply) => {
                    deliveries.push(*delivery);
                    replies.push(reply);
                }
            }
        }
        let written = carry_out(&mut tx, &mut closures, &deliveries).await;
        let (commit, ingested) = match written {
            Ok(ingested) => match tx.commit().await {
                Ok(signals) => {
                    self.bus.committed(signals);
                    (Ok(()), ingested)
                }
                Err(error) => (Err(error), Vec::new()),
            },
            Err(error) => {
                tx.rollback().await;
                (Err(error), Vec::new())
            }
        };
        if let Err(error) = &commit {
            tracing::error!(error = error.for_log(), "a commit failed; everybody in it is told");
        }
        for work in closures {
            work.answer(commit.clone());
        }
        let mut ingested = ingested.into_iter();
        for reply in replies {
            let outcome = ingested.next().unwrap_or_else(|| {
                Err(commit.clone().err().unwrap_or_else(|| Error::internal("a delivery got no answer")))
            });
            let _ = reply.send(outcome);
        }
    }
}

/// How often the writer looks for companions before it begins.
const LINGER: usize = 8;

/// An error here means that the transaction as a whole is lost.
async fn carry_out(
    tx: &mut Tx,
    closures: &mut [Box<dyn Work>],
    deliveries: &[Delivery],
) -> Result<Vec<Result<Ingested>>> {
    for work in closures {
        let mark = tx.mark();
        savepoint(tx).await?;
        if work.run(tx).await {
            release(tx).await?;
        } else {
            undo(tx).await?;
            tx.forget_since(mark);
        }
    }
    if deliveries.is_empty() {
        return Ok(Vec::new());
    }
    let together = sheltered(tx, deliveries).await?;
    match together {
        Ok(ingested) => Ok(ingested.into_iter().map(Ok).collect()),
        Err(error) if deliveries.len() == 1 => Ok(vec![Err(error)]),
        // One of them is bad: each on its own, so that its neighbours do not suffer.
        Err(_) => {
            let mut outcomes = Vec::with_capacity(deliveries.len());
            for one in deliveries {
                let alone = sheltered(tx, std::slice::from_ref(one)).await?;
                outcomes.push(alone.and_then(|mut ingested| {
                    ingested.pop().ok_or_else(|| Error::internal("a delivery got no answer"))
                }));
            }
            Ok(outcomes)
        }
    }
}

/// Inserts deliveries in a savepoint. The outer error means that the transaction is lost, the inner one only this work.
async fn sheltered(tx: &mut Tx, deliveries: &[Delivery]) -> Result<Result<Vec<Ingested>>> {
    let mark = tx.mark();
    savepoint(tx).await?;
    let outcome = super::webhooks::insert_all(tx, deliveries).await;
    if outcome.is_ok() {
        release(tx).await?;
    } else {
        undo(tx).await?;
        tx.forget_since(mark);
    }
    Ok(outcome)
}

async fn savepoint(tx: &mut Tx) -> Result<()> {
    query("SAVEPOINT caller").execute(&mut **tx).await.map(|_| ()).map_err(fault)
}

async fn release(tx: &mut Tx) -> Result<()> {
    query("RELEASE SAVEPOINT caller").execute(&mut **tx).await.map(|_| ()).map_err(fault)
}

async fn undo(tx: &mut Tx) -> Result<()> {
    query("ROLLBACK TO SAVEPOINT caller").execute(&mut **tx).await.map_err(fault)?;
    release(tx).await
}
