//! The loop that owns everything that runs: one transaction a round writes what ended and claims what comes next.

use std::{
    collections::{HashMap, VecDeque},
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
    attempt::{self, Aside, Cancel, CancelReason},
    outcome::{Outcome, Write, judge, millis, write_down},
    stats::Stats,
};
use crate::{
    domain::{
        Id,
        task::{TaskRow, TaskStatus},
    },
    error::Result,
    store::{Db, now, tasks},
};

const PRUNE_PAUSE: Duration = Duration::from_secs(3600);
/// Quick tasks are claimed and written down this many at a time, so that a commit serves many of them.
const AHEAD: usize = 256;
/// Milliseconds an attempt may take to count as quick.
const QUICK_MS: i64 = 20;
/// What was claimed ahead and has not started after this time is given back for others to run.
pub(super) const AHEAD_PATIENCE: Duration = Duration::from_secs(1);
/// An end waits at most this long for others to be written with.
const GATHER: Duration = Duration::from_millis(20);
/// Pause after the database has failed.
const STUMBLE: Duration = Duration::from_millis(250);

pub(super) struct Running {
    pub fence: i64,
    /// `None` while it waits for a place.
    attempt: Option<tokio::task::Id>,
    pub cancel: Cancel,
}

/// The task, the milliseconds its attempt took, and how it ended.
type Ended = (TaskRow, i64, Result<Done, TaskError>);

pub(super) struct Dispatcher {
    pub(super) db: Db,
    pub(super) config: QueueConfig,
    boot: Id,
    handler: Handler,
    stats: Arc<Stats>,
    stop: watch::Receiver<Option<Duration>>,
    stopping: CancellationToken,
    /// Everything this node holds a lease of, until its end is written.
    pub(super) running: HashMap<Id, Running>,
    attempts: JoinSet<Ended>,
    aside: Arc<Aside>,
    /// Claimed ahead: ours, and not started.
    ready: VecDeque<TaskRow>,
    pub(super) ready_since: Instant,
    ended: Vec<Outcome>,
    /// When what has ended is written at the latest.
    write_by: Instant,
    /// Quick attempts that ended since the last claim; 0 as soon as one was not quick.
    quick: usize,
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
            aside: Arc::default(),
            ready: VecDeque::new(),
            ready_since: Instant::now(),
            ended: Vec::new(),
            write_by: Instant::now(),
            quick: 0,
            hungry: true,
            next_look: Instant::now(),
        }
    }

    pub async fn run(mut self) {
        let (mut queue, mut cancel) = (self.db.subscribe_queue(), self.db.subscribe_cancel());
        let aside = self.aside.clone();
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
                () = aside.changed() => self.hungry = true,
                Ok(()) = cancel.changed() => self.deliver_cancellations().await,
                () = sleep_until(self.next_look) => {
                    self.hungry = true;
                    self.next_look = Instant::now() + self.config.poll;
                }
                () = sleep_until(self.write_by), if !self.ended.is_empty() => {}
                _ = heartbeat.tick() => self.beat().await,
                _ = prune.tick() => self.prune().await,
                Ok(()) = self.stop.changed(), if !self.stopping.is_cancelled() => {
                    self.stopping.cancel();
                    self.give_back_ready();
                    deadline = Instant::now() + self.stop.borrow().unwrap_or_default();
                }
                () = sleep_until(deadline), if self.stopping.is_cancelled() => break,
            }
        }
        self.abandon().await;
    }

    /// Fills the free places; writes what ended and claims what comes next, in one transaction.
    async fn round(&mut self) -> Result<()> {
        while let Some(ended) = self.attempts.try_join_next() {
            self.collect(ended);
        }
        self.launch_ready();
        let limit = self.claimable();
        let gathering = !self.ready.is_empty() && self.ended.len() < AHEAD && Instant::now() < self.write_by;
        if limit == 0 && (self.ended.is_empty() || gathering) {
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
        if !claimed.is_empty() {
            self.ready_since = Instant::now();
            self.quick = 0;
        }
        for row in claimed {
            let waiting = Running { fence: row.fence, attempt: None, cancel: Cancel::default() };
            self.running.insert(row.id.clone(), waiting);
            self.ready.push_back(row);
        }
        self.launch_ready();
        Ok(())
    }

    fn free(&self) -> usize {
        let holding = self.attempts.len().saturating_sub(self.aside.count());
        self.config.workers.saturating_sub(holding)
    }

    /// How many tasks to ask for: as many as there are places and, if the last ones were quick, some ahead.
    fn claimable(&self) -> usize {
        if !self.hungry || self.stopping.is_cancelled() || !self.ready.is_empty() || self.free() == 0 {
            return 0;
        }
        let ahead = if self.quick >= self.config.workers { (2 * self.quick).min(AHEAD) } else { 0 };
        self.free() + ahead
    }

    fn launch_ready(&mut self) {
        while self.free() > 0
            && let Some(row) = self.ready.pop_front()
        {
            // It may have been cancelled or lost while it waited.
            match self.running.get(&row.id).map(|waiting| waiting.cancel.reason()) {
                Some(None) => self.launch(row),
                Some(Some(CancelReason::LeaseLost)) | None => {
                    self.running.remove(&row.id);
                }
                Some(Some(_)) => {
                    let write = Write::End(TaskStatus::Cancelled, Some("cancelled".into()));
                    self.end(Outcome { id: row.id, fence: row.fence, write });
                }
            }
        }
    }

    pub(super) fn give_back_ready(&mut self) {
        for row in std::mem::take(&mut self.ready) {
            let back = tasks::Return { run_at: row.run_at, error: None, counts: false };
            self.end(Outcome { id: row.id, fence: row.fence, write: Write::Back(back) });
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if self.ended.is_empty() {
            self.write_by = Instant::now() + GATHER;
        }
        self.ended.push(outcome);
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
            aside: self.aside.clone(),
        };
        let (handler, grace) = (self.handler.clone(), self.config.grace);
        let attempt = self.attempts.spawn(async move {
            let started = Instant::now();
            let result = attempt::run(handler, context, grace).await;
            (row, millis(started.elapsed()), result)
        });
        self.running.insert(id, Running { fence, attempt: Some(attempt.id()), cancel });
    }

    /// Reads how an attempt ended; writing it down is the next round's business.
    fn collect(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let (row, run_ms, result) = match ended {
            Ok(ended) => ended,
            // Panics of the handler are caught inside, so this hardly happens. The lease ends, and the task is rescued.
            Err(error) => {
                tracing::error!(%error, "an attempt vanished; its lease will end");
                self.running.retain(|_, running| running.attempt != Some(error.id()));
                return;
            }
        };
        let reason = self.running.get(&row.id).and_then(|running| running.cancel.reason());
        if reason == Some(CancelReason::LeaseLost) {
            self.running.remove(&row.id);
            return;
        }
        let write = judge(&row, reason, result);
        let became = write.status(&row);
        self.stats.record(row.task.kind(), became, run_ms);
        self.quick = if run_ms <= QUICK_MS { self.quick + 1 } else { 0 };
        self.end(Outcome { id: row.id, fence: row.fence, write });
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
