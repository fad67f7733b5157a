//! Table `build_configs`, together with the lists in `build_args` and `env_vars`.

use super::{
    Conn, build_args,
    faults::on_unique,
    rows::{Entity, Query, Row, execute, fetch_opt, found, hit, id_text, json, query},
};
use crate::{
    domain::{
        Id,
        build_config::{BuildConfig, BuildSettings},
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, stack_id, repository_id, build_type, context_path, dockerfile_path, compose_path, target, \
             pre_build_commands, post_build_commands, timeout, auto_deploy_on_push, auto_deploy_branches, \
             health_check_path, health_check_timeout, rollback_on_failure, created_at, updated_at, \
             auto_deploy_paths, options, auto_deploy_tags FROM build_configs ",
            $tail
        )
    };
}

impl Entity for BuildConfig {
    const WHAT: &'static str = "build configuration";

    /// Without the lists, which are in tables of their own.
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let settings = BuildSettings {
            build_type: row.text("build_type")?,
            context_path: row.text_opt("context_path")?,
            dockerfile_path: row.text_opt("dockerfile_path")?,
            compose_path: row.text_opt("compose_path")?,
            target: row.text_opt("target")?,
            build_args: Vec::new(),
            pre_build_commands: row.json("pre_build_commands")?,
            post_build_commands: row.json("post_build_commands")?,
            environment_variables: Vec::new(),
            timeout: row.small("timeout")?,
            auto_deploy_on_push: row.flag("auto_deploy_on_push")?,
            auto_deploy_branches: row.json("auto_deploy_branches")?,
            auto_deploy_tags: row.json("auto_deploy_tags")?,
            auto_deploy_paths: row.json("auto_deploy_paths")?,
            health_check_path: row.text_opt("health_check_path")?,
            health_check_timeout: row.small_opt("health_check_timeout")?,
            rollback_on_failure: row.flag("rollback_on_failure")?,
            options: row.json("options")?,
        };
        Ok(Self {
            id: row.id("id")?,
            stack_id: row.id("stack_id")?,
            repository_id: row.id_opt("repository_id")?,
            settings,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// `Conflict` if the stack has a build configuration already, or does not exist.
pub async fn insert(conn: &mut Conn, config: &BuildConfig) -> Result<()> {
    let statement = query(
        "INSERT INTO build_configs (repository_id, build_type, context_path, dockerfile_path, compose_path, target, \
         pre_build_commands, post_build_commands, timeout, auto_deploy_on_push, auto_deploy_branches, \
         health_check_path, health_check_timeout, rollback_on_failure, updated_at, auto_deploy_paths, options, \
         auto_deploy_tags, id, stack_id, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
    );
    let statement = settings(statement, config)?
        .bind(config.id.as_str())
        .bind(config.stack_id.as_str())
        .bind(config.created_at);
    let done = statement.execute(&mut *conn).await;
    on_unique(done, || "the stack already has a build configuration".into())?;
    replace_lists(conn, config).await
}

/// Writes everything but its stack, and replaces its arguments and variables.
pub async fn update(conn: &mut Conn, config: &BuildConfig) -> Result<()> {
    let statement = query(
        "UPDATE build_configs SET repository_id = $1, build_type = $2, context_path = $3, dockerfile_path = $4, \
         compose_path = $5, target = $6, pre_build_commands = $7, post_build_commands = $8, timeout = $9, \
         auto_deploy_on_push = $10, auto_deploy_branches = $11, health_check_path = $12, \
         health_check_timeout = $13, rollback_on_failure = $14, updated_at = $15, auto_deploy_paths = $16, options = $17, \
         auto_deploy_tags = $18 WHERE id = $19",
    );
    let statement = settings(statement, config)?.bind(config.id.as_str());
    hit(execute(conn, statement).await?, BuildConfig::WHAT, &config.id)?;
    replace_lists(conn, config).await
}

/// The parameters $1 to $18, which inserting and updating have in common.
fn settings(statement: Query, config: &BuildConfig) -> Result<Query> {
    let settings = &config.settings;
    Ok(statement
        .bind(id_text(config.repository_id.as_ref()))
        .bind(settings.build_type.as_str())
        .bind(settings.context_path.clone())
        .bind(settings.dockerfile_path.clone())
        .bind(settings.compose_path.clone())
        .bind(settings.target.clone())
        .bind(json(&settings.pre_build_commands)?)
        .bind(json(&settings.post_build_commands)?)
        .bind(i64::from(settings.timeout))
        .bind(i64::from(settings.auto_deploy_on_push))
        .bind(json(&settings.auto_deploy_branches)?)
        .bind(settings.health_check_path.clone())
        .bind(settings.health_check_timeout.map(i64::from))
        .bind(i64::from(settings.rollback_on_failure))
        .bind(config.updated_at)
        .bind(json(&settings.auto_deploy_paths)?)
        .bind(json(&settings.options)?)
        .bind(json(&settings.auto_deploy_tags)?))
}

async fn replace_lists(conn: &mut Conn, config: &BuildConfig) -> Result<()> {
    let settings = &config.settings;
    build_args::replace(conn, &config.id, &settings.build_args, &settings.environment_variables).await
}

pub async fn find(conn: &mut Conn, id: &Id) -> Result<BuildConfig> {
    found(find_opt(conn, id).await?, id.as_str())
}

pub async fn find_opt(conn: &mut Conn, id: &Id) -> Result<Option<BuildConfig>> {
    let config = fetch_opt(conn, query(select!("WHERE id = $1")).bind(id.as_str())).await?;
    with_lists(conn, config).await
}

pub async fn by_stack(conn: &mut Conn, stack: &Id) -> Result<Option<BuildConfig>> {
    let config = fetch_opt(conn, query(select!("WHERE stack_id = $1")).bind(stack.as_str())).await?;
    with_lists(conn, config).await
}

async fn with_lists(conn: &mut Conn, config: Option<BuildConfig>) -> Result<Option<BuildConfig>> {
    let Some(mut config) = config else { return Ok(None) };
    config.settings.build_args = build_args::list(conn, &config.id).await?;
    config.settings.environment_variables = build_args::list_variables(conn, &config.id).await?;
    Ok(Some(config))
}
