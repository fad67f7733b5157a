//! One log file a build and one a rollout, written line by line and followed by viewers while it grows.
//!
//! The file is the truth; what is kept in memory is only how far it goes and whether more will come.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::Id;
use crate::error::{Error, Result};

/// A log that grows beyond this many bytes is cut, and says so.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogKind {
    Build,
    Deployment,
}

impl LogKind {
    fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Deployment => "deployment",
        }
    }
}

/// How far a log goes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub bytes: u64,
    pub finished: bool,
}

#[derive(Clone)]
pub struct Logs {
    folder: PathBuf,
    live: Arc<Mutex<HashMap<PathBuf, watch::Sender<Extent>>>>,
}

impl Logs {
    /// Creates the folder.
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::unavailable(format!(
                "the build log folder {} cannot be created: {error}; set build.log_dir (BUILD_LOG_DIR) to a writable one",
                folder.display()
            ))
        })?;
        Ok(Self { folder: folder.to_path_buf(), live: Arc::default() })
    }

    pub fn path(&self, kind: LogKind, id: &Id) -> PathBuf {
        self.folder.join(format!("{}-{id}.log", kind.word()))
    }

    /// Opens the log for appending. `secrets` are replaced in every line.
    pub fn writer(&self, kind: LogKind, id: &Id, secrets: Vec<String>) -> Result<LogWriter> {
        let path = self.path(kind, id);
        let unwritable = |error: std::io::Error| {
            Error::unavailable(format!("the log {} cannot be written: {error}", path.display()))
        };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(unwritable)?;
        let bytes = file.metadata().map_err(unwritable)?.len();
        let extent = watch::Sender::new(Extent { bytes, finished: false });
        let sender = self.lock().entry(path.clone()).or_insert(extent).clone();
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= 4).collect();
        Ok(LogWriter { file: Mutex::new((file, bytes)), path, sender, logs: self.clone(), secrets })
    }

    /// A receiver that tells how far the log goes; already finished if nobody writes it.
    pub fn follow(&self, kind: LogKind, id: &Id) -> watch::Receiver<Extent> {
        let path = self.path(kind, id);
        if let Some(sender) = self.lock().get(&path) {
            return sender.subscribe();
        }
        let bytes = std::fs::metadata(&path).map_or(0, |data| data.len());
        watch::Sender::new(Extent { bytes, finished: true }).subscribe()
    }

    /// Bytes from `offset` on, at most `limit`. Empty if there is no such log or nothing more in it.
    pub async fn read(&self, kind: LogKind, id: &Id, offset: u64, limit: usize) -> Result<Vec<u8>> {
        use tokio::io::{AsyncReadExt, AsyncSeekExt};
        let path = self.path(kind, id);
        let read = async {
            let mut file = tokio::fs::File::open(&path).await?;
            file.seek(std::io::SeekFrom::Start(offset)).await?;
            let mut bytes = Vec::new();
            file.take(limit as u64).read_to_end(&mut bytes).await?;
            Ok::<_, std::io::Error>(bytes)
        };
        match read.await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            result => result.map_err(|error| {
                Error::unavailable(format!("the log {} cannot be read: {error}", path.display()))
            }),
        }
    }

    /// Removes logs that nobody has written to for so long, and answers how many.
    pub async fn prune(&self, age: Duration) -> Result<u64> {
        let (folder, live) = (self.folder.clone(), self.clone());
        let unreadable = move |error: std::io::Error| {
            Error::unavailable(format!("the log folder {} cannot be tidied: {error}", folder.display()))
        };
        let mut removed = 0;
        let mut entries = tokio::fs::read_dir(&self.folder).await.map_err(&unreadable)?;
        while let Some(entry) = entries.next_entry().await.map_err(&unreadable)? {
            let path = entry.path();
            // Somebody else's files may lie in the same folder.
            if !is_own(&path) || live.lock().contains_key(&path) {
                continue;
            }
            let written = entry.metadata().await.and_then(|data| data.modified()).map_err(&unreadable)?;
            if written.elapsed().is_ok_and(|passed| passed > age) {
                tokio::fs::remove_file(&path).await.map_err(&unreadable)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, watch::Sender<Extent>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether [`Logs::path`] may have made this path.
fn is_own(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    [LogKind::Build, LogKind::Deployment]
        .iter()
        .filter_map(|kind| name.strip_prefix(kind.word())?.strip_prefix('-')?.strip_suffix(".log"))
        .any(|id| id.len() == 36)
}

/// Appends lines. Dropping it tells the viewers that the log is complete.
pub struct LogWriter {
    file: Mutex<(std::fs::File, u64)>,
    path: PathBuf,
    sender: watch::Sender<Extent>,
    logs: Logs,
    secrets: Vec<String>,
}

impl LogWriter {
    /// Writes one line with the time. A log that cannot be written does not stop the work it tells of; the server's own
    /// log says so.
    pub fn line(&self, text: &str) {
        let mut text = text.trim_end().to_string();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "***");
        }
        let at = chrono::Utc::now().format("%H:%M:%S%.3f");
        let line: String = text.lines().map(|line| format!("{at} {}\n", printable(line))).collect();
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, bytes) = &mut *guard;
        if *bytes > MAX_BYTES {
            return;
        }
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(path = %self.path.display(), %error, "a log line could not be written");
            return;
        }
        *bytes += line.len() as u64;
        if *bytes > MAX_BYTES {
            let _ = file.write_all(b"the log is longer than 64 MiB; the rest is left out\n");
        }
        self.sender.send_replace(Extent { bytes: *bytes, finished: false });
    }

    pub fn size(&self) -> i64 {
        i64::try_from(self.sender.borrow().bytes).unwrap_or(i64::MAX)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.logs.lock().remove(&self.path);
        self.sender.send_modify(|extent| extent.finished = true);
    }
}

/// Keeps tabs and colour sequences (`ESC [ … m`), replaces every other control character.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' && c != '\u{1b}' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_viewer_sees_lines_while_they_are_written_and_then_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path()).unwrap();
        let id = Id::from_text("x");
        let writer = logs.writer(LogKind::Build, &id, vec!["hunter2".into()]).unwrap();
        let mut extent = logs.follow(LogKind::Build, &id);
        writer.line("token hunter2");
        extent.changed().await.unwrap();
        let text = String::from_utf8(logs.read(LogKind::Build, &id, 0, 1000).await.unwrap()).unwrap();
        assert!(text.ends_with(" token ***\n"), "{text}");
        drop(writer);
        extent.wait_for(|extent| extent.finished).await.unwrap();
        assert!(logs.follow(LogKind::Build, &id).borrow().finished);
    }
}
