//! Which tables and columns there are, as the database itself says. So a table that a later migration adds is in a backup
//! without anybody having to think of it.

use std::collections::BTreeMap;

use sqlx::{Row as _, any::AnyRow};

use super::{
    Conn,
    faults::fault,
    rows::{Query, query},
};
use crate::error::{Error, Result};

const SQLITE: &str = "SELECT m.name AS table_name, c.name AS column_name, lower(c.type) AS data_type \
     FROM sqlite_master m, pragma_table_xinfo(m.name) c \
     WHERE m.type = 'table' AND substr(m.name, 1, 7) <> 'sqlite_' AND m.name <> 'schema_migrations' AND c.hidden = 0 \
     ORDER BY m.name, c.cid";
const POSTGRES: &str = "SELECT c.table_name::text AS table_name, c.column_name::text AS column_name, \
     c.data_type::text AS data_type FROM information_schema.columns c \
     JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
     WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER' \
     AND c.table_name <> 'schema_migrations' ORDER BY c.table_name, c.ordinal_position";

/// Everything of the database's own schema, whoever made it.
const SQLITE_COUNT: &str =
    "SELECT COUNT(*) AS count FROM sqlite_master WHERE substr(name, 1, 7) <> 'sqlite_'";
const POSTGRES_COUNT: &str =
    "SELECT COUNT(*) AS count FROM information_schema.tables WHERE table_schema = current_schema()";

/// The three types of a column (docs/decisions/0001-one-sql-text.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Bytes,
}

#[derive(Debug)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
}

/// A table with the columns that can be written.
#[derive(Debug)]
pub(super) struct Table {
    pub name: String,
    pub columns: Vec<Column>,
}

impl Table {
    pub fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.names(), quoted(&self.name))
    }

    /// With question marks for SQLite, which looks names of parameters up in a list.
    pub fn insert(&self, engine: &str) -> String {
        let marks: Vec<String> = match engine {
            "sqlite" => self.columns.iter().map(|_| "?".into()).collect(),
            _ => (1..=self.columns.len()).map(|number| format!("${number}")).collect(),
        };
        format!("INSERT INTO {} ({}) VALUES ({})", quoted(&self.name), self.names(), marks.join(", "))
    }

    pub fn delete(&self) -> String {
        format!("DELETE FROM {}", quoted(&self.name))
    }

    fn names(&self) -> String {
        self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }
}

/// They come from the catalog, so this is for words of SQL that are names of ours.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// All tables but the one of the migrations, by name.
pub(super) async fn tables(conn: &mut Conn, engine: &str) -> Result<Vec<Table>> {
    let text = if engine == "sqlite" { SQLITE } else { POSTGRES };
    let rows = query(text).fetch_all(conn).await.map_err(fault)?;
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for row in &rows {
        let table = word(row, "table_name")?;
        let (name, data_type) = (word(row, "column_name")?, word(row, "data_type")?);
        let kind = match data_type.as_str() {
            "text" => Kind::Text,
            "bigint" => Kind::Int,
            "bytea" => Kind::Bytes,
            other => {
                let message = format!("column {table}.{name} is a {other}, which no migration of ours makes");
                return Err(Error::internal(message));
            }
        };
        tables.entry(table).or_default().push(Column { name, kind });
    }
    Ok(tables.into_iter().map(|(name, columns)| Table { name, columns }).collect())
}

/// Whether nobody has made anything there yet.
pub(super) async fn is_empty(conn: &mut Conn, engine: &str) -> Result<bool> {
    let text = if engine == "sqlite" { SQLITE_COUNT } else { POSTGRES_COUNT };
    let row = query(text).fetch_one(conn).await.map_err(fault)?;
    let count: i64 = row.try_get("count").map_err(Error::internal)?;
    Ok(count == 0)
}

fn word(row: &AnyRow, column: &str) -> Result<String> {
    row.try_get::<String, _>(column).map_err(Error::internal)
}

/// A statement made of the catalog's names.
pub(super) fn made(text: String) -> Query {
    sqlx::query(sqlx::AssertSqlSafe(text))
}
