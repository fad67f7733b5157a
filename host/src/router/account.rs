//! What one request leaves behind: counts of its release while and after it runs, and a line in the access log.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use tokio_util::sync::WaitForCancellationFutureOwned;

use super::access::{AccessLog, Entry};
use super::live::Release;
use super::upstream::Upstream;

/// A request that a release works on. It counts as in flight until this is dropped.
pub struct Account {
    release: Arc<Release>,
    /// Who answers, once that is chosen.
    target: Option<Arc<Upstream>>,
    started: Instant,
    status: u16,
    bytes: u64,
    outcome: Outcome,
    log: Option<(Arc<AccessLog>, Box<Entry>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The client left before the end.
    Left,
    Complete,
    /// The release did not finish what it began.
    Broke,
}

impl Account {
    pub fn open(release: Arc<Release>) -> Self {
        release.stats.in_flight.fetch_add(1, Ordering::SeqCst);
        // From here on it is the release's time: what was held before is not.
        let started = Instant::now();
        Self { release, target: None, started, status: 0, bytes: 0, outcome: Outcome::Left, log: None }
    }

    pub fn log_to(&mut self, log: Arc<AccessLog>, mut entry: Box<Entry>) {
        entry.target = self.target.as_ref().map(|target| target.address);
        self.log = Some((log, entry));
    }

    /// Where the request goes.
    ///
    /// Whoever replaces the table looks at the counts afterwards. The caller looks at the table after this: one of the two
    /// sees the other.
    pub fn at(&mut self, target: &Arc<Upstream>) {
        target.in_flight.fetch_add(1, Ordering::SeqCst);
        if let Some(before) = self.target.replace(target.clone()) {
            before.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
        fence(Ordering::SeqCst);
        if let Some((_, entry)) = &mut self.log {
            entry.target = Some(target.address);
        }
    }

    /// The answer's head is known.
    pub fn answered(&mut self, status: u16) {
        self.status = status;
        let took = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.release.stats.answered(status, took);
        if let Some((_, entry)) = &mut self.log {
            entry.head_us = took;
        }
    }

    pub fn passed(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub fn complete(&mut self) {
        self.outcome = Outcome::Complete;
    }

    pub fn broke(&mut self) {
        if self.outcome != Outcome::Broke {
            self.release.stats.broke();
        }
        self.outcome = Outcome::Broke;
    }

    /// Ends when the release has been drained for too long.
    pub fn cut(&self) -> WaitForCancellationFutureOwned {
        self.release.cut.clone().cancelled_owned()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.release.stats.in_flight.fetch_sub(1, Ordering::SeqCst);
        if let Some(target) = &self.target {
            target.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
        let Some((log, mut entry)) = self.log.take() else { return };
        entry.status = self.status;
        entry.bytes = self.bytes;
        entry.total_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        entry.ended = match self.outcome {
            Outcome::Left => "client_left",
            Outcome::Complete => "complete",
            Outcome::Broke => "broken",
        };
        log.write(*entry);
    }
}

/// Who asks, and how.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    pub address: IpAddr,
    pub tls: bool,
}
