//! Requests to the other side of the call's connection.
//!
//! Only for kinds whose world imports `windlass:host/http`: a CI provider and a forge may, a build planner, a pipeline
//! generator and a strategy may not. The credential is named, never seen: the host puts it in place.
//!
//! ```
//! use windlass_sdk::Failure;
//! use windlass_sdk::http::Request;
//!
//! fn default_branch(repository: &str) -> Result<String, Failure> {
//!     let response = Request::get(format!("/repos/{repository}")).credential("token").send()?.success()?;
//!     let repository: serde_json::Value = response.json()?;
//!     Ok(repository["default_branch"].as_str().unwrap_or("main").to_owned())
//! }
//!
//! // Natively there is no host; a test says what answers.
//! let said = windlass_sdk::http::answering(
//!     |request| {
//!         assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/repos/a/b"));
//!         Ok(windlass_sdk::http::Response::new(200, r#"{ "default_branch": "trunk" }"#))
//!     },
//!     || default_branch("a/b"),
//! );
//! assert_eq!(said.unwrap(), "trunk");
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;

#[cfg(not(target_family = "wasm"))]
pub use native::answering;

pub use crate::bindings::host::windlass::host::http::{Error, Request, Response};
pub use crate::client::Client;

/// Characters of a foreign error message that a failure repeats.
const QUOTED: usize = 300;

impl Request {
    /// A request with the method (in capitals) for a path and query relative to the connection's base URL.
    pub fn new(method: &str, path: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            credential: None,
            idempotency_key: None,
            timeout_ms: None,
        }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    pub fn put(path: impl Into<String>) -> Self {
        Self::new("PUT", path)
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    pub fn patch(path: impl Into<String>) -> Self {
        Self::new("PATCH", path)
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a parameter to the query, percent-encoded.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(&segment(name));
        self.path.push('=');
        self.path.push_str(&segment(value));
        self
    }

    /// The credential slot of the manifest whose secret the host puts in.
    #[must_use]
    pub fn credential(mut self, slot: &str) -> Self {
        self.credential = Some(slot.to_owned());
        self
    }

    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    #[must_use]
    pub fn timeout_ms(mut self, milliseconds: u32) -> Self {
        self.timeout_ms = Some(milliseconds);
        self
    }

    /// The bytes as they are; say with a header what they are.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The value as JSON, with its content type.
    ///
    /// # Errors
    /// `permanent` with the code `unwritable-request` if the value has no form in JSON, such as a map with numbers as keys.
    pub fn json(self, value: &impl Serialize) -> Result<Self, Failure> {
        let body = serde_json::to_vec(value).map_err(|error| {
            Failure::permanent(
                "unwritable-request",
                format!("The request cannot be written as JSON: {error}."),
            )
        })?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// Sends it and waits for the whole response. A status such as 404 is a response; see [`Response::success`].
    ///
    /// # Errors
    /// Whatever left the request without a response. It becomes a [`Failure`] with `?`.
    pub fn send(&self) -> Result<Response, Error> {
        #[cfg(target_family = "wasm")]
        {
            crate::bindings::host::windlass::host::http::send(self)
        }
        #[cfg(not(target_family = "wasm"))]
        {
            native::send(self)
        }
    }

    /// Sends it with the first of these credential slots that the operator has filled; with the last if none is.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_with(&self, slots: &[&str]) -> Result<Response, Error> {
        let mut answer = None;
        for slot in slots {
            match self.clone().credential(slot).send() {
                Err(error) if error.is_empty_slot() => answer = Some(Err(error)),
                other => return other,
            }
        }
        answer.unwrap_or_else(|| self.send())
    }
}

impl Error {
    /// Whether the operator has not filled the credential slot that the request names. Nothing was sent.
    pub fn is_empty_slot(&self) -> bool {
        matches!(self, Self::Denied(why) if why.contains("no secret for the slot"))
    }
}

impl Response {
    /// A response without headers, for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// The first header of that name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// `permanent` with the code `malformed-response`, and where it is malformed.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let said =
                format!("The answer (status {}) is not the JSON that was expected: {error}.", self.status);
            Failure::permanent("malformed-response", said).after_sending()
        })
    }

    /// The response itself if its status is 2xx, otherwise what the status means: 401 and 403 need a person, 429 and
    /// 503 name a pause, 408 and other 5xx are worth another try, and all else will fail again.
    ///
    /// # Errors
    /// As said, with the code `status-<number>` and the beginning of the body.
    pub fn success(self) -> Result<Self, Failure> {
        if self.is_success() {
            return Ok(self);
        }
        let pause = self.header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let code = format!("status-{}", self.status);
        let quoted: String = self.text().chars().take(QUOTED).collect();
        let said = format!("The other side answered with status {}: {quoted}", self.status);
        let failure = match self.status {
            401 => Failure::auth_required(&code, said),
            // Some vendors answer 403 where they mean 429, and then they name the pause.
            403 if pause.is_none() => Failure::auth_required(&code, said),
            403 | 429 => Failure::rate_limited(pause, &code, said),
            408 | 500..=599 => Failure::retry(pause, &code, said),
            _ => Failure::permanent(&code, said),
        };
        Err(failure.after_sending())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(why) => {
                Self::permanent("request-denied", format!("The host refused the request: {why}"))
            }
            Error::AddressRefused => Self::permanent(
                "address-refused",
                "The connection's name leads to an address that plugins may not reach. Please check its base URL.",
            ),
            Error::Timeout => {
                Self::retry(None, "timeout", "The other side did not answer in time.").after_sending()
            }
            Error::TooLarge => {
                Self::permanent("too-large", "The answer is larger than the host hands on.").after_sending()
            }
            Error::Connect(why) => {
                Self::retry(None, "connect", format!("The connection failed: {why}")).after_sending()
            }
            Error::Tls(why) => {
                Self::permanent("tls", format!("The other side's certificate is not good: {why}"))
            }
            Error::Budget => {
                Self::permanent("budget", "The call needed more requests than it may send.").after_sending()
            }
            Error::Other(why) => Self::retry(None, "other", why).after_sending(),
        }
    }
}

