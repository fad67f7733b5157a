//! An author's cassettes, played against a component: as they were recorded, and with everything that a network does.

use serde::Serialize;

use super::plugin_tool::plugin_open;
use crate::domain::cassette::{Cassette, CassetteCall, Fault};
use crate::domain::recording::Outcome;
use crate::error::Result;

/// One call of a cassette, played in one way.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Take {
    pub cassette: String,
    /// Its place in the cassette, counted from 1.
    pub call: usize,
    pub function: String,
    /// How it was played. Example: `429 in response 2`.
    pub variant: String,
    pub passed: bool,
    pub outcome: &'static str,
    /// What is wrong; empty if it passed.
    pub problems: Vec<String>,
}

/// What has to come of a take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// What was recorded.
    Same,
    /// Some answer, be it a failure: never a trap, a time-out or nonsense.
    Answer,
}

/// Plays every call of every cassette in each way that it can be played.
///
/// # Errors
/// If the component does not load, or a recording does not fit it.
pub async fn plugin_rehearse(component: &str, cassettes: &[(String, Cassette)]) -> Result<Vec<Take>> {
    let opened = plugin_open(component).await?;
    let name = opened.info.manifest.name.as_str();
    let mut takes = Vec::new();
    for (cassette, content) in cassettes {
        for (n, variant, wanted, call) in variants(&content.calls) {
            let (function, recorded) = (call.function.clone(), call.outcome);
            let replay = opened.plugins.replay(call, Some(name)).await?;
            let is_answer = matches!(replay.outcome, Outcome::Ok | Outcome::Failure);
            let passed = if wanted == Wanted::Same { replay.identical } else { is_answer };
            let problems = match (passed, wanted) {
                (true, _) => Vec::new(),
                // How it ended says more than what is missing since.
                (false, Wanted::Same) if replay.outcome != recorded => {
                    replay.error.into_iter().chain(replay.differences).collect()
                }
                (false, Wanted::Same) => replay.differences,
                (false, Wanted::Answer) => replay.error.into_iter().collect(),
            };
            takes.push(Take {
                cassette: cassette.clone(),
                call: n + 1,
                function,
                variant,
                passed,
                outcome: replay.outcome.as_str(),
                problems,
            });
        }
    }
    Ok(takes)
}

type Variant = (usize, String, Wanted, CassetteCall);

fn variants(calls: &[CassetteCall]) -> Vec<Variant> {
    let mut variants = Vec::new();
    for (n, call) in calls.iter().enumerate() {
        variants.push((n, "as recorded".to_owned(), Wanted::Same, call.clone()));
        for response in 0..call.exchange.len() {
            for fault in Fault::ALL {
                if let Some(faulty) = call.with_fault(fault, response) {
                    let variant = format!("{} in response {}", fault.as_str(), response + 1);
                    variants.push((n, variant, Wanted::Answer, faulty));
                }
            }
        }
        if let Some(half) = call.with_half_a_delivery() {
            variants.push((n, "half of the delivery".to_owned(), Wanted::Answer, half));
        }
    }
    // A forge delivers late, out of order and again; what a delivery means does not depend on that.
    for (n, call) in calls.iter().enumerate().rev().filter(|(_, call)| call.is_delivery()) {
        for time in ["in reverse order", "in reverse order, delivered again"] {
            variants.push((n, time.to_owned(), Wanted::Same, call.clone()));
        }
    }
    variants
}
