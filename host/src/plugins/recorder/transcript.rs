//! What a guest and the host told each other during one call, and its answers in a replay.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;

use super::json::Limited;
use crate::domain::cassette::Exchange;

/// Bytes kept of a call's exchange. Larger ones are kept in part, and marked.
const EXCHANGE_BYTES: usize = 512 << 10;

/// Grows while a call runs. In a replay it also holds what the host answered the first time.
pub(in crate::plugins) struct Transcript {
    text: Limited,
    entries: usize,
    answers: Option<VecDeque<Exchange>>,
}

/// A replayed guest asked for something else than it did when it was recorded.
#[derive(Debug)]
pub(in crate::plugins) struct Diverged(pub(in crate::plugins) String);

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Diverged {}

impl Transcript {
    pub(in crate::plugins) fn live() -> Self {
        Self { text: Limited::new(EXCHANGE_BYTES), entries: 0, answers: None }
    }

    /// Answers with what was recorded, where a function answers at all.
    pub(in crate::plugins) fn replaying(exchange: &[Exchange]) -> Self {
        let answers = exchange.iter().filter(|exchange| exchange.result.is_some()).cloned().collect();
        Self { answers: Some(answers), ..Self::live() }
    }

    /// Notes what the guest said and, if the function answers, what it was told. `import` is the interface with its
    /// version and the function, as in `windlass:host/log@0.1.0#emit`.
    pub(in crate::plugins) fn note(
        &mut self,
        import: &str,
        args: &impl Serialize,
        result: Option<&impl Serialize>,
    ) {
        self.text.raw(if self.entries == 0 { "[" } else { "," });
        self.entries += 1;
        self.text.raw("{\"import\":");
        self.text.write(&import);
        self.text.raw(",\"args\":");
        self.text.write(args);
        if let Some(result) = result {
            self.text.raw(",\"result\":");
            self.text.write(result);
        }
        self.text.raw("}");
    }

    pub(in crate::plugins) fn is_replay(&self) -> bool {
        self.answers.is_some()
    }

    /// In a replay, the next exchange in which the host answered; it has to be of the same function.
    pub(in crate::plugins) fn next(&mut self, import: &str) -> Result<Exchange, Diverged> {
        match self.answers.as_mut().and_then(VecDeque::pop_front) {
            Some(exchange) if exchange.import == import => Ok(exchange),
            Some(exchange) => Err(Diverged(format!(
                "the plugin calls `{import}` where the recording has `{}`",
                exchange.import
            ))),
            None => Err(Diverged(format!("the plugin calls `{import}`, and no more answers were recorded"))),
        }
    }

    /// The JSON list, and whether something of it had to be cut.
    pub(in crate::plugins) fn close(&mut self) -> (String, bool) {
        self.text.raw(if self.entries == 0 { "[]" } else { "]" });
        std::mem::replace(&mut self.text, Limited::new(0)).finish()
    }
}
