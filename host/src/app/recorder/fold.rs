//! Makes one row of calls that repeat each other: a strategy that waits is asked the same ten times a second.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::recording::{Recording, Subject};
use crate::domain::{Id, UnixMs};

/// Lines of calls that are followed at the same time. Beyond, all begin anew; that only costs a few rows.
const LINES: usize = 512;

/// What makes calls a line: each is compared with the one before it in the same line.
type Line = (String, String, Option<Subject>);

/// Calls of a batch, and with what the next ones may be the same.
#[derive(Default)]
pub(super) struct Folded {
    last: HashMap<Line, ([u8; 32], Place)>,
    new: Vec<NewRow>,
    repeats: Vec<Repeat>,
}

/// A recording, how often it came, and when it came last.
type NewRow = (Recording, i64, UnixMs);
/// A stored row, how often it came again, and when last.
type Repeat = (Id, i64, UnixMs);

enum Place {
    /// In `new`.
    New(usize),
    Stored(Id),
}

impl Folded {
    pub(super) fn add(&mut self, recording: Recording) {
        let line = (recording.plugin.clone(), recording.function.clone(), recording.subject.clone());
        let print = print(&recording);
        match self.last.get(&line) {
            Some((last, Place::New(index))) if *last == print => {
                if let Some((_, count, last_at)) = self.new.get_mut(*index) {
                    *count += 1;
                    *last_at = recording.started_at;
                }
            }
            Some((last, Place::Stored(id))) if *last == print => {
                match self.repeats.iter_mut().find(|(repeated, ..)| repeated == id) {
                    Some((_, more, last_at)) => {
                        *more += 1;
                        *last_at = recording.started_at;
                    }
                    None => self.repeats.push((id.clone(), 1, recording.started_at)),
                }
            }
            _ => {
                if self.last.len() >= LINES {
                    self.last.clear();
                }
                self.last.insert(line, (print, Place::New(self.new.len())));
                let started_at = recording.started_at;
                self.new.push((recording, 1, started_at));
            }
        }
    }

    /// What is to be written: new rows, and rows that are counted up.
    pub(super) fn take(&mut self) -> (Vec<NewRow>, Vec<Repeat>) {
        (std::mem::take(&mut self.new), std::mem::take(&mut self.repeats))
    }

    /// The new rows have these ids.
    pub(super) fn stored(&mut self, ids: Vec<Id>) {
        for (_, place) in self.last.values_mut() {
            if let Place::New(index) = place
                && let Some(id) = ids.get(*index)
            {
                *place = Place::Stored(id.clone());
            }
        }
    }

    /// Nothing was written, so nothing can be the same as it.
    pub(super) fn forget(&mut self) {
        self.last.clear();
    }
}

/// Two calls with the same print differ at most in what time it was.
fn print(recording: &Recording) -> [u8; 32] {
    let (input, output) = timeless(recording);
    let mut hash = Sha256::new();
    let parts = [
        &recording.digest,
        recording.outcome.as_str(),
        recording.error.as_deref().unwrap_or_default(),
        &input,
        &recording.exchange,
        &output,
    ];
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Input and output without the clock: a parameter's field `now`, and a `wake-after` that counts down to the same moment.
fn timeless(recording: &Recording) -> (String, String) {
    let output = recording.output.clone().unwrap_or_default();
    let Ok(mut input) = serde_json::from_str::<Value>(&recording.input) else {
        return (recording.input.clone(), output);
    };
    let params = input.as_array_mut().into_iter().flatten();
    let Some(now) = params.filter_map(Value::as_object_mut).find_map(|param| param.remove("now")) else {
        return (recording.input.clone(), output);
    };
    let Ok(mut answer) = serde_json::from_str::<Value>(&output) else { return (input.to_string(), output) };
    if let Some(wake) = answer.pointer_mut("/ok/wake-after")
        && let (Some(now), Some(after)) = (now.as_u64(), wake.as_u64())
    {
        *wake = now.saturating_add(after).into();
    }
    (input.to_string(), answer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::recording::Outcome;

    fn call(at: UnixMs, fleet: &str, output: &str) -> Recording {
        Recording {
            plugin: "p".into(),
            digest: "d".into(),
            interface: "i".into(),
            function: "decide".into(),
            subject: None,
            started_at: at,
            duration_us: 1,
            cpu_us: 1,
            outcome: Outcome::Ok,
            error: None,
            input: format!("[[],{{\"now\":{at},\"fleet\":\"{fleet}\"}}]"),
            exchange: "[]".into(),
            output: Some(format!("{{\"ok\":{{\"label\":\"{output}\",\"wake-after\":{}}}}}", 100 - at)),
            cut: false,
        }
    }

    #[test]
    fn calls_that_differ_only_in_the_time_are_one() {
        let mut folded = Folded::default();
        folded.add(call(1, "starting", "wait"));
        folded.add(call(2, "starting", "wait"));
        folded.add(call(3, "healthy", "wait"));
        folded.add(call(4, "healthy", "route"));
        let (new, repeats) = folded.take();
        let counts: Vec<_> = new.iter().map(|(call, count, last)| (call.started_at, *count, *last)).collect();
        assert_eq!(counts, [(1, 2, 2), (3, 1, 3), (4, 1, 4)]);
        assert!(repeats.is_empty());
        let ids: Vec<Id> = ["a", "b", "c"].map(Id::from_text).into();
        folded.stored(ids);
        folded.add(call(5, "healthy", "route"));
        folded.add(call(6, "healthy", "route"));
        folded.add(call(7, "starting", "wait"));
        let (new, repeats) = folded.take();
        assert_eq!(repeats, [(Id::from_text("c"), 2, 6)]);
        assert_eq!(new.len(), 1, "only the call before counts");
    }

    #[test]
    fn what_was_not_written_is_nothing_to_be_the_same_as() {
        let mut folded = Folded::default();
        folded.add(call(1, "a", "b"));
        let _ = folded.take();
        folded.forget();
        folded.add(call(2, "a", "b"));
        assert_eq!(folded.take().0.len(), 1);
    }
}
