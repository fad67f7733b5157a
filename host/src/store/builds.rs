//! Table `builds`.

use super::{
    Conn, counters,
    faults::{fault, on_unique},
    rows::{
        Entity, Row, as_seq, below, execute, fetch_all, fetch_opt, fetch_page, found, hit, id_text, json,
        over, plain_opt, query,
    },
};
use crate::{
    domain::{
        Id, UnixMs,
        build::{Build, BuildStatus},
        log::LogSummary,
        page::{Page, PageRequest},
    },
    error::{Error, Result},
};

macro_rules! columns {
    () => {
        "id, seq, project_id, stack_id, deployment_id, git_url, git_ref, commit_sha, context_path, dockerfile, \
         image_tag, image_digest, status, error, log_path, log_size, planner, planner_digest, started_at, \
         finished_at, created_at, pushed"
    };
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM builds ", $tail)
    };
}

impl Entity for Build {
    const WHAT: &'static str = "build";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            project_id: row.id("project_id")?,
            stack_id: row.id("stack_id")?,
            deployment_id: row.id_opt("deployment_id")?,
            git_url: row.text("git_url")?,
            git_ref: row.text("git_ref")?,
            commit_sha: row.text("commit_sha")?,
            context_path: row.text("context_path")?,
            dockerfile: row.text("dockerfile")?,
            image_tag: row.text("image_tag")?,
            image_digest: row.text("image_digest")?,
            status: row.word("status", BuildStatus::parse)?,
            error: row.text_opt("error")?,
            log_path: row.text_opt("log_path")?,
            log_size: row.int("log_size")?,
            planner: row.text("planner")?,
            planner_digest: row.text("planner_digest")?,
            started_at: row.int_opt("started_at")?,
            finished_at: row.int_opt("finished_at")?,
            created_at: row.int("created_at")?,
            pushed: row.json("pushed")?,
        })
    }
}

/// Stores it under the next number, whatever its `seq` says.
pub async fn insert(conn: &mut Conn, mut build: Build) -> Result<Build> {
    build.seq = counters::take(conn, "builds", 1).await?;
    let done = query(concat!(
        "INSERT INTO builds (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)"
    ))
    .bind(build.id.as_str())
    .bind(build.seq)
    .bind(build.project_id.as_str())
    .bind(build.stack_id.as_str())
    .bind(id_text(build.deployment_id.as_ref()))
    .bind(build.git_url.as_str())
    .bind(build.git_ref.as_str())
    .bind(build.commit_sha.as_str())
    .bind(build.context_path.as_str())
    .bind(build.dockerfile.as_str())
    .bind(build.image_tag.as_str())
    .bind(build.image_digest.as_str())
    .bind(build.status.as_str())
    .bind(plain_opt(build.error.as_deref()))
    .bind(build.log_path.clone())
    .bind(build.log_size)
    .bind(build.planner.as_str())
    .bind(build.planner_digest.as_str())
    .bind(build.started_at)
    .bind(build.finished_at)
    .bind(build.created_at)
    .bind(json(&build.pushed)?)
    .execute(conn)
    .await;
    on_unique(done, || format!("the build {} already exists", build.id))?;
    Ok(build)
}

/// `key` is an id or a number.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Build> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id or a number.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<Build>> {
    match as_seq(key) {
        Some(seq) => fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await,
        None => fetch_opt(conn, query(select!("WHERE id = $1")).bind(key)).await,
    }
}

/// Newest first.
pub async fn list_by_stack(conn: &mut Conn, stack: &Id, page: PageRequest) -> Result<Page<Build>> {
    let query = query(select!("WHERE stack_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"))
        .bind(stack.as_str())
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |build: &Build| build.seq).await
}

/// The queued and the building ones, oldest first.
pub async fn list_nonterminal(conn: &mut Conn) -> Result<Vec<Build>> {
    fetch_all(conn, query(select!("WHERE status IN ('queued', 'building') ORDER BY seq"))).await
}

/// The queued and the building ones of a stack that build this branch or tag, oldest first.
pub async fn list_open(conn: &mut Conn, stack: &Id, git_ref: &str) -> Result<Vec<Build>> {
    let query = query(select!(
        "WHERE status IN ('queued', 'building') AND stack_id = $1 AND git_ref = $2 ORDER BY seq"
    ))
    .bind(stack.as_str())
    .bind(git_ref);
    fetch_all(conn, query).await
}

