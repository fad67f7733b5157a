//! Appends lines to a log.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::redact::Redactor;
use super::segment::{self, SEGMENT_BYTES};
use super::{Extent, Logs, unusable};
use crate::error::Result;

/// A log that grows beyond this many bytes is cut, and says so.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// A longer line is cut, and says so.
const MAX_LINE: usize = 64 * 1024;

/// A log that is being written, shared by its writers.
pub(super) struct Open {
    folder: PathBuf,
    end: Mutex<End>,
    extent: watch::Sender<Extent>,
    logs: Logs,
}

/// Where the next line goes.
struct End {
    file: File,
    /// Of the last segment; only whole lines count.
    segment_bytes: u64,
    extent: Extent,
    failed: bool,
}

impl Open {
    /// What was torn when the server was killed is cut off, so that the next line begins where a line begins.
    pub fn append_to(folder: &Path, logs: &Logs) -> Result<Self> {
        let open = || -> io::Result<End> {
            std::fs::create_dir_all(folder)?;
            let mut extent = segment::extent(folder)?;
            extent.finished = false;
            let (first, whole) = match segment::list(folder)?.pop() {
                Some(last) => (last.first, segment::measure(&last.path)?),
                None => (1, segment::Whole::default()),
            };
            let file = OpenOptions::new().create(true).append(true).open(segment::path(folder, first))?;
            file.set_len(whole.bytes)?;
            Ok(End { file, segment_bytes: whole.bytes, extent, failed: false })
        };
        let end = open().map_err(|error| unusable(folder, &error))?;
        let extent = watch::Sender::new(end.extent);
        Ok(Self { folder: folder.to_path_buf(), end: Mutex::new(end), extent, logs: logs.clone() })
    }

    pub fn subscribe(&self) -> watch::Receiver<Extent> {
        self.extent.subscribe()
    }

    /// Whole lines, in one go.
    fn append(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.extent.bytes > MAX_BYTES {
            return;
        }
        let is_last = end.extent.bytes + text.len() as u64 > MAX_BYTES;
        let rest = if is_last { "the log is longer than 256 MiB; the rest is left out\n" } else { "" };
        match end.write(&self.folder, text).and_then(|()| end.write(&self.folder, rest)) {
            Ok(()) => end.failed = false,
            Err(error) if !std::mem::replace(&mut end.failed, true) => {
                let path = self.folder.display();
                tracing::warn!(%path, %error, "[@service:logs] lines could not be written to a log");
            }
            // It was said already.
            Err(_) => {}
        }
        self.extent.send_replace(end.extent);
    }
}

impl End {
    fn write(&mut self, folder: &Path, text: &str) -> io::Result<()> {
        if self.segment_bytes >= SEGMENT_BYTES {
            let path = segment::path(folder, self.extent.lines + 1);
            self.file = OpenOptions::new().create(true).append(true).open(path)?;
            self.segment_bytes = 0;
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // Half of it may be there; the next line must not begin in the middle of this one.
            self.file.set_len(self.segment_bytes)?;
            return Err(error);
        }
        self.segment_bytes += text.len() as u64;
        self.extent.bytes += text.len() as u64;
        self.extent.lines += segment::count_lines(text.as_bytes());
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.logs.forget(&self.folder);
        self.extent.send_modify(|extent| extent.finished = true);
    }
}

/// Appends lines with their time. When the last writer of a log is dropped, its viewers learn that it is complete.
///
/// A log that cannot be written does not stop the work it tells of; the server's own log says so.
pub struct LogWriter {
    open: std::sync::Arc<Open>,
    redactor: Redactor,
}

impl LogWriter {
    pub(super) fn new(open: std::sync::Arc<Open>, secrets: &[String]) -> Self {
        Self { open, redactor: Redactor::new(secrets) }
    }

    /// Writes a text, with the time before each of its lines.
    pub fn line(&self, text: &str) {
        self.lines([text]);
    }

    /// Writes several at once. A viewer sees all of them or none.
    pub fn lines<'a>(&self, texts: impl IntoIterator<Item = &'a str>) {
        let at = chrono::Utc::now().format("%H:%M:%S%.3f ").to_string();
        let mut block = String::new();
        for text in texts {
            let clean = self.redactor.clean(text.trim_end());
            let mut lines = clean.lines().peekable();
            if lines.peek().is_none() {
                let _ = writeln!(block, "{at}");
            }
            for line in lines {
                block.push_str(&at);
                push_printable(&mut block, line);
                block.push('\n');
            }
        }
        self.open.append(&block);
    }

    /// Bytes so far.
    pub fn size(&self) -> i64 {
        i64::try_from(self.open.extent.borrow().bytes).unwrap_or(i64::MAX)
    }

    /// The folder of its segments.
    pub fn path(&self) -> &Path {
        &self.open.folder
    }
}

/// Keeps tabs and the character that begins colour sequences, replaces every other control character.
fn push_printable(block: &mut String, line: &str) {
    let end = line.floor_char_boundary(MAX_LINE);
    let shown = &line[..end];
    if shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        block.push_str(shown);
    } else {
        let safe = |c: char| if c.is_control() && c != '\t' && c != '\u{1b}' { '\u{fffd}' } else { c };
        block.extend(shown.chars().map(safe));
    }
    if end < line.len() {
        block.push_str(" … the line is longer than 64 KiB and was cut");
    }
}
