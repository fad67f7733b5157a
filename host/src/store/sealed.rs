//! Every place in the database that holds sealed secrets: which they are, a few of them at a time, and how one is replaced.
//!
//! A new column with sealed text is added to [`PLACES`]; a test looks for sealed text everywhere else.

use super::{
    Conn,
    faults::fault,
    rows::{Row, execute, query},
};
use crate::error::Result;

/// A column of a table.
pub struct Place {
    /// `<table>.<column>`.
    pub name: &'static str,
    /// The whole value is sealed, or, in a column of JSON, what is at these pointers; each with the end of its context.
    pub within: &'static [(&'static str, &'static str)],
    read: &'static str,
    write: &'static str,
}

/// A value with sealed secrets, and the row that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub key: (String, i64),
    /// What it was sealed for; of JSON the beginning.
    pub context: String,
    pub value: String,
}

/// $1 and $2 are the key of the row before, $3 how many; in writing $1 the new value, $2 and $3 the row, $4 the old value.
macro_rules! place {
    ($table:literal, $column:literal, $context:literal, $within:expr) => {
        place!($table, $column, "id", $context, $within)
    };
    ($table:literal, $column:literal, $id:literal, $context:literal, $within:expr) => {
        Place {
            name: concat!($table, ".", $column),
            within: $within,
            read: concat!(
                "SELECT ",
                $id,
                " AS a, CAST(0 AS BIGINT) AS b, ",
                $context,
                " AS context, ",
                $column,
                " AS value FROM ",
                $table,
                " WHERE ",
                $column,
                " IS NOT NULL AND ",
                $id,
                " > $1 AND CAST($2 AS BIGINT) <= 0 ORDER BY ",
                $id,
                " LIMIT $3"
            ),
            write: concat!(
                "UPDATE ",
                $table,
                " SET ",
                $column,
                " = $1 WHERE ",
                $id,
                " = $2 AND CAST($3 AS BIGINT) <= 0 AND ",
                $column,
                " = $4"
            ),
        }
    };
}

pub const PLACES: &[Place] = &[
    place!("git_repositories", "credentials", "'git_repositories/' || id || '/credentials'", &[]),
    place!("git_repositories", "webhook_secret", "'git_repositories/' || id || '/webhook_secret'", &[]),
    place!(
        "git_repositories",
        "previous_webhook_secret",
        "'git_repositories/' || id || '/webhook_secret'",
        &[]
    ),
    place!("cicd_providers", "credentials", "'cicd_providers/' || id || '/credentials'", &[]),
    place!("cicd_providers", "webhook_secret", "'cicd_providers/' || id || '/webhook_secret'", &[]),
    place!("targets", "credentials", "'targets/' || id || '/credentials'", &[]),
    place!("registries", "password", "'registries/' || id || '/password'", &[]),
    place!("notification_channels", "credentials", "'notification_channels/' || id || '/credentials'", &[]),
    place!("users", "totp_secret", "'users/' || id || '/totp_secret'", &[]),
    place!("certificates", "sealed_key", "host", "'certificates/' || host || '/key'", &[]),
    place!("acme_accounts", "sealed", "directory", "'acme_accounts/' || directory", &[]),
    place!("audit_keys", "seed", "'audit_keys/' || id || '/seed'", &[]),
    place!(
        "releases",
        "spec",
        "'releases/' || id || '/'",
        &[("/sealed_environment", "environment"), ("/compose/sealed_file", "compose")]
    ),
    Place {
        name: "env_vars.value",
        within: &[],
        read: "SELECT build_config_id AS a, n AS b, 'env_vars/' || build_config_id || '/' || name AS context, value \
               FROM env_vars WHERE (build_config_id, n) > ($1, CAST($2 AS BIGINT)) AND secret = 1 \
               ORDER BY build_config_id, n LIMIT $3",
        write: "UPDATE env_vars SET value = $1 WHERE build_config_id = $2 AND n = $3 AND value = $4",
    },
];

/// At most `limit` values after `key`, in the order of their keys. Begin with an empty text and -1.
pub async fn list(conn: &mut Conn, place: &Place, key: &(String, i64), limit: i64) -> Result<Vec<Held>> {
    let rows =
        query(place.read).bind(key.0.clone()).bind(key.1).bind(limit).fetch_all(conn).await.map_err(fault)?;
    rows.iter()
        .map(|row| {
            let row = Row(row);
            let key = (row.text("a")?, row.int("b")?);
            Ok(Held { key, context: row.text("context")?, value: row.text("value")? })
        })
        .collect()
}

/// False if the value has changed since it was read; then nothing is written.
pub async fn replace(conn: &mut Conn, place: &Place, old: &Held, new: &str) -> Result<bool> {
    let query = query(place.write)
        .bind(new.to_owned())
        .bind(old.key.0.clone())
        .bind(old.key.1)
        .bind(old.value.clone());
    Ok(execute(conn, query).await? > 0)
}
