//! What the answers say about the new release, judged again and again while a step goes on.

use serde::{Deserialize, Serialize};
use windlass_sdk::strategy::analysis::{self, Tally, Verdict};
use windlass_sdk::strategy::{Fleet, Sample, words};

use crate::options::Options;

/// The logarithm of the likelihood ratio from which on a release looks as good: about seven times as likely as worse.
const LOOKS_GOOD: f64 = -2.0;

/// What the judgements of a step have come to. The counts of the samples begin anew with each step, and so does this.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// When it was judged last; 0 before the first time.
    pub judged: u64,
    /// The new release's requests at that time.
    requests: u64,
    /// Judgements in a row that found it worse, each with requests that the one before had not seen.
    failures: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    AsGood,
    /// Nothing is proven, but it looks as good, or there was nothing to look at.
    #[default]
    Undecided,
    /// It does not look as good so far, and more requests would show.
    Unclear,
    /// Nothing is proven, but it looks worse.
    Suspicious,
}

impl Watch {
    /// Judges if it is time to; why the release is to be given up, if it is.
    pub fn judge(&mut self, fleet: Fleet<'_>, options: &Options) -> Option<String> {
        let now = fleet.situation.now;
        if self.judged > 0 && now < self.judged.saturating_add(options.interval_ms) {
            return None;
        }
        self.judged = now;
        let new = fleet.sample(fleet.target())?;
        let stable = fleet.sample(fleet.old()?)?;
        let has_news = new.requests != self.requests;
        self.requests = new.requests;
        if new.requests.min(stable.requests) < options.min_requests || !has_news {
            return None;
        }
        let findings = [errors(new, stable, options), latency(new, stable, options)];
        let failed = findings.iter().find(|(evidence, _)| analysis::verdict(*evidence) == Verdict::Failed);
        self.failures = if failed.is_some() { self.failures + 1 } else { 0 };
        let is = |verdict| move |(evidence, _): &(f64, String)| analysis::verdict(*evidence) == verdict;
        self.state = if findings.iter().all(is(Verdict::Success)) {
            State::AsGood
        } else if findings.iter().any(|(evidence, _)| *evidence > 0.0) {
            State::Suspicious
        } else if findings.iter().any(|(evidence, _)| *evidence > LOOKS_GOOD) {
            State::Unclear
        } else {
            State::Undecided
        };
        failed.filter(|_| self.failures >= options.failures_in_a_row).map(|(_, why)| why.clone())
    }

    pub fn is_as_good(&self) -> bool {
        self.state == State::AsGood
    }

    /// More requests are worth waiting for.
    pub fn is_unclear(&self) -> bool {
        matches!(self.state, State::Unclear | State::Suspicious)
    }

    pub fn is_suspicious(&self) -> bool {
        self.state == State::Suspicious
    }

    /// What is known so far, for people.
    pub fn words(&self) -> String {
        let requests = match self.requests {
            1 => "1 request".to_owned(),
            many => format!("{many} requests"),
        };
        match self.state {
            State::AsGood => "its answers are as good as before".to_owned(),
            State::Undecided | State::Unclear => format!("{requests} are too few for a verdict"),
            State::Suspicious => format!("after {requests} it looks worse than before"),
        }
    }
}

fn errors(new: &Sample, stable: &Sample, options: &Options) -> (f64, String) {
    let (new, stable) = (Tally::of(new), Tally::of(stable));
    let why = format!(
        "{} of {} answers of the new release failed, and {} of {} of the old one's",
        words::percent(new.rate()),
        new.requests,
        words::percent(stable.rate()),
        stable.requests
    );
    (analysis::errors(new, stable, options.error_points), why)
}

fn latency(new: &Sample, stable: &Sample, options: &Options) -> (f64, String) {
    let limit = analysis::slow_from(stable, options.slower_percent, options.slower_ms);
    let why = format!(
        "the new release is slower: 95 % of {} answers came within {:.0} ms, and of the old one's within {:.0} ms",
        new.requests, new.p95_ms, stable.p95_ms
    );
    (analysis::latency(new, limit), why)
}
