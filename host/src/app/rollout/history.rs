//! What a rollout was like, while it runs and afterwards.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::app::lately::Lately;
use crate::domain::deployment::Deployment;
use crate::domain::rollout::JournalEntry;
use crate::domain::rollout::history::{self, History, Verdict};
use crate::domain::{Id, UnixMs};
use crate::error::Result;
use crate::store::{self, events, plugin_calls, rollout_steps};

/// By deployment, the label of its step, the last number of its journal, and its end.
pub(in crate::app) type Histories = Lately<(Id, String, Option<i64>, Option<UnixMs>), Arc<History>>;
/// The figures of a rollout are looked at once a second.
pub(in crate::app) const GOOD_FOR: Duration = Duration::from_secs(1);

/// Points of a picture: more do not show.
const POINTS: i64 = 240;
/// Labels that are read; a strategy that counts says many that are one decision.
const LABELS: i64 = 500;
/// Changes of the share of which the exact figures are read.
const EXACT: usize = 64;

/// A rollout's history as it was a moment ago, while neither its step nor its end has changed and `journal` has not grown, which
/// it does before a share moves: what pages show that are looked at by many, and ask again with each event.
///
/// # Errors
/// As [`rollout_history`].
pub async fn rollout_history_lately(
    app: &App,
    row: &Deployment,
    journal: &[JournalEntry],
) -> Result<Arc<History>> {
    let last = journal.last().map(|entry| entry.n);
    let key = (row.id.clone(), row.rollout.label.clone(), last, row.completed_at);
    app.histories.get(key, async { rollout_history(app, row).await.map(Arc::new) }).await
}

/// The share of the new release over time, how both releases answered, and what was decided. The figures are there as
/// long as the calls of the strategy are on record.
pub async fn rollout_history(app: &App, row: &Deployment) -> Result<History> {
    let (Some(target), Some(begun)) = (&row.release_id, row.rollout.rollout_started_at) else {
        return Ok(History::default());
    };
    let mut conn = app.db.read().await?;
    let journal = rollout_steps::list(&mut conn, &row.id).await?;
    let span = (begun, row.completed_at.unwrap_or_else(store::now));
    let labels = events::step_labels(&mut conn, &row.stack_id, &row.id, span, LABELS).await?;
    let outline = history::outline(target, &labels, &journal);
    let mut asked = plugin_calls::asked(&mut conn, &row.id, POINTS).await?;
    let moved = outline.decided.iter().filter(|decided| matches!(decided.verdict, Verdict::Share(_)));
    let mut exact = Vec::new();
    for decided in moved.take(EXACT) {
        // From the next call that is known already it is not far back to it.
        let next = asked.iter().find(|asked| asked.at > decided.at).map_or(i64::MAX, |asked| asked.seq);
        exact.extend(plugin_calls::asked_before(&mut conn, &row.id, decided.at, next).await?);
    }
    asked.extend(exact);
    Ok(outline.with(&asked, begun, row.completed_at, row.error.as_deref()))
}
