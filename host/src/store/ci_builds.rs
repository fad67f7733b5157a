//! Table `ci_builds`.

use super::{
    Conn, counters,
    faults::{fault, on_unique},
    rows::{
        Entity, Query, Row, as_seq, below, execute, fetch_all, fetch_opt, fetch_page, found, hit, id_text,
        json, over, plain, plain_opt, query,
    },
};
use crate::{
    domain::{
        Id, UnixMs,
        ci::CiStatus,
        cicd::{CicdBuild, CicdJob, Origin, Start},
        log::LogSummary,
        page::{Page, PageRequest},
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, job_id, deployment_id, external_id, number, status, status_word, url, ref_name, parameters, \
             origin, attempt, start, cancel_requested, hinted_at, deadline_at, log_cursor, log_complete, trouble, trouble_since, error, \
             started_at, finished_at, settled_at, timeout_secs, retries, failover, successor_id, \
             created_at, updated_at FROM ci_builds ",
            $tail
        )
    };
}

impl Entity for CicdBuild {
    const WHAT: &'static str = "CI build";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            job_id: row.id("job_id")?,
            deployment_id: row.id_opt("deployment_id")?,
            external_id: row.text_opt("external_id")?,
            number: row.text("number")?,
            status: row.word("status", CiStatus::parse)?,
            status_word: row.text_opt("status_word")?,
            url: row.text_opt("url")?,
            ref_name: row.text_opt("ref_name")?,
            parameters: row.json("parameters")?,
            origin: row.word("origin", Origin::parse)?,
            attempt: row.int("attempt")?,
            start: row.word("start", Start::parse)?,
            cancel_requested: row.flag("cancel_requested")?,
            hinted_at: row.int_opt("hinted_at")?,
            deadline_at: row.int("deadline_at")?,
            log_cursor: row.text_opt("log_cursor")?,
            log_complete: row.flag("log_complete")?,
            trouble: row.text_opt("trouble")?,
            trouble_since: row.int_opt("trouble_since")?,
            error: row.text_opt("error")?,
            started_at: row.int_opt("started_at")?,
            finished_at: row.int_opt("finished_at")?,
            settled_at: row.int_opt("settled_at")?,
            timeout_secs: row.int("timeout_secs")?,
            retries: row.int("retries")?,
            failover: row.text_opt("failover")?,
            successor_id: row.id_opt("successor_id")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// Stores it under the next number, whatever its `seq` says. `Conflict` if the provider's build is known already.
pub async fn insert(conn: &mut Conn, mut build: CicdBuild) -> Result<CicdBuild> {
    build.seq = counters::take(conn, "ci_builds", 1).await?;
    let statement = query(
        "INSERT INTO ci_builds (external_id, number, status, status_word, url, start, log_cursor, log_complete, trouble, \
         trouble_since, error, started_at, finished_at, settled_at, updated_at, successor_id, id, seq, job_id, deployment_id, \
         ref_name, parameters, origin, attempt, cancel_requested, deadline_at, created_at, retries, failover, timeout_secs) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
         $24, $25, $26, $27, $28, $29, $30)",
    );
    let done = progress(statement, &build)
        .bind(build.id.as_str())
        .bind(build.seq)
        .bind(build.job_id.as_str())
        .bind(id_text(build.deployment_id.as_ref()))
        .bind(plain_opt(build.ref_name.as_deref()))
        .bind(json(&build.parameters)?)
        .bind(build.origin.as_str())
        .bind(build.attempt)
        .bind(i64::from(build.cancel_requested))
        .bind(build.deadline_at)
        .bind(build.created_at)
        .bind(build.retries)
        .bind(plain_opt(build.failover.as_deref()))
        .bind(build.timeout_secs)
        .execute(conn)
        .await;
    on_unique(done, || "the provider's build is known already".to_owned())?;
    Ok(build)
}

/// Keeps the row until the transaction ends, and answers it as it is by then: what the provider reports and what it is asked
/// may come at the same time.
pub async fn hold(conn: &mut Conn, id: &Id) -> Result<CicdBuild> {
    let statement = query("UPDATE ci_builds SET updated_at = updated_at WHERE id = $1").bind(id.as_str());
    hit(execute(conn, statement).await?, CicdBuild::WHAT, id)?;
    find(conn, id.as_str()).await
}

