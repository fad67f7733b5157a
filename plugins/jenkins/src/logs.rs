//! Logs by `progressiveText`: Jenkins gives all that follows an offset, and the offset that comes next.
//!
//! The cursor is such an offset. What follows may be more than the host takes at once; then it is an offset and, behind a
//! `+`, how much of the text that follows has been handed out.

use windlass_sdk::Failure;
use windlass_sdk::http::{Request, Response};
use windlass_sdk::provider::LogChunk;

use crate::builds::{self, Found};
use crate::path::{BuildRef, JobPath};
use crate::{ask, parse};

/// Most bytes of one piece.
const PIECE: usize = 1 << 20;
/// Less than the response that the host gives up, which has 8 MiB.
const SKIPPED: u64 = 6 << 20;
/// How often the end of a log is looked for behind what is too large.
const SKIPS: usize = 16;

/// Where to read on.
#[derive(Clone, Copy)]
struct Cursor {
    /// Bytes of the log on Jenkins' disk.
    start: u64,
    /// Bytes of the text from there on.
    skip: usize,
}

impl Cursor {
    fn of(text: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = text else {
            return Ok(Self { start: 0, skip: 0 });
        };
        let (start, skip) = text.split_once('+').unwrap_or((text, "0"));
        match (start.parse(), skip.parse()) {
            (Ok(start), Ok(skip)) => Ok(Self { start, skip }),
            _ => Err(Failure::permanent(
                "invalid-cursor",
                format!("`{text}` is no place in a log of Jenkins."),
            )),
        }
    }

    fn text(self) -> String {
        match self.skip {
            0 => self.start.to_string(),
            skip => format!("{}+{skip}", self.start),
        }
    }
}

pub fn read(path: &JobPath, build: BuildRef, cursor: Option<&str>) -> Result<LogChunk, Failure> {
    let cursor = Cursor::of(cursor)?;
    let number = match build {
        BuildRef::Number(number) => number,
        BuildRef::Queued(_) => match builds::find(path, build)? {
            Found::Started(build) => build.number,
            // What was taken out of the queue never writes anything.
            Found::Waiting(item) => {
                return Ok(LogChunk { text: String::new(), cursor: cursor.text(), complete: item.cancelled });
            }
        },
    };
    let response = match progressive(path, number, cursor.start) {
        Err(failure) if failure.code == "too-large" => return Ok(skipped(cursor)),
        other => other?,
    };
    let size = header(&response, "x-text-size");
    let more = response.header("x-more-data").is_some_and(|more| more.eq_ignore_ascii_case("true"));
    if more && size.unwrap_or(0) == 0 && response.body.is_empty() {
        return not_there(path, number, cursor);
    }
    let Some(size) = size else {
        let said = "Jenkins did not say how long the log is: the header X-Text-Size is missing. A proxy may have dropped it.";
        return Err(Failure::permanent("malformed-response", said));
    };
    Ok(piece(&response, cursor, size, more))
}

/// What is left of the text, or the beginning of that.
fn piece(response: &Response, cursor: Cursor, size: u64, more: bool) -> LogChunk {
    let text = response.text();
    let from = text.ceil_char_boundary(cursor.skip.min(text.len()));
    let rest = &text[from..];
    if rest.len() <= PIECE {
        let next = Cursor { start: size, skip: 0 };
        return LogChunk { text: rest.to_owned(), cursor: next.text(), complete: !more };
    }
    let end = rest.floor_char_boundary(PIECE);
    let next = Cursor { skip: from + end, ..cursor };
    LogChunk { text: rest[..end].to_owned(), cursor: next.text(), complete: false }
}

/// Jenkins only gives the whole rest, and the host does not take one of that size; a gap is better than no log.
fn skipped(cursor: Cursor) -> LogChunk {
    let text = format!(
        "\n[Left out: {} MiB of this log. Jenkins hands out only all that is left of it, which was too large.]\n",
        SKIPPED >> 20
    );
    let next = Cursor { start: cursor.start.saturating_add(SKIPPED), skip: 0 };
    LogChunk { text, cursor: next.text(), complete: false }
}

/// Jenkins says the same of a log that is not there yet and of one that was deleted.
fn not_there(path: &JobPath, number: u64, cursor: Cursor) -> Result<LogChunk, Failure> {
    let running = matches!(
        builds::find(path, BuildRef::Number(number))?,
        Found::Started(parse::Build { building: true, .. })
    );
    if running {
        return Ok(LogChunk { text: String::new(), cursor: cursor.text(), complete: false });
    }
    let said = format!("Jenkins has deleted the log of build {number} of the job `{}`.", path.id());
    Err(Failure::permanent("log-gone", said))
}

/// The end of what the build has written, at most some MiB.
pub fn tail(path: &JobPath, number: u64) -> Result<String, Failure> {
    let mut start = 0;
    for _ in 0..SKIPS {
        match progressive(path, number, start) {
            Err(failure) if failure.code == "too-large" => start += SKIPPED,
            other => return other.map(|response| response.text()),
        }
    }
    Ok(String::new())
}

fn progressive(path: &JobPath, number: u64, start: u64) -> Result<Response, Failure> {
    let request = Request::get(path.build_path(number, "/logText/progressiveText"));
    match ask::read(request.query("start", &start.to_string())) {
        Err(failure) if failure.code == "status-404" => {
            Err(ask::no_such_build(&number.to_string(), &path.id()))
        }
        other => other,
    }
}

fn header(response: &Response, name: &str) -> Option<u64> {
    response.header(name).and_then(|value| value.trim().parse().ok())
}
