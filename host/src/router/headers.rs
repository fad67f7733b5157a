//! Which headers pass, and which the router sets itself.

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Request, Uri, Version};

use super::account::Client;
use crate::domain::cookie;
use crate::network::named_by_connection;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removes what is for one connection only (RFC 9110, 7.6.1).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        // These are never for one connection, whatever a client claims.
        if ![HOST, CONTENT_LENGTH, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO].contains(&name) {
            headers.remove(name);
        }
    }
    if headers.remove(TRANSFER_ENCODING).is_some() {
        // Of two lengths the chunks are the true one.
        headers.remove(CONTENT_LENGTH);
    }
    for name in
        [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, UPGRADE]
    {
        headers.remove(name);
    }
}

/// The protocol that the client wants to change to, over HTTP/1.1.
pub fn upgrade(request: &Parts) -> Option<HeaderValue> {
    if request.version != Version::HTTP_11 {
        return None;
    }
    let asks = request.headers.get_all(CONNECTION).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade")))
    });
    let protocol = request.headers.get(UPGRADE).filter(|_| asks)?;
    // HTTP/2 is between the client and us.
    (!protocol.as_bytes().eq_ignore_ascii_case(b"h2c")).then(|| protocol.clone())
}

/// Makes the request one to a target: origin form, HTTP/1.1, and who really asked.
pub fn to_target<B>(request: &mut Request<B>, host: HeaderValue, client: Client, trust: bool) {
    let uri = request.uri().path_and_query().map_or(Uri::from_static("/"), |path| Uri::from(path.clone()));
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    strip_hop_by_hop(headers);
    // We are the one who waits for the body; the target need not be asked first.
    headers.remove(EXPECT);
    headers.remove(FORWARDED);
    join_cookies(headers);
    let before = headers.remove(FORWARDED_FOR).filter(|_| trust);
    headers.insert(FORWARDED_FOR, forwarded_for(before, client.address));
    if !(trust && headers.contains_key(FORWARDED_PROTO)) {
        let proto = if client.tls { "https" } else { "http" };
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
    if !(trust && headers.contains_key(FORWARDED_HOST)) {
        headers.insert(FORWARDED_HOST, host.clone());
    }
    headers.insert(HOST, host);
}

/// Passes the wish for another protocol on.
pub fn ask_for_upgrade<B>(request: &mut Request<B>, protocol: HeaderValue) {
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(UPGRADE, protocol);
}

/// The client, behind those that a trusted proxy before us has named.
fn forwarded_for(before: Option<HeaderValue>, client: IpAddr) -> HeaderValue {
    let client = client.to_canonical().to_string();
    let text = match before.as_ref().and_then(|value| value.to_str().ok()) {
        Some(before) => format!("{before}, {client}"),
        None => client,
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// HTTP/2 may split cookies into several headers; HTTP/1.1 has one (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(value) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, value);
    }
}

/// The value of a cookie.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    cookie::find(headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()), name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::get("http://app.example.org/a?b=c");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    fn sent(headers: &[(&str, &str)], trust: bool) -> Request<()> {
        let mut request = request(headers);
        let client = Client { address: "::ffff:192.0.2.1".parse().unwrap(), tls: true };
        to_target(&mut request, HeaderValue::from_static("app.example.org"), client, trust);
        request
    }

    #[test]
    fn what_is_for_one_connection_does_not_pass() {
        let request = sent(
            &[
                ("connection", "close, X-Mine, host, x-forwarded-for"),
                ("x-mine", "1"),
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("content-length", "5"),
                ("x-yours", "2"),
                ("expect", "100-continue"),
            ],
            false,
        );
        let mut names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-yours"]);
        assert_eq!(request.uri(), "/a?b=c");
    }

    #[test]
    fn what_a_stranger_says_of_the_way_is_replaced_and_a_trusted_proxy_is_continued() {
        let said =
            [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "http"), ("forwarded", "for=x")];
        let request = sent(&said, false);
        assert_eq!(request.headers()["x-forwarded-for"], "192.0.2.1");
        assert_eq!(request.headers()["x-forwarded-proto"], "https");
        assert!(!request.headers().contains_key("forwarded"));
        let request = sent(&said, true);
        assert_eq!(request.headers()["x-forwarded-for"], "203.0.113.9, 192.0.2.1");
        assert_eq!(request.headers()["x-forwarded-proto"], "http");
    }

    #[test]
    fn cookies_of_http2_become_one_header_and_are_found_by_name() {
        let request = sent(&[("cookie", "a=1; seat=42"), ("cookie", "b=2")], false);
        assert_eq!(request.headers()["cookie"], "a=1; seat=42; b=2");
        assert_eq!(cookie(request.headers(), "seat"), Some("42"));
        assert_eq!(cookie(request.headers(), "eat"), None);
    }

    #[test]
    fn only_a_client_that_names_it_in_connection_changes_the_protocol() {
        let asks = |headers: &[(&str, &str)]| upgrade(&request(headers).into_parts().0).is_some();
        assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]));
        assert!(!asks(&[("upgrade", "websocket")]));
        assert!(!asks(&[("connection", "upgrade"), ("upgrade", "h2c")]));
    }
}
