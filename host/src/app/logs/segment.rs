//! The files of one log. A segment is named after the number of its first line and holds whole lines, so that a line's
//! number is its place: no two can have the same, and none can be missing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Extent;

/// A segment that has grown to so many bytes is followed by the next.
pub(super) const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
const EXTENSION: &str = "log";

pub(super) struct Segment {
    /// Number of its first line.
    pub first: u64,
    pub path: PathBuf,
}

pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:012}.{EXTENSION}"))
}

/// The segments in a log's folder in their order; none if there is no such folder.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Segment>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == EXTENSION);
        let first = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let Some(first) = first.filter(|_| is_segment) {
            segments.push(Segment { first, path });
        }
    }
    segments.sort_unstable_by_key(|segment| segment.first);
    Ok(segments)
}

/// What whole lines a segment has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Whole {
    pub lines: u64,
    /// Up to the end of the last one. A line that was being written when the server was killed comes after it.
    pub bytes: u64,
}

pub(super) fn measure(path: &Path) -> io::Result<Whole> {
    let mut whole = Whole::default();
    let mut file = File::open(path)?;
    let (mut buffer, mut read) = (vec![0; 256 * 1024], 0);
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(whole);
        }
        let piece = &buffer[..length];
        if let Some(last) = piece.iter().rposition(|byte| *byte == b'\n') {
            whole.lines += count_lines(piece);
            whole.bytes = read + last as u64 + 1;
        }
        read += length as u64;
    }
}

pub(super) fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// How far a log that nobody writes goes.
pub(super) fn extent(folder: &Path) -> io::Result<Extent> {
    let mut segments = list(folder)?;
    let Some(last) = segments.pop() else { return Ok(Extent { finished: true, ..Extent::default() }) };
    let whole = measure(&last.path)?;
    let mut bytes = whole.bytes;
    for segment in &segments {
        bytes += std::fs::metadata(&segment.path)?.len();
    }
    Ok(Extent { lines: last.first - 1 + whole.lines, bytes, finished: true })
}
