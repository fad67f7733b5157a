//! A rollout told afterwards: the share of the new release over time, how both releases answered, and what was decided.
//!
//! Nothing is stored for it. The journal knows when the requests moved, the events know what the strategy called its
//! steps, and the flight recorder knows what it saw when it was asked.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Effect, JournalEntry, JournalState, Weight, share_of};
use crate::domain::{Id, UnixMs};

/// The router remembers so many seconds.
pub const REMEMBERED_SECS: i64 = 900;

/// How a release answered since the shares last changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answers {
    pub requests: u64,
    /// `None` before this rollout moved any requests: since when they are counted is not known then.
    pub per_second: Option<f64>,
    /// Answers with a status of 500 or more and requests that got none, of 100.
    pub error_percent: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
}

/// How both releases answered; nothing of one that was asked nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Both {
    pub new: Option<Answers>,
    pub stable: Option<Answers>,
}

/// What the strategy saw at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub at: UnixMs,
    /// Of the requests that the new release got.
    pub percent: u32,
    pub answers: Both,
}

/// What a decision came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The new release gets so many of 100 requests from now on.
    Share(u32),
    /// The strategy starts, waits, asks or watches.
    Step,
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    pub at: UnixMs,
    pub verdict: Verdict,
    /// In the strategy's words.
    pub reason: String,
    /// Until then.
    pub answers: Both,
}

/// Of a rollout that did not begin: nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub begun_at: Option<UnixMs>,
    pub ended_at: Option<UnixMs>,
    /// When the new release's share changed, and to what.
    pub shares: Vec<(UnixMs, u32)>,
    /// Oldest first.
    pub points: Vec<Point>,
    /// Oldest first.
    pub decided: Vec<Decided>,
}

/// A moment and what the strategy called its step from then on.
pub type Label = (UnixMs, String);

/// What the strategy was asked, as the recorder wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The call's number.
    pub seq: i64,
    pub at: UnixMs,
    /// When it was asked the same for the last time in a row.
    pub last_at: UnixMs,
    /// JSON list of the parameters.
    pub input: String,
}

/// The beginning: when the requests moved and what was decided. Which recordings are worth reading depends on it.
pub fn outline(target: &Id, labels: &[Label], journal: &[JournalEntry]) -> History {
    let done = || journal.iter().filter(|entry| entry.state != JournalState::Failed);
    let moved = |entry: &JournalEntry| match &entry.effect {
        Effect::SetRoute { weights } => Some(share_of(weights, target)),
        _ => None,
    };
    let shares = done()
        .filter_map(|entry| Some((entry.done_at.unwrap_or(entry.intended_at), moved(entry)?)))
        .collect();
    let told = labels.iter().map(|(at, words)| (*at, words.as_str(), None));
    let carried_out = done().map(|entry| (entry.intended_at, entry.label.as_str(), moved(entry)));
    let mut all: Vec<_> = told.chain(carried_out).collect();
    // A step is told before it is carried out, and the order of what happened at the same time stays.
    all.sort_by_key(|(at, ..)| *at);
    let mut decided: Vec<Decided> = Vec::new();
    for (at, words, share) in all {
        if let Some(last) = decided.last_mut().filter(|last| goes_on(last, words, share)) {
            last.verdict = share.map_or(last.verdict, Verdict::Share);
            continue;
        }
        let verdict = share.map_or(Verdict::Step, Verdict::Share);
        decided.push(Decided { at, verdict, reason: words.to_owned(), answers: Both::default() });
    }
    History { shares, decided, ..History::default() }
}

impl History {
    /// Adds what the strategy saw, in any order, and the end if there is one.
    #[must_use]
    pub fn with(
        mut self,
        asked: &[Asked],
        begun_at: UnixMs,
        ended_at: Option<UnixMs>,
        error: Option<&str>,
    ) -> Self {
        (self.begun_at, self.ended_at) = (Some(begun_at), ended_at);
        self.points = asked.iter().flat_map(|asked| points(asked, &self.shares)).collect();
        self.points.sort_by_key(|point| point.at);
        self.points.dedup_by_key(|point| point.at);
        if let Some(at) = ended_at {
            self.end(at, error);
        }
        for decided in &mut self.decided {
            if let Some(seen) = self.points.iter().rev().find(|point| point.at <= decided.at) {
                decided.answers = seen.answers;
            }
        }
        self
    }

