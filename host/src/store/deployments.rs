//! Table `deployments`.

use super::{
    Conn, Tx, counters,
    faults::{fault, on_unique},
    rows::{
        Entity, Query, Row, as_seq, below, execute, fetch_all, fetch_opt, fetch_page, found, hit, id_text,
        json, over, plain, plain_opt, query,
    },
};
use crate::{
    domain::{
        Id, UnixMs,
        access::Reach,
        deployment::{Deployment, DeploymentStatus, RolloutState, TriggerType},
        log::LogSummary,
        page::{Page, PageRequest},
    },
    error::{Error, Result},
};

macro_rules! columns {
    () => {
        "id, seq, project_id, stack_id, build_config_id, repository_id, build_id, release_id, stable_release_id, \
         commit_sha, commit_message, commit_author, branch, tag, image_tag, reason, status, error, triggered_by, \
         triggered_by_user, previous_deployment_id, strategy, strategy_digest, strategy_params, memory, label, \
         progress, rollout_started_at, step_started_at, deadline_at, abort_requested, paused_at, fallback_reason, \
         pause_ms, started_at, completed_at"
    };
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM deployments ", $tail)
    };
}

impl Entity for Deployment {
    const WHAT: &'static str = "deployment";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            project_id: row.id("project_id")?,
            stack_id: row.id("stack_id")?,
            build_config_id: row.id_opt("build_config_id")?,
            repository_id: row.id_opt("repository_id")?,
            build_id: row.id_opt("build_id")?,
            release_id: row.id_opt("release_id")?,
            stable_release_id: row.id_opt("stable_release_id")?,
            commit_sha: row.text("commit_sha")?,
            commit_message: row.text_opt("commit_message")?,
            commit_author: row.text_opt("commit_author")?,
            branch: row.text("branch")?,
            tag: row.text_opt("tag")?,
            image_tag: row.text("image_tag")?,
            reason: row.text_opt("reason")?,
            status: row.word("status", DeploymentStatus::parse)?,
            error: row.text_opt("error")?,
            triggered_by: row.word("triggered_by", TriggerType::parse)?,
            triggered_by_user: row.text_opt("triggered_by_user")?,
            previous_deployment_id: row.id_opt("previous_deployment_id")?,
            rollout: rollout(row)?,
            started_at: row.int("started_at")?,
            completed_at: row.int_opt("completed_at")?,
        })
    }
}

fn rollout(row: &Row<'_>) -> Result<RolloutState> {
    Ok(RolloutState {
        strategy: row.text("strategy")?,
        strategy_digest: row.text("strategy_digest")?,
        strategy_params: row.json("strategy_params")?,
        memory: row.bytes("memory")?,
        label: row.text("label")?,
        progress: row.int("progress")?,
        rollout_started_at: row.int_opt("rollout_started_at")?,
        step_started_at: row.int_opt("step_started_at")?,
        deadline_at: row.int_opt("deadline_at")?,
        abort_requested: row.flag("abort_requested")?,
        paused_at: row.int_opt("paused_at")?,
        fallback_reason: row.text_opt("fallback_reason")?,
        pause_ms: row.int_opt("pause_ms")?,
    })
}

