//! Output arrives in pieces; people and stores want lines.

use crate::domain::UnixMs;

/// One line of a build's or a container's output, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub stream: LogStream,
    pub text: String,
    /// When the engine took it, where it says so.
    pub at: Option<UnixMs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    Stderr,
    /// What the builder, the engine or Windlass says about the work.
    Progress,
}

impl LogLine {
    pub(super) fn progress(text: impl Into<String>) -> Self {
        Self { stream: LogStream::Progress, text: text.into(), at: None }
    }
}

/// A line longer than this many bytes is cut, so that a program without line ends cannot fill the memory. It is not handed on
/// in pieces: a secret that lies in two of them would not be known.
const LONGEST: usize = 64 * 1024;
/// What stands at the end of a line that was cut.
pub const LINE_CUT: &str = " … the line was cut here";

/// Collects pieces into lines. A carriage return rewrites the line, as on a terminal, so progress bars become one line.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    /// The line was longer than is kept.
    is_cut: bool,
}

impl Lines {
    /// Hands on the lines that are whole now.
    pub fn push(&mut self, piece: &[u8], mut line: impl FnMut(String)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            self.keep(text);
            if text.len() < part.len() {
                line(self.take());
            }
        }
    }

    fn keep(&mut self, text: &[u8]) {
        self.rest.extend_from_slice(text);
        if self.rest.len() <= LONGEST {
            return;
        }
        // What a carriage return has rewritten is not seen anyway.
        let seen = self.rest.len() - 1;
        if let Some(rewritten) = self.rest[..seen].iter().rposition(|byte| *byte == b'\r') {
            self.rest.drain(..=rewritten);
            self.is_cut = false;
        }
        if self.rest.len() > LONGEST {
            self.rest.truncate(LONGEST);
            self.is_cut = true;
        }
    }

    /// What was written without a line end.
    pub fn finish(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let bytes = std::mem::take(&mut self.rest);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let visible = bytes.rsplit(|byte| *byte == b'\r').next().unwrap_or(bytes);
        let mut text = String::from_utf8_lossy(visible).into_owned();
        if std::mem::take(&mut self.is_cut) {
            text.push_str(LINE_CUT);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&str]) -> Vec<String> {
        let mut all = Vec::new();
        let mut lines = Lines::default();
        for piece in pieces {
            lines.push(piece.as_bytes(), |line| all.push(line));
        }
        all.extend(lines.finish());
        all
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        assert_eq!(lines(&["a\nb", "c\n", "\nd"]), ["a", "bc", "", "d"]);
        assert_eq!(lines(&["windows\r\n"]), ["windows"]);
        assert_eq!(lines(&["10%\r50%\r100%\n"]), ["100%"]);
    }

    #[test]
    fn an_endless_line_does_not_fill_the_memory() {
        let long = "x".repeat(3 * LONGEST + 1);
        let found = lines(&[&long, "tail\nnext"]);
        assert_eq!(found, [format!("{}{LINE_CUT}", &long[..LONGEST]), "next".into()]);
    }

    #[test]
    fn an_endless_progress_bar_shows_how_it_ended() {
        let bar = "50%\r".repeat(LONGEST);
        assert_eq!(lines(&[&bar, "100%\nnext"]), ["100%", "next"]);
    }
}
