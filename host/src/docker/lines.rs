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

/// A line longer than this many bytes is handed on in pieces, so that a program without line ends cannot fill the memory.
const LONGEST: usize = 16 * 1024;

/// Collects pieces into lines. A carriage return rewrites the line, as on a terminal, so progress bars become one line.
#[derive(Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    pub(super) fn push(&mut self, piece: &[u8], mut line: impl FnMut(String)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.rest.pop();
                line(self.take());
            }
            while self.rest.len() > LONGEST {
                let tail = self.rest.split_off(LONGEST);
                line(self.take());
                self.rest = tail;
            }
        }
    }

    /// What was written without a line end.
    pub(super) fn finish(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let bytes = std::mem::take(&mut self.rest);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let visible = bytes.rsplit(|byte| *byte == b'\r').next().unwrap_or(bytes);
        String::from_utf8_lossy(visible).into_owned()
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
        assert_eq!(
            lines(&[&long]).iter().map(String::len).collect::<Vec<_>>(),
            [LONGEST, LONGEST, LONGEST, 1]
        );
    }
}
