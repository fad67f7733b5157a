//! The whole content of the database as it was at one moment, read while everybody goes on writing.
//!
//! One transaction that only reads: SQLite's write-ahead log and PostgreSQL's repeatable read show it the same moment until its
//! end. What it reads is the same text for both, so that a backup of one can be restored into the other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::TryStreamExt as _;
use serde_json::{Map, Value, json};
use sqlx::{Row as _, any::AnyRow};

use super::{
    Db, Tx,
    catalog::{self, Column, Kind, Table, made},
    faults::fault,
    migrate,
};
use crate::{
    domain::backup::Migrated,
    error::{Error, Result},
};

/// Rows are handed over in portions of about this many bytes.
const PORTION: usize = 1 << 20;

/// A consistent view of all tables.
pub struct Snapshot {
    tx: Tx,
    engine: &'static str,
    tables: Vec<Table>,
    pub migrations: Vec<Migrated>,
}

/// Some rows of a table, an object a line.
#[derive(Debug)]
pub struct Rows {
    pub table: String,
    pub lines: Vec<u8>,
    pub count: u64,
}

impl Db {
    /// Begins to look. Others are not held up by it; on SQLite the log grows until it is dropped.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let engine = self.engine();
        let begin = match engine {
            "sqlite" => "BEGIN",
            _ => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        };
        let mut tx = Tx::begin(self.readers(), begin).await?;
        let migrations = migrate::applied(&mut tx).await?;
        let tables = catalog::tables(&mut tx, engine).await?;
        Ok(Snapshot { tx, engine, tables, migrations })
    }
}

impl Snapshot {
    pub fn engine(&self) -> &'static str {
        self.engine
    }

    /// By name.
    pub fn tables(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.clone()).collect()
    }

    /// Hands over all rows of a table, portion by portion.
    pub async fn read<F>(&mut self, table: &str, mut each: impl FnMut(Rows) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let Some(table) = self.tables.iter().find(|one| one.name == table) else {
            return Err(Error::internal(format!("there is no table {table}")));
        };
        let mut rows = made(table.select()).fetch(&mut *self.tx);
        let mut portion = Portion::new(table);
        while let Some(row) = rows.try_next().await.map_err(fault)? {
            portion.add(table, &row)?;
            if portion.0.lines.len() >= PORTION {
                each(std::mem::replace(&mut portion, Portion::new(table)).0).await?;
            }
        }
        if portion.0.count > 0 {
            each(portion.0).await?;
        }
        Ok(())
    }
}

struct Portion(Rows);

impl Portion {
    fn new(table: &Table) -> Self {
        Self(Rows { table: table.name.clone(), lines: Vec::new(), count: 0 })
    }

    fn add(&mut self, table: &Table, row: &AnyRow) -> Result<()> {
        let mut object = Map::new();
        for (index, column) in table.columns.iter().enumerate() {
            object.insert(column.name.clone(), value(row, index, column)?);
        }
        serde_json::to_writer(&mut self.0.lines, &object).map_err(Error::internal)?;
        self.0.lines.push(b'\n');
        self.0.count += 1;
        Ok(())
    }
}

fn value(row: &AnyRow, index: usize, column: &Column) -> Result<Value> {
    let odd = |error: sqlx::Error| Error::internal(format!("column {}: {error}", column.name));
    Ok(match column.kind {
        Kind::Text => row.try_get::<Option<String>, _>(index).map_err(odd)?.into(),
        Kind::Int => row.try_get::<Option<i64>, _>(index).map_err(odd)?.into(),
        Kind::Bytes => match row.try_get::<Option<Vec<u8>>, _>(index).map_err(odd)? {
            Some(bytes) => json!({ "base64": BASE64.encode(bytes) }),
            None => Value::Null,
        },
    })
}
