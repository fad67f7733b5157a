//! Backups at their due times, and the removal of old ones.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::make::PARTIAL;
use super::{ENDING, PREFIX, Settings, begin, new_backup};
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::{self, backups};

const ROUND: Duration = Duration::from_secs(20);
/// An unfinished file of this age is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Begins the backups of the schedule until the server stops.
pub async fn backup_keep(app: App, stop: CancellationToken) {
    let Some(plan) = &app.backups.plan else { return };
    while !stop.is_cancelled() {
        if let Err(error) = round(&app, plan).await {
            tracing::warn!(
                error = error.for_log(),
                "[@server:backup] the schedule of backups could not be looked at"
            );
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

/// However many due times were missed, one backup makes up for them; and of several nodes, one begins it.
async fn round(app: &App, plan: &crate::domain::schedule::SchedulePlan) -> Result<()> {
    let mut conn = app.db.read().await?;
    let last = backups::last_scheduled(&mut conn).await?;
    drop(conn);
    let due = plan.next_after(last.unwrap_or(app.started_at))?;
    let Some(due) = due.filter(|due| *due <= store::now()) else { return Ok(()) };
    let backup = new_backup(app, Some(due))?;
    match app.db.write(move |tx| Box::pin(async move { begin(tx, &backup).await })).await {
        // Another node was faster, or a person's is under way: it is looked at again the next round.
        Err(Error::Conflict(_)) => Ok(()),
        other => other,
    }
}

/// Removes what is beyond the newest ones that are kept.
pub(super) fn forget_old_files(settings: &Settings) {
    let is_ours = |name: &str| name.starts_with(PREFIX) && name.ends_with(ENDING);
    let mut files = files(&settings.folder, is_ours);
    // The names begin with the time.
    files.sort();
    let surplus = files.len().saturating_sub(settings.keep);
    for path in &files[..surplus] {
        match std::fs::remove_file(path) {
            Ok(()) => tracing::info!("[@server:backup] removed the old backup {}", path.display()),
            Err(error) => {
                tracing::warn!(%error, "[@server:backup] the old backup {} cannot be removed", path.display());
            }
        }
    }
}

/// Removes what a server that was killed has left unfinished.
pub(super) fn forget_unfinished_files(folder: &Path) {
    let is_old = |path: &PathBuf| {
        let modified = std::fs::metadata(path).and_then(|facts| facts.modified());
        modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > ABANDONED))
    };
    for path in files(folder, |name| name.starts_with(PARTIAL)).iter().filter(|path| is_old(path)) {
        let _ = std::fs::remove_file(path);
    }
}

fn files(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok);
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(&is_wanted))
        .map(|entry| entry.path())
        .collect()
}
