//! Fetching: incremental, one at a time per mirror, and shared by all who ask while it is waited for.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use git2::{AutotagOption, FetchOptions, RemoteRedirect, Repository};
use tokio::sync::{Mutex, OwnedMutexGuard, RwLock};
use tokio_util::sync::CancellationToken;

use super::{
    Git, Log, RemoteRefs, RepoAccess, error,
    lock::FileLock,
    mirror,
    progress::{Conversation, Stop},
    remote,
};
use crate::{
    domain::Id,
    error::{Error, Result},
};

const REFSPECS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// Who may fetch a mirror next, and what the last one found.
#[derive(Default)]
pub(super) struct Turns {
    pub(super) state: Arc<Mutex<State>>,
    /// Whoever reads the mirror; it does not go under them.
    pub(super) readers: Arc<RwLock<()>>,
    started: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    /// Whether this process has looked for damage that a killed one may have done.
    settled: bool,
    last: Option<Last>,
    /// When this process last brought the mirror up to date.
    fetched: Option<Instant>,
}

struct Last {
    number: u64,
    access: u64,
    outcome: Result<()>,
}

impl Git {
    /// Brings the mirror up to date with the server: all branches and tags; what the server has deleted goes here too.
    /// Whoever waited while another fetch began and ended gets that one's result. A damaged mirror is repaired or
    /// cloned anew.
    ///
    /// # Errors
    /// `Unavailable` if the server cannot be reached, `Failed` if it refuses us, `Timeout`, `Cancelled`.
    pub async fn fetch(&self, repo: &RepoAccess, cancel: &CancellationToken, log: Log) -> Result<()> {
        repo.check()?;
        let path = self.mirror_path(&repo.id)?;
        let turns = self.turns(&repo.id);
        let asked = turns.started.load(Ordering::SeqCst);
        let mut state = tokio::select! {
            state = Arc::clone(&turns.state).lock_owned() => state,
            () = cancel.cancelled() => return Err(Error::cancelled("the fetch")),
        };
        if let Some(last) = &state.last
            && last.number > asked
            && last.access == repo.fingerprint()
        {
            log("Another build has just fetched this repository");
            return last.outcome.clone();
        }
        let number = turns.started.fetch_add(1, Ordering::SeqCst) + 1;
        // A fetch that is stopped says nothing about the server, so nobody else should get its result.
        state.last = None;
        let git = self.clone();
        self.converse((repo, log), cancel, self.inner.fetch_limit, "the fetch", move |talk| {
            let mut state = state;
            let outcome = git.fetch_blocking(&path, talk, &mut state);
            if outcome.is_ok() {
                state.fetched = Some(Instant::now());
            }
            if !talk.stop.is_set() {
                state.last =
                    Some(Last { number, access: talk.access.fingerprint(), outcome: outcome.clone() });
            }
            outcome
        })
        .await
    }

    /// Whether this process has brought the mirror up to date so lately. One that is being fetched is not fresh yet.
    pub fn is_fresh(&self, id: &Id, within: Duration) -> bool {
        let turns = self.turns(id);
        turns.state.try_lock().is_ok_and(|state| state.fetched.is_some_and(|at| at.elapsed() < within))
    }

    fn fetch_blocking(
        &self,
        path: &Path,
        talk: &Conversation,
        state: &mut OwnedMutexGuard<State>,
    ) -> Result<()> {
        let lock = wait_for_lock(path, &talk.stop)?;
        lock.mark();
        let mut attempt = if std::mem::replace(&mut state.settled, true) { 0 } else { 1 };
        loop {
            let outcome = self.attempt(path, talk, attempt > 0);
            match outcome {
                Err(error) if error::is_damage(&error) && attempt < 2 && !talk.stop.is_set() => {
                    attempt += 1;
                    (talk.log)(&format!(
                        "The mirror is damaged ({}); {}",
                        talk.access.scrub(error.message()),
                        if attempt == 1 { "repairing it" } else { "cloning it anew" }
                    ));
                    tracing::warn!("[@git] mirror {} is damaged: {}", talk.access.id, error.message());
                    if attempt == 2 {
                        mirror::discard(path).map_err(error::reading)?;
                    }
                }
                Err(_) if talk.stop.is_set() => return Err(Error::cancelled("the fetch")),
                outcome => return outcome.map_err(|error| talk.explain(&error)),
            }
        }
    }

    fn attempt(&self, path: &Path, talk: &Conversation, carefully: bool) -> Result<(), git2::Error> {
        if carefully {
            mirror::sweep(path);
        }
        let repository = mirror::open_or_create(path)?;
        if carefully {
            mirror::verify(&repository)?;
        }
        let began = Instant::now();
        (talk.log)(&format!("Fetching {}", talk.access.shown()));
        let mut remote = repository.remote_anonymous(&talk.way.url)?;
        let mut connection = remote::connect(&mut remote, talk, self)?;
        let there = remote::refs(&connection)?;
        remote::set_head(&repository, there.default_branch.as_deref())?;
        // Before the update: `a` has to go before `a/b` can come.
        prune(&repository, &there)?;
        if is_current(&repository, &there) {
            (talk.log)(&format!("Already up to date ({} branches and tags)", there.refs.len()));
            return Ok(());
        }
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(talk.callbacks(&self.inner.host_keys))
            .follow_redirects(RemoteRedirect::None)
            .download_tags(AutotagOption::None)
            .update_fetchhead(false);
        connection.remote().fetch(&REFSPECS, Some(&mut options), None)?;
        drop(connection);
        let stats = remote.stats();
        (talk.log)(&format!(
            "Fetched {} objects, {} KiB, in {:.1} s",
            stats.received_objects(),
            stats.received_bytes() / 1024,
            began.elapsed().as_secs_f64()
        ));
        Ok(())
    }
}

/// Two processes on one folder are unusual, and must not tread on each other's mirrors.
fn wait_for_lock(path: &Path, stop: &Stop) -> Result<FileLock> {
    let path = path.with_extension("flock");
    loop {
        if let Some(lock) = FileLock::take(&path)? {
            return Ok(lock);
        }
        if stop.is_set() {
            return Err(Error::cancelled("the fetch"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn local(repository: &Repository) -> Result<HashMap<String, String>, git2::Error> {
    let mut all = HashMap::new();
    for reference in repository.references()? {
        let reference = reference?;
        if let (Ok(name), Some(target)) = (reference.name(), reference.target()) {
            all.insert(name.to_string(), target.to_string());
        }
    }
    Ok(all)
}

fn prune(repository: &Repository, there: &RemoteRefs) -> Result<(), git2::Error> {
    let there: std::collections::HashSet<&str> = there.refs.iter().map(|one| one.name.as_str()).collect();
    for name in local(repository)?.into_keys() {
        let mirrored = name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
        if mirrored && !there.contains(name.as_str()) {
            repository.find_reference(&name)?.delete()?;
        }
    }
    Ok(())
}

fn is_current(repository: &Repository, there: &RemoteRefs) -> bool {
    let Ok(here) = local(repository) else { return false };
    there.refs.iter().all(|one| here.get(&one.name) == Some(&one.object))
}
