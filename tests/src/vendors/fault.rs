//! What goes wrong between a plugin and a vendor, one request at a time.

use std::future::Future;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

/// What takes the place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request has its effect, and no answer ever comes.
    Timeout,
    /// Only this status, with a message as vendors write them; the request has no effect.
    Status(u16),
    /// 429 with `Retry-After: 7`; the request has no effect.
    TooManyRequests,
    /// The request has its effect, and the connection ends in the middle of the answer.
    HalfABody,
    /// The request has its effect, and the answer is 200 with something that is no JSON.
    Malformed,
    /// The answer leads to a server that nobody allowed; the request has no effect.
    Redirect,
}

impl Fault {
    pub const ALL: [Self; 12] = [
        Self::Timeout,
        Self::Status(401),
        Self::Status(403),
        Self::Status(404),
        Self::Status(409),
        Self::Status(422),
        Self::Status(500),
        Self::Status(503),
        Self::TooManyRequests,
        Self::HalfABody,
        Self::Malformed,
        Self::Redirect,
    ];

    /// Whether the vendor acts on the request all the same. Where that was a request with an effect, a plugin has to say so.
    pub fn has_effect(self) -> bool {
        matches!(self, Self::Timeout | Self::HalfABody | Self::Malformed)
    }

    /// The answer; `served` is what the fake would have done.
    pub(super) async fn answer(self, served: impl Future<Output = Response>) -> Response {
        if self.has_effect() {
            drop(served.await);
        }
        let builder = Response::builder().header("content-type", "application/json");
        let message = r#"{"message":"this was asked for by a test"}"#;
        let response = match self {
            Self::Timeout => std::future::pending().await,
            Self::Status(status) => builder.status(status).body(Body::from(message)),
            Self::TooManyRequests => builder.status(429).header("retry-after", "7").body(Body::from(message)),
            Self::HalfABody => {
                let cut = std::io::Error::other("the other side has hung up");
                builder.body(Body::from_stream(stream::iter([
                    Ok(Bytes::from_static(b"{\"id\":1,\"na")),
                    Err(cut),
                ])))
            }
            Self::Malformed => builder.body(Body::from("<html>Please log in</html>")),
            Self::Redirect => {
                builder.status(302).header("location", "http://203.0.113.66/elsewhere").body(Body::empty())
            }
        };
        response.expect("a response")
    }
}
