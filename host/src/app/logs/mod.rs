//! One log a build and one a rollout: segments of numbered lines on disk, followed by viewers while they grow.
//!
//! The files are the truth; what is kept in memory is only how far a log goes and whether more will come. A viewer reads
//! the files at its own pace, so one that stalls costs nobody anything.

mod kept;
mod reader;
mod redact;
mod search;
mod segment;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

pub(in crate::app) use kept::log_keep_after_task;
pub use kept::{deployment_logs_kept, log_keep, log_kept, log_reader, logs_prune};
pub use reader::{Batch, Reader, Tail};
pub use search::{Found, Needle};
pub use writer::LogWriter;

use crate::domain::Id;
use crate::error::{Error, Result};
use writer::Open;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogKind {
    Build,
    Deployment,
    /// A build at a provider.
    Ci,
}

impl LogKind {
    fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Deployment => "deployment",
            Self::Ci => "ci",
        }
    }
}

/// How far a log goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Number of the last line; the first is 1.
    pub lines: u64,
    /// In all segments.
    pub bytes: u64,
    pub finished: bool,
}

#[derive(Clone)]
pub struct Logs {
    folder: PathBuf,
    live: Arc<Mutex<Live>>,
}

/// Logs that are being written, by their folders.
type Live = HashMap<PathBuf, Weak<Open>>;

impl Logs {
    /// Creates the folder.
    ///
    /// # Errors
    /// `Unavailable`, naming the setting.
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::unavailable(format!(
                "the build log folder {} cannot be created: {error}; set build.log_dir (BUILD_LOG_DIR) to a writable one",
                folder.display()
            ))
        })?;
        Ok(Self { folder: folder.to_path_buf(), live: Arc::default() })
    }

    /// The folder of its segments.
    pub fn path(&self, kind: LogKind, id: &Id) -> PathBuf {
        self.folder.join(format!("{}-{id}", kind.word()))
    }

    /// Opens the log for appending, after the last whole line that is on disk. `secrets` are replaced in every line.
    ///
    /// # Errors
    /// `Unavailable` if the folder cannot be written.
    pub fn writer(&self, kind: LogKind, id: &Id, secrets: Vec<String>) -> Result<LogWriter> {
        let path = self.path(kind, id);
        let mut live = self.lock();
        let open = match live.get(&path).and_then(Weak::upgrade) {
            Some(open) => open,
            None => {
                let open = Arc::new(Open::append_to(&path, self)?);
                live.insert(path, Arc::downgrade(&open));
                open
            }
        };
        Ok(LogWriter::new(open, &secrets))
    }

    /// A receiver that tells how far the log goes; already finished if nobody writes it.
    pub async fn follow(&self, kind: LogKind, id: &Id) -> watch::Receiver<Extent> {
        let path = self.path(kind, id);
        let open = self.lock().get(&path).and_then(Weak::upgrade);
        if let Some(open) = open {
            return open.subscribe();
        }
        let extent = tokio::task::spawn_blocking(move || segment::extent(&path)).await;
        watch::Sender::new(extent.ok().and_then(std::io::Result::ok).unwrap_or_default()).subscribe()
    }

    /// Reads whole lines from the files, beginning after the line of that number. [`log_reader`] is for who may come after
    /// they are gone.
    pub fn reader(&self, kind: LogKind, id: &Id, after: u64) -> Reader {
        Reader::new(self.path(kind, id), after)
    }

    /// Logs that nobody has written to for so long.
    async fn unwritten(&self, age: Duration) -> Result<Vec<(LogKind, Id)>> {
        self.tidying(move |logs| {
            let mut found = Vec::new();
            for entry in std::fs::read_dir(&logs.folder)? {
                let path = entry?.path();
                // Somebody else's files may lie in the same folder.
                let Some(own) = own(&path) else { continue };
                if path.is_dir() && is_unwritten(&path, &logs.lock(), age)? {
                    found.push(own);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Removes a log, unless somebody has written to it since.
    async fn remove(&self, kind: LogKind, id: &Id, age: Duration) -> Result<bool> {
        let path = self.path(kind, id);
        self.tidying(move |logs| {
            // Held until the log is gone, so that nobody begins to write to it meanwhile.
            let live = logs.lock();
            let goes = is_unwritten(&path, &live, age)?;
            if goes {
                std::fs::remove_dir_all(&path)?;
            }
            Ok(goes)
        })
        .await
    }

    /// Works on files where it may block.
    async fn tidying<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let logs = self.clone();
        tokio::task::spawn_blocking(move || work(&logs)).await.map_err(Error::internal)?.map_err(|error| {
            let folder = self.folder.display();
            Error::unavailable(format!("the log folder {folder} cannot be tidied: {error}"))
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called when its last writer is gone.
    fn forget(&self, path: &Path) {
        let mut live = self.lock();
        // Somebody may have opened it anew already.
        if live.get(path).is_some_and(|open| open.strong_count() == 0) {
            live.remove(path);
        }
    }
}

/// Which log [`Logs::path`] has made this path for.
fn own(path: &Path) -> Option<(LogKind, Id)> {
    let name = path.file_name()?.to_str()?;
    [LogKind::Build, LogKind::Deployment, LogKind::Ci]
        .into_iter()
        .filter_map(|kind| Some((kind, name.strip_prefix(kind.word())?.strip_prefix('-')?)))
        .find(|(_, id)| id.len() == 36)
        .map(|(kind, id)| (kind, Id::from_text(id)))
}

/// Whether the last line is so old, and nobody is about to write another.
fn is_unwritten(path: &Path, live: &Live, age: Duration) -> std::io::Result<bool> {
    if live.get(path).is_some_and(|open| open.strong_count() > 0) {
        return Ok(false);
    }
    let Some(last) = segment::list(path)?.pop() else { return Ok(false) };
    Ok(std::fs::metadata(&last.path)?.modified()?.elapsed().is_ok_and(|passed| passed > age))
}

/// What went wrong with a log's files.
fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable(format!(
        "the log {} cannot be used: {error}; check the disk, and that the folder belongs to this server",
        path.display()
    ))
}
