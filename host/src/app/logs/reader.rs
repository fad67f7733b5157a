//! Reads a log from disk, whole lines only, at the pace of whoever asks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::kept::kept_lines;
use super::segment::{self, count_lines};
use super::unusable;
use crate::domain::log::LogSummary;
use crate::error::{Error, Result};

/// Read at once. It bounds what a viewer holds in memory.
const CHUNK: usize = 256 * 1024;

/// Whole lines.
#[derive(Debug, Default)]
pub struct Batch {
    /// Number of the first of them.
    pub first: u64,
    /// Each with its line end; empty if there is nothing more by now.
    pub text: Vec<u8>,
}

impl Batch {
    /// The lines with their numbers.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        let lines = (!self.text.is_empty()).then(|| text.split(|byte| *byte == b'\n'));
        (self.first..).zip(lines.into_iter().flatten())
    }

    /// The lines from that number on.
    fn beginning_at(&self, number: u64) -> Self {
        let first = number.max(self.first);
        let passed = usize::try_from(first - self.first).unwrap_or(usize::MAX);
        let lines = self.text.split_inclusive(|byte| *byte == b'\n').skip(passed);
        Self { first, text: lines.flatten().copied().collect() }
    }
}

/// The end of a log.
#[derive(Debug, Default)]
pub struct Tail {
    pub batch: Batch,
    /// Earlier lines exist that are not in it.
    pub cut: bool,
    /// Number of its last line.
    pub last: u64,
}

/// A place in a log.
pub struct Reader {
    folder: PathBuf,
    /// Number of the line that is read next.
    next: u64,
    place: Option<Place>,
    /// What there is instead of files.
    kept: Option<Batch>,
}

struct Place {
    file: File,
    /// Number of the segment's first line.
    first: u64,
    offset: u64,
}

impl Reader {
    pub(super) fn new(folder: PathBuf, after: u64) -> Self {
        Self { folder, next: after.saturating_add(1), place: None, kept: None }
    }

    /// The same place in what is kept of a log whose files are gone.
    pub(super) fn of_kept(self, log: &LogSummary) -> Self {
        Self { kept: Some(kept_lines(log)), ..self }
    }

    /// Number of the last line that was read.
    pub fn position(&self) -> u64 {
        self.next - 1
    }

    /// The next lines, as many as are there, at most 256 KiB. Reading is done where it may block.
    ///
    /// # Errors
    /// `Unavailable` if the files cannot be read.
    pub async fn read(&mut self) -> Result<Batch> {
        if let Some(kept) = &self.kept {
            let batch = kept.beginning_at(self.next);
            self.next = batch.first + count_lines(&batch.text);
            return Ok(batch);
        }
        let mut moved =
            Self { folder: self.folder.clone(), next: self.next, place: self.place.take(), kept: None };
        let (moved, batch) = tokio::task::spawn_blocking(move || {
            let batch = moved.read_now();
            (moved, batch)
        })
        .await
        .map_err(Error::internal)?;
        *self = moved;
        batch.map_err(|error| unusable(&self.folder, &error))
    }

    /// The last lines, about `bytes` of them; the reader stands after them.
    ///
    /// # Errors
    /// `Unavailable` if the files cannot be read.
    pub async fn tail(&mut self, bytes: u64) -> Result<Tail> {
        if let Some(kept) = &self.kept {
            let batch = kept.beginning_at(1);
            self.next = batch.first + count_lines(&batch.text);
            return Ok(Tail { cut: batch.first > 1, last: self.next - 1, batch });
        }
        let folder = self.folder.clone();
        let (tail, next) = tokio::task::spawn_blocking(move || tail_now(&folder, bytes))
            .await
            .map_err(Error::internal)?
            .map_err(|error| unusable(&self.folder, &error))?;
        (self.next, self.place) = (next, None);
        Ok(tail)
    }

    pub(super) fn go_after(&mut self, line: u64) {
        (self.next, self.place) = (line + 1, None);
    }

    pub(super) fn read_now(&mut self) -> io::Result<Batch> {
        loop {
            if self.place.is_none() && !self.find()? {
                return Ok(Batch::default());
            }
            let batch = self.read_on()?;
            if !batch.text.is_empty() {
                return Ok(batch);
            }
            let current = self.place.as_ref().map_or(0, |place| place.first);
            let segments = segment::list(&self.folder)?;
            let Some(following) = segments.iter().find(|segment| segment.first > current) else {
                return Ok(batch);
            };
            // Lines may have come between the two looks; from now on, no more do.
            let batch = self.read_on()?;
            if !batch.text.is_empty() {
                return Ok(batch);
            }
            // It begins with the next line, unless somebody has cut the segment before it.
            self.next = self.next.max(following.first);
            self.place = None;
        }
    }

    /// Opens the segment with the next line, at that line.
    fn find(&mut self) -> io::Result<bool> {
        let segments = segment::list(&self.folder)?;
        let Some(found) = segments.iter().rev().find(|segment| segment.first <= self.next) else {
            return Ok(false);
        };
        let mut place = Place { file: File::open(&found.path)?, first: found.first, offset: 0 };
        let (mut number, mut buffer) = (found.first, vec![0; CHUNK]);
        while number < self.next {
            let length = place.file.read_at(&mut buffer, place.offset)?;
            let wanted = usize::try_from(self.next - number).unwrap_or(usize::MAX);
            let ends = buffer[..length].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            let (mut passed, mut used) = (0, 0);
            for (at, _) in ends.take(wanted) {
                (passed, used) = (passed + 1, at + 1);
            }
            number += passed;
            place.offset += used as u64;
            if passed == 0 {
                // It was asked for what is not there, and goes on at the end.
                self.next = number;
            }
        }
        self.place = Some(place);
        Ok(true)
    }

    fn read_on(&mut self) -> io::Result<Batch> {
        let Some(place) = &mut self.place else { return Ok(Batch::default()) };
        let mut text = vec![0; CHUNK];
        let length = place.file.read_at(&mut text, place.offset)?;
        let whole = text[..length].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        text.truncate(whole);
        let first = self.next;
        place.offset += whole as u64;
        self.next += count_lines(&text);
        Ok(Batch { first, text })
    }
}

pub(super) fn tail_now(folder: &Path, bytes: u64) -> io::Result<(Tail, u64)> {
    let (mut text, mut next) = (Vec::new(), None);
    for found in segment::list(folder)?.iter().rev() {
        let whole = segment::measure(&found.path)?;
        next.get_or_insert(found.first + whole.lines);
        let from = whole.bytes.saturating_sub(bytes - text.len() as u64);
        let mut piece = vec![0; usize::try_from(whole.bytes - from).unwrap_or(0)];
        File::open(&found.path)?.read_exact_at(&mut piece, from)?;
        if from > 0 {
            // Most likely it begins in the middle of a line.
            let begin = piece.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            piece.drain(..begin);
        }
        piece.append(&mut text);
        text = piece;
        if from > 0 || text.len() as u64 >= bytes {
            break;
        }
    }
    let next = next.unwrap_or(1);
    let first = next - count_lines(&text);
    Ok((Tail { cut: first > 1, last: next - 1, batch: Batch { first, text } }, next))
}