/// Stores it under the next number, whatever its `seq` says.
pub async fn insert(conn: &mut Conn, mut deployment: Deployment) -> Result<Deployment> {
    deployment.seq = counters::take(conn, "deployments", 1).await?;
    let d = &deployment;
    let statement = query(
        "INSERT INTO deployments (strategy, strategy_digest, strategy_params, memory, label, progress, \
         rollout_started_at, step_started_at, deadline_at, fallback_reason, pause_ms, release_id, \
         stable_release_id, abort_requested, id, seq, project_id, stack_id, build_config_id, repository_id, \
         build_id, commit_sha, commit_message, commit_author, branch, tag, image_tag, reason, status, error, \
         triggered_by, triggered_by_user, previous_deployment_id, created_at, started_at, completed_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, \
         $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $34, $35)",
    );
    let done = rollout_values(statement, d)?
        .bind(i64::from(d.rollout.abort_requested))
        .bind(d.id.as_str())
        .bind(d.seq)
        .bind(d.project_id.as_str())
        .bind(d.stack_id.as_str())
        .bind(id_text(d.build_config_id.as_ref()))
        .bind(id_text(d.repository_id.as_ref()))
        .bind(id_text(d.build_id.as_ref()))
        .bind(d.commit_sha.as_str())
        .bind(plain_opt(d.commit_message.as_deref()))
        .bind(plain_opt(d.commit_author.as_deref()))
        .bind(d.branch.as_str())
        .bind(d.tag.clone())
        .bind(d.image_tag.as_str())
        .bind(plain_opt(d.reason.as_deref()))
        .bind(d.status.as_str())
        .bind(plain_opt(d.error.as_deref()))
        .bind(d.triggered_by.as_str())
        .bind(d.triggered_by_user.clone())
        .bind(id_text(d.previous_deployment_id.as_ref()))
        .bind(d.started_at)
        .bind(d.completed_at)
        .execute(conn)
        .await;
    on_unique(done, || format!("the deployment {} already exists", deployment.id))?;
    Ok(deployment)
}

/// The parameters $1 to $13, which inserting and saving the rollout have in common.
fn rollout_values(statement: Query, deployment: &Deployment) -> Result<Query> {
    let rollout = &deployment.rollout;
    Ok(statement
        .bind(rollout.strategy.as_str())
        .bind(rollout.strategy_digest.as_str())
        .bind(json(&rollout.strategy_params)?)
        .bind(rollout.memory.clone())
        .bind(rollout.label.as_str())
        .bind(rollout.progress)
        .bind(rollout.rollout_started_at)
        .bind(rollout.step_started_at)
        .bind(rollout.deadline_at)
        .bind(plain_opt(rollout.fallback_reason.as_deref()))
        .bind(rollout.pause_ms)
        .bind(id_text(deployment.release_id.as_ref()))
        .bind(id_text(deployment.stable_release_id.as_ref())))
}

/// `key` is an id or a number.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Deployment> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id or a number.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<Deployment>> {
    match as_seq(key) {
        Some(seq) => fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await,
        None => fetch_opt(conn, query(select!("WHERE id = $1")).bind(key)).await,
    }
}

/// Newest first.
pub async fn list(conn: &mut Conn, page: PageRequest, reach: &Reach) -> Result<Page<Deployment>> {
    let query = query(select!(
        "WHERE seq < $1 AND ($3 = '' OR EXISTS (SELECT 1 FROM token_projects v \
         WHERE v.token_id = $3 AND v.project_id = deployments.project_id)) ORDER BY seq DESC LIMIT $2"
    ))
    .bind(below(page))
    .bind(over(page))
    .bind(reach.as_str().to_owned());
    fetch_page(conn, page, query, |deployment: &Deployment| deployment.seq).await
}

/// Newest first.
pub async fn list_by_stack(conn: &mut Conn, stack: &Id, page: PageRequest) -> Result<Page<Deployment>> {
    let query = query(select!("WHERE stack_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"))
        .bind(stack.as_str())
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |deployment: &Deployment| deployment.seq).await
}

pub async fn latest_by_stack(conn: &mut Conn, stack: &Id) -> Result<Option<Deployment>> {
    fetch_opt(conn, query(select!("WHERE stack_id = $1 ORDER BY seq DESC LIMIT 1")).bind(stack.as_str()))
        .await
}

/// Status of the newest one, of that branch if one is given.
pub async fn latest_status(
    conn: &mut Conn,
    stack: &Id,
    branch: Option<&str>,
) -> Result<Option<DeploymentStatus>> {
    let row = query(
        "SELECT status FROM deployments WHERE stack_id = $1 AND ($2 = '' OR branch = $2) ORDER BY seq DESC LIMIT 1",
    )
    .bind(stack.as_str())
    .bind(plain(branch.unwrap_or_default()))
    .fetch_optional(conn)
    .await
    .map_err(fault)?;
    row.map(|row| Row(&row).word("status", DeploymentStatus::parse)).transpose()
}

/// The newest one that has ended.
pub async fn latest_ended(conn: &mut Conn, stack: &Id) -> Result<Option<Deployment>> {
    let query = query(select!("WHERE stack_id = $1 AND completed_at IS NOT NULL ORDER BY seq DESC LIMIT 1"))
        .bind(stack.as_str());
    fetch_opt(conn, query).await
}

