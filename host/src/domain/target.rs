//! Deploy targets: engines besides the local one, and how they are reached.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::stack::check_name;
use super::{Id, UnixMs};
use crate::error::{Error, Result};

/// The engine of the server's own configuration, where stacks run that name no other.
pub const LOCAL: &str = "local";
const SSH_PORT: u16 = 22;
/// Where an engine listens on its machine.
const SOCKET: &str = "/var/run/docker.sock";
/// More than any key or chain of certificates.
const LARGEST_PEM: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub id: Id,
    pub seq: i64,
    /// As a stack's name; never changes, since stacks name it.
    pub name: String,
    pub kind: TargetKind,
    /// `tcp://host:port` or `ssh://user@host[:port][/path/of/the/socket]`.
    pub address: String,
    /// Where the router reaches published ports; none for a swarm.
    pub routes: Option<IpAddr>,
    /// Sealed [`TargetCredentials`].
    pub credentials: Option<String>,
    pub health: TargetHealth,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// One machine: every instance is a container.
    Engine,
    /// A cluster behind one of its managers: every instance is a service of one task, which the swarm places.
    Swarm,
}

impl TargetKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Swarm => "swarm",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Engine, Self::Swarm].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// By what this server proves who it is.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetCredentials {
    /// For `tcp`: the authority that signed the engine's certificate, in PEM.
    #[serde(default)]
    pub ca: Option<String>,
    /// For `tcp`: the client's certificate, in PEM.
    #[serde(default)]
    pub certificate: Option<String>,
    /// The private key: of the certificate in PEM, or OpenSSH's without a passphrase.
    pub key: String,
}

impl std::fmt::Debug for TargetCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TargetCredentials(…)")
    }
}

/// How an engine answered lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetHealth {
    pub checked_at: Option<UnixMs>,
    pub response_ms: Option<i64>,
    /// Why it cannot be used; none if it answered, or was never asked.
    pub error: Option<String>,
    pub failing_since: Option<UnixMs>,
    pub version: String,
    /// Such as `linux/amd64`.
    pub platform: String,
    /// Machines that take work: one, or a swarm's nodes that are ready.
    pub nodes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    Unknown,
    Reachable,
    Unreachable,
}

impl TargetState {
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Reachable, Self::Unreachable];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
        }
    }
}

impl TargetHealth {
    pub fn state(&self) -> TargetState {
        match (self.checked_at, &self.error) {
            (None, _) => TargetState::Unknown,
            (Some(_), None) => TargetState::Reachable,
            (Some(_), Some(_)) => TargetState::Unreachable,
        }
    }

    pub fn unwell(&mut self, at: UnixMs, error: String) {
        self.checked_at = Some(at);
        self.response_ms = None;
        self.failing_since.get_or_insert(at);
        self.error = Some(error);
    }
}

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tls { host: String, port: u16 },
    Ssh { user: String, host: String, port: u16, socket: String },
}

impl Address {
    /// # Errors
    /// `Invalid` on `address`, saying what is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::invalid("address", format!("`{}` {why}", text.escape_debug()));
        if let Some(rest) = text.strip_prefix("tcp://") {
            let (host, port) = host_and_port(rest).ok_or_else(|| wrong("has no usable host"))?;
            let port = port.ok_or_else(|| wrong("needs a port, usually 2376"))?;
            return Ok(Self::Tls { host, port });
        }
        let Some(rest) = text.strip_prefix("ssh://") else {
            return Err(wrong("is no address of an engine; take tcp://host:2376 or ssh://user@host"));
        };
        let (user, rest) =
            rest.split_once('@').ok_or_else(|| wrong("names no user; take ssh://user@host"))?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if user.is_empty() || user.starts_with('-') || !user.chars().all(is_name) {
            return Err(wrong("has an unusable user"));
        }
        let (place, socket) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, SOCKET),
        };
        let (host, port) = host_and_port(place).ok_or_else(|| wrong("has no usable host"))?;
        let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let is_straight = socket.split('/').all(|part| part != ".." && part != ".");
        if socket.len() > 100 || socket.ends_with('/') || !socket.chars().all(is_path) || !is_straight {
            return Err(wrong("has an unusable path of the engine's socket"));
        }
        let port = port.unwrap_or(SSH_PORT);
        Ok(Self::Ssh { user: user.into(), host, port, socket: socket.into() })
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; the host without its brackets.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => {
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { rest } else { rest.strip_prefix(':')? })
        }
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            if !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) {
                return None;
            }
            (host, port)
        }
    };
    if host.is_empty() || host.len() > 253 || host.starts_with(['-', '.']) {
        return None;
    }
    let port = match port {
        "" => None,
        text => Some(text.parse::<u16>().ok().filter(|port| *port > 0)?),
    };
    Some((host.to_string(), port))
}