    fn end(&mut self, at: UnixMs, error: Option<&str>) {
        let reason = error.unwrap_or_default();
        match self.decided.last_mut() {
            // The strategy has said it already.
            Some(last) if last.reason.contains(reason) => {
                if last.verdict == Verdict::Step {
                    last.verdict = Verdict::End;
                }
            }
            _ if reason.is_empty() => {}
            _ => {
                let reason = reason.to_owned();
                self.decided.push(Decided { at, verdict: Verdict::End, reason, answers: Both::default() });
            }
        }
    }
}

/// Whether these words are still of the same decision: a step that counts is one, not many.
fn goes_on(last: &Decided, words: &str, share: Option<u32>) -> bool {
    let moves_again = match (last.verdict, share) {
        (Verdict::Share(before), Some(share)) => before != share,
        _ => false,
    };
    !moves_again && countless(&last.reason) == countless(words)
}

/// Without what counts up or down in a label.
fn countless(label: &str) -> String {
    let label = label.replace("less than a minute", " min").replace("a few seconds", " min");
    label.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// What of a situation matters here, in the contract's words.
#[derive(Deserialize)]
struct Seen {
    target: Named,
    #[serde(default)]
    stable: Option<Named>,
    traffic: Vec<Weight>,
    samples: Vec<Counted>,
}

#[derive(Deserialize)]
struct Named {
    id: Id,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Counted {
    release: Id,
    requests: u64,
    #[serde(rename = "errors-5xx")]
    errors: u64,
    p50_ms: f64,
    p95_ms: f64,
}

/// When it was asked, and when for the last time. None for what cannot be read: a recording of another version of the
/// contract is no reason to show nothing.
fn points(asked: &Asked, shares: &[(UnixMs, u32)]) -> Vec<Point> {
    // The other parameter is the strategy's memory, which is its own business.
    let Ok((_, seen)) = serde_json::from_str::<(IgnoredAny, Seen)>(&asked.input) else { return Vec::new() };
    let mut times = vec![asked.at, asked.last_at];
    times.dedup();
    times.into_iter().map(|at| seen.point(at, shares)).collect()
}

impl Seen {
    fn point(&self, at: UnixMs, shares: &[(UnixMs, u32)]) -> Point {
        let since = shares.iter().rev().map(|(changed, _)| *changed).find(|changed| *changed <= at);
        // As many seconds as the router was asked for.
        let seconds = since.map(|since| ((at - since) / 1000).clamp(1, REMEMBERED_SECS));
        let target = &self.target.id;
        let stable = self.stable.as_ref().map(|stable| &stable.id).filter(|stable| *stable != target);
        Point {
            at,
            percent: share_of(&self.traffic, target),
            answers: Both {
                new: self.answers(target, seconds),
                stable: stable.and_then(|stable| self.answers(stable, seconds)),
            },
        }
    }

    fn answers(&self, release: &Id, seconds: Option<i64>) -> Option<Answers> {
        let counted = self.samples.iter().find(|sample| sample.release == *release)?;
        (counted.requests > 0).then(|| Answers {
            requests: counted.requests,
            per_second: seconds.map(|seconds| counted.requests as f64 / seconds as f64),
            error_percent: 100.0 * counted.errors as f64 / counted.requests as f64,
            p50_ms: counted.p50_ms,
            p95_ms: counted.p95_ms,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(text: &str) -> Id {
        Id::from_text(text)
    }

    fn routed(at: UnixMs, label: &str, new: u32) -> JournalEntry {
        let weights = vec![
            Weight { release: id("new"), percent: new },
            Weight { release: id("old"), percent: 100 - new },
        ];
        JournalEntry {
            id: id("e"),
            deployment_id: id("d"),
            n: 1,
            label: label.to_owned(),
            effect: Effect::SetRoute { weights },
            state: JournalState::Done,
            error: None,
            intended_at: at,
            done_at: Some(at + 10),
        }
    }

    fn labels(told: &[(UnixMs, &str)]) -> Vec<Label> {
        told.iter().map(|(at, words)| (*at, (*words).to_owned())).collect()
    }

    fn asked(at: UnixMs, new: u32, samples: &[(&str, u64, u64, f64)]) -> Asked {
        let samples: Vec<_> = samples
            .iter()
            .map(|(release, requests, errors, p95)| {
                json!({ "release": release, "requests": requests, "errors-5xx": errors, "p50-ms": p95 / 2.0,
                    "p95-ms": p95, "p99-ms": p95 })
            })
            .collect();
        let situation = json!({
            "target": { "id": "new", "image": "" }, "stable": { "id": "old" }, "params": "{}", "now": at,
            "traffic": [{ "release": "new", "percent": new }, { "release": "old", "percent": 100 - new }],
            "samples": samples,
        });
        Asked { seq: at, at, last_at: at, input: json!([{ "text": "{}" }, situation]).to_string() }
    }

    fn told(history: &History) -> Vec<(UnixMs, Verdict, &str)> {
        history.decided.iter().map(|one| (one.at, one.verdict, one.reason.as_str())).collect()
    }

    #[test]
    fn a_step_that_counts_is_one_decision_and_the_share_belongs_to_the_step_that_ordered_it() {
        let labels = labels(&[
            (1000, "Starting the new release: 0 of 1 instances are healthy"),
            (2000, "Starting the new release: 1 of 1 instances are healthy"),
            (3000, "Sending 10 % of the requests to abc"),
            (4000, "10 % of requests go to abc, 2 min left of 5 min"),
            (5000, "10 % of requests go to abc, less than a minute left of 5 min"),
            (6000, "10 % of requests go to abc, a few seconds left of 5 min"),
            (7000, "Sending 50 % of the requests to abc"),
        ]);
        let journal = [
            routed(3001, "Sending 10 % of the requests to abc", 10),
            routed(7001, "Sending 50 % of the requests to abc", 50),
        ];
        let history = outline(&id("new"), &labels, &journal);
        assert_eq!(history.shares, [(3011, 10), (7011, 50)]);
        let wanted = [
            (1000, Verdict::Step, "Starting the new release: 0 of 1 instances are healthy"),
            (3000, Verdict::Share(10), "Sending 10 % of the requests to abc"),
            (4000, Verdict::Step, "10 % of requests go to abc, 2 min left of 5 min"),
            (7000, Verdict::Share(50), "Sending 50 % of the requests to abc"),
        ];
        assert_eq!(told(&history), wanted);
    }

    #[test]
    fn without_events_the_journal_tells_what_was_decided_and_what_failed_is_left_out() {
        let failed = JournalEntry { state: JournalState::Failed, ..routed(1, "Sending 10 %", 10) };
        let journal = [failed, routed(5, "Sending 10 %", 10), routed(9, "Sending 60 %", 60)];
        let history = outline(&id("new"), &[], &journal);
        let wanted = [(5, Verdict::Share(10), "Sending 10 %"), (9, Verdict::Share(60), "Sending 60 %")];
        assert_eq!(told(&history), wanted);
    }

    #[test]
    fn figures_are_of_the_time_since_the_shares_last_changed() {
        let journal = [routed(990, "Sending 20 %", 20), routed(10_000, "Restoring: it fails", 0)];
        let before = asked(500, 0, &[("old", 40, 0, 30.0)]);
        let last = asked(9_000, 20, &[("new", 80, 4, 60.0), ("old", 320, 0, 30.0)]);
        let early = Asked { last_at: 5_000, ..asked(3_000, 20, &[("new", 0, 0, 0.0), ("old", 8, 0, 30.0)]) };
        let foreign = Asked { seq: 1, at: 4_000, last_at: 4_000, input: "[]".to_owned() };
        let asked = [last.clone(), before, early, foreign, last];
        let history = outline(&id("new"), &[], &journal).with(&asked, 100, Some(11_000), Some("it fails"));
        let seen: Vec<_> = history.points.iter().map(|point| (point.at, point.percent)).collect();
        assert_eq!(seen, [(500, 0), (3_000, 20), (5_000, 20), (9_000, 20)]);
        let (first, quiet) = (history.points[0].answers, history.points[1].answers);
        assert_eq!((first.new, first.stable.unwrap().per_second), (None, None));
        assert_eq!((quiet.new, quiet.stable.unwrap().per_second), (None, Some(4.0)));
        let back = history.decided.last().unwrap().answers;
        let (new, stable) = (back.new.unwrap(), back.stable.unwrap());
        assert_eq!((new.requests, new.per_second, new.error_percent), (80, Some(10.0), 5.0));
        assert_eq!((new.p95_ms, stable.p95_ms, stable.error_percent), (60.0, 30.0, 0.0));
    }

    #[test]
    fn the_end_is_told_once() {
        let ended = |label: &str, error| {
            let outline = outline(&id("new"), &labels(&[(1, label)]), &[]);
            let history = outline.with(&[], 0, Some(9), error);
            told(&history)
                .into_iter()
                .map(|(at, verdict, words)| (at, verdict, words.to_owned()))
                .collect::<Vec<_>>()
        };
        let end = |at, words: &str| (at, Verdict::End, words.to_owned());
        assert_eq!(ended("It serves", None), [end(1, "It serves")]);
        assert_eq!(ended("Back: too slow", Some("too slow")), [end(1, "Back: too slow")]);
        assert_eq!(ended("Gave up", Some("too slow"))[1], end(9, "too slow"));
    }
}
