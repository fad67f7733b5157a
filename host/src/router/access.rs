//! The access log: a line of JSON for each request, written by a thread of its own so that no request waits for a disk.

use std::io::{BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Result};

/// Lines that wait to be written. More are dropped and counted.
const WAITING: usize = 16_384;
/// How long a line waits for others before it is written.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub struct AccessLog {
    lines: SyncSender<Entry>,
    dropped: AtomicU64,
}

/// One request. The query is left out: it may hold secrets.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When it ended, RFC 3339.
    pub time: String,
    pub client: IpAddr,
    pub tls: bool,
    pub protocol: String,
    pub method: String,
    pub host: String,
    pub path: String,
    pub route: String,
    /// Empty where no release was asked.
    pub release: String,
    pub target: Option<SocketAddr>,
    /// 0 if the client left before there was one.
    pub status: u16,
    /// Of the answer's body.
    pub bytes: u64,
    /// Until the answer's head, and until its end.
    pub head_us: u64,
    pub total_us: u64,
    /// `complete`, `client_left`, or `broken` by the release.
    pub ended: &'static str,
}

impl AccessLog {
    /// `off`, `on` for standard output, or the path of a file that is appended to.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(setting: &str) -> Result<Option<Self>> {
        let output: Box<dyn Write + Send> = match setting {
            "off" => return Ok(None),
            "on" => Box::new(std::io::stdout()),
            path => {
                let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
                Box::new(file.map_err(|error| {
                    Error::unavailable(format!(
                        "the access log {path} cannot be written: {error}; set router.access_log to off, on or a writable file"
                    ))
                })?)
            }
        };
        let (lines, waiting) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_all(&waiting, output))
            .map_err(Error::internal)?;
        Ok(Some(Self { lines, dropped: AtomicU64::default() }))
    }

    pub fn write(&self, mut entry: Entry) {
        entry.time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        if self.lines.try_send(entry).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that the disk was too slow for.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn write_all(waiting: &Receiver<Entry>, output: Box<dyn Write + Send>) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    loop {
        match waiting.recv_timeout(PATIENCE) {
            Ok(entry) => {
                // A full disk costs lines, not requests.
                let _ = serde_json::to_writer(&mut output, &entry);
                let _ = output.write_all(b"\n");
            }
            Err(RecvTimeoutError::Timeout) => {
                let _ = output.flush();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
