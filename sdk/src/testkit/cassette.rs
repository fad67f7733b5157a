//! Recorded calls in native tests: what the other side answered then it answers again, with or without faults.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::http::{Error, Request, Response, answering};
use crate::{Delivery, Failure};

/// The version of the format that this test kit reads; `docs/cassettes.md` of Windlass describes it.
const VERSION: u32 = 1;
/// The import through which a plugin sends requests, without its version.
const HTTP: &str = "windlass:host/http";

/// What `windlass plugin record` wrote.
///
/// ```
/// use windlass_sdk::http::Request;
/// use windlass_sdk::testkit::Cassette;
///
/// # let text = r#"{"windlass-cassette":1,"calls":[{"function":"get-build-status","input":["job","7"],
/// #   "exchange":[{"import":"windlass:host/http@0.1.0#send","args":[{"method":"GET","path":"/jobs/7"}],
/// #     "result":{"ok":{"status":200,"headers":[],"body":{"text":"{\"state\":\"done\"}"}}}}]}]}"#;
/// // In your project: Cassette::read(include_str!("../tests/cassettes/status.json"))
/// let call = &Cassette::read(text).calls[0];
/// let status = || Request::get("/jobs/7").send()?.success()?.json::<serde_json::Value>();
/// assert_eq!(call.answering(status).expect("the job is known")["state"], "done");
/// // A 429, a time-out and half a body in the place of each response: whatever comes of it, nothing panics.
/// call.with_faults(status);
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cassette {
    windlass_cassette: u32,
    pub calls: Vec<Call>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// As in `get-build-status`.
    pub function: String,
    /// The parameters.
    pub input: Vec<Value>,
    #[serde(default)]
    exchange: Vec<Exchange>,
    /// The result: `{"ok": …}` or `{"err": …}`.
    #[serde(default)]
    pub output: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
struct Exchange {
    import: String,
    args: Vec<Value>,
    #[serde(default)]
    result: Option<Value>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    TooManyRequests,
    Timeout,
    HalfABody,
}

const FAULTS: [Fault; 3] = [Fault::TooManyRequests, Fault::Timeout, Fault::HalfABody];

impl Cassette {
    /// Reads a cassette's text.
    ///
    /// # Panics
    /// With what is wrong with it: it is part of a test.
    pub fn read(text: &str) -> Self {
        let cassette: Self =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("the cassette cannot be read: {error}"));
        let version = cassette.windlass_cassette;
        assert!(version == VERSION, "the cassette has version {version}, and {VERSION} is read");
        cassette
    }
}

impl Call {
    /// The webhook that was delivered, if that is what the call is about.
    pub fn delivery(&self) -> Option<Delivery> {
        let delivery = self.input.first()?;
        Some(Delivery { headers: headers(delivery), body: bytes(delivery.get("body")?) })
    }

    /// Runs `work` with the recorded responses in the place of the host.
    ///
    /// # Panics
    /// If a request is sent that was not recorded, or not at this point.
    pub fn answering<T>(&self, work: impl FnOnce() -> T) -> T {
        self.play(None, work)
    }

    /// Runs `work` once for each fault in each response. A failure is a good answer. What is requested after a fault is
    /// not known and times out.
    ///
    /// # Panics
    /// If `work` does; standard error says with which fault.
    pub fn with_faults<T>(&self, mut work: impl FnMut() -> Result<T, Failure>) {
        /// Says on the way out of a panic what led to it.
        struct During(String);
        impl Drop for During {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    eprintln!("this was with {}", self.0);
                }
            }
        }
        for nth in 0..self.requests().count() {
            for fault in FAULTS {
                let _during = During(format!("{fault:?} in response {} of {}", nth + 1, self.function));
                // Either is fine.
                let _ = self.play(Some((fault, nth)), &mut work);
            }
        }
    }

    /// What the host answered to its requests.
    pub(super) fn answers(&self) -> Vec<Result<Response, Error>> {
        self.requests().map(|exchange| response(exchange.result.as_ref(), None)).collect()
    }

    fn requests(&self) -> impl Iterator<Item = &Exchange> {
        self.exchange.iter().filter(|exchange| exchange.import.starts_with(HTTP))
    }

    fn play<T>(&self, faulty: Option<(Fault, usize)>, work: impl FnOnce() -> T) -> T {
        let recorded: Rc<[Exchange]> = self.requests().cloned().collect();
        let mut next = 0;
        let answer = move |request: &Request| {
            let n = next;
            next += 1;
            if faulty.is_some_and(|(_, nth)| n > nth) {
                return Err(Error::Timeout);
            }
            let exchange = recorded
                .get(n)
                .unwrap_or_else(|| panic!("{} {} was not recorded", request.method, request.path));
            let said = exchange.args.first();
            let was = |name| said.and_then(|said| said.get(name)).and_then(Value::as_str).unwrap_or_default();
            let (is, was) = ((&*request.method, &*request.path), (was("method"), was("path")));
            assert!(is == was, "{} {} is sent, and {} {} was recorded", is.0, is.1, was.0, was.1);
            let fault = faulty.filter(|(_, nth)| *nth == n).map(|(fault, _)| fault);
            response(exchange.result.as_ref(), fault)
        };
        answering(answer, work)
    }
}

