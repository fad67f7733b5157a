//! Tables `build_args` and `env_vars`: the ordered lists of a build configuration. They are replaced as a whole.

use std::sync::LazyLock;

use super::{
    Conn,
    batch::Batch,
    faults::fault,
    rows::{Entity, Row, execute, fetch_all, query},
};
use crate::{
    domain::{
        Id,
        build_config::{BuildArg, EnvVar},
    },
    error::Result,
};

static INSERT_ARGS: LazyLock<Batch> =
    LazyLock::new(|| Batch::new("INSERT INTO build_args (build_config_id, n, name, value)", 4, "", ""));
static INSERT_VARIABLES: LazyLock<Batch> =
    LazyLock::new(|| Batch::new("INSERT INTO env_vars (build_config_id, n, name, value, secret)", 5, "", ""));

impl Entity for BuildArg {
    const WHAT: &'static str = "build argument";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { name: row.text("name")?, value: row.text("value")? })
    }
}

impl Entity for EnvVar {
    const WHAT: &'static str = "variable";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { name: row.text("name")?, value: row.text("value")?, secret: row.flag("secret")? })
    }
}

/// The arguments of a build configuration in their order.
pub async fn list(conn: &mut Conn, config: &Id) -> Result<Vec<BuildArg>> {
    let query = query("SELECT name, value FROM build_args WHERE build_config_id = $1 ORDER BY n")
        .bind(config.as_str());
    fetch_all(conn, query).await
}

/// The variables of a build configuration in their order, secret ones still sealed.
pub async fn list_variables(conn: &mut Conn, config: &Id) -> Result<Vec<EnvVar>> {
    let query = query("SELECT name, value, secret FROM env_vars WHERE build_config_id = $1 ORDER BY n")
        .bind(config.as_str());
    fetch_all(conn, query).await
}

/// Replaces both lists.
pub async fn replace(conn: &mut Conn, config: &Id, args: &[BuildArg], variables: &[EnvVar]) -> Result<()> {
    execute(conn, query("DELETE FROM build_args WHERE build_config_id = $1").bind(config.as_str())).await?;
    execute(conn, query("DELETE FROM env_vars WHERE build_config_id = $1").bind(config.as_str())).await?;
    let args: Vec<(i64, &BuildArg)> = (0..).zip(args).collect();
    for (text, rows) in INSERT_ARGS.split(conn, &args) {
        let mut query = query(text);
        for (n, arg) in rows {
            query = query.bind(config.as_str()).bind(*n).bind(arg.name.as_str()).bind(arg.value.as_str());
        }
        query.execute(&mut *conn).await.map_err(fault)?;
    }
    let variables: Vec<(i64, &EnvVar)> = (0..).zip(variables).collect();
    for (text, rows) in INSERT_VARIABLES.split(conn, &variables) {
        let mut query = query(text);
        for (n, variable) in rows {
            query = query
                .bind(config.as_str())
                .bind(*n)
                .bind(variable.name.as_str())
                .bind(variable.value.as_str())
                .bind(i64::from(variable.secret));
        }
        query.execute(&mut *conn).await.map_err(fault)?;
    }
    Ok(())
}
