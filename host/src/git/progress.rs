//! What a fetch says while it runs, and how it is stopped.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use git2::{Progress, RemoteCallbacks};

use super::{Log, RepoAccess, access::Answers, error::explain, hostkeys::HostKeys, way::Way};
use crate::error::Error;

const EVERY: Duration = Duration::from_secs(1);

/// Set from outside; libgit2 asks between pieces of work.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that a conversation with a server needs from us.
pub(super) struct Conversation {
    pub(super) access: RepoAccess,
    pub(super) log: Log,
    pub(super) stop: Stop,
    pub(super) way: Way,
    /// Why a host key was refused; libgit2 replaces the words with its own.
    refusal: Mutex<Option<String>>,
}

impl Conversation {
    pub(super) fn new(access: &RepoAccess, log: Log, way: Way) -> Self {
        Self { access: access.clone(), log, stop: Stop::default(), way, refusal: Mutex::default() }
    }

    /// What went wrong, in our words.
    pub(super) fn explain(&self, error: &git2::Error) -> Error {
        match self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(why) => Error::failed(format!("{}: {why}", self.access.shown())),
            None => match self.way.obstacle() {
                Some(obstacle) => obstacle.explain(&self.access),
                None => explain(&self.access, &self.named(error)),
            },
        }
    }

    /// The error with the URL that the user wrote, where libgit2 names the one of the relay.
    fn named(&self, error: &git2::Error) -> git2::Error {
        let said = error.message().replace(&self.way.url, &self.access.shown());
        git2::Error::new(error.code(), error.class(), said)
    }

    /// Fresh callbacks; libgit2 takes them once for connecting and once for fetching.
    pub(super) fn callbacks<'a>(&'a self, keys: &'a HostKeys) -> RemoteCallbacks<'a> {
        let answers = Answers::new(&self.access);
        let host = self.access.ssh_host();
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(move |_, user, allowed| answers.answer(user, allowed));
        callbacks.certificate_check(move |cert, _| {
            keys.judge(host.as_deref(), cert, &|line: &str| (self.log)(line)).inspect_err(|error| {
                let why = error.message().to_string();
                *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            })
        });
        let mut said = Vec::new();
        callbacks.sideband_progress(move |piece| {
            self.remote_says(&mut said, piece);
            !self.stop.is_set()
        });
        let mut next = Instant::now() + EVERY;
        callbacks.transfer_progress(move |progress| {
            if Instant::now() >= next {
                next = Instant::now() + EVERY;
                (self.log)(&line(&progress));
            }
            !self.stop.is_set()
        });
        callbacks
    }

    /// Whole lines only; counters that rewrite themselves end with a carriage return and are left out.
    fn remote_says(&self, said: &mut Vec<u8>, piece: &[u8]) {
        for byte in piece {
            match byte {
                b'\n' => {
                    let text = String::from_utf8_lossy(said).trim().to_string();
                    if !text.is_empty() {
                        (self.log)(&self.access.scrub(&format!("remote: {text}")));
                    }
                    said.clear();
                }
                b'\r' => said.clear(),
                byte if said.len() < 1000 => said.push(*byte),
                _ => {}
            }
        }
    }
}

fn line(progress: &Progress<'_>) -> String {
    let (have, all) = (progress.received_objects(), progress.total_objects());
    if have < all || progress.total_deltas() == 0 {
        let percent = (have * 100).checked_div(all).unwrap_or_default();
        let kilobytes = progress.received_bytes() / 1024;
        return format!("Receiving objects: {percent}% ({have}/{all}), {kilobytes} KiB");
    }
    let (have, all) = (progress.indexed_deltas(), progress.total_deltas());
    format!("Resolving deltas: {}% ({have}/{all})", have * 100 / all)
}