/// Moves it from one status to another and sets its times. `Conflict` if the state machine does not know the step or
/// the build has another status by now.
pub async fn set_status(
    conn: &mut Conn,
    id: &Id,
    from: BuildStatus,
    to: BuildStatus,
    error: Option<&str>,
    now: UnixMs,
) -> Result<Build> {
    if !is_legal(from, to) {
        let (from, to) = (from.as_str(), to.as_str());
        return Err(Error::conflict(format!("a build that is {from} cannot become {to}")));
    }
    let query = query(concat!(
        "UPDATE builds SET status = $1, error = COALESCE($2, error), \
         started_at = CASE WHEN $3 = 1 THEN COALESCE(started_at, $4) ELSE started_at END, \
         finished_at = CASE WHEN $5 = 1 THEN $4 ELSE finished_at END \
         WHERE id = $6 AND status = $7 RETURNING ",
        columns!()
    ))
    .bind(to.as_str())
    .bind(plain_opt(error))
    .bind(i64::from(to == BuildStatus::Building))
    .bind(now)
    .bind(i64::from(to.is_terminal()))
    .bind(id.as_str())
    .bind(from.as_str());
    match fetch_opt(conn, query).await? {
        Some(build) => Ok(build),
        None => {
            let (is, to) = (find(conn, id.as_str()).await?.status.as_str(), to.as_str());
            Err(Error::conflict(format!("the build is {is} by now and cannot become {to}")))
        }
    }
}

fn is_legal(from: BuildStatus, to: BuildStatus) -> bool {
    match to {
        BuildStatus::Queued => false,
        BuildStatus::Building => from == BuildStatus::Queued,
        BuildStatus::Success => from == BuildStatus::Building,
        BuildStatus::Failed | BuildStatus::Cancelled => !from.is_terminal(),
    }
}

/// Writes what becomes known while building; the status is a matter of [`set_status`], the log's size of
/// [`set_log_size`].
pub async fn update(conn: &mut Conn, build: &Build) -> Result<()> {
    let query = query(
        "UPDATE builds SET deployment_id = $1, commit_sha = $2, context_path = $3, dockerfile = $4, image_tag = $5, \
         image_digest = $6, log_path = $7, planner = $8, planner_digest = $9, git_ref = $10, pushed = $11 WHERE id = $12",
    )
    .bind(id_text(build.deployment_id.as_ref()))
    .bind(build.commit_sha.as_str())
    .bind(build.context_path.as_str())
    .bind(build.dockerfile.as_str())
    .bind(build.image_tag.as_str())
    .bind(build.image_digest.as_str())
    .bind(build.log_path.clone())
    .bind(build.planner.as_str())
    .bind(build.planner_digest.as_str())
    .bind(build.git_ref.as_str())
    .bind(json(&build.pushed)?)
    .bind(build.id.as_str());
    hit(execute(conn, query).await?, Build::WHAT, &build.id)
}

/// Writes down which commit a build turned out to be of. Done once more, it builds that one, wherever its branch is then.
pub async fn set_commit(conn: &mut Conn, id: &Id, commit: &str) -> Result<()> {
    let query = query("UPDATE builds SET commit_sha = $1 WHERE id = $2").bind(commit).bind(id.as_str());
    hit(execute(conn, query).await?, Build::WHAT, id)
}

/// Bytes of its log that are safely written.
pub async fn set_log_size(conn: &mut Conn, id: &Id, bytes: i64) -> Result<()> {
    let query = query("UPDATE builds SET log_size = $1 WHERE id = $2").bind(bytes).bind(id.as_str());
    hit(execute(conn, query).await?, Build::WHAT, id)
}

/// Keeps what is known of its log, which is complete.
pub async fn set_log_kept(conn: &mut Conn, id: &Id, log: &LogSummary) -> Result<()> {
    let query = query("UPDATE builds SET log_kept = $1, log_size = $2 WHERE id = $3")
        .bind(json(log)?)
        .bind(i64::try_from(log.bytes).unwrap_or(i64::MAX))
        .bind(id.as_str());
    hit(execute(conn, query).await?, Build::WHAT, id)
}

/// What is kept of its log.
pub async fn log_kept(conn: &mut Conn, id: &Id) -> Result<Option<LogSummary>> {
    let query = query("SELECT log_kept FROM builds WHERE id = $1").bind(id.as_str());
    let row = query.fetch_optional(conn).await.map_err(fault)?;
    row.map_or(Ok(None), |row| Row(&row).json_opt("log_kept"))
}
