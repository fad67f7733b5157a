//! A server that an http or https URL leads to: who it is, which of its addresses were judged, and connecting to it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::{Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::error::Obstacle;
use super::relay::CONNECT;
use crate::domain::remote::{Remote, Scheme};
use crate::network::{Outgoing, Policy, Stream, Trouble, Unsecured, why_invalid};

/// Whom a credential is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) is_tls: bool,
    /// A name, an IPv4 address, or an IPv6 address in brackets; in lower case.
    host: String,
    port: u16,
}

impl Origin {
    pub(super) fn of(remote: &Remote<'_>) -> Self {
        let is_tls = remote.scheme == Scheme::Https;
        Self { is_tls, host: remote.host.to_ascii_lowercase(), port: remote.port }
    }

    /// With its port, even the usual one.
    fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// As requests name it.
    pub(super) fn authority(&self) -> String {
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            _ => self.host_and_port(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

/// A server, and how it is connected to.
pub(super) struct Place {
    pub(super) origin: Origin,
    by: By,
}

enum By {
    /// One of these addresses, all of them judged.
    Addresses(Vec<SocketAddr>),
    Proxy(Proxy),
}

impl Place {
    /// Resolves and judges; nothing is connected to.
    pub(super) async fn find(outgoing: &Outgoing, remote: &Remote<'_>) -> Result<Self, Obstacle> {
        let origin = Origin::of(remote);
        if let Some(proxy) = Proxy::of_environment(&origin) {
            judge_literal(outgoing, remote.host)?;
            return Ok(Self { origin, by: By::Proxy(proxy) });
        }
        let addresses = outgoing.addresses(remote.host, remote.port).await.map_err(Obstacle::at)?;
        Ok(Self { origin, by: By::Addresses(addresses) })
    }

    /// A connection that requests can be sent by.
    pub(super) async fn connect(&self, outgoing: &Outgoing) -> Result<Box<dyn Stream>, Obstacle> {
        timeout(CONNECT, self.dial(outgoing))
            .await
            .unwrap_or_else(|_| Err(Obstacle::Away(format!("no connection within {} s", CONNECT.as_secs()))))
    }

    async fn dial(&self, outgoing: &Outgoing) -> Result<Box<dyn Stream>, Obstacle> {
        let stream: Box<dyn Stream> = match &self.by {
            By::Addresses(addresses) => {
                let dialled = outgoing.dial(addresses).await;
                Box::new(dialled.map_err(|error| Obstacle::Away(error.to_string()))?)
            }
            By::Proxy(proxy) => proxy.tunnel(outgoing, &self.origin).await?,
        };
        match self.origin.is_tls {
            true => secured(outgoing, stream, &self.origin.host).await,
            false => Ok(stream),
        }
    }
}

async fn secured(
    outgoing: &Outgoing,
    stream: Box<dyn Stream>,
    host: &str,
) -> Result<Box<dyn Stream>, Obstacle> {
    match outgoing.secured(stream, host, None).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(Unsecured::Tls(rustls::Error::InvalidCertificate(error))) => {
            Err(Obstacle::Certificate(why_invalid(&error)))
        }
        Err(Unsecured::Tls(error)) => Err(Obstacle::Away(format!("TLS: {error}"))),
        Err(Unsecured::Unusable(why)) => Err(Obstacle::Away(format!("TLS: {why}"))),
        Err(Unsecured::Broken(error)) => {
            Err(Obstacle::Away(format!("the connection broke off in the TLS handshake: {error}")))
        }
    }
}

/// Where an operator's proxy is to be used, it resolves and dials, and its own rules count. An address in the URL itself can
/// be judged nevertheless.
fn judge_literal(outgoing: &Outgoing, host: &str) -> Result<(), Obstacle> {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => {
            outgoing.policy().judge(address).map_err(|class| Obstacle::at(Trouble::Refused(class)))
        }
        Err(_) => Ok(()),
    }
}

/// An operator's proxy.
struct Proxy {
    origin: Origin,
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// `https_proxy`, `all_proxy` and `no_proxy`, as curl reads them; for http there is none.
    fn of_environment(origin: &Origin) -> Option<Self> {
        match origin.is_tls {
            true => Self::chosen_by(&Matcher::from_env(), origin),
            false => None,
        }
    }

