//! Table `routes`: who gets a stack's requests.

use super::{
    Conn,
    faults::fault,
    rows::{Entity, Row, fetch_opt, json, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        rollout::{Route, Weight},
    },
    error::Result,
};

impl Entity for Route {
    const WHAT: &'static str = "route";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            stack_id: row.id("stack_id")?,
            weights: row.json("weights")?,
            version: row.int("version")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// `None` until a rollout has set it for the first time.
pub async fn get(conn: &mut Conn, stack: &Id) -> Result<Option<Route>> {
    let query = query("SELECT stack_id, weights, version, updated_at FROM routes WHERE stack_id = $1")
        .bind(stack.as_str());
    fetch_opt(conn, query).await
}

/// Replaces the weights and raises the version, from 1.
pub async fn set(conn: &mut Conn, stack: &Id, weights: &[Weight], now: UnixMs) -> Result<Route> {
    let row = query(
        "INSERT INTO routes (stack_id, weights, version, updated_at) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (stack_id) DO UPDATE SET weights = excluded.weights, version = routes.version + 1, \
         updated_at = excluded.updated_at RETURNING stack_id, weights, version, updated_at",
    )
    .bind(stack.as_str())
    .bind(json(&weights)?)
    .bind(now)
    .fetch_one(conn)
    .await
    .map_err(fault)?;
    Route::from_row(&Row(&row))
}
