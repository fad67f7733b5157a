//! Headers of every answer: what a browser may do with it. Pages say more about themselves (`web/page.rs`); this is what holds
//! where nothing else was said, which is data for programs.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// An answer of the API that a browser is made to show runs nothing, loads nothing and is in nobody's frame.
const DATA_POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";
/// A year. The subdomains may be somebody else's stacks, so they are left out.
const HTTPS_ONLY: &str = "max-age=31536000";

const DEFAULTS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, DATA_POLICY),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Whether people reach the server by HTTPS, by its public address.
#[derive(Clone, Copy)]
pub struct IsHttps(pub bool);

pub async fn set(State(IsHttps(is_https)): State<IsHttps>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HTTPS_ONLY));
    }
    response
}