    fn chosen_by(matcher: &Matcher, origin: &Origin) -> Option<Self> {
        let found = matcher.intercept(&origin.to_string().parse::<Uri>().ok()?)?;
        let is_tls = match found.uri().scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = found.uri().host()?.to_ascii_lowercase();
        let port = found.uri().port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Some(Self { origin: Origin { is_tls, host, port }, authorization: found.basic_auth().cloned() })
    }

    /// The operator has written the proxy's address, so it may be any.
    async fn connect(&self, outgoing: &Outgoing) -> Result<Box<dyn Stream>, Obstacle> {
        let outgoing = outgoing.within(Policy::anywhere());
        let addresses = outgoing.addresses(&self.origin.host, self.origin.port).await;
        let addresses = addresses.map_err(|trouble| match trouble {
            Trouble::Unknown(_) => of_proxy("it has no address"),
            Trouble::Refused(class) => of_proxy(format!("it leads to {}", class.words())),
        })?;
        let stream: Box<dyn Stream> = Box::new(outgoing.dial(&addresses).await.map_err(of_proxy)?);
        if !self.origin.is_tls {
            return Ok(stream);
        }
        secured(&outgoing, stream, &self.origin.host).await.map_err(|obstacle| match obstacle {
            Obstacle::Certificate(why) => of_proxy(format!("its certificate is not valid: {why}")),
            Obstacle::Away(why) => of_proxy(why),
            other => other,
        })
    }

    /// A connection to the server behind the proxy.
    async fn tunnel(&self, outgoing: &Outgoing, to: &Origin) -> Result<Box<dyn Stream>, Obstacle> {
        let stream = TokioIo::new(self.connect(outgoing).await?);
        let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(stream).await.map_err(of_proxy)?;
        // It has nothing more to do when the tunnel is there, and is dropped with this function.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
        let mut request = Request::connect(to.host_and_port()).body(Empty::new()).map_err(of_proxy)?;
        let host = HeaderValue::try_from(to.host_and_port()).map_err(of_proxy)?;
        request.headers_mut().insert(HOST, host);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let response = sender.send_request(request).await.map_err(of_proxy)?;
        if !response.status().is_success() {
            return Err(of_proxy(format!("it answers with {}", response.status())));
        }
        let tunnel = hyper::upgrade::on(response).await.map_err(of_proxy)?;
        Ok(Box::new(TokioIo::new(tunnel)))
    }
}

fn of_proxy(why: impl fmt::Display) -> Obstacle {
    Obstacle::Away(format!("the proxy that this server has to use: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&Remote::parse(url).expect("a URL"))
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_in_whatever_form() {
        assert_eq!(origin("https://Forge.example/a"), origin("https://u@forge.example:443/b"));
        for other in ["http://forge.example/a", "https://forge.example:444/a", "https://forge.example./a"] {
            assert_ne!(origin("https://forge.example/a"), origin(other), "{other}");
        }
        assert_eq!(origin("http://[::1]:80/a").to_string(), "http://[::1]");
        assert_eq!(origin("http://forge.example:443/a").authority(), "forge.example:443");
    }

    #[test]
    fn a_proxy_is_used_for_https_with_the_login_in_its_url() {
        let matcher =
            Matcher::builder().all("http://me:p%40ss@proxy.example:3128").no("inside.example").build();
        let proxy = Proxy::chosen_by(&matcher, &origin("https://forge.example/a")).expect("a proxy");
        assert_eq!(proxy.origin.to_string(), "http://proxy.example:3128");
        assert_eq!(proxy.authorization.expect("a login"), "Basic bWU6cEBzcw==");
        assert!(Proxy::chosen_by(&matcher, &origin("https://inside.example/a")).is_none());
        assert!(Proxy::of_environment(&origin("http://forge.example/a")).is_none());
    }
}
