//! What is known of a log when it is complete. It outlives the log's files.

use serde::{Deserialize, Serialize};

/// How much of a log's end is kept.
const TAIL_BYTES: usize = 4096;

/// What the database keeps of a log whose lines are in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSummary {
    /// The folder of its files, on the node that wrote them.
    pub path: String,
    pub bytes: u64,
    pub lines: u64,
    /// Of its whole text, in hexadecimal.
    pub sha256: String,
    /// Its last lines.
    pub tail: String,
}

impl LogSummary {
    /// How many lines come before those that are kept.
    pub fn lines_before_tail(&self) -> u64 {
        self.lines.saturating_sub(self.tail.lines().count() as u64)
    }
}

/// The last whole lines that are kept of a text of lines; of a line that is longer than that, its beginning.
pub fn tail_of(text: &str) -> String {
    // The byte before what fits: if a line ends there, all of it is whole lines.
    let Some(before) = text.len().checked_sub(TAIL_BYTES + 1) else { return text.to_owned() };
    let last = text.len() - 1;
    if let Some(end) = text.as_bytes()[before..last].iter().position(|byte| *byte == b'\n') {
        return text[before + end + 1..].to_owned();
    }
    let line = text[..last].rfind('\n').map_or(text, |end| &text[end + 1..]);
    format!("{} …\n", &line[..line.floor_char_boundary(TAIL_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_its_own_tail() {
        assert_eq!(tail_of(""), "");
        assert_eq!(tail_of("one\ntwo\n"), "one\ntwo\n");
        let full = format!("{}\n", "x".repeat(TAIL_BYTES - 1));
        assert_eq!(tail_of(&full), full);
    }

    #[test]
    fn the_tail_of_a_long_text_is_whole_lines() {
        let text: String = (1..=1000).map(|n| format!("line {n}\n")).collect();
        let tail = tail_of(&text);
        assert!(tail.len() <= TAIL_BYTES && tail.len() > TAIL_BYTES - 10, "{}", tail.len());
        assert!(tail.starts_with("line ") && text.ends_with(&format!("\n{tail}")));
        let fits = format!("first\n{}\n", "x".repeat(TAIL_BYTES - 1));
        assert_eq!(tail_of(&fits), fits["first\n".len()..]);
    }

    #[test]
    fn a_last_line_that_is_too_long_is_cut_between_characters() {
        let tail = tail_of(&format!("first\n{}\n", "ä".repeat(TAIL_BYTES)));
        assert_eq!(tail, format!("{} …\n", "ä".repeat(TAIL_BYTES / 2)));
    }

    #[test]
    fn the_lines_before_the_tail_are_counted() {
        let log = LogSummary {
            path: "logs/build-1".into(),
            bytes: 5000,
            lines: 12,
            sha256: String::new(),
            tail: "eleven\ntwelve\n".into(),
        };
        assert_eq!(log.lines_before_tail(), 10);
    }
}
