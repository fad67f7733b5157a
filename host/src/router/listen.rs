//! The public side: sockets, TLS, and a task for each connection.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::Client;
use super::certificates::{Resolver, provider};
use super::proxy;
use super::state::Router;
use crate::error::{Error, Result};
use crate::network::inbound::{PAUSE, begins_as_http2, converse};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// For the head of a request, and for the next request on a connection that is kept.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// A socket that is listened on.
#[derive(Debug)]
pub struct Door {
    /// As it was configured: the same door of the next process.
    pub name: String,
    pub tls: bool,
    pub listener: StdListener,
}

impl Door {
    /// # Errors
    /// `Unavailable` with the address and what the operating system says.
    pub fn open(name: &str, tls: bool, address: SocketAddr) -> Result<Self> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)?.into_std()
        };
        let listener = bind().map_err(|error| {
            let key = if tls { "router.https" } else { "router.http" };
            Error::unavailable(format!(
                "{address} cannot be listened on: {error}; another program may have it, or it takes root: change {key}"
            ))
        })?;
        Ok(Self { name: name.to_string(), tls, listener })
    }

    /// Where it really listens, as a URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        self.listener
            .local_addr()
            .map_or_else(|_| self.name.clone(), |address| format!("{scheme}://{address}"))
    }
}

/// What all connections share.
#[derive(Clone)]
pub struct House {
    pub router: Arc<Router>,
    /// No new connections.
    pub closing: CancellationToken,
    /// New connections are another process's: HTTP/2 clients are told so.
    pub moved: CancellationToken,
    /// Connections end after the request they carry, idle ones at once.
    pub ending: CancellationToken,
    pub connections: TaskTracker,
}

impl House {
    pub fn leave(&self) {
        self.moved.cancel();
        self.ending.cancel();
    }

    /// Accepts until the house closes.
    ///
    /// # Errors
    /// If the socket cannot be used at all.
    pub fn accept(&self, door: &Door) -> Result<()> {
        let listener = door.listener.try_clone().and_then(TcpListener::from_std).map_err(Error::internal)?;
        let acceptor = door.tls.then(|| acceptor(&self.router)).transpose()?;
        let house = self.clone();
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = house.closing.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((stream, address)) => {
                        let (connection, acceptor) = (house.clone(), acceptor.clone());
                        house.connections.spawn(async move {
                            connection.welcome(stream, address, acceptor).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "[@router:http] a connection cannot be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        });
        Ok(())
    }

    async fn welcome(self, stream: TcpStream, address: SocketAddr, acceptor: Option<TlsAcceptor>) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let client = Client { address: address.ip(), tls: acceptor.is_some() };
        let Some(acceptor) = acceptor else {
            if let Some(is_h2) = begins_as_http2(&stream, HEAD_PATIENCE).await {
                self.serve(stream, client, is_h2).await;
            }
            return;
        };
        let shaken = tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await;
        match shaken {
            Ok(Ok(stream)) => {
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.serve(stream, client, is_h2).await;
            }
            Ok(Err(error)) => tracing::debug!(%address, %error, "[@router:tls] no handshake"),
            Err(_) => tracing::debug!(%address, "[@router:tls] the handshake took too long"),
        }
    }

    async fn serve<I>(self, io: I, client: Client, is_h2: bool)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let router = router.clone();
            async move {
                let version = request.version();
                let mut response = proxy::serve(router.clone(), client, request).await;
                if router.leaving.load(Ordering::Relaxed) && version < Version::HTTP_2 {
                    response.headers_mut().entry(CONNECTION).or_insert(HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let ending = if is_h2 { &self.moved } else { &self.ending };
        converse(io, is_h2, service, HEAD_PATIENCE, ending).await;
    }
}

fn acceptor(router: &Router) -> Result<TlsAcceptor> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver(router.live.clone())));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
