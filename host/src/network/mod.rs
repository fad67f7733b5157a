//! The way out of this server, for whatever somebody other than its operator can name the other side of: which addresses
//! may be dialled, and that exactly what was judged is dialled. And the way in, for connections of which nothing is known yet.
//!
//! A name is resolved once and all of its addresses are judged. Who resolves again when dialling gives a name the chance to
//! turn into another address in between.

mod address;
mod hop;
pub mod inbound;
mod system;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub use address::{Class, class_of};
pub use hop::named_by_connection;
pub use system::{Network, Pending, System};
pub use tls::{Stream, Unsecured, why_invalid};

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// Which addresses may be dialled. Those of the open internet always; what [`Class::is_never_reached`] never.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Further ones that may be.
    private: Arc<[IpNet]>,
}

impl Policy {
    /// The open internet and these networks.
    pub fn new(private: &[IpNet]) -> Self {
        Self { private: private.into() }
    }

    /// The open internet only.
    pub fn internet() -> Self {
        Self::new(&[])
    }

    /// Also whatever is private, this machine included: for what the operator has written down by himself.
    pub fn anywhere() -> Self {
        let all = |address: IpAddr| IpNet::new_assert(address, 0);
        Self::new(&[
            all(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
            all(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)),
        ])
    }

    /// # Errors
    /// What kind of address it is, if it may not be dialled.
    pub fn judge(&self, address: IpAddr) -> Result<(), Class> {
        let address = address::unwrapped(address);
        let class = class_of(address);
        let is_listed = || self.private.iter().any(|net| net.contains(&address));
        match class == Class::Public || (!class.is_never_reached() && is_listed()) {
            true => Ok(()),
            false => Err(class),
        }
    }
}

/// Why a host is not connected to.
#[derive(Debug)]
pub enum Trouble {
    /// It has no address, or nobody can say which.
    Unknown(String),
    /// One of its addresses may not be reached.
    Refused(Class),
}

/// A network, what may be reached of it, and whose certificates are trusted.
#[derive(Debug, Clone)]
pub struct Outgoing {
    policy: Policy,
    network: Arc<dyn Network>,
    trust: Arc<tls::Trust>,
}

impl Outgoing {
    /// The network that this machine has.
    pub fn new(policy: Policy) -> Self {
        Self::over(Arc::new(System), policy)
    }

    pub fn over(network: Arc<dyn Network>, policy: Policy) -> Self {
        Self { policy, network, trust: Arc::default() }
    }

    /// The same network under another policy.
    #[must_use]
    pub fn within(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The addresses of a host, each of which may be dialled. One that may not be is enough to refuse the host: which of
    /// them is dialled would be chance. An IPv6 address may be in brackets.
    ///
    /// # Errors
    /// The host has no address, or one that may not be reached.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let addresses = match literal {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self
                .network
                .resolve(host, port)
                .await
                .map_err(|error| Trouble::Unknown(format!("`{host}` cannot be resolved: {error}")))?,
        };
        if addresses.is_empty() {
            return Err(Trouble::Unknown(format!("`{host}` has no address")));
        }
        addresses.iter().try_for_each(|socket| self.policy.judge(socket.ip())).map_err(Trouble::Refused)?;
        Ok(addresses)
    }

    /// A connection to the first of these addresses that answers.
    ///
    /// # Errors
    /// What the last one said.
    pub async fn dial(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let mut last = io::Error::other("there is no address");
        for address in addresses.iter().take(ADDRESSES) {
            match self.network.dial(*address).await {
                Ok(stream) => {
                    // Only delays small messages if it fails.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// TLS over a connection to this host. `further` are certificates in PEM that are trusted beside the system's.
    ///
    /// # Errors
    /// The certificate is not valid for the host, or the connection broke off.
    pub async fn secured<S: Stream>(
        &self,
        stream: S,
        host: &str,
        further: Option<&str>,
    ) -> Result<TlsStream<S>, Unsecured> {
        self.trust.secured(stream, host, further).await
    }
}
