//! Table `badges`.

use super::{
    Conn,
    faults::fault,
    rows::{Row, execute, query},
};
use crate::{
    domain::{Id, UnixMs},
    error::Result,
};

/// The key of a stack's badge, if it has one.
pub async fn key_of(conn: &mut Conn, stack: &Id) -> Result<Option<String>> {
    let row = query("SELECT key FROM badges WHERE stack_id = $1").bind(stack.as_str());
    row.fetch_optional(conn).await.map_err(fault)?.map(|row| Row(&row).text("key")).transpose()
}

/// The stack whose badge has that key.
pub async fn stack_of(conn: &mut Conn, key: &str) -> Result<Option<Id>> {
    let row = query("SELECT stack_id FROM badges WHERE key = $1").bind(key.to_owned());
    row.fetch_optional(conn).await.map_err(fault)?.map(|row| Row(&row).id("stack_id")).transpose()
}

/// Gives the stack a badge; one that it has keeps its key.
pub async fn insert(conn: &mut Conn, stack: &Id, key: &str, now: UnixMs) -> Result<()> {
    let query = query(
        "INSERT INTO badges (stack_id, key, created_at) VALUES ($1, $2, $3) ON CONFLICT (stack_id) DO NOTHING",
    )
    .bind(stack.as_str())
    .bind(key.to_owned())
    .bind(now);
    execute(conn, query).await.map(|_| ())
}

/// False if it had none.
pub async fn delete(conn: &mut Conn, stack: &Id) -> Result<bool> {
    let query = query("DELETE FROM badges WHERE stack_id = $1").bind(stack.as_str());
    Ok(execute(conn, query).await? > 0)
}