/// What a rollback of the deployment with that number goes back to: the last successful one before it that produced
/// another release than `active`.
pub async fn last_successful_before(
    conn: &mut Conn,
    stack: &Id,
    seq: i64,
    active: Option<&Id>,
) -> Result<Option<Deployment>> {
    let query = query(select!(
        "WHERE stack_id = $1 AND status = 'successful' AND seq < $2 AND release_id <> $3 ORDER BY seq DESC LIMIT 1"
    ))
    .bind(stack.as_str())
    .bind(seq)
    .bind(active.map_or("", Id::as_str));
    fetch_opt(conn, query).await
}

/// The newest deployment that put this release into service.
pub async fn latest_of_release(conn: &mut Conn, stack: &Id, release: &Id) -> Result<Option<Deployment>> {
    let query = query(select!(
        "WHERE stack_id = $1 AND status = 'successful' AND release_id = $2 ORDER BY seq DESC LIMIT 1"
    ))
    .bind(stack.as_str())
    .bind(release.as_str());
    fetch_opt(conn, query).await
}

/// Writes down who asked for it.
pub async fn set_requester(conn: &mut Conn, id: &Id, user: Option<&Id>) -> Result<()> {
    let query =
        query("UPDATE deployments SET requested_by = $1 WHERE id = $2").bind(id_text(user)).bind(id.as_str());
    hit(execute(conn, query).await?, Deployment::WHAT, id)
}

/// The person who asked for it, where one is known.
pub async fn requester(conn: &mut Conn, id: &Id) -> Result<Option<Id>> {
    let row = query("SELECT requested_by FROM deployments WHERE id = $1").bind(id.as_str());
    Row(&row.fetch_one(conn).await.map_err(fault)?).id_opt("requested_by")
}

/// Remembers the number of the webhook event that a deployment comes from.
pub async fn set_push(conn: &mut Conn, id: &Id, event: i64) -> Result<()> {
    let query = query("UPDATE deployments SET push_seq = $1 WHERE id = $2").bind(event).bind(id.as_str());
    hit(execute(conn, query).await?, Deployment::WHAT, id)
}

/// The deployment of the newest push of a branch, with the number of its webhook event.
pub async fn latest_push(conn: &mut Conn, stack: &Id, branch: &str) -> Result<Option<(Deployment, i64)>> {
    let query = query(concat!(
        "SELECT push_seq, ",
        columns!(),
        " FROM deployments WHERE stack_id = $1 AND branch = $2 AND push_seq IS NOT NULL \
         ORDER BY push_seq DESC LIMIT 1"
    ))
    .bind(stack.as_str())
    .bind(branch);
    let row = query.fetch_optional(conn).await.map_err(fault)?;
    row.map(|row| Ok((Deployment::from_row(&Row(&row))?, Row(&row).int("push_seq")?))).transpose()
}

/// The number of the webhook event that it comes from, if it comes from one.
pub async fn push_of(conn: &mut Conn, id: &Id) -> Result<Option<i64>> {
    let query = query("SELECT push_seq FROM deployments WHERE id = $1").bind(id.as_str());
    let row = query.fetch_optional(conn).await.map_err(fault)?;
    row.map_or(Ok(None), |row| Row(&row).int_opt("push_seq"))
}

/// The pending, building and deploying ones, oldest first.
pub async fn list_nonterminal(conn: &mut Conn) -> Result<Vec<Deployment>> {
    fetch_all(conn, query(select!("WHERE status IN ('pending', 'building', 'deploying') ORDER BY seq"))).await
}

