//! The loop that owns everything that runs: one transaction a round writes what ended and claims what comes next.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Done, Handler, QueueConfig, TaskContext, TaskError,
    attempt::{self, Cancel, CancelReason},
    stats::Stats,
};
use crate::{
    domain::{
        Id,
        task::{TaskRow, TaskStatus, backoff_ms},
    },
    error::Result,
    store::{Db, Tx, now, tasks},
};

const PRUNE_PAUSE: Duration = Duration::from_secs(3600);
const PRUNE_CHUNK: i64 = 1000;
/// Pause after the database has failed.
const STUMBLE: Duration = Duration::from_millis(250);

struct Running {
    fence: i64,
    attempt: tokio::task::Id,
    cancel: Cancel,
}

/// The task, the milliseconds its attempt took, and how it ended.
type Ended = (TaskRow, i64, Result<Done, TaskError>);

/// What is to be written about an attempt that ended.
#[derive(Clone)]
struct Outcome {
    id: Id,
    fence: i64,
    write: Write,
}

#[derive(Clone)]
enum Write {
    Success,
    End(TaskStatus, Option<String>),
    Back(tasks::Return),
}

pub(super) struct Dispatcher {
    db: Db,
    config: QueueConfig,
    boot: Id,
    handler: Handler,
    stats: Arc<Stats>,
    stop: watch::Receiver<Option<Duration>>,
    stopping: CancellationToken,
    /// Everything this node holds a lease of, until its end is written.
    running: HashMap<Id, Running>,
    attempts: JoinSet<Ended>,
    ended: Vec<Outcome>,
    /// There may be something to claim.
    hungry: bool,
    next_look: Instant,
}

impl Dispatcher {
    pub fn new(
        db: Db,
        config: QueueConfig,
        boot: Id,
        handler: Handler,
        stats: Arc<Stats>,
        stop: watch::Receiver<Option<Duration>>,
    ) -> Self {
        Self {
            db,
            config,
            boot,
            handler,
            stats,
            stop,
            stopping: CancellationToken::new(),
            running: HashMap::new(),
            attempts: JoinSet::new(),
            ended: Vec::new(),
            hungry: true,
            next_look: Instant::now(),
        }
    }

