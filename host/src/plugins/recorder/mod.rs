//! The flight recorder's near end: what a call was given and gave, handed over without ever making the call wait.
//!
//! Recordings go through a bounded channel to whoever stores them. If nobody keeps up, recordings are dropped and
//! counted; a call never waits for its recording.

mod difference;
mod http;
mod json;
mod replay;
mod serializer;
mod subject;
mod transcript;
mod value;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

pub(super) use self::http::{Answer, answer_to, request_to};
pub(super) use self::json::Limited;
pub(super) use self::subject::{Occasion, occasion};
pub use self::subject::{unrecorded, with_subject};
pub(super) use self::transcript::{Diverged, Transcript};

use crate::domain::recording::Recording;

/// Recordings and their bytes that wait to be stored. What comes on top is dropped.
const WAITING: usize = 2048;
const WAITING_BYTES: usize = 16 << 20;

pub(super) struct Recorder {
    pub(super) is_on: bool,
    sender: mpsc::Sender<Recording>,
    waiting_bytes: Arc<AtomicUsize>,
    receiver: Mutex<Option<mpsc::Receiver<Recording>>>,
    recorded: Counter,
    dropped: Counter,
}

/// The other end: recordings in the order in which their calls ended.
pub struct Recordings {
    receiver: mpsc::Receiver<Recording>,
    waiting_bytes: Arc<AtomicUsize>,
    dropped: Counter,
}

impl Recorder {
    pub(super) fn new(is_on: bool) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            is_on,
            sender,
            waiting_bytes: Arc::default(),
            receiver: Mutex::new(Some(receiver)),
            recorded: Counter::default(),
            dropped: Counter::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "windlass_plugin_calls_recorded",
            "Calls into plugins handed to the flight recorder",
            self.recorded.clone(),
        );
        registry.register(
            "windlass_plugin_calls_dropped",
            "Calls into plugins that were not recorded because the database did not keep up",
            self.dropped.clone(),
        );
    }

    /// The other end, for the first who asks.
    pub(super) fn take(&self) -> Option<Recordings> {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Recordings {
            receiver,
            waiting_bytes: self.waiting_bytes.clone(),
            dropped: self.dropped.clone(),
        })
    }

    pub(super) fn offer(&self, recording: Recording) {
        let size = recording.size();
        let waiting = self.waiting_bytes.fetch_add(size, Ordering::Relaxed);
        if waiting + size <= WAITING_BYTES && self.sender.try_send(recording).is_ok() {
            self.recorded.inc();
            return;
        }
        self.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
        self.dropped.inc();
    }
}

impl Recordings {
    /// Waits for the next one; `None` when the plugins are gone.
    pub async fn next(&mut self) -> Option<Recording> {
        let recording = self.receiver.recv().await;
        self.taken(recording)
    }

    /// The next one if it is there already.
    pub fn try_next(&mut self) -> Option<Recording> {
        let recording = self.receiver.try_recv().ok();
        self.taken(recording)
    }

    /// These could not be stored after all.
    pub fn lost(&self, count: usize) {
        self.dropped.inc_by(count as u64);
    }

    fn taken(&self, recording: Option<Recording>) -> Option<Recording> {
        if let Some(recording) = &recording {
            self.waiting_bytes.fetch_sub(recording.size(), Ordering::Relaxed);
        }
        recording
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;
    use crate::domain::recording::Outcome;

    fn recording(input: String) -> Recording {
        Recording {
            plugin: "p".into(),
            digest: String::new(),
            interface: String::new(),
            function: String::new(),
            subject: None,
            started_at: 0,
            duration_us: 0,
            cpu_us: 0,
            outcome: Outcome::Ok,
            error: None,
            input,
            exchange: "[]".into(),
            output: None,
            cut: false,
        }
    }

    #[test]
    fn what_nobody_stores_is_dropped_and_counted() {
        let recorder = Recorder::new(true);
        let mut recordings = recorder.take().unwrap();
        assert!(recorder.take().is_none());
        for _ in 0..=WAITING {
            recorder.offer(recording("[]".into()));
        }
        assert_eq!((recorder.recorded.get(), recorder.dropped.get()), (WAITING as u64, 1));
        while recordings.try_next().is_some() {}
        recorder.offer(recording("x".repeat(WAITING_BYTES)));
        assert_eq!(recorder.dropped.get(), 2);
        recorder.offer(recording("[]".into()));
        assert_eq!(recorder.recorded.get(), WAITING as u64 + 1);
    }
}
