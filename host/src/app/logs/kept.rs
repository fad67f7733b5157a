//! What outlives a log's files. When a build or a rollout has ended, the size of its log, the hash of its text and its last
//! lines go into the database; a reader gets those lines where the files are gone.

use std::io;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::reader::{Batch, Reader, tail_now};
use super::{LogKind, Logs, segment, unusable};
use crate::app::App;
use crate::domain::Id;
use crate::domain::log::{LogSummary, tail_of};
use crate::error::{Error, Result};
use crate::store::{builds, ci_builds, deployments};

/// Read at the end of a log to find its last lines: more than the longest line has.
const END: u64 = 128 * 1024;

impl Logs {
    /// What is known of a log that nobody writes any more; nothing if no line was written.
    async fn summary(&self, kind: LogKind, id: &Id) -> Result<Option<LogSummary>> {
        let path = self.path(kind, id);
        let folder = path.clone();
        let summary = tokio::task::spawn_blocking(move || summary_of(&folder)).await;
        summary.map_err(Error::internal)?.map_err(|error| unusable(&path, &error))
    }

    async fn has_files(&self, kind: LogKind, id: &Id) -> Result<bool> {
        let path = self.path(kind, id);
        let folder = path.clone();
        let segments = tokio::task::spawn_blocking(move || segment::list(&folder)).await;
        segments.map_err(Error::internal)?.map(|list| !list.is_empty()).map_err(|e| unusable(&path, &e))
    }
}

fn summary_of(folder: &Path) -> io::Result<Option<LogSummary>> {
    let mut reader = Reader::new(folder.to_path_buf(), 0);
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    loop {
        let batch = reader.read_now()?;
        if batch.text.is_empty() {
            break;
        }
        bytes += batch.text.len() as u64;
        hash.update(&batch.text);
    }
    if bytes == 0 {
        return Ok(None);
    }
    let (end, _) = tail_now(folder, END)?;
    Ok(Some(LogSummary {
        path: folder.display().to_string(),
        bytes,
        lines: reader.position(),
        sha256: hex::encode(hash.finalize()),
        tail: tail_of(&String::from_utf8_lossy(&end.batch.text)),
    }))
}

/// The lines that are kept, with their numbers. Where others came before them, a line in their place says so.
pub(super) fn kept_lines(log: &LogSummary) -> Batch {
    let missing = log.lines_before_tail();
    if missing == 0 {
        return Batch { first: 1, text: log.tail.clone().into_bytes() };
    }
    let text = format!(
        "[windlass] {missing} earlier lines are not here: old logs are removed, or another node has this one\n{}",
        log.tail
    );
    Batch { first: missing, text: text.into_bytes() }
}

/// Reads whole lines, beginning after the line of that number; those that are kept, where the log's files are gone.
///
/// # Errors
/// `Unavailable` if files or database cannot be read.
pub async fn log_reader(app: &App, kind: LogKind, id: &Id, after: u64) -> Result<Reader> {
    let reader = app.logs.reader(kind, id, after);
    if app.logs.has_files(kind, id).await? {
        return Ok(reader);
    }
    Ok(match log_kept(app, kind, id).await? {
        Some(log) => reader.of_kept(&log),
        None => reader,
    })
}

/// What is kept of a log; nothing as long as it is not complete.
pub async fn log_kept(app: &App, kind: LogKind, id: &Id) -> Result<Option<LogSummary>> {
    let mut conn = app.db.read().await?;
    match kind {
        LogKind::Build => builds::log_kept(&mut conn, id).await,
        LogKind::Ci => ci_builds::log_kept(&mut conn, id).await,
        LogKind::Deployment => Ok(deployments::logs(&mut conn, id).await?.1),
    }
}

/// The same of a deployment's build, here or at a provider, and of its rollout.
pub async fn deployment_logs_kept(app: &App, id: &Id) -> Result<(Option<LogSummary>, Option<LogSummary>)> {
    let mut conn = app.db.read().await?;
    deployments::logs(&mut conn, id).await
}

/// What a log tells of.
struct Subject {
    has_ended: bool,
    /// The deployment that waited for the build.
    deployment: Option<Id>,
}

/// Nothing if nobody knows of it any more.
async fn subject(app: &App, kind: LogKind, id: &Id) -> Result<Option<Subject>> {
    let mut conn = app.db.read().await?;
    Ok(match kind {
        LogKind::Build => builds::find_opt(&mut conn, id.as_str())
            .await?
            .map(|row| Subject { has_ended: row.status.is_terminal(), deployment: row.deployment_id }),
        LogKind::Ci => ci_builds::find_opt(&mut conn, id.as_str())
            .await?
            .map(|row| Subject { has_ended: row.settled_at.is_some(), deployment: row.deployment_id }),
        LogKind::Deployment => deployments::find_opt(&mut conn, id.as_str())
            .await?
            .map(|row| Subject { has_ended: row.status.is_terminal(), deployment: None }),
    })
}

/// Keeps what is to be known of a log later, if what it tells of has ended.
///
/// # Errors
/// `Unavailable` if files or database cannot be used.
pub async fn log_keep(app: &App, kind: LogKind, id: &Id) -> Result<()> {
    let Some(subject) = subject(app, kind, id).await?.filter(|subject| subject.has_ended) else {
        return Ok(());
    };
    let Some(log) = app.logs.summary(kind, id).await? else { return Ok(()) };
    let id = id.clone();
    let work = app.db.write(move |tx| {
        Box::pin(async move {
            match kind {
                LogKind::Build => builds::set_log_kept(tx, &id, &log).await?,
                LogKind::Ci => ci_builds::set_log_kept(tx, &id, &log).await?,
                LogKind::Deployment => return deployments::set_logs(tx, &id, None, Some(&log)).await,
            }
            match &subject.deployment {
                Some(deployment) => deployments::set_logs(tx, deployment, Some(&log), None).await,
                None => Ok(()),
            }
        })
    });
    work.await
}

/// The same after the task that wrote it. It does not change how that ended: before the files go, it is tried again.
pub(in crate::app) async fn log_keep_after_task(app: &App, kind: LogKind, id: &Id) {
    if let Err(error) = log_keep(app, kind, id).await {
        let error = error.for_log();
        tracing::warn!(%id, error, "[@service:logs] what is to be kept of a log could not be stored yet");
    }
}

/// Removes the files of logs that nobody has written to for so long, and answers of how many. What is to be kept of them is.
///
/// # Errors
/// `Unavailable` if the folder cannot be read, a log cannot be removed, or the database cannot be used.
pub async fn logs_prune(app: &App, age: Duration) -> Result<u64> {
    let mut removed = 0;
    for (kind, id) in app.logs.unwritten(age).await? {
        // As it is where the server was killed in between, or the log is of an earlier version.
        if log_kept(app, kind, &id).await?.is_none() {
            log_keep(app, kind, &id).await?;
        }
        removed += u64::from(app.logs.remove(kind, &id, age).await?);
    }
    Ok(removed)
}