    pub async fn run(mut self) {
        let (mut queue, mut cancel) = (self.db.subscribe_queue(), self.db.subscribe_cancel());
        let mut heartbeat = interval(self.config.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut prune = interval(PRUNE_PAUSE);
        // Until somebody asks to stop, this is far away.
        let mut deadline = Instant::now() + Duration::from_secs(u64::from(u32::MAX));
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(error = error.for_log(), "the queue cannot reach the database");
                tokio::time::sleep(STUMBLE).await;
                self.hungry = true;
            }
            if self.stopping.is_cancelled() && self.running.is_empty() {
                return;
            }
            tokio::select! {
                Some(ended) = self.attempts.join_next() => self.collect(ended),
                Ok(()) = queue.changed() => self.hungry = true,
                Ok(()) = cancel.changed() => self.deliver_cancellations().await,
                () = sleep_until(self.next_look) => {
                    self.hungry = true;
                    self.next_look = Instant::now() + self.config.poll;
                }
                _ = heartbeat.tick() => self.beat().await,
                _ = prune.tick() => self.prune().await,
                Ok(()) = self.stop.changed(), if !self.stopping.is_cancelled() => {
                    self.stopping.cancel();
                    deadline = Instant::now() + self.stop.borrow().unwrap_or_default();
                }
                () = sleep_until(deadline), if self.stopping.is_cancelled() => break,
            }
        }
        self.abandon().await;
    }

    /// Writes what ended and fills the free places, in one transaction.
    async fn round(&mut self) -> Result<()> {
        while let Some(ended) = self.attempts.try_join_next() {
            self.collect(ended);
        }
        let free = self.config.workers.saturating_sub(self.running.len() - self.ended.len());
        let limit = if self.hungry && !self.stopping.is_cancelled() { free } else { 0 };
        if limit == 0 && self.ended.is_empty() {
            return Ok(());
        }
        let (ended, started) = (self.ended.clone(), now());
        let lease = tasks::Lease {
            owner: self.config.node.clone(),
            boot: self.boot.as_str().to_owned(),
            until: started + millis(self.config.lease),
        };
        let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let claimed = self
            .db
            .write(move |tx| {
                Box::pin(async move {
                    write_down(tx, &ended).await?;
                    if limit_rows == 0 {
                        return Ok(Vec::new());
                    }
                    tasks::claim(tx, &lease, now(), limit_rows).await
                })
            })
            .await?;
        for outcome in self.ended.drain(..) {
            self.running.remove(&outcome.id);
        }
        if limit > 0 {
            self.hungry = claimed.len() == limit;
            self.set_next_look().await?;
        }
        for row in claimed {
            self.launch(row);
        }
        Ok(())
    }

    async fn set_next_look(&mut self) -> Result<()> {
        let mut pause = self.config.poll;
        if !self.hungry {
            let now = now();
            let due = tasks::next_run_at(&mut *self.db.read().await?, now).await?;
            if let Some(due) = due {
                pause = pause.min(Duration::from_millis(due.saturating_sub(now).max(1).unsigned_abs()));
            }
        }
        self.next_look = Instant::now() + pause;
        Ok(())
    }

    fn launch(&mut self, row: TaskRow) {
        let cancel = Cancel::default();
        let (id, fence) = (row.id.clone(), row.fence);
        if row.attempt <= 1 {
            self.stats.waited(row.task.kind(), now() - row.run_at);
        }
        let context = TaskContext {
            row: row.clone(),
            cancel: cancel.token.clone(),
            stopping: self.stopping.clone(),
            why: cancel.clone(),
            db: self.db.clone(),
            shown: AtomicI64::new(row.progress),
        };
        let (handler, grace) = (self.handler.clone(), self.config.grace);
        let attempt = self.attempts.spawn(async move {
            let started = Instant::now();
            let result = attempt::run(handler, context, grace).await;
            (row, millis(started.elapsed()), result)
        });
        self.running.insert(id, Running { fence, attempt: attempt.id(), cancel });
    }

    /// Reads how an attempt ended; writing it down is the next round's business.
    fn collect(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let (row, run_ms, result) = match ended {
            Ok(ended) => ended,
            // Panics of the handler are caught inside, so this hardly happens. The lease ends, and the task is rescued.
            Err(error) => {
                tracing::error!(%error, "an attempt vanished; its lease will end");
                self.running.retain(|_, running| running.attempt != error.id());
                return;
            }
        };
        let reason = self.running.get(&row.id).and_then(|running| running.cancel.reason());
        if reason == Some(CancelReason::LeaseLost) {
            self.running.remove(&row.id);
            return;
        }
        let write = judge(&row, reason, result);
        let became = match &write {
            Write::Success => TaskStatus::Success,
            Write::End(status, _) => *status,
            Write::Back(back) if back.counts && row.attempt >= row.max_attempts => TaskStatus::Failed,
            Write::Back(_) => TaskStatus::Queued,
        };
        self.stats.record(row.task.kind(), became, run_ms);
        self.ended.push(Outcome { id: row.id, fence: row.fence, write });
    }

    /// Prolongs what this node holds, and takes over what silent nodes hold.
    async fn beat(&mut self) {
        let held: Vec<(Id, i64)> = self.running.iter().map(|(id, task)| (id.clone(), task.fence)).collect();
        let lease = millis(self.config.lease);
        let beaten = self
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let until = now() + lease;
                    let mut answers = Vec::with_capacity(held.len());
                    for (id, fence) in held {
                        let answer = tasks::heartbeat(tx, &id, fence, until).await?;
                        answers.push((id, answer));
                    }
                    let rescued = tasks::rescue_expired(tx, now()).await?;
                    Ok((answers, rescued))
                })
            })
            .await;
        let (answers, rescued) = match beaten {
            Ok(beaten) => beaten,
            Err(error) => return tracing::warn!(error = error.for_log(), "no heartbeat"),
        };
        if rescued != tasks::Rescued::default() {
            tracing::warn!(
                queued = rescued.queued,
                ended = rescued.ended,
                "took over tasks of a silent node"
            );
        }
        for (id, answer) in answers {
            let Some(running) = self.running.get(&id) else { continue };
            match answer {
                Some(false) => {}
                Some(true) => running.cancel.because(CancelReason::Requested),
                None => running.cancel.because(CancelReason::LeaseLost),
            }
        }
    }

    async fn deliver_cancellations(&mut self) {
        let wanted = async {
            let mut conn = self.db.read().await?;
            tasks::list_to_cancel(&mut conn, &self.config.node).await
        };
        match wanted.await {
            Ok(wanted) => {
                for (id, fence) in wanted {
                    if let Some(running) = self.running.get(&id).filter(|running| running.fence == fence) {
                        running.cancel.because(CancelReason::Requested);
                    }
                }
            }
            // The next heartbeat brings them as well.
            Err(error) => tracing::warn!(error = error.for_log(), "cancellations cannot be read"),
        }
    }

    async fn prune(&self) {
        let before = now() - millis(self.config.keep);
        loop {
            let pruned = self
                .db
                .write(move |tx| Box::pin(async move { tasks::prune(tx, before, PRUNE_CHUNK).await }))
                .await;
            match pruned {
                Ok(count) if count >= PRUNE_CHUNK.unsigned_abs() => {}
                Ok(_) => return,
                Err(error) => {
                    return tracing::warn!(error = error.for_log(), "finished tasks were not pruned");
                }
            }
        }
    }

    /// The time to stop is up: cancels what still runs, and puts it back.
    async fn abandon(mut self) {
        for running in self.running.values() {
            running.cancel.because(CancelReason::Shutdown);
        }
        let grace = Instant::now() + self.config.grace;
        while let Ok(Some(ended)) = tokio::time::timeout_at(grace, self.attempts.join_next()).await {
            self.collect(ended);
        }
        self.attempts.shutdown().await;
        let written: Vec<Id> = self.ended.iter().map(|outcome| outcome.id.clone()).collect();
        for (id, running) in self.running.iter().filter(|(id, _)| !written.contains(id)) {
            let back = tasks::Return { run_at: now(), error: None, counts: false };
            self.ended.push(Outcome { id: id.clone(), fence: running.fence, write: Write::Back(back) });
        }
        if let Err(error) = self.round().await {
            tracing::warn!(error = error.for_log(), "tasks could not be put back; they run again later");
        }
    }
}

/// What is to become of a task after this end.
fn judge(row: &TaskRow, reason: Option<CancelReason>, result: Result<Done, TaskError>) -> Write {
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

async fn write_down(tx: &mut Tx, ended: &[Outcome]) -> Result<()> {
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