/// Moves it from one status to another; a terminal one sets `completed_at` and `duration`. `Conflict` if the state
/// machine does not know the step or the deployment has another status by now. Without `error` the old one stays.
pub async fn transition(
    tx: &mut Tx,
    id: &Id,
    from: DeploymentStatus,
    to: DeploymentStatus,
    error: Option<&str>,
    now: UnixMs,
) -> Result<Deployment> {
    if !from.may_become(to) {
        let (from, to) = (from.as_str(), to.as_str());
        return Err(Error::conflict(format!("a deployment that is {from} cannot become {to}")));
    }
    let query = query(concat!(
        "UPDATE deployments SET status = $1, error = COALESCE($2, error), \
         completed_at = CASE WHEN $3 = 1 THEN COALESCE(completed_at, $4) ELSE completed_at END, \
         duration = CASE WHEN $3 = 1 THEN COALESCE(duration, ($4 - started_at) / 1000) ELSE duration END \
         WHERE id = $5 AND status = $6 RETURNING ",
        columns!()
    ))
    .bind(to.as_str())
    .bind(plain_opt(error))
    .bind(i64::from(to.is_terminal()))
    .bind(now)
    .bind(id.as_str())
    .bind(from.as_str());
    match fetch_opt::<Deployment>(tx, query).await? {
        Some(deployment) => {
            if to.is_terminal() && !from.is_terminal() {
                tx.ended(deployment.clone());
            }
            Ok(deployment)
        }
        None => {
            let (is, to) = (find(tx, id.as_str()).await?.status.as_str(), to.as_str());
            Err(Error::conflict(format!("the deployment is {is} by now and cannot become {to}")))
        }
    }
}

/// Writes what becomes known before the rollout: build, release, commit, tag and image. Status and rollout have
/// functions of their own.
pub async fn update(conn: &mut Conn, deployment: &Deployment) -> Result<()> {
    let query = query(
        "UPDATE deployments SET build_id = $1, release_id = $2, commit_sha = $3, commit_message = $4, \
         commit_author = $5, tag = $6, image_tag = $7, reason = $8 WHERE id = $9",
    )
    .bind(id_text(deployment.build_id.as_ref()))
    .bind(id_text(deployment.release_id.as_ref()))
    .bind(deployment.commit_sha.as_str())
    .bind(plain_opt(deployment.commit_message.as_deref()))
    .bind(plain_opt(deployment.commit_author.as_deref()))
    .bind(deployment.tag.clone())
    .bind(deployment.image_tag.as_str())
    .bind(plain_opt(deployment.reason.as_deref()))
    .bind(deployment.id.as_str());
    hit(execute(conn, query).await?, Deployment::WHAT, &deployment.id)
}

/// Writes the rollout's state, the release and the stable release. `Conflict` if a later claim (a larger `fence`) has
/// written already: whoever asks no longer owns this rollout. The abort flag is left alone, since a person may have set
/// it in the meantime.
pub async fn save_rollout(conn: &mut Conn, deployment: &Deployment, fence: i64) -> Result<()> {
    let statement = query(
        "UPDATE deployments SET strategy = $1, strategy_digest = $2, strategy_params = $3, memory = $4, label = $5, \
         progress = $6, rollout_started_at = $7, step_started_at = $8, deadline_at = $9, fallback_reason = $10, \
         pause_ms = $11, release_id = $12, stable_release_id = $13, fence = $14 WHERE id = $15 AND fence <= $14",
    );
    let statement = rollout_values(statement, deployment)?.bind(fence).bind(deployment.id.as_str());
    if execute(conn, statement).await? == 0 {
        find(conn, deployment.id.as_str()).await?;
        return Err(Error::conflict("another node has taken this rollout over"));
    }
    Ok(())
}

/// Asks the rollout to stop. Answers whether this was the first time; `Conflict` if there is nothing left to stop.
pub async fn request_abort(tx: &mut Tx, id: &Id) -> Result<bool> {
    let statement = query(
        "UPDATE deployments SET abort_requested = 1, paused_at = NULL WHERE id = $1 AND abort_requested = 0 \
         AND status IN ('pending', 'building', 'deploying')",
    )
    .bind(id.as_str());
    if execute(tx, statement).await? > 0 {
        tx.tell_wish();
        return Ok(true);
    }
    let deployment = find(tx, id.as_str()).await?;
    if deployment.status.is_terminal() {
        let status = deployment.status.as_str();
        return Err(Error::conflict(format!("the deployment is {status}; there is nothing to abort")));
    }
    Ok(false)
}

