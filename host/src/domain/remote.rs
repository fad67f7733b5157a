//! The address of a git repository, taken apart. Everything that wants to know a repository's host asks here: two readings of
//! one URL would be two hosts, of which one was checked and the other one connected to.

use std::net::Ipv6Addr;

/// What git can be reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Https,
    Http,
    Git,
    Ssh,
    /// `user@host:path`
    Scp,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        [Self::Https, Self::Http, Self::Git, Self::Ssh].into_iter().find(|scheme| scheme.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Git => "git",
            Self::Ssh | Self::Scp => "ssh",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Git => 9418,
            Self::Ssh | Self::Scp => 22,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote<'a> {
    pub scheme: Scheme,
    pub user: Option<&'a str>,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a str,
    pub port: u16,
    /// As written: with its slash, except behind `user@host:`.
    pub path: &'a str,
}

impl<'a> Remote<'a> {
    /// Accepts `https://`, `http://`, `ssh://`, `git://` and `user@host:path`; nothing that git would run or read locally,
    /// and nothing that two programs could read in two ways.
    ///
    /// The form `ext::…`, option-like hosts (`ssh://-oProxyCommand=…`, CVE-2017-1000117) and user names, and embedded
    /// passwords are refused.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with the URL.
    pub fn parse(url: &'a str) -> Result<Self, &'static str> {
        if url.len() > 2048 || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("contains blanks or control characters, or is longer than 2048 bytes");
        }
        let (scheme, authority, path) = match url.split_once("://") {
            Some((scheme, rest)) => {
                let scheme = Scheme::parse(scheme)
                    .ok_or("has a scheme that is not supported; take https, http, ssh or git")?;
                let (authority, path) = rest.split_at(end_of_authority(rest));
                (scheme, authority, path)
            }
            None => scp(url)?,
        };
        let (user, host_port) = match authority.split_once('@') {
            Some((user, rest)) => (Some(user).filter(|user| !user.is_empty()), rest),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("contains a password; store it as the repository's credential instead");
        }
        let is_usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'%');
        if user.is_some_and(|user| user.starts_with('-') || !user.bytes().all(is_usual)) {
            return Err("has a user name with unusual characters");
        }
        if !path.is_empty() && !path.starts_with('/') && scheme != Scheme::Scp {
            return Err("has something else than a path behind its host");
        }
        let (host, port) = host_and_port(host_port)?;
        Ok(Self { scheme, user, host, port: port.unwrap_or(scheme.default_port()), path })
    }

    /// Where the server is, whatever the repository: what a token of it is good for.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.authority())
    }

    /// The host and, unless it is the usual one, the port.
    pub fn authority(&self) -> String {
        match self.port == self.scheme.default_port() {
            true => self.host.to_ascii_lowercase(),
            false => format!("{}:{}", self.host.to_ascii_lowercase(), self.port),
        }
    }
}

/// Where the part ends that names user, host and port. Browsers take a backslash for a slash.
pub(super) fn end_of_authority(rest: &str) -> usize {
    rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())
}

/// `user@host:path`
fn scp(url: &str) -> Result<(Scheme, &str, &str), &'static str> {
    let no_url = "is not a repository URL; write https://host/path, ssh://user@host/path or user@host:path";
    let start = match url.find("@[") {
        Some(bracket) => url[bracket..].find(']').map_or(0, |end| bracket + end),
        None => 0,
    };
    if url[start..].contains("::") {
        return Err("names a transport helper, which is never run");
    }
    let colon = url[start..].find(':').map(|at| start + at).ok_or(no_url)?;
    let (authority, path) = (&url[..colon], &url[colon + 1..]);
    match authority.contains('@') && !path.is_empty() {
        true => Ok((Scheme::Scp, authority, path)),
        false => Err(no_url),
    }
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let no_host = "has no usable host";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']').ok_or(no_host)?;
            rest[..end].parse::<Ipv6Addr>().map_err(|_| no_host)?;
            (&text[..end + 2], &rest[end + 1..])
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            if host.is_empty() || host.starts_with(['-', '.']) || !host.bytes().all(is_usual) {
                return Err(no_host);
            }
            (host, port)
        }
    };
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse::<u16>().ok()).filter(|port| *port > 0);
    number.map(|port| (host, Some(port))).ok_or("has a port that is none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_stands_before_the_path_and_nothing_else() {
        for (url, scheme, host, port, path) in [
            ("https://good.example/@evil.example/x", Scheme::Https, "good.example", 443, "/@evil.example/x"),
            (
                "https://good.example/x?y@evil.example",
                Scheme::Https,
                "good.example",
                443,
                "/x?y@evil.example",
            ),
            ("http://u@good.example:8080/a:b@c", Scheme::Http, "good.example", 8080, "/a:b@c"),
            (
                "git@good.example:a/b@evil.example.git",
                Scheme::Scp,
                "good.example",
                22,
                "a/b@evil.example.git",
            ),
            ("git@[::1]:a/b", Scheme::Scp, "[::1]", 22, "a/b"),
            ("ssh://git@[fe80::1]:2222/a", Scheme::Ssh, "[fe80::1]", 2222, "/a"),
            ("git://good.example/x", Scheme::Git, "good.example", 9418, "/x"),
            ("https://good.example", Scheme::Https, "good.example", 443, ""),
        ] {
            let remote = Remote::parse(url).unwrap_or_else(|why| panic!("{url} {why}"));
            assert_eq!((remote.scheme, remote.host, remote.port, remote.path), (scheme, host, port, path));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for url in [
            "ssh://:a/b",
            "ssh://git@:22/b",
            "https://good.example\\@evil.example/x",
            "https://good.example?@evil.example/x",
            "https://good.example#@evil.example/x",
            "https://a@good.example@evil.example/x",
            "https://good.example:80@evil.example/x",
            "https://good.example:/x",
            "https://good.example:0/x",
            "https://good.example:99999/x",
            "https://good.example:+1/x",
            "https://good%2eexample/x",
            "https://g\u{f6}\u{f6}d.example/x",
            "https://[::1/x",
            "https://[evil.example]/x",
            "https://[::1]evil.example/x",
            "git@[good.example:22]:x",
            "[git@good.example:22]:x",
            "git@a@evil.example:x",
            "git@good.example/x",
        ] {
            assert!(Remote::parse(url).is_err(), "{url}");
        }
    }
}
