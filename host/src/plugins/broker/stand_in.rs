//! The other side of a trial of the conformance suite: it answers in place of the network, below all checks.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use windlass_sdk::http::{Error, Response};
use windlass_sdk::testkit::Trial;

use super::client::{Answer, Outgoing};
use super::refusal::Refusal;

/// What a plugin that waits in vain is told; nobody really waits.
const WAITED: Duration = Duration::from_secs(10);

pub(super) fn answer(trial: &Trial, outgoing: &Outgoing) -> Result<Answer, Refusal> {
    let answer = trial.answer(outgoing.method.as_str(), &outgoing.target.request_target());
    answer.map(read).map_err(|error| match error {
        Error::Timeout => Refusal::timeout(WAITED),
        Error::Connect(why) => Refusal::connect(why),
        other => Refusal::other("trial", format!("the other side of a trial refused: {other:?}")),
    })
}

/// Statuses and headers of trials are good ones.
fn read(response: Response) -> Answer {
    let headers = response.headers.iter().filter_map(|(name, value)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    });
    Answer {
        status: StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        headers: headers.collect::<HeaderMap>(),
        body: response.body,
    }
}
