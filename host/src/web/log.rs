//! Logs in pages: the last lines as HTML, and the position from which the script goes on.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::app::App;
use crate::app::logs::LogKind;
use crate::domain::Id;
use crate::domain::build::Build;
use crate::domain::deployment::Deployment;
use crate::error::Result;

/// How much of each part a page shows; the whole text is a link away.
const TAIL: u64 = 192 * 1024;

/// The end of a deployment's log.
#[derive(Template)]
#[template(path = "parts/log.html")]
pub struct LogTail {
    pub lines: Vec<Line>,
    /// Earlier lines exist that are not shown.
    pub cut: bool,
    /// What the log stream takes as `Last-Event-ID`: `<part>:<offset>`.
    pub position: String,
}

impl HtmlSafe for LogTail {}

pub struct Line {
    pub time: String,
    pub spans: Vec<Span>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Span {
    /// Colour classes; empty for plain text.
    pub class: String,
    pub text: String,
}

/// Reads the parts in the order of the log stream: the build, then the rollout.
pub async fn tail(app: &App, row: &Deployment, build: Option<&Build>) -> Result<LogTail> {
    let mut log = LogTail { lines: Vec::new(), cut: false, position: "0:0".into() };
    let mut rollout = 0;
    if let Some(build) = build {
        log.read(app, LogKind::Build, &build.id, 0).await?;
        // What comes after a build that still runs is left to the stream, which knows when the build has ended.
        if !build.status.is_terminal() {
            return Ok(log);
        }
        rollout = 1;
    }
    log.read(app, LogKind::Deployment, &row.id, rollout).await?;
    Ok(log)
}

impl LogTail {
    async fn read(&mut self, app: &App, kind: LogKind, id: &Id, part: usize) -> Result<()> {
        let size = app.logs.follow(kind, id).borrow().bytes;
        let from = size.saturating_sub(TAIL);
        let limit = usize::try_from(TAIL).unwrap_or(usize::MAX);
        let bytes = app.logs.read(kind, id, from, limit).await?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.position = format!("{part}:{}", from + whole as u64);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let mut lines = text.lines();
        if from > 0 {
            self.cut = true;
            lines.next();
        }
        self.lines.extend(lines.map(line));
        Ok(())
    }
}

fn line(text: &str) -> Line {
    let (time, rest) = match text.split_once(' ') {
        Some((time, rest)) if time.len() == 12 && time.as_bytes()[2] == b':' => (time, rest),
        _ => ("", text),
    };
    Line { time: time.to_string(), spans: spans(rest) }
}

/// Splits at colour sequences (ECMA-48, SGR). Other escape sequences are dropped; the text itself is never trusted.
fn spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut style = Style::default();
    let mut pieces = text.split('\u{1b}');
    push(&mut spans, &style, pieces.next().unwrap_or(""));
    for piece in pieces {
        let Some(rest) = piece.strip_prefix('[') else {
            push(&mut spans, &style, piece);
            continue;
        };
        let end = rest.find(|c: char| ('@'..='~').contains(&c)).unwrap_or(rest.len());
        let (codes, after) = rest.split_at(end);
        if after.starts_with('m') {
            style.apply(codes);
        }
        push(&mut spans, &style, after.get(1..).unwrap_or(""));
    }
    spans
}

fn push(spans: &mut Vec<Span>, style: &Style, text: &str) {
    if !text.is_empty() {
        spans.push(Span { class: style.class(), text: text.to_string() });
    }
}

#[derive(Default)]
struct Style {
    colour: Option<u8>,
    bold: bool,
}

impl Style {
    fn apply(&mut self, codes: &str) {
        for code in codes.split(';') {
            match code.parse::<u8>().unwrap_or(0) {
                0 => *self = Self::default(),
                1 => self.bold = true,
                22 => self.bold = false,
                39 => self.colour = None,
                code @ 30..=37 => self.colour = Some(code - 30),
                code @ 90..=97 => self.colour = Some(code - 90),
                _ => {}
            }
        }
    }

    fn class(&self) -> String {
        let mut class = self.colour.map_or(String::new(), |colour| format!("ansi-{colour}"));
        if self.bold {
            class.push_str(if class.is_empty() { "ansi-bold" } else { " ansi-bold" });
        }
        class
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_classes_and_other_sequences_vanish() {
        let found = spans("plain \u{1b}[1;31mred\u{1b}[0m \u{1b}[2Kend\u{1b}]");
        let texts: Vec<(&str, &str)> =
            found.iter().map(|span| (span.class.as_str(), span.text.as_str())).collect();
        assert_eq!(texts, [("", "plain "), ("ansi-1 ansi-bold", "red"), ("", " "), ("", "end"), ("", "]")]);
    }

    #[test]
    fn the_time_in_front_of_a_line_stands_apart() {
        let found = line("12:30:01.250 Building");
        assert_eq!((found.time.as_str(), found.spans.len()), ("12:30:01.250", 1));
        assert_eq!(line("no time here").time, "");
    }
}
