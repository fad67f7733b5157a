//! What a guest and the host told each other during one call, and its answers in a replay.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::json::Limited;
use crate::domain::cassette::{Exchange, HTTP};

/// Bytes kept of a call's exchange. Larger ones are kept in part, and marked.
const EXCHANGE_BYTES: usize = 512 << 10;

/// Grows while a call runs. In a replay it also holds what the host answered the first time. Shared with WASI's side of
/// the call, which sends requests as well.
#[derive(Clone)]
pub(in crate::plugins) struct Transcript(Arc<Mutex<Inner>>);

struct Inner {
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
        Self::with(None)
    }

    /// Answers with what was recorded, where a function answers at all. A request that was recorded without an answer
    /// is one for which the call had no time left.
    pub(in crate::plugins) fn replaying(exchange: &[Exchange]) -> Self {
        let is_asked = |exchange: &&Exchange| exchange.result.is_some() || exchange.import.starts_with(HTTP);
        Self::with(Some(exchange.iter().filter(is_asked).cloned().collect()))
    }

    fn with(answers: Option<VecDeque<Exchange>>) -> Self {
        Self(Arc::new(Mutex::new(Inner { text: Limited::new(EXCHANGE_BYTES), entries: 0, answers })))
    }

    /// Every change is whole, so a poisoned lock is as good as a sound one.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the guest said and, if the function answers, what it was told. `import` is the interface with its
    /// version and the function, as in `windlass:host/log@0.1.0#emit`.
    pub(in crate::plugins) fn note(
        &self,
        import: &str,
        args: &impl Serialize,
        result: Option<&impl Serialize>,
    ) {
        let Inner { text, entries, .. } = &mut *self.lock();
        text.raw(if *entries == 0 { "[" } else { "," });
        *entries += 1;
        text.raw("{\"import\":");
        text.write(&import);
        text.raw(",\"args\":");
        text.write(args);
        if let Some(result) = result {
            text.raw(",\"result\":");
            text.write(result);
        }
        text.raw("}");
    }

    pub(in crate::plugins) fn is_replay(&self) -> bool {
        self.lock().answers.is_some()
    }

    /// In a replay, the next exchange in which the host answered; it has to be of the same function.
    pub(in crate::plugins) fn next(&self, import: &str) -> Result<Exchange, Diverged> {
        match self.lock().answers.as_mut().and_then(VecDeque::pop_front) {
            Some(exchange) if exchange.import == import => Ok(exchange),
            Some(exchange) => Err(Diverged(format!(
                "the plugin calls `{import}` where the recording has `{}`",
                exchange.import
            ))),
            None => Err(Diverged(format!("the plugin calls `{import}`, and no more answers were recorded"))),
        }
    }

    /// In a replay, the answer to the same question, whenever it was asked: requests may overlap.
    pub(in crate::plugins) fn answer_to(&self, import: &str, args: &[serde_json::Value]) -> Option<Exchange> {
        let mut inner = self.lock();
        let answers = inner.answers.as_mut()?;
        let is_it = |exchange: &Exchange| exchange.import == import && exchange.args == args;
        answers.iter().position(is_it).and_then(|at| answers.remove(at))
    }

    /// The JSON list, and whether something of it had to be cut.
    pub(in crate::plugins) fn close(&self) -> (String, bool) {
        let Inner { text, entries, .. } = &mut *self.lock();
        text.raw(if *entries == 0 { "[]" } else { "]" });
        std::mem::replace(text, Limited::new(0)).finish()
    }
}
