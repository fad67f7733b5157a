//! Constructors of [`Failure`] and [`Problem`].

use crate::{Disposition, Failure, Problem};

impl Failure {
    /// Will fail again with the same input. `code` is for programs (`malformed-payload`), `message` says to people
    /// what happened, why, and what to do.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::of(Disposition::Permanent, code, message)
    }

    /// Worth another try, after so many seconds if it is known how many.
    pub fn retry(after_seconds: Option<u32>, code: &str, message: impl Into<String>) -> Self {
        Self::of(Disposition::Retry(after_seconds), code, message)
    }

    /// The credential is missing, wrong or expired.
    pub fn auth_required(code: &str, message: impl Into<String>) -> Self {
        Self::of(Disposition::AuthRequired, code, message)
    }

    /// The other side asks for a pause.
    pub fn rate_limited(after_seconds: Option<u32>, code: &str, message: impl Into<String>) -> Self {
        Self::of(Disposition::RateLimited(after_seconds), code, message)
    }

    /// Says in addition that a request with an effect may have reached the other side.
    #[must_use]
    pub fn after_sending(mut self) -> Self {
        self.request_sent = true;
        self
    }

    /// Adds a name and a value to `extras`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.extras.push((name.to_owned(), value.into()));
        self
    }

    fn of(disposition: Disposition, code: &str, message: impl Into<String>) -> Self {
        Self {
            disposition,
            code: code.to_owned(),
            message: message.into(),
            request_sent: false,
            extras: Vec::new(),
        }
    }
}

impl Problem {
    /// A finding at a place, given as a JSON pointer (`/build_args/0`), or about the whole if the pointer is empty.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}
