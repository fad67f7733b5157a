//! Looks for a text in a log, without holding the log in memory.

use regex::bytes::{Regex, RegexBuilder};

use super::reader::Reader;
use crate::error::{Error, Result};

/// A compiled expression may take so many bytes.
const MAX_COMPILED: usize = 1024 * 1024;

/// What is looked for, without regard to upper and lower case.
#[derive(Debug, Clone)]
pub struct Needle(Regex);

/// One line that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Number of the line.
    pub line: u64,
    pub text: String,
}

impl Needle {
    /// `is_regex` tells whether the text is a regular expression; it takes time in proportion to the log, whatever it says.
    ///
    /// # Errors
    /// `Invalid` if there is nothing to look for or the expression is not understood.
    pub fn new(text: &str, is_regex: bool) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid(
                "q",
                "there is nothing to look for; say what the line has to contain",
            ));
        }
        let pattern = if is_regex { text.to_string() } else { regex::escape(text) };
        let built = RegexBuilder::new(&pattern).case_insensitive(true).size_limit(MAX_COMPILED).build();
        built
            .map(Self)
            .map_err(|error| Error::invalid("q", format!("the expression is not understood: {error}")))
    }

    fn is_in(&self, line: &[u8]) -> bool {
        self.0.is_match(line)
    }
}

impl Reader {
    /// The next lines that have it, at most `limit`. Afterwards the reader stands behind the last of them, or at the end.
    ///
    /// # Errors
    /// `Unavailable` if the files cannot be read.
    pub async fn search(&mut self, needle: &Needle, limit: usize) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        while found.len() < limit {
            let batch = self.read().await?;
            if batch.text.is_empty() {
                break;
            }
            let lines = batch.lines().filter(|(_, text)| needle.is_in(text));
            let left = limit - found.len();
            found.extend(
                lines
                    .take(left)
                    .map(|(line, text)| Found { line, text: String::from_utf8_lossy(text).into_owned() }),
            );
            if let Some(last) = found.last().filter(|_| found.len() == limit) {
                self.go_after(last.line);
            }
        }
        Ok(found)
    }
}