/// Writes what was learned of it. `Conflict` if another build of the job has that name at the provider.
pub async fn update(conn: &mut Conn, build: &CicdBuild) -> Result<()> {
    let statement = query(
        "UPDATE ci_builds SET external_id = $1, number = $2, status = $3, status_word = $4, url = $5, start = $6, \
         log_cursor = $7, log_complete = $8, trouble = $9, trouble_since = $10, error = $11, started_at = $12, \
         finished_at = $13, settled_at = $14, updated_at = $15, successor_id = $16 WHERE id = $17",
    );
    let done = progress(statement, build).bind(build.id.as_str()).execute(conn).await;
    let done = on_unique(done, || "the provider's build is followed already".to_owned())?;
    hit(done.rows_affected(), CicdBuild::WHAT, &build.id)
}

/// The parameters $1 to $16: what changes while it is followed.
fn progress(statement: Query, build: &CicdBuild) -> Query {
    statement
        .bind(plain_opt(build.external_id.as_deref()))
        .bind(plain(&build.number))
        .bind(build.status.as_str())
        .bind(plain_opt(build.status_word.as_deref()))
        .bind(plain_opt(build.url.as_deref()))
        .bind(build.start.as_str())
        .bind(plain_opt(build.log_cursor.as_deref()))
        .bind(i64::from(build.log_complete))
        .bind(plain_opt(build.trouble.as_deref()))
        .bind(build.trouble_since)
        .bind(plain_opt(build.error.as_deref()))
        .bind(build.started_at)
        .bind(build.finished_at)
        .bind(build.settled_at)
        .bind(build.updated_at)
        .bind(id_text(build.successor_id.as_ref()))
}

/// `key` is an id or a number.
pub async fn find(conn: &mut Conn, key: &str) -> Result<CicdBuild> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id or a number.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<CicdBuild>> {
    match as_seq(key) {
        Some(seq) => fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await,
        None => fetch_opt(conn, query(select!("WHERE id = $1")).bind(plain(key))).await,
    }
}

pub async fn find_external(conn: &mut Conn, job: &Id, external: &str) -> Result<Option<CicdBuild>> {
    let query =
        query(select!("WHERE job_id = $1 AND external_id = $2")).bind(job.as_str()).bind(plain(external));
    fetch_opt(conn, query).await
}

/// Newest first.
pub async fn list_by_job(conn: &mut Conn, job: &Id, page: PageRequest) -> Result<Page<CicdBuild>> {
    let query = query(select!("WHERE job_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"))
        .bind(job.as_str())
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |build: &CicdBuild| build.seq).await
}

/// Oldest first.
pub async fn list_by_deployment(conn: &mut Conn, deployment: &Id) -> Result<Vec<CicdBuild>> {
    let query = query(select!("WHERE deployment_id = $1 ORDER BY seq LIMIT 100")).bind(deployment.as_str());
    fetch_all(conn, query).await
}

/// Those that are followed, oldest first.
pub async fn list_open(conn: &mut Conn) -> Result<Vec<CicdBuild>> {
    fetch_all(conn, query(select!("WHERE settled_at IS NULL ORDER BY seq"))).await
}

/// Asks for its end, which has until `until`; false if that was asked before, or there is nothing left to end. Nobody wants it
/// any more, so it is not moved either.
pub async fn request_cancel(conn: &mut Conn, id: &Id, now: UnixMs, until: UnixMs) -> Result<bool> {
    let stay = query("UPDATE ci_builds SET failover = NULL WHERE id = $1 AND settled_at IS NULL");
    execute(conn, stay.bind(id.as_str())).await?;
    let statement = query(
        "UPDATE ci_builds SET cancel_requested = 1, hinted_at = $1, updated_at = $1, \
         deadline_at = CASE WHEN deadline_at < $2 THEN deadline_at ELSE $2 END \
         WHERE id = $3 AND cancel_requested = 0 AND settled_at IS NULL",
    );
    Ok(execute(conn, statement.bind(now).bind(until).bind(id.as_str())).await? > 0)
}

/// Has it until `deadline` from now on: it has waited for people. One that is to end keeps its time.
pub async fn delay(conn: &mut Conn, id: &Id, deadline: UnixMs) -> Result<()> {
    let statement = query("UPDATE ci_builds SET deadline_at = $1 WHERE id = $2 AND cancel_requested = 0");
    execute(conn, statement.bind(deadline).bind(id.as_str())).await.map(|_| ())
}

/// Asks for its end, which has until `until`, because it is to be moved; false if its end was asked for before, or it has begun.
pub async fn request_failover(
    conn: &mut Conn,
    id: &Id,
    why: &str,
    now: UnixMs,
    until: UnixMs,
) -> Result<bool> {
    let statement = query(
        "UPDATE ci_builds SET cancel_requested = 1, failover = $1, updated_at = $2, deadline_at = $3 \
         WHERE id = $4 AND cancel_requested = 0 AND settled_at IS NULL AND status = 'pending' AND start <> 'sent'",
    );
    let statement = statement.bind(plain(why)).bind(now).bind(until).bind(id.as_str());
    Ok(execute(conn, statement).await? > 0)
}

