//! One log a build and one a rollout: segments of numbered lines on disk, followed by viewers while they grow.
//!
//! The files are the truth; what is kept in memory is only how far a log goes and whether more will come. A viewer reads
//! the files at its own pace, so one that stalls costs nobody anything.

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
    live: Arc<Mutex<HashMap<PathBuf, Weak<Open>>>>,
}

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

    /// Reads whole lines, beginning after the line of that number.
    pub fn reader(&self, kind: LogKind, id: &Id, after: u64) -> Reader {
        Reader::new(self.path(kind, id), after)
    }

    /// Removes logs that nobody has written to for so long, and answers how many.
    ///
    /// # Errors
    /// `Unavailable` if the folder cannot be read or a log cannot be removed.
    pub async fn prune(&self, age: Duration) -> Result<u64> {
        let logs = self.clone();
        let removed = tokio::task::spawn_blocking(move || logs.prune_now(age)).await;
        removed.map_err(Error::internal)?.map_err(|error| {
            let folder = self.folder.display();
            Error::unavailable(format!("the log folder {folder} cannot be tidied: {error}"))
        })
    }

    fn prune_now(&self, age: Duration) -> std::io::Result<u64> {
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // Somebody else's files may lie in the same folder.
            if !is_own(&path) || !path.is_dir() {
                continue;
            }
            let Some(last) = segment::list(&path)?.pop() else { continue };
            let written = std::fs::metadata(&last.path)?.modified()?;
            // Held until the log is gone, so that nobody begins to write to it meanwhile.
            let live = self.lock();
            let is_written = live.get(&path).is_some_and(|open| open.strong_count() > 0);
            if !is_written && written.elapsed().is_ok_and(|passed| passed > age) {
                std::fs::remove_dir_all(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Weak<Open>>> {
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

/// Whether [`Logs::path`] may have made this path.
fn is_own(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    [LogKind::Build, LogKind::Deployment, LogKind::Ci]
        .iter()
        .filter_map(|kind| name.strip_prefix(kind.word())?.strip_prefix('-'))
        .any(|id| id.len() == 36)
}

/// What went wrong with a log's files.
fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable(format!(
        "the log {} cannot be used: {error}; check the disk, and that the folder belongs to this server",
        path.display()
    ))
}