/// What can be said of a target without asking it.
///
/// # Errors
/// `Invalid`, naming the field.
pub fn check(name: &str, kind: TargetKind, address: &str, routes: Option<IpAddr>) -> Result<()> {
    check_name("name", name)?;
    if name == LOCAL {
        return Err(Error::invalid("name", "`local` is the engine of the server's configuration"));
    }
    Address::parse(address)?;
    match (kind, routes) {
        (TargetKind::Engine, None) => Err(Error::invalid(
            "routeAddress",
            "say at which IP address of the machine the router reaches what runs there",
        )),
        (TargetKind::Swarm, Some(_)) => Err(Error::invalid(
            "routeAddress",
            "leave it out: a swarm's services are reached at the addresses that its nodes advertise",
        )),
        (TargetKind::Engine, Some(ip)) if ip.is_unspecified() || ip.is_multicast() => {
            Err(Error::invalid("routeAddress", format!("{ip} is no machine's address")))
        }
        _ => Ok(()),
    }
}

impl TargetCredentials {
    /// Whether they are what the address needs.
    ///
    /// # Errors
    /// `Invalid`, naming what is missing or too much.
    pub fn check(&self, address: &Address) -> Result<()> {
        let all = [("ca", self.ca.as_deref()), ("certificate", self.certificate.as_deref())];
        for (name, given) in all {
            let field = format!("credentials.{name}");
            match (address, given) {
                (Address::Tls { .. }, None) => {
                    return Err(Error::invalid(
                        field,
                        "an engine by tcp:// needs ca, certificate and key, in PEM: without them anybody could command it",
                    ));
                }
                (Address::Ssh { .. }, Some(_)) => {
                    return Err(Error::invalid(field, "an engine by ssh:// takes a key only"));
                }
                (Address::Tls { .. }, Some(text)) => pem(&field, text, "CERTIFICATE-----")?,
                (Address::Ssh { .. }, None) => {}
            }
        }
        pem("credentials.key", &self.key, "PRIVATE KEY-----")?;
        if self.key.contains("BEGIN ENCRYPTED") || self.key.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(Error::invalid(
                "credentials.key",
                "take a key without a passphrase: nobody is there to type it",
            ));
        }
        Ok(())
    }
}

fn pem(field: &str, text: &str, mark: &str) -> Result<()> {
    let is_pem = text.trim_start().starts_with("-----BEGIN ") && text.contains(mark);
    if is_pem && text.len() <= LARGEST_PEM && text.is_ascii() {
        return Ok(());
    }
    Err(Error::invalid(field, format!("this is not PEM (`-----BEGIN … {mark}`)")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let tls = Address::Tls { host: "10.0.0.7".into(), port: 2376 };
        assert_eq!(Address::parse("tcp://10.0.0.7:2376").unwrap(), tls);
        let six = Address::Tls { host: "fd00::7".into(), port: 2376 };
        assert_eq!(Address::parse("tcp://[fd00::7]:2376").unwrap(), six);
        let ssh = |port, socket: &str| Address::Ssh {
            user: "deploy".into(),
            host: "b.example".into(),
            port,
            socket: socket.into(),
        };
        assert_eq!(Address::parse("ssh://deploy@b.example").unwrap(), ssh(22, SOCKET));
        assert_eq!(
            Address::parse("ssh://deploy@b.example:2222/run/d.sock").unwrap(),
            ssh(2222, "/run/d.sock")
        );
    }

    #[test]
    fn what_a_program_could_take_for_an_option_is_no_address() {
        for odd in [
            "",
            "10.0.0.7",
            "http://a:1",
            "tcp://a",
            "tcp://:1",
            "tcp://a:0",
            "tcp://a:x",
            "tcp://[a]:1",
            "ssh://a",
            "ssh://-oProxyCommand=x@a",
            "ssh://u@-a",
            "ssh://u@a:b:c",
            "ssh://u@a/run/x:y",
            "ssh://u@a/",
            "ssh://u@a/run/../docker.sock",
            "ssh://u@../docker.sock",
            "ssh://u@a b",
        ] {
            assert!(Address::parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn an_engine_needs_an_address_for_routes_and_a_swarm_has_its_own() {
        let ip = Some(IpAddr::from([10, 0, 0, 7]));
        let address = "tcp://10.0.0.7:2376";
        assert!(check("a", TargetKind::Engine, address, ip).is_ok());
        assert!(check("a", TargetKind::Swarm, address, None).is_ok());
        for (name, kind, routes) in [
            ("local", TargetKind::Engine, ip),
            ("a", TargetKind::Engine, None),
            ("a", TargetKind::Engine, Some(IpAddr::from([0, 0, 0, 0]))),
            ("a", TargetKind::Swarm, ip),
        ] {
            assert!(check(name, kind, address, routes).is_err(), "{name} {kind:?} {routes:?}");
        }
    }

    #[test]
    fn credentials_fit_the_address() {
        let tls = Address::parse("tcp://a:1").unwrap();
        let ssh = Address::parse("ssh://u@a").unwrap();
        let certificate = || Some("-----BEGIN CERTIFICATE-----\n".to_string());
        let key = "-----BEGIN PRIVATE KEY-----\n".to_string();
        let both = TargetCredentials { ca: certificate(), certificate: certificate(), key: key.clone() };
        let only = TargetCredentials { key, ..TargetCredentials::default() };
        assert!(both.check(&tls).is_ok() && only.check(&ssh).is_ok());
        assert!(both.check(&ssh).is_err() && only.check(&tls).is_err());
        let locked = TargetCredentials { key: "-----BEGIN ENCRYPTED PRIVATE KEY-----".into(), ..only };
        assert!(locked.check(&ssh).unwrap_err().to_string().contains("passphrase"));
    }
}
