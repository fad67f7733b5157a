//! Table `stacks`.

use super::{
    Conn, counters,
    faults::on_unique,
    rows::{
        Entity, Row, as_seq, below, execute, fetch_all, fetch_opt, fetch_page, found, hit, id_text, json,
        over, plain_opt, query,
    },
};
use crate::{
    domain::{
        Id, UnixMs,
        access::Reach,
        page::{Page, PageRequest},
        plugin::PluginKind,
        stack::Stack,
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, project_id, name, description, run, traffic, strategy, strategy_params, target, active_release_id, \
             created_at, updated_at FROM stacks ",
            $tail
        )
    };
}

impl Entity for Stack {
    const WHAT: &'static str = "stack";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            project_id: row.id("project_id")?,
            name: row.text("name")?,
            description: row.text("description")?,
            run: row.json("run")?,
            traffic: row.json("traffic")?,
            strategy: row.text("strategy")?,
            strategy_params: row.json("strategy_params")?,
            target: row.text_opt("target")?,
            active_release_id: row.id_opt("active_release_id")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// Stores it under the next number, whatever its `seq` says. `Conflict` if the name is taken or the project is gone.
pub async fn insert(conn: &mut Conn, mut stack: Stack) -> Result<Stack> {
    stack.seq = counters::take(conn, "stacks", 1).await?;
    let done = query(
        "INSERT INTO stacks (id, seq, project_id, name, description, run, strategy, strategy_params, \
         active_release_id, created_at, updated_at, traffic, routed, target) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(stack.id.as_str())
    .bind(stack.seq)
    .bind(stack.project_id.as_str())
    .bind(stack.name.as_str())
    .bind(stack.description.as_str())
    .bind(json(&stack.run)?)
    .bind(stack.strategy.as_str())
    .bind(json(&stack.strategy_params)?)
    .bind(id_text(stack.active_release_id.as_ref()))
    .bind(stack.created_at)
    .bind(stack.updated_at)
    .bind(json(&stack.traffic)?)
    .bind(i64::from(stack.traffic.is_routed()))
    .bind(plain_opt(stack.target.as_deref()))
    .execute(conn)
    .await;
    on_unique(done, || format!("a stack named `{}` already exists", stack.name))?;
    Ok(stack)
}

/// Writes everything a person can change; the active release is set by [`set_active_release`] only.
pub async fn update(conn: &mut Conn, stack: &Stack) -> Result<()> {
    let done = query(
        "UPDATE stacks SET project_id = $1, name = $2, description = $3, run = $4, strategy = $5, \
         strategy_params = $6, updated_at = $7, traffic = $8, routed = $9, target = $10 WHERE id = $11",
    )
    .bind(stack.project_id.as_str())
    .bind(stack.name.as_str())
    .bind(stack.description.as_str())
    .bind(json(&stack.run)?)
    .bind(stack.strategy.as_str())
    .bind(json(&stack.strategy_params)?)
    .bind(stack.updated_at)
    .bind(json(&stack.traffic)?)
    .bind(i64::from(stack.traffic.is_routed()))
    .bind(plain_opt(stack.target.as_deref()))
    .bind(stack.id.as_str())
    .execute(conn)
    .await;
    let done = on_unique(done, || format!("a stack named `{}` already exists", stack.name))?;
    hit(done.rows_affected(), Stack::WHAT, &stack.id)
}

/// Keeps the row until the transaction ends: of two that look at a stack's open builds and act on what they see, the
/// second one sees what the first has done.
pub async fn hold(conn: &mut Conn, id: &Id) -> Result<()> {
    let query = query("UPDATE stacks SET updated_at = updated_at WHERE id = $1").bind(id.as_str());
    hit(execute(conn, query).await?, Stack::WHAT, id)
}

/// `key` is an id, a number or a name.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Stack> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id, a number or a name. A number wins over a name that looks like one.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<Stack>> {
    if let Some(seq) = as_seq(key)
        && let Some(stack) = fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await?
    {
        return Ok(Some(stack));
    }
    fetch_opt(conn, query(select!("WHERE id = $1 OR name = $1")).bind(key)).await
}

/// The first stack that needs a plugin of that name as one of that kind. A stack that names no strategy needs none: it
/// takes the configuration's.
pub async fn using(conn: &mut Conn, plugin: &str, kind: PluginKind) -> Result<Option<Stack>> {
    let query = match kind {
        PluginKind::DeploymentStrategy => query(select!("WHERE strategy = $1 ORDER BY seq LIMIT 1")),
        // A build type is its planner's name, with `_` for `-`.
        PluginKind::BuildPlanner => query(select!(
            "WHERE id IN (SELECT stack_id FROM build_configs WHERE REPLACE(build_type, '_', '-') = $1) \
             ORDER BY seq LIMIT 1"
        )),
        PluginKind::GitForge => query(select!(
            "WHERE id IN (SELECT stack_id FROM git_repositories WHERE provider = $1) ORDER BY seq LIMIT 1"
        )),
        PluginKind::CiProvider => query(select!(
            "WHERE id IN (SELECT stack_id FROM stack_ci WHERE provider_id IN (SELECT id FROM cicd_providers WHERE type = $1)) \
             ORDER BY seq LIMIT 1"
        )),
        PluginKind::PipelineGenerator | PluginKind::Notifier => return Ok(None),
    };
    fetch_opt(conn, query.bind(plugin)).await
}

/// Newest first.
pub async fn list(conn: &mut Conn, page: PageRequest, reach: &Reach) -> Result<Page<Stack>> {
    let query = query(select!(
        "WHERE seq < $1 AND ($3 = '' OR EXISTS (SELECT 1 FROM token_projects v \
         WHERE v.token_id = $3 AND v.project_id = stacks.project_id)) ORDER BY seq DESC LIMIT $2"
    ))
    .bind(below(page))
    .bind(over(page))
    .bind(reach.as_str().to_owned());
    fetch_page(conn, page, query, |stack: &Stack| stack.seq).await
}

/// Newest first.
pub async fn list_by_project(conn: &mut Conn, project: &Id, page: PageRequest) -> Result<Page<Stack>> {
    let query = query(select!("WHERE project_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"))
        .bind(project.as_str())
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |stack: &Stack| stack.seq).await
}

/// Those that run on a target.
pub async fn list_by_target(conn: &mut Conn, target: &str) -> Result<Vec<Stack>> {
    fetch_all(conn, query(select!("WHERE target = $1 ORDER BY name")).bind(target)).await
}

/// Those that the router knows.
pub async fn list_routed(conn: &mut Conn) -> Result<Vec<Stack>> {
    fetch_all(conn, query(select!("WHERE routed = 1 ORDER BY seq"))).await
}

pub async fn set_active_release(conn: &mut Conn, id: &Id, release: Option<&Id>, now: UnixMs) -> Result<()> {
    let query = query("UPDATE stacks SET active_release_id = $1, updated_at = $2 WHERE id = $3")
        .bind(id_text(release))
        .bind(now)
        .bind(id.as_str());
    hit(execute(conn, query).await?, Stack::WHAT, id)
}

/// Removes it with its repository, build configuration, builds, releases, deployments and route.
pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let query = query("DELETE FROM stacks WHERE id = $1").bind(id.as_str());
    hit(execute(conn, query).await?, Stack::WHAT, id)
}
