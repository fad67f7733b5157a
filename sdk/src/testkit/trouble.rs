//! What the other side answers when it does not do as it was asked, and what a plugin has to make of each.

use crate::Disposition;
use crate::http::{Error, Response};

/// The pause that the other side asks for with 429, in seconds.
const PAUSE: u32 = 7;
/// What a proxy shows in the place of an answer.
const PAGE: &str = "<!doctype html><title>Please wait</title><p>We are back soon.";

/// One way in which the other side fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Unauthorised,
    Forbidden,
    NotFound,
    Conflict,
    /// 429 with a `retry-after`.
    RateLimited,
    ServerError,
    /// The connection breaks off in the middle of the body.
    BrokenOff,
    /// 200, with half of an object.
    HalfAnObject,
    /// 200, with a page for people.
    Page,
    /// Nothing comes in time.
    Timeout,
}

impl Trouble {
    pub const ALL: [Self; 10] = [
        Self::Unauthorised,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::RateLimited,
        Self::ServerError,
        Self::BrokenOff,
        Self::HalfAnObject,
        Self::Page,
        Self::Timeout,
    ];

    /// As it is told in a sentence: "request 2 was answered with …".
    pub fn words(self) -> &'static str {
        match self {
            Self::Unauthorised => "401",
            Self::Forbidden => "403",
            Self::NotFound => "404",
            Self::Conflict => "409",
            Self::RateLimited => "429 and a pause of 7 s",
            Self::ServerError => "500",
            Self::BrokenOff => "a body that broke off",
            Self::HalfAnObject => "200 and half an object",
            Self::Page => "200 and a page of HTML",
            Self::Timeout => "nothing in time",
        }
    }

    /// What the plugin gets to see of it.
    ///
    /// # Errors
    /// Where it leaves the plugin without a response.
    pub fn answer(self) -> Result<Response, Error> {
        let status = |status| Ok(Response::new(status, r#"{"message":"no"}"#));
        match self {
            Self::Unauthorised => status(401),
            Self::Forbidden => status(403),
            Self::NotFound => status(404),
            Self::Conflict => status(409),
            Self::RateLimited => {
                let mut response = Response::new(429, r#"{"message":"no"}"#);
                response.headers.push(("retry-after".to_owned(), PAUSE.to_string()));
                Ok(response)
            }
            Self::ServerError => status(500),
            Self::BrokenOff => Err(Error::Connect("the connection broke off".to_owned())),
            Self::HalfAnObject => Ok(Response::new(200, r#"{"id":7,"name":"a"#)),
            Self::Page => {
                let mut response = Response::new(200, PAGE);
                response.headers.push(("content-type".to_owned(), "text/html".to_owned()));
                Ok(response)
            }
            Self::Timeout => Err(Error::Timeout),
        }
    }

    /// What a failure has to say after it.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            Self::Unauthorised | Self::Forbidden => "`auth-required`",
            Self::NotFound => {
                "`permanent` (or `auth-required`, where the other side hides what it does not show)"
            }
            Self::Conflict => "`permanent` or `retry`",
            Self::RateLimited => "`rate-limited` with the 7 s",
            Self::ServerError | Self::BrokenOff | Self::Timeout => "`retry`",
            Self::HalfAnObject | Self::Page => "`permanent` or `retry`",
        }
    }

    pub(super) fn fits(self, said: &Disposition) -> bool {
        use Disposition::{AuthRequired, Permanent, RateLimited, Retry};
        match self {
            Self::Unauthorised | Self::Forbidden => matches!(said, AuthRequired),
            Self::NotFound => matches!(said, Permanent | AuthRequired),
            Self::Conflict | Self::HalfAnObject | Self::Page => matches!(said, Permanent | Retry(_)),
            Self::RateLimited => matches!(said, RateLimited(Some(PAUSE))),
            Self::ServerError | Self::BrokenOff | Self::Timeout => matches!(said, Retry(_)),
        }
    }

    /// Whether the other side understood, and said no.
    pub(super) fn is_denial(self) -> bool {
        matches!(self, Self::Unauthorised | Self::Forbidden | Self::NotFound | Self::Conflict)
    }

    /// Whether it is an answer without a word that makes sense.
    pub(super) fn is_nonsense(self) -> bool {
        matches!(self, Self::HalfAnObject | Self::Page)
    }
}
