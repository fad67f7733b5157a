//! Values of the contract as JSON, in the contract's own names. `docs/cassettes.md` describes the form.
//!
//! The names are those of `wit/`, so that a recording means the same to a plugin in any language: `bindgen!` turns
//! `step-started` into `step_started` and `rolled-back` into `RolledBack`, and here they are turned back. Bytes that
//! are readable text are written as text. A text never holds a character that could deceive whoever reads the JSON:
//! such characters are escaped, which loses nothing.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{self, Serialize};

use crate::domain::text::is_deceptive;

/// JSON that is being written, up to a number of bytes. What does not fit is left out of its lists and texts, so that
/// the result is JSON in any case.
pub(in crate::plugins) struct Limited {
    pub(super) out: String,
    pub(super) limit: usize,
    pub(super) cut: bool,
    /// Bytes of the list that is being written, as long as it holds nothing but bytes.
    pub(super) bytes: Vec<u8>,
    /// The next value is an element of a list that may turn out to be bytes.
    pub(super) may_be_byte: bool,
}

impl Limited {
    pub(in crate::plugins) fn new(limit: usize) -> Self {
        Self { out: String::new(), limit, cut: false, bytes: Vec::new(), may_be_byte: false }
    }

    pub(in crate::plugins) fn write(&mut self, value: &impl Serialize) {
        if value.serialize(&mut *self).is_err() {
            self.cut = true;
            self.raw("null");
        }
    }

    pub(in crate::plugins) fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// The JSON, and whether something is missing.
    pub(in crate::plugins) fn finish(self) -> (String, bool) {
        (self.out, self.cut)
    }

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.out.len())
    }

    pub(super) fn plain(&mut self, value: impl fmt::Display) -> Result<(), Unwritable> {
        self.may_be_byte = false;
        write!(self.out, "{value}").map_err(|_| Unwritable)
    }

    pub(super) fn text(&mut self, text: &str) {
        self.may_be_byte = false;
        self.out.push('"');
        for c in text.chars() {
            if self.out.len() >= self.limit {
                self.cut = true;
                break;
            }
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\t' => self.out.push_str("\\t"),
                c if is_deceptive(c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a string cannot fail.
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    pub(super) fn blob(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                self.out.push_str("{\"text\":");
                self.text(text);
            }
            Err(_) => {
                let kept = bytes.get(..(self.room() / 4 * 3).min(bytes.len())).unwrap_or_default();
                self.cut |= kept.len() < bytes.len();
                self.out.push_str("{\"base64\":\"");
                STANDARD.encode_string(kept, &mut self.out);
                self.out.push('"');
            }
        }
        self.out.push('}');
    }

    /// `step_started` is `step-started`; `type_` is `type`, which Rust does not take as a name.
    pub(super) fn field(&mut self, name: &str) {
        self.out.push('"');
        self.out.extend(name.trim_end_matches('_').chars().map(|c| if c == '_' { '-' } else { c }));
        self.out.push('"');
    }

    /// `RolledBack` is `rolled-back`.
    pub(super) fn case(&mut self, name: &str) {
        self.may_be_byte = false;
        self.out.push('"');
        for (at, c) in name.char_indices() {
            if c.is_ascii_uppercase() && at > 0 {
                self.out.push('-');
            }
            self.out.push(c.to_ascii_lowercase());
        }
        self.out.push('"');
    }
}

/// Only types that the contract does not have cannot be written.
#[derive(Debug)]
pub(in crate::plugins) struct Unwritable;

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a type that the contract does not have")
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize)]
    enum Outcome {
        Succeeded,
        RolledBack(String),
    }

    #[derive(Serialize)]
    struct Record {
        step_started: u64,
        type_: Option<&'static str>,
        memory: Vec<u8>,
        pairs: Vec<(String, u8)>,
        outcomes: Vec<Outcome>,
        answer: Result<(), f64>,
    }

    fn record() -> Record {
        Record {
            step_started: u64::MAX,
            type_: None,
            memory: b"{\"n\":1}".to_vec(),
            pairs: vec![("a".into(), 1), ("b".into(), 2)],
            outcomes: vec![Outcome::Succeeded, Outcome::RolledBack("why".into())],
            answer: Err(f64::INFINITY),
        }
    }

    fn cut(value: &impl Serialize, limit: usize) -> (Value, bool) {
        let mut text = Limited::new(limit);
        text.write(value);
        let (text, cut) = text.finish();
        (serde_json::from_str(&text).unwrap(), cut)
    }

    #[test]
    fn values_have_the_names_of_the_contract() {
        let expected = json!({
            "step-started": u64::MAX,
            "type": null,
            "memory": { "text": "{\"n\":1}" },
            "pairs": [["a", 1], ["b", 2]],
            "outcomes": ["succeeded", { "rolled-back": "why" }],
            "answer": { "err": "inf" },
        });
        assert_eq!(cut(&record(), usize::MAX), (expected, false));
        let bytes = (vec![0xff_u8, 0], Vec::<u8>::new());
        assert_eq!(cut(&bytes, usize::MAX).0, json!([{ "base64": "/wA=" }, []]));
    }

    #[test]
    fn deceptive_characters_are_escaped_and_nothing_is_lost() {
        let text = "a\u{202e}b\0\u{e0041}\x1b[31m";
        let mut written = Limited::new(usize::MAX);
        written.write(&text);
        let (json, _) = written.finish();
        assert!(json.is_ascii() && !json.contains(char::is_control), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn what_is_too_large_is_cut_and_still_json() {
        let record = record();
        for limit in 0..100 {
            assert!(cut(&record, limit).1, "{limit}");
        }
        let (value, is_cut) = cut(&(vec![b'x'; 1000], "y".repeat(1000)), 100);
        assert!(is_cut && value.to_string().len() < 200, "{value}");
        assert!(cut(&vec![0xff_u8; 1000], 100).1);
    }
}
