//! What a guest may put into a request's head, and what it gets to see of a response's.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::refusal::Refusal;

const COUNT: usize = 64;
const BYTES: usize = 16 << 10;

/// The host's own: they authenticate, frame or route a message, say what the host asks for, or would let a request
/// pass for another one than was checked.
const FORBIDDEN: [&str; 25] = [
    "authorization",
    "cookie",
    "cookie2",
    "host",
    "content-length",
    "idempotency-key",
    // Those of a single connection (RFC 9110, section 7.6.1).
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "http2-settings",
    // A coded or partial answer could carry a secret past the host.
    "accept-encoding",
    "range",
    "if-range",
    // Another method than the one that was authorised.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    // Another path or sender.
    "x-original-url",
    "x-rewrite-url",
    "x-real-ip",
    "forwarded",
    "via",
];
const FORBIDDEN_PREFIXES: [&str; 2] = ["proxy-", "x-forwarded-"];

/// Left out of a response: cookies are credentials, and the rest belongs to a single connection.
const HIDDEN: [&str; 8] = [
    "set-cookie",
    "set-cookie2",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks what a guest wrote. `reserved` are the headers of the manifest's credential slots, in lower case.
pub(super) fn checked(written: &[(String, String)], reserved: &[&str]) -> Result<HeaderMap, Refusal> {
    let bytes: usize = written.iter().map(|(name, value)| name.len() + value.len()).sum();
    if written.len() > COUNT || bytes > BYTES {
        return Err(Refusal::denied(
            "headers",
            format!("more than {COUNT} headers, or than {BYTES} bytes of them"),
        ));
    }
    let mut headers = HeaderMap::with_capacity(written.len());
    for (name, value) in written {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(Refusal::denied("headers", "a header's name is no token (RFC 9110)"));
        };
        let is_forbidden = FORBIDDEN.contains(&name.as_str())
            || FORBIDDEN_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
            || reserved.contains(&name.as_str());
        if is_forbidden {
            return Err(Refusal::denied("headers", format!("the header `{name}` is the host's to set")));
        }
        let Ok(value) = HeaderValue::from_str(value) else {
            return Err(Refusal::denied(
                "headers",
                format!("the value of `{name}` has characters that no header has"),
            ));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

/// The visible part of a response's head, in the order received.
pub(super) fn visible(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .filter(|(name, _)| !HIDDEN.contains(&name.as_str()) && !name.as_str().starts_with("proxy-"))
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<HeaderMap, Refusal> {
        checked(&[(name.to_owned(), value.to_owned())], &["private-token"])
    }

    #[test]
    fn what_is_the_hosts_to_set_is_refused_in_any_case() {
        for name in [
            "Authorization",
            "COOKIE",
            "host",
            "Proxy-Authorization",
            "proxy-x",
            "Content-Length",
            "TE",
            "Upgrade",
            "Transfer-Encoding",
            "Private-Token",
            "X-HTTP-Method-Override",
            "Range",
            "Accept-Encoding",
            "X-Forwarded-Host",
        ] {
            assert!(check(name, "x").is_err(), "{name}");
        }
        assert!(check("accept", "application/json").is_ok());
    }

    #[test]
    fn a_header_cannot_smuggle_another_one() {
        assert!(check("x", "a\r\nauthorization: b").is_err());
        assert!(check("x: y\r\nz", "a").is_err());
        assert!(check("x y", "a").is_err());
        assert!(check("x", "a\0").is_err());
    }

    #[test]
    fn too_many_and_too_large_headers_are_refused() {
        let many: Vec<_> = (0..65).map(|i| (format!("x-{i}"), String::new())).collect();
        assert!(checked(&many, &[]).is_err());
        assert!(check("x", &"a".repeat(BYTES)).is_err());
    }
}
