//! Changes of a project's sources, as its author makes them; what building writes is none.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::cli::failure::{Failure, Outcome};

/// An editor writes a file in several steps, and several files at once.
const QUIET: Duration = Duration::from_millis(200);
/// Where something never stops changing, that is long enough to wait for quiet.
const LONGEST: Duration = Duration::from_secs(3);

pub(super) struct Changes {
    folder: PathBuf,
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<notify::Result<Event>>,
}

impl Changes {
    /// Watches the project from now on.
    pub(super) fn watch(folder: &Path) -> Outcome<Self> {
        let unwatched = |error: notify::Error| {
            let what = format!("{} cannot be watched: {error}.", folder.display());
            Failure::local(what, "On Linux fs.inotify.max_user_watches says how many folders may be watched.")
        };
        let (sender, events) = mpsc::unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event| {
            // Nobody listens any more while the program ends.
            let _ = sender.send(event);
        })
        .map_err(unwatched)?;
        // Not what is below: the folder with everything cargo makes may be there.
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(unwatched)?;
        let entries = std::fs::read_dir(folder).map_err(|error| unwatched(notify::Error::io(error)))?;
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() && !is_made(path.file_name()) {
                watcher.watch(&path, RecursiveMode::Recursive).map_err(unwatched)?;
            }
        }
        Ok(Self { folder: folder.to_owned(), watcher, events })
    }

    /// Waits for a change, and then until nothing changes for a moment. Changes since the last call count.
    pub(super) async fn next(&mut self) -> Outcome<()> {
        loop {
            let event = self.events.recv().await;
            let event = event.ok_or_else(|| Failure::local("Watching the project broke off.", ""))?;
            if self.is_change(event) {
                break;
            }
        }
        let started = Instant::now();
        while started.elapsed() < LONGEST {
            match tokio::time::timeout(QUIET, self.events.recv()).await {
                Ok(Some(event)) => {
                    self.is_change(event);
                }
                Ok(None) | Err(_) => break,
            }
        }
        Ok(())
    }

    fn is_change(&mut self, event: notify::Result<Event>) -> bool {
        // What was missed may have been a change.
        let Ok(event) = event else { return true };
        if matches!(event.kind, EventKind::Access(_)) {
            return false;
        }
        let mut is_change = event.paths.is_empty();
        for path in &event.paths {
            let below = path.strip_prefix(&self.folder).unwrap_or(path);
            let first = below.iter().next();
            if is_made(first) || is_made(path.file_name()) {
                continue;
            }
            is_change = true;
            if matches!(event.kind, EventKind::Create(_)) && below.iter().count() == 1 && path.is_dir() {
                // A folder that cannot be watched is seen again at the next start.
                let _ = self.watcher.watch(path, RecursiveMode::Recursive);
            }
        }
        is_change
    }
}

/// Whether tools make what has this name: hidden files, backups, and what a build leaves.
fn is_made(name: Option<&OsStr>) -> bool {
    let name = name.map(OsStr::to_string_lossy).unwrap_or_default();
    let made = ["target", "node_modules", "__pycache__", "Cargo.lock"];
    name.starts_with('.')
        || name.ends_with('~')
        || made.contains(&&*name)
        || [".wasm", ".oci"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    async fn changes(changes: &mut Changes) -> bool {
        tokio::time::timeout(Duration::from_secs(1), changes.next()).await.is_ok()
    }

    #[tokio::test]
    async fn an_edit_is_seen_and_what_a_build_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("src")).unwrap();
        std::fs::create_dir(path("target")).unwrap();
        let mut watched = Changes::watch(folder.path()).unwrap();
        for made in ["target/x", "mine.wasm", "Cargo.lock", "src/.lib.rs.swp", "src/lib.rs~"] {
            std::fs::write(path(made), "made").unwrap();
        }
        assert!(!changes(&mut watched).await);
        for edited in ["src/lib.rs", "Cargo.toml"] {
            std::fs::write(path(edited), "edited").unwrap();
            assert!(changes(&mut watched).await, "{edited}");
        }
        std::fs::create_dir(path("fixtures")).unwrap();
        assert!(changes(&mut watched).await, "a new folder");
        std::fs::write(path("fixtures/push.json"), "{}").unwrap();
        assert!(changes(&mut watched).await, "what is in the new folder");
    }
}
