//! Where a request goes: an origin, a path and a query, checked as text and sent exactly as checked.
//!
//! Nothing is normalised: what two parties could read in two ways is refused.

use std::fmt;
use std::net::IpAddr;

use url::Url;

use crate::network::{Class, class_of};

/// Most bytes of a path with its query.
const PATH_BYTES: usize = 8 << 10;

/// Scheme, host and port (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) is_tls: bool,
    /// In lower case; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Origin {
    pub(super) fn of(url: &Url) -> Option<Self> {
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self { is_tls, host: url.host_str()?.to_ascii_lowercase(), port: url.port_or_known_default()? })
    }

    /// The host as an address, if it is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    pub(super) fn is_literally_private(&self) -> bool {
        match self.address() {
            Some(address) => class_of(address) != Class::Public,
            None => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// What the header `Host` says (RFC 9110, section 7.2).
    pub(super) fn authority(&self) -> String {
        let usual = if self.is_tls { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

/// A place on an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) origin: Origin,
    /// The whole path, with the connection's base path in front where it is the connection's origin.
    pub(super) path: String,
    pub(super) query: Option<String>,
}

impl Target {
    /// What a guest wrote: relative to the base URL, or absolute. The error says what is wrong with it.
    pub(super) fn parse(written: &str, base: &Origin, base_path: &str) -> Result<Self, String> {
        if written.len() > PATH_BYTES {
            return Err(format!("the path is longer than {PATH_BYTES} bytes"));
        }
        if let Some(bad) =
            written.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '#' | '"' | '<' | '>'))
        {
            return Err(format!(
                "`{}` in a path has to be percent-encoded, or does not belong there",
                bad.escape_default()
            ));
        }
        if written.starts_with("https://") || written.starts_with("http://") {
            return Self::parse_absolute(written);
        }
        let (path, query) = split_query(written);
        // Without a path the base URL itself is meant, which need not end with `/`.
        if !(path.is_empty() || path.starts_with('/')) || path.starts_with("//") {
            return Err("the path has to begin with one `/`".into());
        }
        check_path(path)?;
        let path = format!("{base_path}{path}");
        let path = if path.is_empty() { "/".to_owned() } else { path };
        Ok(Self { origin: base.clone(), path, query })
    }

    fn parse_absolute(written: &str) -> Result<Self, String> {
        let after_scheme = written.split_once("://").map_or("", |(_, rest)| rest);
        let end = after_scheme.find(['/', '?']).unwrap_or(after_scheme.len());
        let (authority, rest) = after_scheme.split_at(end);
        if authority.contains('@') {
            return Err("a URL with user information is never sent".into());
        }
        // The parser would take the path's first segment for a host.
        if authority.is_empty() {
            return Err("the URL has no host".into());
        }
        let url = Url::parse(written).map_err(|error| format!("the URL cannot be read: {error}"))?;
        let origin = Origin::of(&url).ok_or("the URL has no host")?;
        let (path, query) = split_query(rest);
        let path = if path.is_empty() { "/" } else { path };
        check_path(path)?;
        Ok(Self { origin, path: path.to_owned(), query })
    }

    /// Where a `Location` leads to from here (RFC 9110, section 10.2.2).
    pub(super) fn redirected(&self, location: &str) -> Result<Self, String> {
        let here = Url::parse(&format!("{}{}", self.origin, self.request_target()))
            .map_err(|error| format!("the redirect has no start: {error}"))?;
        let mut there =
            here.join(location).map_err(|error| format!("the redirect cannot be read: {error}"))?;
        if !there.username().is_empty() || there.password().is_some() {
            return Err("a redirect to a URL with user information is not followed".into());
        }
        there.set_fragment(None);
        if Origin::of(&there).is_none() {
            return Err("a redirect to another scheme than https or http is not followed".into());
        }
        Self::parse_absolute(there.as_str())
    }

    /// The path below the base path, if it is below.
    pub(super) fn below(&self, base_path: &str) -> Option<&str> {
        self.path.strip_prefix(base_path).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// What stands in the request line: path and query.
    pub(super) fn request_target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

fn split_query(text: &str) -> (&str, Option<String>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (text, None),
    }
}

/// Refuses what could be read as another path by a server, a proxy in front of it, or a framework behind it.
fn check_path(path: &str) -> Result<(), String> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (i, segment) in segments.iter().enumerate() {
        if segment.is_empty() && i + 1 < segments.len() {
            return Err("the path has an empty segment (`//`)".into());
        }
        let decoded =
            decode(segment).ok_or_else(|| "the path has a `%` without two hexadecimal digits".to_owned())?;
        if decoded.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\') {
            return Err("the path has an encoded control character or backslash".into());
        }
        // Some servers decode twice.
        let twice = decode(&String::from_utf8_lossy(&decoded)).unwrap_or_default();
        let has_dots = |bytes: &[u8]| {
            // What follows a semicolon is a parameter for some servers: `..;x` is `..` there.
            bytes.split(|byte| matches!(byte, b'/' | b'\\')).any(|piece| {
                matches!(piece.split(|byte| *byte == b';').next().unwrap_or_default(), b"." | b"..")
            })
        };
        if has_dots(&decoded) || has_dots(&twice) {
            return Err("the path has a `.` or `..` segment".into());
        }
    }
    Ok(())
}