fn response(result: Option<&Value>, fault: Option<Fault>) -> Result<Response, Error> {
    let recorded = result.and_then(|result| result.get("ok"));
    match (fault, recorded) {
        (Some(Fault::TooManyRequests), _) => {
            let mut response = Response::new(429, "");
            response.headers.push(("retry-after".to_owned(), "7".to_owned()));
            Ok(response)
        }
        (Some(Fault::Timeout), _) => Err(Error::Timeout),
        (fault, Some(recorded)) => {
            let status =
                recorded.get("status").and_then(Value::as_u64).and_then(|status| status.try_into().ok());
            let mut response = Response::new(status.unwrap_or_default(), bytes(&recorded["body"]));
            response.headers = headers(recorded);
            if fault.is_some() {
                response.body.truncate(response.body.len() / 2);
            }
            Ok(response)
        }
        // Which error it was makes no difference to a plugin that only tells it.
        (_, None) => Err(Error::Other("the recorded request failed".to_owned())),
    }
}

fn headers(value: &Value) -> Vec<(String, String)> {
    let pairs = value.get("headers").and_then(Value::as_array).into_iter().flatten();
    let text = |pair: &Value, at: usize| pair.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    pairs.map(|pair| (text(pair, 0), text(pair, 1))).collect()
}

/// Bytes as a cassette has them: `{"text": …}`, `{"base64": …}`, or a list that is empty.
fn bytes(value: &Value) -> Vec<u8> {
    let part = |name| value.get(name).and_then(Value::as_str);
    match (part("text"), part("base64")) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(text)) => STANDARD.decode(text).expect("bytes of a cassette are base64"),
        (None, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        let request = |path: &str, body: Value| {
            serde_json::json!({
                "import": "windlass:host/http@0.1.0#send",
                "args": [{ "method": "GET", "path": path }],
                "result": { "ok": { "status": 200, "headers": [["etag", "1"]], "body": body } },
            })
        };
        let exchange = [
            request("/a", serde_json::json!({ "text": "whole" })),
            request("/b", serde_json::json!({ "base64": "AAEC" })),
        ];
        let call = serde_json::json!({ "function": "get", "input": [], "exchange": exchange });
        let cassette = serde_json::json!({ "windlass-cassette": 1, "calls": [call] });
        Cassette::read(&cassette.to_string()).calls.remove(0)
    }

    fn both() -> Result<(Response, Response), Failure> {
        Ok((Request::get("/a").send()?, Request::get("/b").send()?))
    }

    #[test]
    fn the_recorded_responses_come_in_their_order() {
        let (first, second) = call().answering(both).expect("both were recorded");
        assert_eq!((&*first.body, first.header("etag")), (&b"whole"[..], Some("1")));
        assert_eq!(second.body, [0, 1, 2]);
    }

    #[test]
    fn each_response_has_each_fault_once() {
        let seen = std::cell::RefCell::new(Vec::new());
        call().with_faults(|| {
            let said = both().map(|(first, second)| (first.status, first.body.len(), second.body.len()));
            seen.borrow_mut().push(said.map_err(|failure| failure.code));
            Ok(())
        });
        let seen = seen.into_inner();
        assert_eq!(seen.len(), 6);
        assert_eq!(seen.iter().filter(|said| said.is_ok()).count(), 2, "{seen:?}");
        assert_eq!(seen[5], Ok((200, 5, 1)), "half of the second body");
    }

    #[test]
    #[should_panic(expected = "GET /c is sent, and GET /a was recorded")]
    fn another_request_than_the_recorded_one_fails_the_test() {
        let _ = call().answering(|| Request::get("/c").send());
    }
}
