//! Git: a bare mirror per repository, a throw-away checkout per build, through libgit2. No policy.
//!
//! Nothing is ever run: no hooks, filters, credential helpers or ssh programs, and no configuration but the mirror's own
//! is read. Blocking work happens on tokio's blocking threads, few at a time.

mod access;
mod body;
mod browse;
mod cache;
mod checkout;
mod difference;
mod error;
mod fetch;
mod forge;
mod hostkeys;
mod lock;
mod mirror;
mod place;
mod progress;
mod read;
mod relay;
mod remote;
mod share;
mod submodules;
mod tree;
mod way;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

pub use access::{GitAuth, RepoAccess};
pub use cache::Mirror;
pub use checkout::Checkout;
pub use hostkeys::HostKeys;
pub use read::Commit;
pub use remote::{RemoteRef, RemoteRefs};

use crate::{
    domain::{Id, code::HostPurpose},
    error::{Error, Result},
    network::Outgoing,
};

/// Takes the lines that people should see of a fetch or checkout.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Servers talked to at a time; more would only share one uplink.
const CONNECTIONS: usize = 8;
/// Mirrors read or checkouts written at a time.
const DISK: usize = 4;
/// For a fetch as a whole.
const FETCH_LIMIT: Duration = Duration::from_secs(15 * 60);
/// A server that is silent for so long is gone.
const SILENCE_MS: i32 = 30_000;
const CONNECT_MS: i32 = 10_000;

/// All mirrors and checkouts under one folder; clones share it.
#[derive(Clone)]
pub struct Git {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    fetch_limit: Duration,
    outgoing: Outgoing,
    connections: Arc<Semaphore>,
    disk: Arc<Semaphore>,
    mirrors: Mutex<HashMap<Id, Arc<fetch::Turns>>>,
    host_keys: Arc<HostKeys>,
    salt: share::Salt,
}

impl Git {
    /// Makes the folders (0700) and removes the checkouts of processes that are gone. Servers are talked to by way of
    /// `outgoing`.
    ///
    /// # Errors
    /// `Internal` if the folder cannot be written.
    pub fn open(root: PathBuf, outgoing: Outgoing) -> Result<Self> {
        Self::open_with_limit(root, outgoing, FETCH_LIMIT)
    }

    /// Like [`Git::open`], with another limit for a fetch as a whole.
    ///
    /// # Errors
    /// `Internal` if the folder cannot be written.
    pub fn open_with_limit(root: PathBuf, outgoing: Outgoing, fetch_limit: Duration) -> Result<Self> {
        settle_libgit2();
        for folder in [root.clone(), root.join("mirrors"), root.join("checkouts")] {
            private_folder(&folder)?;
        }
        checkout::remove_leftovers(&root.join("checkouts"));
        let inner = Inner {
            fetch_limit,
            outgoing,
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            disk: Arc::new(Semaphore::new(DISK)),
            mirrors: Mutex::default(),
            host_keys: Arc::new(HostKeys::new(root.join("known_hosts"), HostPurpose::Git)),
            salt: share::Salt::open(&root.join("salt"))?,
            root,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The pinned ssh host keys of git servers.
    pub fn host_keys(&self) -> Arc<HostKeys> {
        Arc::clone(&self.inner.host_keys)
    }

    fn mirror_path(&self, id: &Id) -> Result<PathBuf> {
        Ok(self.inner.root.join("mirrors").join(format!("{}.git", file_name(id)?)))
    }

    fn turns(&self, id: &Id) -> Arc<fetch::Turns> {
        let mut all = self.inner.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(id.clone()).or_default())
    }

    /// Runs blocking work on a mirror that has been fetched.
    async fn on_mirror<T: Send + 'static>(
        &self,
        id: &Id,
        work: impl FnOnce(&git2::Repository) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.mirror_path(id)?;
        let turns = self.turns(id);
        let _reading = turns.readers.read().await;
        let _turn = self.inner.disk.acquire().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || work(&mirror::open_fetched(&path)?))
            .await
            .map_err(Error::internal)?
    }
}

impl std::fmt::Debug for Git {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Git({})", self.inner.root.display())
    }
}

/// Ids are UUIDs; anything else may not become a path.
fn file_name(id: &Id) -> Result<&str> {
    let text = id.as_str();
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !text.starts_with('-');
    if fits {
        return Ok(text);
    }
    Err(Error::invalid("id", format!("`{}` is not an id", text.escape_debug())))
}

fn private_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)));
    made.map_err(|error| Error::internal(format!("{}: {error}", path.display())))
}

/// Options that libgit2 keeps for the whole process.
fn settle_libgit2() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: these calls write globals of libgit2 that no other thread may be using. This is the only place that
        // calls them, it runs once, and every use of libgit2 in this process goes through a `Git` that is made after it.
        let outcome = unsafe {
            git2::opts::set_server_connect_timeout_in_milliseconds(CONNECT_MS)
                .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(SILENCE_MS))
                // A user's or system's configuration could rewrite addresses or name programs to run.
                .and_then(|()| {
                    use git2::ConfigLevel::{Global, ProgramData, System, XDG};
                    [Global, ProgramData, System, XDG]
                        .into_iter()
                        .try_for_each(|level| git2::opts::set_search_path(level, ""))
                })
                // The folder is 0700 and ours; in containers its owner often has another number.
                .and_then(|()| git2::opts::set_verify_owner_validation(false))
        };
        if let Err(error) = outcome {
            tracing::warn!("[@git] libgit2 does not take an option: {error}");
        }
    });
}