/// Holds the rollout where it is; false if it is held already.
pub async fn pause(tx: &mut Tx, id: &Id, now: UnixMs) -> Result<bool> {
    let statement = query(
        "UPDATE deployments SET paused_at = $1 WHERE id = $2 AND paused_at IS NULL AND abort_requested = 0 \
         AND status IN ('pending', 'building', 'deploying')",
    )
    .bind(now)
    .bind(id.as_str());
    tx.tell_wish();
    Ok(execute(tx, statement).await? > 0)
}

/// Lets it go on; false if it was not held. The time in between does not count against its deadline.
pub async fn resume(tx: &mut Tx, id: &Id, now: UnixMs) -> Result<bool> {
    let statement = query(
        "UPDATE deployments SET deadline_at = deadline_at + ($1 - paused_at), paused_at = NULL \
         WHERE id = $2 AND paused_at IS NOT NULL",
    )
    .bind(now)
    .bind(id.as_str());
    tx.tell_wish();
    Ok(execute(tx, statement).await? > 0)
}

/// The newest deployment of a commit: what has become of the commit.
pub async fn latest_of_commit(conn: &mut Conn, stack: &Id, commit: &str) -> Result<Option<Deployment>> {
    let query = query(select!("WHERE stack_id = $1 AND commit_sha = $2 ORDER BY seq DESC LIMIT 1"))
        .bind(stack.as_str())
        .bind(commit);
    fetch_opt(conn, query).await
}

/// Writes down which commit a deployment turned out to be of, and by which tag it was found. Found by its id, it keeps the tag
/// that was pushed.
pub async fn set_commit(conn: &mut Conn, id: &Id, commit: &str, tag: Option<&str>) -> Result<()> {
    let query = query("UPDATE deployments SET commit_sha = $1, tag = COALESCE($2, tag) WHERE id = $3")
        .bind(commit)
        .bind(plain_opt(tag))
        .bind(id.as_str());
    hit(execute(conn, query).await?, Deployment::WHAT, id)
}

/// What the forge takes for running or serving, as far as it was told.
pub async fn list_open_at_forge(conn: &mut Conn, stack: &Id) -> Result<Vec<Deployment>> {
    let query = query(select!(
        "WHERE stack_id = $1 AND forge_state IN ('queued', 'in_progress', 'success') ORDER BY seq DESC"
    ))
    .bind(stack.as_str());
    fetch_all(conn, query).await
}

/// The newest one that succeeded and was not taken back: what serves.
pub async fn latest_successful(conn: &mut Conn, stack: &Id) -> Result<Option<Deployment>> {
    let query = query(select!("WHERE stack_id = $1 AND status = 'successful' ORDER BY seq DESC LIMIT 1"))
        .bind(stack.as_str());
    fetch_opt(conn, query).await
}

/// What is shown of a deployment that a provider carries out.
pub async fn set_label(conn: &mut Conn, id: &Id, label: &str) -> Result<()> {
    let query = query("UPDATE deployments SET label = $1 WHERE id = $2").bind(plain(label)).bind(id.as_str());
    hit(execute(conn, query).await?, Deployment::WHAT, id)
}

/// Keeps what is known of the logs of its build and its rollout; `None` leaves one as it is.
pub async fn set_logs(
    conn: &mut Conn,
    id: &Id,
    build: Option<&LogSummary>,
    rollout: Option<&LogSummary>,
) -> Result<()> {
    let query = query(
        "UPDATE deployments SET build_logs = COALESCE($1, build_logs), \
         deployment_logs = COALESCE($2, deployment_logs) WHERE id = $3",
    )
    .bind(build.map(json).transpose()?)
    .bind(rollout.map(json).transpose()?)
    .bind(id.as_str());
    hit(execute(conn, query).await?, Deployment::WHAT, id)
}

/// What is kept of the logs of its build and its rollout.
pub async fn logs(conn: &mut Conn, id: &Id) -> Result<(Option<LogSummary>, Option<LogSummary>)> {
    let query = query("SELECT build_logs, deployment_logs FROM deployments WHERE id = $1").bind(id.as_str());
    let Some(row) = query.fetch_optional(conn).await.map_err(fault)? else { return Ok((None, None)) };
    let row = Row(&row);
    Ok((row.json_opt("build_logs")?, row.json_opt("deployment_logs")?))
}
