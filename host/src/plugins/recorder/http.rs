//! A request through the broker as it is recorded: in the words of `windlass:host/http`, whichever door it took.

use serde_json::Value;

use super::Transcript;
use super::replay::value_of;
use super::value;
use crate::plugins::bindings::base::windlass::host::http;
use crate::plugins::broker::{Refusal, RefusalKind, Request, Response};
use crate::plugins::text;

/// The function's name in a recording.
const SEND: &str = "windlass:host/http@0.1.0#send";

/// What became of a request.
pub(in crate::plugins) type Answer = Result<Response, Refusal>;

/// In the contract's words.
pub(in crate::plugins) fn answer_to(answer: Answer) -> Result<http::Response, http::Error> {
    answer
        .map(|response| http::Response {
            status: response.status,
            headers: response.headers,
            body: response.body,
        })
        .map_err(|refusal| {
            let said = text::line(&refusal.said, 1024);
            match refusal.kind {
                RefusalKind::Denied => http::Error::Denied(said),
                RefusalKind::AddressRefused => http::Error::AddressRefused,
                RefusalKind::Timeout => http::Error::Timeout,
                RefusalKind::TooLarge => http::Error::TooLarge,
                RefusalKind::Connect => http::Error::Connect(said),
                RefusalKind::Tls => http::Error::Tls(said),
                RefusalKind::Budget => http::Error::Budget,
                RefusalKind::Other => http::Error::Other(said),
            }
        })
}

/// A request as `windlass:host/http` would have been asked for it.
pub(in crate::plugins) fn request_to(request: &Request) -> http::Request {
    let milliseconds = request.timeout.map(|timeout| timeout.as_millis());
    http::Request {
        method: request.method.clone(),
        path: request.path.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        credential: request.credential.clone(),
        idempotency_key: request.idempotency_key.clone(),
        timeout_ms: milliseconds.map(|milliseconds| u32::try_from(milliseconds).unwrap_or(u32::MAX)),
    }
}

impl Transcript {
    /// Notes a request and its answer; without one if the call had no time left for it.
    pub(in crate::plugins) fn note_request(
        &self,
        request: &http::Request,
        answer: Option<&Result<http::Response, http::Error>>,
    ) {
        self.note(SEND, &(request,), answer);
    }

    /// In a replay, what the same request was answered with. One that was not is refused, which the exchange shows.
    pub(in crate::plugins) fn replayed(&self, request: &http::Request) -> Answer {
        let recorded = match value_of(&(request,)) {
            Value::Array(args) => self.answer_to(SEND, &args),
            _ => None,
        };
        let answer = match recorded.map(|exchange| exchange.result) {
            Some(None) => {
                self.note_request(request, None);
                return Err(refused(RefusalKind::Timeout, ""));
            }
            Some(Some(result)) => answer_from(&result),
            None => None,
        };
        let answer = answer.unwrap_or_else(|| {
            let said = format!("no answer to `{} {}` was recorded", request.method, request.path);
            Err(refused(RefusalKind::Other, &said))
        });
        self.note_request(request, Some(&answer_to(answer.clone())));
        answer
    }
}

fn refused(kind: RefusalKind, said: &str) -> Refusal {
    Refusal { kind, reason: "replay", said: said.to_owned() }
}

/// Reads what [`answer_to`] made, from the recording's JSON.
fn answer_from(result: &Value) -> Option<Answer> {
    if let Some(response) = result.get("ok") {
        let text = |value: Option<&Value>| value?.as_str().map(str::to_owned);
        let pair = |pair: &Value| Some((text(pair.get(0))?, text(pair.get(1))?));
        let headers = response.get("headers")?.as_array()?.iter().map(pair);
        return Some(Ok(Response {
            status: response.get("status")?.as_u64()?.try_into().ok()?,
            headers: headers.collect::<Option<_>>()?,
            body: value::bytes(response.get("body")?).ok()?,
        }));
    }
    let (case, said) = match result.get("err")? {
        Value::String(case) => (case.as_str(), ""),
        other => value::single(other).map(|(case, said)| (case, said.as_str().unwrap_or_default()))?,
    };
    let kind = match case {
        "denied" => RefusalKind::Denied,
        "address-refused" => RefusalKind::AddressRefused,
        "timeout" => RefusalKind::Timeout,
        "too-large" => RefusalKind::TooLarge,
        "connect" => RefusalKind::Connect,
        "tls" => RefusalKind::Tls,
        "budget" => RefusalKind::Budget,
        "other" => RefusalKind::Other,
        _ => return None,
    };
    Some(Err(refused(kind, said)))
}
