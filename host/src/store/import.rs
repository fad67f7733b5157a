//! A backup's rows into an empty database: all of them or none, in one transaction.
//!
//! The schema is made as it was when the backup was made, the rows are put in, and then the later migrations run as they would
//! have run on the old machine. Rows refer to each other in circles, so references are checked at the end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::{
    DbConfig, Tx,
    catalog::{self, Kind, Table, made},
    db::{Pools, begin_statement},
    faults::fault,
    migrate,
    rows::{execute, query},
};
use crate::{
    domain::backup::Migrated,
    error::{Error, Result},
};

/// For this transaction only.
const DEFER_SQLITE: &str = "PRAGMA defer_foreign_keys = ON";
/// Of all references of the schema; what is done here is undone before the commit.
const DEFER_POSTGRES: &str = "DO $$ DECLARE c record; BEGIN
    FOR c IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint
        WHERE contype = 'f' AND connamespace = current_schema()::regnamespace
    LOOP EXECUTE format('ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE INITIALLY DEFERRED', c.owner, c.conname);
    END LOOP; END $$";
/// The checks are made first: a table with checks that are due cannot be altered.
const SETTLE_POSTGRES: &str = "SET CONSTRAINTS ALL IMMEDIATE; DO $$ DECLARE c record; BEGIN
    FOR c IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint
        WHERE contype = 'f' AND connamespace = current_schema()::regnamespace
    LOOP EXECUTE format('ALTER TABLE %s ALTER CONSTRAINT %I NOT DEFERRABLE', c.owner, c.conname);
    END LOOP; END $$";

/// Rows that are being put in. Dropped before [`finish`](Self::finish), it leaves the database as empty as it was.
pub struct Import {
    tx: Tx,
    pools: Pools,
    engine: &'static str,
    tables: Vec<Table>,
}

impl Import {
    /// Opens the database, refuses one that is not empty, and makes the schema of the backup.
    ///
    /// # Errors
    /// `Conflict` if there is something in the database, or if the backup's schema is none that this program knows.
    pub async fn begin(config: &DbConfig, migrations: &[Migrated]) -> Result<Self> {
        migrate::check_all(migrations)?;
        let pools = Pools::open(config).await?;
        let engine = pools.engine.word();
        let mut tx = Tx::begin(&pools.write, begin_statement(pools.engine)).await?;
        if !catalog::is_empty(&mut tx, engine).await? {
            return Err(Error::conflict(
                "the database is not empty, and a restore never overwrites; name an empty one by database.url \
                 (WINDLASS_DATABASE_URL), or move this one out of the way",
            ));
        }
        migrate::run_these(&mut tx, migrations).await?;
        let defer = if engine == "sqlite" { DEFER_SQLITE } else { DEFER_POSTGRES };
        sqlx::raw_sql(defer).execute(&mut *tx).await.map_err(fault)?;
        let tables = catalog::tables(&mut tx, engine).await?;
        // What the migrations have put there is in the backup as well, as it has become since.
        for table in &tables {
            execute(&mut tx, made(table.delete())).await?;
        }
        Ok(Self { tx, pools, engine, tables })
    }

    /// Puts rows into a table, an object a line, and answers how many.
    ///
    /// # Errors
    /// `Invalid` if the table or a line is not of this schema.
    pub async fn rows(&mut self, table: &str, lines: &[u8]) -> Result<u64> {
        let Some(table) = self.tables.iter().find(|one| one.name == table) else {
            return Err(damaged(table, "its schema has no such table"));
        };
        let text = table.insert(self.engine);
        let mut count = 0;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let row: Map<String, Value> =
                serde_json::from_slice(line).map_err(|error| damaged(&table.name, &error.to_string()))?;
            insert(&mut self.tx, table, &text, row).await?;
            count += 1;
        }
        Ok(count)
    }

    /// Checks what refers to what, brings the schema to this program's, and commits.
    ///
    /// # Errors
    /// `Conflict` if a row refers to one that is not there.
    pub async fn finish(mut self) -> Result<()> {
        // SQLite checks with the commit.
        if self.engine != "sqlite" {
            sqlx::raw_sql(SETTLE_POSTGRES).execute(&mut *self.tx).await.map_err(fault)?;
        }
        migrate::run(&mut self.tx).await?;
        forget_own_backup(&mut self.tx).await?;
        self.tx.commit().await?;
        self.pools.close().await;
        Ok(())
    }
}

/// The backup that this came from was still being made at that moment; it is not made again.
async fn forget_own_backup(tx: &mut Tx) -> Result<()> {
    let tasks = query("DELETE FROM tasks WHERE kind = 'backup' AND status IN ('queued', 'running')");
    execute(tx, tasks).await?;
    // How long it took is known to the old machine only.
    let ended = query(
        "UPDATE backups SET status = 'successful', open = NULL, finished_at = started_at WHERE open = 1",
    );
    execute(tx, ended).await?;
    Ok(())
}

async fn insert(tx: &mut Tx, table: &Table, text: &str, mut row: Map<String, Value>) -> Result<()> {
    let mut insert = made(text.to_owned());
    for column in &table.columns {
        let wrong =
            || damaged(&table.name, &format!("column {} is missing or no value of its type", column.name));
        let value = row.remove(&column.name).ok_or_else(wrong)?;
        insert = match (column.kind, value) {
            (Kind::Text, Value::Null) => insert.bind(None::<String>),
            (Kind::Int, Value::Null) => insert.bind(None::<i64>),
            (Kind::Bytes, Value::Null) => insert.bind(None::<Vec<u8>>),
            (Kind::Text, Value::String(text)) => insert.bind(text),
            (Kind::Int, Value::Number(number)) => insert.bind(number.as_i64().ok_or_else(wrong)?),
            (Kind::Bytes, Value::Object(object)) => {
                let text = object.get("base64").and_then(Value::as_str).ok_or_else(wrong)?;
                insert.bind(BASE64.decode(text).map_err(|_| wrong())?)
            }
            _ => return Err(wrong()),
        };
    }
    if let Some(odd) = row.keys().next() {
        return Err(damaged(&table.name, &format!("its schema has no column {odd}")));
    }
    execute(tx, insert).await.map(|_| ())
}

fn damaged(table: &str, why: &str) -> Error {
    Error::invalid("backup", format!("the backup's rows of table `{table}` are not understood: {why}"))
}
