//! Table `schedules`.

use super::{
    Conn, counters,
    faults::on_unique,
    rows::{Entity, Row, as_seq, execute, fetch_all, fetch_opt, found, hit, id_text, plain_opt, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        schedule::{Missed, Schedule, ScheduleOf, SchedulePlan},
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, stack_id, job_id, name, cron, time_zone, git_ref, missed, enabled, next_at, last_due_at, \
             last_result, last_deployment_id, last_build_id, created_at, updated_at FROM schedules ",
            $tail
        )
    };
}

impl Entity for Schedule {
    const WHAT: &'static str = "schedule";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            of: match row.id_opt("stack_id")? {
                Some(stack) => ScheduleOf::Stack(stack),
                None => ScheduleOf::Job(row.id("job_id")?),
            },
            plan: SchedulePlan {
                name: row.text("name")?,
                cron: row.text("cron")?,
                time_zone: row.text("time_zone")?,
                git_ref: row.text_opt("git_ref")?,
                missed: row.word("missed", Missed::parse)?,
                enabled: row.flag("enabled")?,
            },
            next_at: row.int_opt("next_at")?,
            last_due_at: row.int_opt("last_due_at")?,
            last_result: row.text_opt("last_result")?,
            last_deployment_id: row.id_opt("last_deployment_id")?,
            last_build_id: row.id_opt("last_build_id")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// `Conflict` if the stack or job has a schedule of this name already.
pub async fn insert(conn: &mut Conn, mut schedule: Schedule) -> Result<Schedule> {
    schedule.seq = counters::take(conn, "schedules", 1).await?;
    let plan = &schedule.plan;
    let done = query(
        "INSERT INTO schedules (id, seq, stack_id, job_id, name, cron, time_zone, git_ref, missed, enabled, next_at, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(schedule.id.as_str())
    .bind(schedule.seq)
    .bind(id_text(schedule.of.stack()))
    .bind(id_text(schedule.of.job()))
    .bind(plan.name.clone())
    .bind(plan.cron.clone())
    .bind(plan.time_zone.clone())
    .bind(plan.git_ref.clone())
    .bind(plan.missed.as_str())
    .bind(i64::from(plan.enabled))
    .bind(schedule.next_at)
    .bind(schedule.created_at)
    .bind(schedule.updated_at)
    .execute(conn)
    .await;
    on_unique(done, || taken(plan)).map(|_| ())?;
    Ok(schedule)
}

fn taken(plan: &SchedulePlan) -> String {
    format!("there is a schedule named `{}` already", plan.name)
}

/// Writes what a person can change, and the due time that follows from it.
pub async fn update(conn: &mut Conn, schedule: &Schedule) -> Result<()> {
    let plan = &schedule.plan;
    let done = query(
        "UPDATE schedules SET name = $1, cron = $2, time_zone = $3, git_ref = $4, missed = $5, enabled = $6, \
         next_at = $7, updated_at = $8 WHERE id = $9",
    )
    .bind(plan.name.clone())
    .bind(plan.cron.clone())
    .bind(plan.time_zone.clone())
    .bind(plan.git_ref.clone())
    .bind(plan.missed.as_str())
    .bind(i64::from(plan.enabled))
    .bind(schedule.next_at)
    .bind(schedule.updated_at)
    .bind(schedule.id.as_str())
    .execute(conn)
    .await;
    let done = on_unique(done, || taken(plan))?;
    hit(done.rows_affected(), Schedule::WHAT, &schedule.id)
}

/// `key` is an id or a number.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Schedule> {
    found(find_opt(conn, key).await?, key)
}

/// The same; `None` if there is none.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<Schedule>> {
    match as_seq(key) {
        Some(seq) => fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await,
        None => fetch_opt(conn, query(select!("WHERE id = $1")).bind(key.to_owned())).await,
    }
}

/// By name. A stack has few of them.
pub async fn list_by_stack(conn: &mut Conn, stack: &Id) -> Result<Vec<Schedule>> {
    fetch_all(conn, query(select!("WHERE stack_id = $1 ORDER BY name")).bind(stack.as_str())).await
}

/// By name.
pub async fn list_by_job(conn: &mut Conn, job: &Id) -> Result<Vec<Schedule>> {
    fetch_all(conn, query(select!("WHERE job_id = $1 ORDER BY name")).bind(job.as_str())).await
}

/// In order of creation.
pub async fn list(conn: &mut Conn) -> Result<Vec<Schedule>> {
    fetch_all(conn, query(select!("ORDER BY seq LIMIT 10000"))).await
}

/// What is due at this moment, the longest waiting first.
pub async fn list_due(conn: &mut Conn, now: UnixMs) -> Result<Vec<Schedule>> {
    fetch_all(conn, query(select!("WHERE next_at <= $1 ORDER BY next_at LIMIT 100")).bind(now)).await
}

/// Takes a due time: true for exactly one caller, who then does what is due in the same transaction.
pub async fn claim(conn: &mut Conn, id: &Id, due: UnixMs, next: Option<UnixMs>) -> Result<bool> {
    let query = query(
        "UPDATE schedules SET next_at = $1, last_due_at = $2 WHERE id = $3 AND next_at = $4 AND enabled = 1",
    )
    .bind(next)
    .bind(due)
    .bind(id.as_str())
    .bind(due);
    Ok(execute(conn, query).await? == 1)
}

/// Says what came of a due time, with the deployment or build that was started last.
pub async fn set_result(
    conn: &mut Conn,
    id: &Id,
    result: &str,
    deployment: Option<&Id>,
    build: Option<&Id>,
) -> Result<()> {
    let query = query(
        "UPDATE schedules SET last_result = $1, last_deployment_id = $2, last_build_id = $3 WHERE id = $4",
    )
    .bind(plain_opt(Some(result)))
    .bind(id_text(deployment))
    .bind(id_text(build))
    .bind(id.as_str());
    hit(execute(conn, query).await?, Schedule::WHAT, id)
}

pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let query = query("DELETE FROM schedules WHERE id = $1").bind(id.as_str());
    hit(execute(conn, query).await?, Schedule::WHAT, id)
}
