//! Table `tasks`: the queue's rows. What they mean is `jobs`' business, when they run is `queue`'s.

use std::sync::LazyLock;

use sqlx::Row as _;

use super::{
    Conn, Tx,
    batch::Batch,
    counters,
    faults::fault,
    now,
    rows::{Entity, Query, Row, execute, fetch_all, fetch_opt, found, json, plain_opt, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        task::{NewTask, TaskRow, TaskStatus},
    },
    error::{Error, Result},
};

macro_rules! columns {
    () => {
        "id, payload, status, progress, attempt, max_attempts, priority, unique_key, concurrency_key, run_at, \
         lease_owner, lease_until, fence, cancel_requested, error, created_at, started_at, finished_at, trace"
    };
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM tasks ", $tail)
    };
}

/// Those whose turn it is ($1 is now): due, and of each concurrency key only the oldest, if none of it runs. The plus
/// keeps SQLite from looking for `run_at` in an index of its own: it would read and sort the whole backlog for each claim.
macro_rules! eligible {
    () => {
        "SELECT t.id FROM tasks t WHERE t.status = 'queued' AND +t.run_at <= $1 AND (t.concurrency_key IS NULL \
         OR NOT EXISTS (SELECT 1 FROM tasks o WHERE o.concurrency_key = t.concurrency_key \
         AND o.status IN ('queued', 'running') AND (o.status = 'running' OR o.id < t.id))) \
         ORDER BY t.priority DESC, t.run_at, t.id LIMIT $2"
    };
}

impl Entity for TaskRow {
    const WHAT: &'static str = "task";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            task: row.json("payload")?,
            status: row.word("status", TaskStatus::parse)?,
            progress: row.int("progress")?,
            attempt: row.int("attempt")?,
            max_attempts: row.int("max_attempts")?,
            priority: row.int("priority")?,
            unique_key: row.text_opt("unique_key")?,
            concurrency_key: row.text_opt("concurrency_key")?,
            run_at: row.int("run_at")?,
            lease_owner: row.text_opt("lease_owner")?,
            lease_until: row.int_opt("lease_until")?,
            fence: row.int("fence")?,
            cancel_requested: row.flag("cancel_requested")?,
            error: row.text_opt("error")?,
            created_at: row.int("created_at")?,
            started_at: row.int_opt("started_at")?,
            finished_at: row.int_opt("finished_at")?,
            trace: row.text_opt("trace")?,
        })
    }
}

const INSERT_HEAD: &str = "INSERT INTO tasks (id, kind, subject_id, payload, max_attempts, priority, unique_key, \
     concurrency_key, run_at, created_at, trace, status, progress, attempt, fence, cancel_requested)";

static INSERT: LazyLock<Batch> =
    LazyLock::new(|| Batch::new(INSERT_HEAD, 11, ", 'queued', 0, 0, 0, 0", "ON CONFLICT DO NOTHING"));

/// Adds tasks and answers how many: one whose unique key is queued or running already is left out.
pub async fn insert_all(tx: &mut Tx, tasks: &[NewTask]) -> Result<u64> {
    let now = now();
    let trace = tx.trace();
    let mut added = 0;
    for (text, rows) in INSERT.split(tx, tasks) {
        let mut query = query(text);
        for new in rows {
            query = query
                .bind(new.id.as_str())
                .bind(new.task.kind())
                .bind(new.task.subject().as_str())
                .bind(json(&new.task)?)
                .bind(new.task.max_attempts())
                .bind(new.priority)
                .bind(new.unique_key.clone())
                .bind(new.concurrency_key.clone())
                .bind(new.run_at.unwrap_or(now))
                .bind(now)
                .bind(new.trace.clone().or_else(|| trace.clone()));
        }
        added += execute(tx, query).await?;
    }
    tx.wake_queue();
    Ok(added)
}

/// Adds a task; `false` if its unique key is queued or running already.
pub async fn insert(tx: &mut Tx, new: &NewTask) -> Result<bool> {
    Ok(insert_all(tx, std::slice::from_ref(new)).await? > 0)
}

/// Lets a queued task with this unique key run now instead of later; false if none waits.
pub async fn hasten(tx: &mut Tx, unique_key: &str, now: UnixMs) -> Result<bool> {
    let statement =
        query("UPDATE tasks SET run_at = $1 WHERE unique_key = $2 AND status = 'queued' AND run_at > $1");
    let is_hastened = execute(tx, statement.bind(now).bind(unique_key.to_owned())).await? > 0;
    if is_hastened {
        tx.wake_queue();
    }
    Ok(is_hastened)
}