/// Percent-decoded once; none if a `%` is not followed by two hexadecimal digits.
fn decode(segment: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

/// Whether a path, without its query, fits a pattern: `*` is one segment, `**` any number of them, `*%2F*` one segment
/// that may contain encoded slashes.
pub(super) fn fits(pattern: &str, path: &str) -> bool {
    let split = |text: &'_ str| -> Vec<String> {
        text.trim_start_matches('/').split('/').map(str::to_owned).collect()
    };
    fits_segments(&split(pattern), &split(path))
}

/// The usual greedy match with one place to come back to, so that no pattern takes more than quadratic time.
fn fits_segments(pattern: &[String], path: &[String]) -> bool {
    let (mut p, mut s, mut back) = (0, 0, None);
    while s < path.len() {
        match pattern.get(p).map(String::as_str) {
            Some("**") => {
                back = Some((p, s));
                p += 1;
            }
            Some(wanted) if fits_segment(wanted, &path[s]) => {
                p += 1;
                s += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    p = star + 1;
                    s = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| rest == "**")
}

fn fits_segment(wanted: &str, segment: &str) -> bool {
    match wanted {
        "*%2F*" | "*%2f*" => !segment.is_empty(),
        "*" => !segment.is_empty() && decode(segment).is_some_and(|bytes| !bytes.contains(&b'/')),
        _ => decode(wanted).is_some_and(|wanted| decode(segment) == Some(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Origin {
        Origin { is_tls: true, host: "ci.example".into(), port: 443 }
    }

    #[test]
    fn what_leaves_the_base_or_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "x",
            "//evil.example/x",
            "/a/../b",
            "/..",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a/.%2e",
            "/a/%2e",
            "/./a",
            "/a\\..\\b",
            "/a%5c..%5cb",
            "/a%2f..%2fb",
            "/a/..;x=1/b",
            "/a/%252e%252e/b",
            "/a//b",
            "/a#b",
            "/a b",
            "/a\r\nx: y",
            "/a%0d%0a",
            "/a%00",
            "/a%zz",
            "/a%",
            "/ä",
            "https://user@ci.example/a",
            "https://user:pw@ci.example/a",
            "https://ci.example/a/../b",
            "https:///a",
        ] {
            assert!(Target::parse(bad, &base(), "/ci").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_good_path_is_put_below_the_base_as_it_is() {
        let target = Target::parse("/job/a%20b/api..json?q=..%2F&x=//y", &base(), "/ci").expect("it is good");
        assert_eq!(target.request_target(), "/ci/job/a%20b/api..json?q=..%2F&x=//y");
        assert_eq!(target.below("/ci"), Some("/job/a%20b/api..json"));
        let beside = Target::parse("https://ci.example/cia", &base(), "/ci").expect("it is a URL");
        assert_eq!(beside.below("/ci"), None);
    }

    #[test]
    fn without_a_path_the_base_url_itself_is_meant() {
        for (written, base_path, target) in
            [("", "/hook/7", "/hook/7"), ("?a=b", "/hook/7", "/hook/7?a=b"), ("", "", "/")]
        {
            let found = Target::parse(written, &base(), base_path).expect("it is good");
            assert_eq!(found.request_target(), target);
            assert!(found.below(base_path).is_some_and(|path| fits("/**", path)));
        }
        let beside = Target::parse("https://ci.example/hook/77", &base(), "/hook/7").expect("it is a URL");
        assert_eq!(beside.below("/hook/7"), None);
    }

    #[test]
    fn a_redirect_is_resolved_and_checked_again() {
        let here = Target::parse("/a/b?c", &base(), "").expect("it is good");
        let at =
            |location| here.redirected(location).map(|target| format!("{}{}", target.origin, target.path));
        assert_eq!(at("../x").as_deref(), Ok("https://ci.example/x"));
        assert_eq!(at("//other.example:8443/y").as_deref(), Ok("https://other.example:8443/y"));
        assert!(at("https://u:p@ci.example/").is_err());
        assert!(at("file:///etc/passwd").is_err());
        assert!(at("/a%2f..%2fb").is_err());
    }

    #[test]
    fn patterns_match_segment_by_segment() {
        for (pattern, path, wanted) in [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a", false),
            ("/a/*", "/a/", false),
            ("/a/*", "/a/b/c", false),
            ("/a/*", "/a/b%2Fc", false),
            ("/a/*%2F*/x", "/a/b%2Fc/x", true),
            ("/a/**", "/a", true),
            ("/a/**", "/a/b%2Fc/d", true),
            ("/**/d", "/a/b/d", true),
            ("/**/d", "/a/b/e", false),
            ("/**", "/", true),
            ("/a", "/%61", true),
            ("/a", "/A", false),
            ("/a/**/b/**/c", "/a/b/x/y/c", true),
            ("/", "/", true),
        ] {
            assert_eq!(fits(pattern, path), wanted, "{pattern} {path}");
        }
    }
}