/// One segment of a path, or a name or value of a query, percent-encoded (RFC 3986: all but unreserved characters).
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(not(target_family = "wasm"))]
mod native {
    use std::cell::RefCell;

    use super::{Error, Request, Response};

    type Answer = Box<dyn FnMut(&Request) -> Result<Response, Error>>;

    thread_local! {
        static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
    }

    /// Runs `work` with `answer` in the place of the host: every request this thread sends meanwhile is given to it.
    pub fn answering<R>(
        answer: impl FnMut(&Request) -> Result<Response, Error> + 'static,
        work: impl FnOnce() -> R,
    ) -> R {
        /// Takes the answer back even if `work` panics.
        struct Restore(Option<Answer>);
        impl Drop for Restore {
            fn drop(&mut self) {
                ANSWER.set(self.0.take());
            }
        }
        let _restore = Restore(ANSWER.replace(Some(Box::new(answer))));
        work()
    }

    pub fn send(request: &Request) -> Result<Response, Error> {
        let Some(mut answer) = ANSWER.take() else {
            return Err(Error::Other("There is no host in a native test; see `http::answering`.".to_owned()));
        };
        let response = answer(request);
        ANSWER.set(Some(answer));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Disposition;

    #[test]
    fn a_query_is_encoded_and_joined() {
        let request = Request::get("/a").query("q", "x y/z").query("ü", "&");
        assert_eq!(request.path, "/a?q=x%20y%2Fz&%C3%BC=%26");
    }

    #[test]
    fn a_status_says_what_to_do() {
        let of = |status, pause: Option<&str>| {
            let mut response = Response::new(status, "no");
            response.headers.extend(pause.map(|pause| ("retry-after".to_owned(), pause.to_owned())));
            response.success().expect_err("it is no success").disposition
        };
        assert!(matches!(of(401, None), Disposition::AuthRequired));
        assert!(matches!(of(403, Some("7")), Disposition::RateLimited(Some(7))));
        assert!(matches!(of(429, None), Disposition::RateLimited(None)));
        assert!(matches!(of(503, Some("3")), Disposition::Retry(Some(3))));
        assert!(matches!(of(404, None), Disposition::Permanent));
    }

    #[test]
    fn without_an_answer_a_native_request_says_what_to_do() {
        assert!(matches!(Request::get("/").send(), Err(Error::Other(said)) if said.contains("answering")));
    }
}
