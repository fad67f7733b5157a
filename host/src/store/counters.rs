//! Numbers that grow in commit order.

use sqlx::Row as _;

use super::{Conn, faults::fault, rows::query};
use crate::error::Result;

/// Takes `count` numbers and returns the first. Whoever takes next waits until this transaction has ended, so numbers
/// become visible in order; a transaction that is rolled back leaves no gap.
pub async fn take(conn: &mut Conn, name: &'static str, count: i64) -> Result<i64> {
    let row = query("UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value")
        .bind(count)
        .bind(name)
        .fetch_one(conn)
        .await
        .map_err(fault)?;
    let last: i64 = row.try_get("value").map_err(fault)?;
    Ok(last - count + 1)
}
