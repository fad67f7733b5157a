//! The requests of one call, counted together: has anything happened yet?

use std::cell::Cell;

use serde::de::DeserializeOwned;

use crate::Failure;
use crate::http::{Error, Request, Response};

/// For a request that names no time of its own. A call has 30 s, so after one that hangs there is time to say so.
const TIMEOUT_MS: u32 = 10_000;

/// Sends the requests of one call and remembers whether one of them may have had an effect, so that each failure after it
/// says so in `request_sent`, and none before it does.
///
/// ```
/// use windlass_sdk::http::{Client, Error, Request, Response};
///
/// let start = || {
///     let client = Client::default();
///     client.read(&Request::get("/jobs/7"))?;
///     client.write(&Request::post("/jobs/7/builds"))
/// };
/// let lost = |lost: &'static str| {
///     let answer = move |request: &Request| {
///         if request.method == lost { Err(Error::Timeout) } else { Ok(Response::new(200, "{}")) }
///     };
///     windlass_sdk::http::answering(answer, start).unwrap_err().request_sent
/// };
/// assert_eq!((lost("GET"), lost("POST")), (false, true));
/// ```
#[derive(Debug, Default)]
pub struct Client {
    effect: Cell<bool>,
    slots: &'static [&'static str],
}

impl Client {
    /// One whose requests all have a credential: that of the first of these slots that the operator has filled.
    pub fn with_credentials(slots: &'static [&'static str]) -> Self {
        Self { slots, ..Self::default() }
    }

    fn send(&self, request: &Request) -> Result<Response, Error> {
        let request = Request { timeout_ms: request.timeout_ms.or(Some(TIMEOUT_MS)), ..request.clone() };
        if self.slots.is_empty() { request.send() } else { request.send_with(self.slots) }
    }

    /// Sends a request that changes nothing on the other side.
    ///
    /// # Errors
    /// Whatever left it without a response. A status such as 404 is a response.
    pub fn read(&self, request: &Request) -> Result<Response, Failure> {
        self.send(request).map_err(|error| self.failed(error.into()))
    }

    /// Sends a request that is meant to change something. An answer of 3xx or 4xx says that nothing was changed.
    ///
    /// # Errors
    /// Whatever left it without a response. A status such as 404 is a response.
    pub fn write(&self, request: &Request) -> Result<Response, Failure> {
        let answer = self.send(request);
        let may_have_happened = match &answer {
            Ok(response) => !(300..500).contains(&response.status),
            // Nothing was sent, unless it was the answer that led where the host does not go.
            Err(Error::Denied(why)) => why.contains("redirect"),
            Err(Error::AddressRefused | Error::Tls(_) | Error::Budget) => false,
            Err(Error::Timeout | Error::TooLarge | Error::Connect(_) | Error::Other(_)) => true,
        };
        self.effect.set(self.effect.get() || may_have_happened);
        answer.map_err(|error| self.failed(error.into()))
    }

    /// The failure with `request_sent` as it is for this call.
    pub fn failed(&self, failure: Failure) -> Failure {
        Failure { request_sent: self.effect.get(), ..failure }
    }

    /// The response's body read as JSON.
    ///
    /// # Errors
    /// `permanent` with the code `malformed-response`.
    pub fn json<T: DeserializeOwned>(&self, response: &Response) -> Result<T, Failure> {
        response.json().map_err(|failure| self.failed(failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answering;

    fn sent_after(answer: Result<Response, Error>) -> bool {
        let client = Client::default();
        let answer = std::cell::Cell::new(Some(answer));
        let said = move |_: &Request| answer.take().unwrap_or(Err(Error::Budget));
        answering(said, || {
            let _ = client.write(&Request::post("/"));
            client.read(&Request::get("/")).expect_err("the budget is used up").request_sent
        })
    }

    #[test]
    fn what_was_refused_has_had_no_effect_and_what_was_lost_may_have() {
        for (answer, wanted) in [
            (Ok(Response::new(201, "")), true),
            (Ok(Response::new(500, "")), true),
            (Ok(Response::new(404, "")), false),
            (Ok(Response::new(429, "")), false),
            (Err(Error::Timeout), true),
            (Err(Error::Connect("reset".into())), true),
            (Err(Error::Denied("no permission".into())), false),
            (Err(Error::Denied("a redirect was refused".into())), true),
            (Err(Error::Tls("expired".into())), false),
        ] {
            assert_eq!(sent_after(answer.clone()), wanted, "{answer:?}");
        }
    }

    #[test]
    fn requests_go_with_the_first_slot_that_is_filled() {
        let said = |request: &Request| match request.credential.as_deref() {
            Some("app") => Ok(Response::new(200, "app")),
            slot => Err(Error::Denied(format!(
                "the connection has no secret for the slot `{}`",
                slot.unwrap_or_default()
            ))),
        };
        let with = |slots| {
            answering(said, || {
                Client::with_credentials(slots).read(&Request::get("/")).map(|answer| answer.text())
            })
        };
        assert_eq!(with(&["token", "app"]).expect("one is filled"), "app");
        assert!(with(&["token", "other"]).expect_err("none is").message.contains("`other`"));
    }
}
