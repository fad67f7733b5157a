//! The way libgit2 takes to a server whose addresses were judged.
//!
//! libgit2 resolves and connects by itself. For ssh and git it is therefore told of a relay in this process in place of the
//! server, which dials what was judged; our own check of the host key goes by the name that the user wrote. For http and
//! https it connects by itself after the name was judged: it uses no proxy for http, and behind one for https it touches freed
//! memory when a certificate is refused (libgit2 1.9.7), so a relay would make matters worse.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper_util::client::proxy::matcher::Matcher;
use tokio_util::sync::CancellationToken;

use super::RepoAccess;
use super::error::away;
use super::relay::{Kind, Relay, Target};
use crate::domain::remote::{Remote, Scheme};
use crate::error::{Error, Result};
use crate::network::{Class, Outgoing, Trouble};

/// For one conversation; the relay ends with it.
pub(super) struct Way {
    /// What libgit2 is told to connect to.
    pub(super) url: String,
    /// By which proxy.
    pub(super) proxy: Option<String>,
    relay: Option<Relay>,
}

impl Way {
    /// # Errors
    /// `Invalid` for a host that may not be reached, `Unavailable` for one that nobody knows.
    pub(super) async fn open(outgoing: &Outgoing, access: &RepoAccess) -> Result<Self> {
        let remote = Remote::parse(&access.url)
            .map_err(|why| Error::invalid("repository.url", format!("`{}` {why}", access.shown())))?;
        if let Some(proxy) = proxy_of_environment(&remote) {
            judge_literal(outgoing, access, &remote)?;
            return Ok(Self { url: access.url.clone(), proxy: Some(proxy), relay: None });
        }
        let addresses =
            outgoing.addresses(remote.host, remote.port).await.map_err(|trouble| match trouble {
                Trouble::Unknown(why) => away(access, &why),
                Trouble::Refused(class) => refused(access, class),
            })?;
        let kind = match remote.scheme {
            Scheme::Https | Scheme::Http => {
                return Ok(Self { url: access.url.clone(), proxy: None, relay: None });
            }
            Scheme::Ssh | Scheme::Scp => Kind::Tunnel,
            Scheme::Git => Kind::GitTunnel,
        };
        let target = Target { host: remote.host.to_owned(), addresses, outgoing: outgoing.clone() };
        let relay = Relay::start(kind, target).await?;
        let url = led_to(&remote, &relay.address().to_string());
        Ok(Self { url, proxy: None, relay: Some(relay) })
    }

    /// Ends the relay, and with it what libgit2 waits for.
    pub(super) fn ending(&self) -> CancellationToken {
        self.relay.as_ref().map(Relay::ending).unwrap_or_default()
    }

    /// Why the relay cannot connect, which libgit2 only sees the consequences of.
    pub(super) fn away(&self) -> Option<String> {
        self.relay.as_ref().and_then(Relay::away)
    }
}

/// The URL with another host. The path of `user@host:path` may begin without a slash, which ssh:// cannot say.
fn led_to(remote: &Remote<'_>, address: &str) -> String {
    let user = remote.user.map(|user| format!("{user}@")).unwrap_or_default();
    match remote.scheme {
        Scheme::Scp => format!("[{user}{address}]:{}", remote.path),
        scheme => format!("{}://{user}{address}{}", scheme.as_str(), remote.path),
    }
}

/// Where an operator's proxy is to be used, it resolves and dials, and its own rules count. An address in the URL itself can
/// be judged nevertheless.
fn judge_literal(outgoing: &Outgoing, access: &RepoAccess, remote: &Remote<'_>) -> Result<()> {
    match remote.host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => outgoing.policy().judge(address).map_err(|class| refused(access, class)),
        Err(_) => Ok(()),
    }
}

/// The class is told and the address is not: a name of the internal network and where it leads are not everybody's to know.
fn refused(access: &RepoAccess, class: Class) -> Error {
    let what = class.words();
    let said = match class.is_never_reached() {
        true => {
            format!("the host of {} leads to {what}, which no repository is fetched from", access.shown())
        }
        false => format!(
            "the host of {} leads to {what}, which repositories are not fetched from here; who operates this server can \
             allow it with private_networks in [outgoing] (WINDLASS_PRIVATE_NETWORKS)",
            access.shown()
        ),
    };
    Error::invalid("repository.url", said)
}

/// `https_proxy`, `all_proxy` and `no_proxy`, as curl reads them; for http libgit2 uses none. It is told what we have read, so that the
/// two of us cannot disagree about it.
fn proxy_of_environment(remote: &Remote<'_>) -> Option<String> {
    if remote.scheme != Scheme::Https {
        return None;
    }
    let uri = format!("{}://{}", remote.scheme.as_str(), remote.authority()).parse().ok()?;
    let found = Matcher::from_env().intercept(&uri)?;
    let (scheme, authority) = (found.uri().scheme_str()?, found.uri().authority()?);
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let basic =
        found.basic_auth().and_then(|value| value.to_str().ok()).and_then(|text| text.strip_prefix("Basic "));
    let user = match basic.and_then(|encoded| STANDARD.decode(encoded).ok()) {
        Some(plain) => format!("{}@", user_information(&plain)),
        None => String::new(),
    };
    Some(format!("{scheme}://{user}{authority}"))
}

/// `user:password` as a URL has it.
fn user_information(plain: &[u8]) -> String {
    let mut text = String::new();
    let mut is_password = false;
    for byte in plain {
        match byte {
            b':' if !is_password => {
                is_password = true;
                text.push(':');
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte))
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libgit2_is_told_another_host_and_the_same_path() {
        for (url, led) in [
            ("ssh://git@forge.example:2222/a/b.git", "ssh://git@127.0.0.1:9/a/b.git"),
            ("ssh://forge.example/~/b.git", "ssh://127.0.0.1:9/~/b.git"),
            ("git@forge.example:a/b.git", "[git@127.0.0.1:9]:a/b.git"),
            ("git://forge.example/b", "git://127.0.0.1:9/b"),
        ] {
            assert_eq!(led_to(&Remote::parse(url).expect("a URL"), "127.0.0.1:9"), led);
        }
    }

    #[test]
    fn a_proxys_password_survives_its_way_into_a_url() {
        assert_eq!(user_information(b"me:p@ss:w/rd"), "me:p%40ss%3Aw%2Frd");
    }
}