pub async fn find(conn: &mut Conn, id: &str) -> Result<TaskRow> {
    found(find_opt(conn, id).await?, id)
}

pub async fn find_opt(conn: &mut Conn, id: &str) -> Result<Option<TaskRow>> {
    fetch_opt(conn, query(select!("WHERE id = $1")).bind(id)).await
}

/// Every task about a build, deployment or webhook event, oldest first.
pub async fn list_by_subject(conn: &mut Conn, subject: &Id) -> Result<Vec<TaskRow>> {
    fetch_all(conn, query(select!("WHERE subject_id = $1 ORDER BY id LIMIT 200")).bind(subject.as_str()))
        .await
}

/// Newest first, those before `before`.
pub async fn list(conn: &mut Conn, before: Option<&Id>, limit: i64) -> Result<Vec<TaskRow>> {
    // Every id is smaller than this.
    let before = before.map_or("~", Id::as_str);
    fetch_all(conn, query(select!("WHERE id < $1 ORDER BY id DESC LIMIT $2")).bind(before).bind(limit)).await
}

/// What is queued or runs, oldest first.
pub async fn list_unfinished(conn: &mut Conn, limit: i64) -> Result<Vec<TaskRow>> {
    let statement = query(select!("WHERE status IN ('queued', 'running') ORDER BY created_at LIMIT $1"));
    fetch_all(conn, statement.bind(limit)).await
}

/// Lets a queued task run now instead of later; false if it is not queued.
pub async fn run_now(tx: &mut Tx, id: &Id, now: UnixMs) -> Result<bool> {
    let statement = query("UPDATE tasks SET run_at = $1 WHERE id = $2 AND status = 'queued'");
    let is_queued = execute(tx, statement.bind(now).bind(id.as_str())).await? > 0;
    if is_queued {
        tx.wake_queue();
    }
    Ok(is_queued)
}

/// Who claims, and until when it is theirs unless they say they are alive.
#[derive(Debug, Clone)]
pub struct Lease {
    pub owner: String,
    /// Tells one life of the node from the next.
    pub boot: String,
    pub until: UnixMs,
}

/// Takes up to `limit` tasks whose turn it is. All get the same new fencing token, larger than any before.
pub async fn claim(tx: &mut Tx, lease: &Lease, now: UnixMs, limit: i64) -> Result<Vec<TaskRow>> {
    let waiting = query(eligible!()).bind(now).bind(1_i64).fetch_optional(&mut **tx).await.map_err(fault)?;
    if waiting.is_none() {
        return Ok(Vec::new());
    }
    // Claimers queue up for the counter, so each sees what the one before it has taken.
    let fence = counters::take(tx, "fences", 1).await?;
    let query = query(concat!(
        "UPDATE tasks SET status = 'running', attempt = attempt + 1, fence = $3, lease_owner = $4, lease_boot = $5, \
         lease_until = $6, started_at = COALESCE(started_at, $1) WHERE status = 'queued' AND id IN (",
        eligible!(),
        ") RETURNING ",
        columns!()
    ))
    .bind(now)
    .bind(limit)
    .bind(fence)
    .bind(lease.owner.as_str())
    .bind(lease.boot.as_str())
    .bind(lease.until);
    let mut rows: Vec<TaskRow> = fetch_all(tx, query).await?;
    rows.sort_by(|a, b| (b.priority, a.run_at, &a.id).cmp(&(a.priority, b.run_at, &b.id)));
    Ok(rows)
}

/// Prolongs a lease. `None` if it is lost, else whether the task is to be cancelled.
pub async fn heartbeat(conn: &mut Conn, id: &Id, fence: i64, until: UnixMs) -> Result<Option<bool>> {
    let row = query(
        "UPDATE tasks SET lease_until = $1 WHERE id = $2 AND fence = $3 AND status = 'running' \
         RETURNING cancel_requested",
    )
    .bind(until)
    .bind(id.as_str())
    .bind(fence)
    .fetch_optional(conn)
    .await
    .map_err(fault)?;
    row.map(|row| Row(&row).flag("cancel_requested")).transpose()
}

/// 0 to 100. Answers whether the lease still holds.
pub async fn set_progress(conn: &mut Conn, id: &Id, fence: i64, percent: i64) -> Result<bool> {
    let query = query("UPDATE tasks SET progress = $1 WHERE id = $2 AND fence = $3 AND status = 'running'")
        .bind(percent.clamp(0, 100))
        .bind(id.as_str())
        .bind(fence);
    Ok(execute(conn, query).await? > 0)
}

