//! What a command prints. Standard output carries results, standard error everything else.
//!
//! Printing never fails a command half-way: when the reader has gone (`| head`), the rest is dropped silently, and a
//! deployment that is being followed still decides the exit code. Any other write error is reported at the end.

use std::cell::Cell;
use std::io::{ErrorKind, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

use super::failure::Failure;

/// Text is for people; JSON is the API's `data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Warning,
    Busy,
    Faint,
    Strong,
}

pub struct Output {
    format: Format,
    /// Standard output is a terminal.
    terminal: bool,
    colours: bool,
    width: Option<usize>,
    ended: Cell<Option<ErrorKind>>,
}

impl Output {
    pub fn new(format: Format, no_color: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let terminal = std::io::stdout().is_terminal();
        let width = rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns >= 20);
        Self {
            format,
            terminal,
            colours: terminal && !dumb && !no_color && !set("NO_COLOR"),
            width: width.filter(|_| terminal),
            ended: Cell::new(None),
        }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub fn colours(&self) -> bool {
        self.colours
    }

    /// Columns of the terminal; `None` if standard output is none.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Whether something can be drawn and redrawn: both streams belong to a person.
    pub fn is_interactive(&self) -> bool {
        self.terminal && self.format == Format::Text && std::io::stderr().is_terminal()
    }

    /// Nobody reads standard output any more.
    pub fn is_closed(&self) -> bool {
        self.ended.get().is_some()
    }

    pub fn line(&self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }

    /// One JSON document, indented.
    pub fn json(&self, value: &Value) {
        self.line(&format!("{value:#}"));
    }

    /// One JSON document on one line.
    pub fn json_line(&self, value: &Value) {
        self.line(&value.to_string());
    }

    pub fn write(&self, bytes: &[u8]) {
        if self.is_closed() {
            return;
        }
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
            self.ended.set(Some(error.kind()));
        }
    }

    /// A remark beside the result.
    pub fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colours || text.is_empty() {
            return text.to_string();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warning => "33",
            Tone::Busy => "36",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// What went wrong with standard output, other than that its reader had enough.
    pub fn failure(&self) -> Option<Failure> {
        let kind = self.ended.get().filter(|kind| *kind != ErrorKind::BrokenPipe)?;
        Some(Failure::local(format!("The output could not be written: {kind}."), ""))
    }
}
