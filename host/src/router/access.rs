//! The access log: a line of JSON for each request, written by a thread of its own so that no request waits for a disk.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
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
    /// `off`, `on` for standard output, or the path of a file that is appended to until it has `most` bytes.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(setting: &str, most: u64) -> Result<Option<Self>> {
        let output: Box<dyn Write + Send> = match setting {
            "off" => return Ok(None),
            "on" => Box::new(std::io::stdout()),
            path => Box::new(Rotated::open(Path::new(path), most).map_err(|error| {
                Error::unavailable(format!(
                    "the access log {path} cannot be written: {error}; set router.access_log to off, on or a writable file"
                ))
            })?),
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

/// A file that begins anew when it is full; the one before is kept beside it, with `.1` at its end.
struct Rotated {
    path: PathBuf,
    file: File,
    length: u64,
    most: u64,
}

impl Rotated {
    fn open(path: &Path, most: u64) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_path_buf(), file, length, most })
    }

    fn begin_anew(&mut self) -> std::io::Result<()> {
        let mut before = self.path.clone().into_os_string();
        before.push(".1");
        std::fs::rename(&self.path, before)?;
        *self = Self::open(&self.path, self.most)?;
        Ok(())
    }
}

impl Write for Rotated {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Where it cannot be renamed, one file that is too large is better than none. Whole lines are written at once.
        if self.length >= self.most && self.begin_anew().is_err() {
            self.length = 0;
        }
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn write_all(waiting: &Receiver<Entry>, output: Box<dyn Write + Send>) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    loop {
        match waiting.recv_timeout(PATIENCE) {
            Ok(entry) => {
                // As a whole, so that no line is cut between two files. A full disk costs lines, not requests.
                let mut line = serde_json::to_vec(&entry).unwrap_or_default();
                line.push(b'\n');
                let _ = output.write_all(&line);
            }
            Err(RecvTimeoutError::Timeout) => {
                let _ = output.flush();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_kept_beside_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        std::fs::write(&path, "of an earlier process\n").unwrap();
        let mut file = Rotated::open(&path, 30).unwrap();
        for line in ["one, which fits\n", "two, which does not\n", "three\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("access.log.1"), "of an earlier process\none, which fits\n");
        assert_eq!(read("access.log"), "two, which does not\nthree\n");
    }
}