/// Ends a task. Answers whether the lease still held; if not, nothing was changed.
pub async fn finish(
    tx: &mut Tx,
    id: &Id,
    fence: i64,
    status: TaskStatus,
    error: Option<&str>,
    now: UnixMs,
) -> Result<bool> {
    let statement = query(
        "UPDATE tasks SET status = $1, error = $2, finished_at = $3, lease_owner = NULL, lease_boot = NULL, \
         lease_until = NULL, progress = CASE WHEN $1 = 'success' THEN 100 ELSE progress END \
         WHERE id = $4 AND fence = $5 AND status = 'running' RETURNING concurrency_key",
    )
    .bind(status.as_str())
    .bind(plain_opt(error))
    .bind(now)
    .bind(id.as_str())
    .bind(fence);
    let Some(row) = statement.fetch_optional(&mut **tx).await.map_err(fault)? else { return Ok(false) };
    // Only then somebody may have waited for this one.
    if Row(&row).text_opt("concurrency_key")?.is_some() {
        tx.wake_queue();
    }
    Ok(true)
}

static SUCCEED: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new(
        "UPDATE tasks SET status = 'success', progress = 100, error = NULL, finished_at = v.column3, \
         lease_owner = NULL, lease_boot = NULL, lease_until = NULL FROM (",
        3,
        "",
        ") AS v WHERE tasks.id = v.column1 AND tasks.fence = v.column2 AND tasks.status = 'running' \
         RETURNING tasks.concurrency_key",
    )
});

/// Ends many tasks well, as [`finish`] does for one. Those whose lease is lost are left alone; answers how many ended.
pub async fn succeed_all(tx: &mut Tx, tasks: &[(Id, i64)], now: UnixMs) -> Result<usize> {
    let mut ended = 0;
    for (text, rows) in SUCCEED.split(tx, tasks) {
        let mut query = query(text);
        for (id, fence) in rows {
            query = query.bind(id.as_str()).bind(*fence).bind(now);
        }
        for row in query.fetch_all(&mut **tx).await.map_err(fault)? {
            ended += 1;
            if Row(&row).text_opt("concurrency_key")?.is_some() {
                tx.wake_queue();
            }
        }
    }
    Ok(ended)
}

/// How a task goes back to the queue.
#[derive(Debug, Clone)]
pub struct Return {
    pub run_at: UnixMs,
    pub error: Option<String>,
    /// Whether this attempt counts. One that only waited or was interrupted by a shutdown does not.
    pub counts: bool,
}

/// Gives a task back: queued again, or failed if its attempts are used up, or cancelled if somebody asked for that.
/// Answers what became of it, `None` if the lease no longer held.
pub async fn give_back(
    tx: &mut Tx,
    id: &Id,
    fence: i64,
    back: &Return,
    now: UnixMs,
) -> Result<Option<TaskStatus>> {
    let statement = query(
        "UPDATE tasks SET status = CASE WHEN cancel_requested = 1 THEN 'cancelled' \
         WHEN $1 = 1 AND attempt >= max_attempts THEN 'failed' ELSE 'queued' END, \
         finished_at = CASE WHEN cancel_requested = 1 OR ($1 = 1 AND attempt >= max_attempts) THEN $2 \
         ELSE finished_at END, \
         attempt = CASE WHEN $1 = 1 THEN attempt ELSE attempt - 1 END, run_at = $3, error = COALESCE($4, error), \
         lease_owner = NULL, lease_boot = NULL, lease_until = NULL \
         WHERE id = $5 AND fence = $6 AND status = 'running' RETURNING status",
    )
    .bind(i64::from(back.counts))
    .bind(now)
    .bind(back.run_at)
    .bind(plain_opt(back.error.as_deref()))
    .bind(id.as_str())
    .bind(fence);
    let row = statement.fetch_optional(&mut **tx).await.map_err(fault)?;
    tx.wake_queue();
    row.map(|row| Row(&row).word("status", TaskStatus::parse)).transpose()
}

/// What became of the wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It had not started and never will.
    Ended,
    /// It runs; its work has been told to stop.
    Requested,
    /// It had ended before.
    TooLate,
}

