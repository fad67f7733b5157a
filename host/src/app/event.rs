//! The outbox, as readers see it.

use super::App;
use crate::domain::Id;
use crate::domain::access::Reach;
use crate::domain::event::Event;
use crate::error::Result;
use crate::store::events;

/// Rows a reader gets at once.
const BATCH: i64 = 200;

pub async fn latest_seq(app: &App) -> Result<i64> {
    let mut conn = app.db.read().await?;
    events::latest_seq(&mut conn).await
}

pub async fn list_after(app: &App, cursor: i64, stack_id: Option<&Id>, reach: &Reach) -> Result<Vec<Event>> {
    let mut conn = app.db.read().await?;
    events::list_after(&mut conn, cursor, BATCH, stack_id, reach).await
}
