//! Whether the server can work.

use std::collections::BTreeMap;
use std::time::Duration;

use super::App;
use super::event::latest_seq;
use crate::domain::admission::PluginState;
use crate::domain::task::TaskStatus;
use crate::error::Result;
use crate::store::task_stats;

/// How many tasks of one kind are unfinished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueDepth {
    pub queued: i64,
    pub running: i64,
}

pub async fn queue_depth(app: &App, kind: &str) -> Result<QueueDepth> {
    let mut conn = app.db.read().await?;
    let rows = task_stats::depth(&mut conn).await?;
    let of_kind = |status| rows.iter().filter(move |row| row.kind == kind && row.status == status);
    let count = |status| of_kind(status).map(|row| row.count).sum();
    Ok(QueueDepth { queued: count(TaskStatus::Queued), running: count(TaskStatus::Running) })
}

/// Each part with `ok` or what is wrong with it.
pub async fn check(app: &App) -> BTreeMap<String, String> {
    let limit = Duration::from_secs(2);
    let (database, engine) = tokio::join!(
        tokio::time::timeout(limit, latest_seq(app)),
        tokio::time::timeout(limit, app.docker.ping())
    );
    let late = || "does not answer within 2 s".to_string();
    let database =
        database.map_or_else(|_| late(), |result| result.map_or_else(|error| error.to_string(), |_| ok()));
    let engine =
        engine.map_or_else(|_| late(), |result| result.map_or_else(|error| error.to_string(), |()| ok()));
    let broken: Vec<String> = app
        .plugins
        .list()
        .into_iter()
        // What an operator switched off or has yet to approve is not broken.
        .filter(|status| status.error.is_some() && status.admission.state == PluginState::Enabled)
        .map(|status| status.name)
        .collect();
    let plugins = if broken.is_empty() { ok() } else { format!("not loaded: {}", broken.join(", ")) };
    BTreeMap::from([("database".into(), database), ("docker".into(), engine), ("plugins".into(), plugins)])
}

fn ok() -> String {
    "ok".into()
}