/// Cancels a task. `NotFound` if there is none.
pub async fn request_cancel(tx: &mut Tx, id: &Id, now: UnixMs) -> Result<Cancelled> {
    let statement = query(
        "UPDATE tasks SET cancel_requested = 1, \
         status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END, \
         finished_at = CASE WHEN status = 'queued' THEN $1 ELSE finished_at END \
         WHERE id = $2 AND status IN ('queued', 'running') RETURNING status",
    )
    .bind(now)
    .bind(id.as_str());
    match statement.fetch_optional(&mut **tx).await.map_err(fault)? {
        None => find(tx, id.as_str()).await.map(|_| Cancelled::TooLate),
        Some(row) if Row(&row).text("status")? == "cancelled" => {
            // A younger task of the same concurrency key may be next.
            tx.wake_queue();
            Ok(Cancelled::Ended)
        }
        Some(_) => {
            tx.wake_cancel();
            Ok(Cancelled::Requested)
        }
    }
}

/// Cancels everything queued or running about a subject, and answers how many tasks that were.
pub async fn request_cancel_by_subject(tx: &mut Tx, subject: &Id, now: UnixMs) -> Result<usize> {
    let rows = query("SELECT id FROM tasks WHERE subject_id = $1 AND status IN ('queued', 'running')")
        .bind(subject.as_str())
        .fetch_all(&mut **tx)
        .await
        .map_err(fault)?;
    let mut cancelled = 0;
    for row in rows {
        let id = Id::from_text(row.try_get::<String, _>(0).map_err(fault)?);
        if request_cancel(tx, &id, now).await? != Cancelled::TooLate {
            cancelled += 1;
        }
    }
    Ok(cancelled)
}

/// The running tasks of a node that are to be cancelled.
pub async fn list_to_cancel(conn: &mut Conn, owner: &str) -> Result<Vec<(Id, i64)>> {
    let rows = query(
        "SELECT id, fence FROM tasks WHERE status = 'running' AND cancel_requested = 1 AND lease_owner = $1",
    )
    .bind(owner)
    .fetch_all(conn)
    .await
    .map_err(fault)?;
    rows.iter().map(|row| Ok((Row(row).id("id")?, Row(row).int("fence")?))).collect()
}

/// What rescuing did: tasks queued again, and tasks that were given up or had been cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rescued {
    pub queued: u64,
    pub ended: u64,
}

macro_rules! rescue {
    ($which:literal) => {
        concat!(
            "UPDATE tasks SET status = CASE WHEN cancel_requested = 1 THEN 'cancelled' \
             WHEN attempt >= max_attempts THEN 'failed' ELSE 'queued' END, \
             finished_at = CASE WHEN cancel_requested = 1 OR attempt >= max_attempts THEN $1 \
             ELSE finished_at END, \
             error = 'the node that ran it stopped', run_at = $1, \
             lease_owner = NULL, lease_boot = NULL, lease_until = NULL \
             WHERE status = 'running' AND ",
            $which,
            " RETURNING status"
        )
    };
}

/// Takes back what nodes hold that have not been heard of since before `now`.
pub async fn rescue_expired(tx: &mut Tx, now: UnixMs) -> Result<Rescued> {
    rescue(tx, query(rescue!("lease_until < $1")).bind(now)).await
}

/// Takes back at once what an earlier life of this node held.
pub async fn rescue_own(tx: &mut Tx, owner: &str, boot: &str, now: UnixMs) -> Result<Rescued> {
    let query = query(rescue!("lease_owner = $2 AND lease_boot <> $3")).bind(now).bind(owner).bind(boot);
    rescue(tx, query).await
}

async fn rescue(tx: &mut Tx, query: Query) -> Result<Rescued> {
    let mut rescued = Rescued::default();
    for row in query.fetch_all(&mut **tx).await.map_err(fault)? {
        if Row(&row).text("status")? == TaskStatus::Queued.as_str() {
            rescued.queued += 1;
        } else {
            rescued.ended += 1;
        }
    }
    if rescued != Rescued::default() {
        tx.wake_queue();
    }
    Ok(rescued)
}

/// When the next task that is not due yet will be; `None` if there is none.
pub async fn next_run_at(conn: &mut Conn, after: UnixMs) -> Result<Option<UnixMs>> {
    let row =
        query("SELECT run_at FROM tasks WHERE status = 'queued' AND run_at > $1 ORDER BY run_at LIMIT 1")
            .bind(after)
            .fetch_optional(conn)
            .await
            .map_err(fault)?;
    row.map(|row| row.try_get(0).map_err(Error::internal)).transpose()
}

/// Removes tasks that ended before `before`, at most `limit`, and answers how many.
pub async fn prune(conn: &mut Conn, before: UnixMs, limit: i64) -> Result<u64> {
    let query = query(
        "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE status IN ('success', 'failed', 'cancelled') \
         AND finished_at < $1 ORDER BY finished_at LIMIT $2)",
    )
    .bind(before)
    .bind(limit);
    execute(conn, query).await
}