/// There is news of it.
pub async fn hint(conn: &mut Conn, id: &Id, now: UnixMs) -> Result<()> {
    let statement = query("UPDATE ci_builds SET hinted_at = $1 WHERE id = $2").bind(now).bind(id.as_str());
    execute(conn, statement).await.map(|_| ())
}

/// How far its log was read. `grown_at`: when something new stood there.
pub async fn set_log(
    conn: &mut Conn,
    id: &Id,
    cursor: &str,
    complete: bool,
    grown_at: Option<UnixMs>,
) -> Result<()> {
    let statement = query(
        "UPDATE ci_builds SET log_cursor = $1, log_complete = $2, updated_at = COALESCE($3, updated_at) WHERE id = $4",
    )
    .bind(plain(cursor))
    .bind(i64::from(complete))
    .bind(grown_at)
    .bind(id.as_str());
    hit(execute(conn, statement).await?, CicdBuild::WHAT, id)
}

/// What keeps it from being followed, since when it first did; nothing if all is well.
pub async fn set_trouble(conn: &mut Conn, id: &Id, trouble: Option<&str>, now: UnixMs) -> Result<()> {
    let statement = query(
        "UPDATE ci_builds SET trouble = $1, trouble_since = CASE WHEN $1 IS NULL THEN NULL \
         ELSE COALESCE(trouble_since, $2) END WHERE id = $3",
    )
    .bind(plain_opt(trouble))
    .bind(now)
    .bind(id.as_str());
    hit(execute(conn, statement).await?, CicdBuild::WHAT, id)
}

/// Whether a build that others seem to have started may be one of ours whose name is not known yet: one of the job that was
/// started and has no number, or one whose start the provider is just being told.
pub async fn may_be_ours(conn: &mut Conn, job: &CicdJob) -> Result<bool> {
    let statement = query(select!(
        "WHERE settled_at IS NULL AND ((job_id = $1 AND number = '' AND start <> 'none') OR (start = 'sent' AND job_id IN \
         (SELECT id FROM cicd_jobs WHERE provider_id = $2))) LIMIT 1"
    ));
    let statement = statement.bind(job.id.as_str()).bind(job.provider_id.as_str());
    Ok(fetch_opt::<CicdBuild>(conn, statement).await?.is_some())
}

/// Whether another job of the provider has the build with this page: a provider may not be able to tell two jobs apart.
pub async fn is_elsewhere(conn: &mut Conn, job: &CicdJob, external: &str, url: &str) -> Result<bool> {
    let statement = query(select!(
        "WHERE external_id = $1 AND url = $2 AND job_id IN (SELECT id FROM cicd_jobs WHERE provider_id = $3) LIMIT 1"
    ));
    let statement = statement.bind(plain(external)).bind(plain(url)).bind(job.provider_id.as_str());
    Ok(fetch_opt::<CicdBuild>(conn, statement).await?.is_some())
}

/// How many builds there are by plugin and status.
pub async fn count(conn: &mut Conn) -> Result<Vec<(String, CiStatus, i64)>> {
    let rows = query(
        "SELECT p.type AS kind, b.status AS status, COUNT(*) AS n FROM ci_builds b JOIN cicd_jobs j ON j.id = b.job_id \
         JOIN cicd_providers p ON p.id = j.provider_id WHERE b.settled_at IS NULL GROUP BY p.type, b.status",
    )
    .fetch_all(conn)
    .await
    .map_err(fault)?;
    let read = |row: &sqlx::any::AnyRow| {
        let row = Row(row);
        Ok((row.text("kind")?, row.word("status", CiStatus::parse)?, row.int("n")?))
    };
    rows.iter().map(read).collect()
}

/// Keeps what is known of its log, which is complete.
pub async fn set_log_kept(conn: &mut Conn, id: &Id, log: &LogSummary) -> Result<()> {
    let query = query("UPDATE ci_builds SET log_kept = $1 WHERE id = $2").bind(json(log)?).bind(id.as_str());
    hit(execute(conn, query).await?, CicdBuild::WHAT, id)
}

/// What is kept of its log.
pub async fn log_kept(conn: &mut Conn, id: &Id) -> Result<Option<LogSummary>> {
    let query = query("SELECT log_kept FROM ci_builds WHERE id = $1").bind(id.as_str());
    let row = query.fetch_optional(conn).await.map_err(fault)?;
    row.map_or(Ok(None), |row| Row(&row).json_opt("log_kept"))
}
