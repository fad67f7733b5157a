//! The one writer: many callers' work, one transaction, one fsync.
//!
//! A disk confirms a few hundred commits a second, so what stands in line shares one. Each closure that shares one runs in a
//! savepoint of its own; webhook deliveries are written together in few statements. On PostgreSQL only the deliveries come here.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use sqlx::AnyPool;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    BoxFuture, Tx, batch,
    call::Recorder,
    faults::fault,
    notify::Bus,
    rows::query,
    tx::Mark,
    webhooks::{self, Delivery, Ingested},
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
    pub fn closure<T, F>(work: F, recorder: Recorder, reply: oneshot::Sender<Result<T>>) -> Self
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        Self::Closure(Box::new(Closure { work: Some(work), recorder, outcome: None, reply }))
    }

    /// The caller has gone away, so nobody needs the work any more.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Closure(work) => work.is_abandoned(),
            Self::Delivery(_, reply) => reply.is_closed(),
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
    recorder: Recorder,
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
            let mark = tx.mark();
            self.recorder.begin(tx);
            let outcome = match guarded(work, tx).await {
                Ok(value) => self.recorder.record(tx, mark).await.map(|()| value),
                Err(error) => Err(error),
            };
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        })
    }

    fn answer(mut self: Box<Self>, commit: Result<()>) {
        if matches!((&self.outcome, &commit), (Some(Ok(_)), Ok(()))) {
            self.recorder.committed();
        }
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

/// The deliveries of one transaction, and who waits for them.
type Turn = (Vec<Delivery>, Vec<oneshot::Sender<Result<Ingested>>>);

pub(super) struct Writer {
    pub pool: AnyPool,
    pub begin: &'static str,
    pub jobs: mpsc::Receiver<Job>,
    pub bus: Arc<Bus>,
}

impl Writer {
    /// Until `stop`, and then until the line is empty.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut arrived, mut waiting) = (Vec::with_capacity(BATCH), VecDeque::with_capacity(BATCH));
        loop {
            if waiting.is_empty() {
                tokio::select! {
                    biased;
                    taken = self.jobs.recv_many(&mut arrived, BATCH) => if taken == 0 { return },
                    () = stop.cancelled(), if !self.jobs.is_closed() => {
                        self.jobs.close();
                        continue;
                    }
                }
            }
            while arrived.len() + waiting.len() < BATCH
                && let Ok(job) = self.jobs.try_recv()
            {
                arrived.push(job);
            }
            let mut closures = Vec::new();
            for job in arrived.drain(..).filter(|job| !job.is_abandoned()) {
                match job {
                    Job::Closure(work) => closures.push(work),
                    Job::Delivery(delivery, reply) => waiting.push_back((*delivery, reply)),
                }
            }
            // As many as one statement takes; the others are the first in the next transaction. Each statement wakes the
            // driver's thread, and on a busy machine waiting for that takes longer than the work itself.
            let turn = waiting.drain(..batch::fitting(waiting.len())).unzip();
            self.commit(closures, turn).await;
        }
    }

    /// One transaction, and an answer to everybody in it.
    async fn commit(&self, mut closures: Vec<Box<dyn Work>>, (deliveries, replies): Turn) {
        let done = self.carry_out(&mut closures, &deliveries).await;
        if let Err(error) = &done {
            tracing::error!(error = error.for_log(), "a commit failed; everybody in it is told");
        }
        for work in closures {
            work.answer(done.as_ref().map(|_| ()).map_err(Clone::clone));
        }
        match done {
            Ok(ingested) => replies.into_iter().zip(ingested).for_each(|(reply, one)| drop(reply.send(one))),
            Err(error) => replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone())))),
        }
    }

    /// An answer for each delivery, all of it durable. An error means that the transaction as a whole is lost.
    async fn carry_out(
        &self,
        closures: &mut [Box<dyn Work>],
        deliveries: &[Delivery],
    ) -> Result<Vec<Result<Ingested>>> {
        let (mut tx, ingested) = self.begin_with(deliveries).await?;
        if let ([only], []) = (&mut *closures, deliveries) {
            // With nobody to be spared, the transaction itself is what a failure undoes.
            if !only.run(&mut tx).await {
                tx.rollback().await;
                return Ok(ingested);
            }
        } else if let Err(error) = run_all(&mut tx, closures).await {
            tx.rollback().await;
            return Err(error);
        }
        self.bus.committed(tx.commit().await?);
        Ok(ingested)
    }

    /// Begins with the deliveries: when they come first, they need no savepoint.
    async fn begin_with(&self, deliveries: &[Delivery]) -> Result<(Tx, Vec<Result<Ingested>>)> {
        let mut tx = Tx::begin(&self.pool, self.begin).await?;
        if deliveries.is_empty() {
            return Ok((tx, Vec::new()));
        }
        match webhooks::insert_all(&mut tx, deliveries).await {
            Ok(ingested) => return Ok((tx, ingested.into_iter().map(Ok).collect())),
            Err(error) => tracing::debug!(error = error.for_log(), "deliveries are stored one by one"),
        }
        // One of them is bad: each on its own, so that its neighbours do not suffer.
        tx.rollback().await;
        let mut tx = Tx::begin(&self.pool, self.begin).await?;
        let mut ingested = Vec::with_capacity(deliveries.len());
        for one in deliveries {
            match alone(&mut tx, one).await {
                Ok(outcome) => ingested.push(outcome),
                Err(error) => {
                    tx.rollback().await;
                    return Err(error);
                }
            }
        }
        Ok((tx, ingested))
    }
}

/// An error here means that the transaction as a whole is lost.
async fn run_all(tx: &mut Tx, closures: &mut [Box<dyn Work>]) -> Result<()> {
    for work in closures {
        let mark = tx.mark();
        savepoint(tx).await?;
        if work.run(tx).await {
            release(tx).await?;
        } else {
            undo(tx, mark).await?;
        }
    }
    Ok(())
}

/// Inserts a delivery in a savepoint. The outer error means that the transaction is lost, the inner one only this work.
async fn alone(tx: &mut Tx, delivery: &Delivery) -> Result<Result<Ingested>> {
    let mark = tx.mark();
    savepoint(tx).await?;
    let outcome = webhooks::insert_all(tx, std::slice::from_ref(delivery)).await;
    match &outcome {
        Ok(_) => release(tx).await?,
        Err(_) => undo(tx, mark).await?,
    }
    Ok(outcome
        .and_then(|mut ingested| ingested.pop().ok_or_else(|| Error::internal("a delivery got no answer"))))
}

async fn savepoint(tx: &mut Tx) -> Result<()> {
    query("SAVEPOINT caller").execute(&mut **tx).await.map(|_| ()).map_err(fault)
}

async fn release(tx: &mut Tx) -> Result<()> {
    query("RELEASE SAVEPOINT caller").execute(&mut **tx).await.map(|_| ()).map_err(fault)
}

async fn undo(tx: &mut Tx, mark: Mark) -> Result<()> {
    query("ROLLBACK TO SAVEPOINT caller").execute(&mut **tx).await.map_err(fault)?;
    tx.forget_since(mark);
    release(tx).await
}
