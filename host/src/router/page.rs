//! What the router answers itself, and how it says so: in a sentence, to a person or a program.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::body::Body;

/// Tells programs that it was the router, and why; answers of targets do not have it.
const REASON: &str = "x-windlass-router";

/// Why a request did not reach a target, or got no answer from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Without a host, or for something that is no resource.
    Malformed,
    NoRoute {
        host: String,
    },
    /// The route wants HTTPS.
    PlainHttp {
        location: String,
    },
    /// The route exists and nothing has a weight.
    NothingServes {
        route: String,
    },
    /// No target of the release passes its probes.
    Unhealthy {
        route: String,
    },
    QueueFull {
        route: String,
    },
    HeldTooLong {
        route: String,
    },
    /// Nobody listens there.
    Unreachable {
        route: String,
    },
    /// It hung up, or what it said is not HTTP.
    Broken {
        route: String,
    },
    NoAnswer {
        route: String,
    },
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::NoRoute { .. } => StatusCode::NOT_FOUND,
            // Keeps the method and the body.
            Self::PlainHttp { .. } => StatusCode::PERMANENT_REDIRECT,
            Self::NothingServes { .. }
            | Self::Unhealthy { .. }
            | Self::QueueFull { .. }
            | Self::HeldTooLong { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable { .. } | Self::Broken { .. } => StatusCode::BAD_GATEWAY,
            Self::NoAnswer { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoRoute { .. } => "no-route",
            Self::PlainHttp { .. } => "https-only",
            Self::NothingServes { .. } => "nothing-serves",
            Self::Unhealthy { .. } => "unhealthy",
            Self::QueueFull { .. } => "queue-full",
            Self::HeldTooLong { .. } => "held-too-long",
            Self::Unreachable { .. } => "unreachable",
            Self::Broken { .. } => "broken",
            Self::NoAnswer { .. } => "no-answer",
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Malformed => {
                "This request names no host, or asks for something that cannot be routed.".into()
            }
            Self::NoRoute { host } => {
                format!("Nothing is deployed at `{}` and this path.", host.escape_debug())
            }
            Self::PlainHttp { location } => format!("Please use {}.", location.escape_debug()),
            Self::NothingServes { route } => format!("No release of `{route}` serves requests yet."),
            Self::Unhealthy { route } => {
                format!("`{route}` is not healthy at the moment. Please try again in a little while.")
            }
            Self::QueueFull { route } => {
                format!("`{route}` is being replaced and too many requests wait for it. Please try again.")
            }
            Self::HeldTooLong { route } => {
                format!("`{route}` is being replaced and did not come back in time. Please try again.")
            }
            Self::Unreachable { route } => format!("`{route}` cannot be reached."),
            Self::Broken { route } => format!("`{route}` hung up before it had answered."),
            Self::NoAnswer { route } => format!("`{route}` did not answer in time."),
        }
    }

    /// A small page where the client takes one, else a line of text.
    pub fn response(&self, accept: Option<&HeaderValue>) -> Response<Body> {
        let status = self.status();
        let (name, sentence) = (status.canonical_reason().unwrap_or("Error"), self.sentence());
        let wants_page =
            accept.and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"));
        let (kind, text) = if wants_page {
            ("text/html; charset=utf-8", page(status.as_u16(), name, &sentence))
        } else {
            ("text/plain; charset=utf-8", format!("{} {name}\n{sentence}\n", status.as_u16()))
        };
        let mut response = Response::new(Body::Text(Some(Bytes::from(text))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REASON, HeaderValue::from_static(self.reason()));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Self::PlainHttp { location } = self
            && let Ok(location) = HeaderValue::try_from(location)
        {
            headers.insert(LOCATION, location);
        }
        response
    }
}

fn page(status: u16, name: &str, sentence: &str) -> String {
    let sentence = sentence.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{status} {name}</title><style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto;\
         padding:0 1rem;color-scheme:light dark}}</style><h1>{status} {name}</h1><p>{sentence}</p></html>\n"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_page_never_contains_what_a_client_wrote_as_markup() {
        let refusal = Refusal::NoRoute { host: "<script>alert(1)</script>".into() };
        let accept = HeaderValue::from_static("text/html,*/*");
        let Body::Text(Some(text)) = refusal.response(Some(&accept)).into_body() else { panic!("no text") };
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.contains("&lt;script&gt;") && !text.contains("<script>"), "{text}");
    }
}
