//! The public side: sockets, TLS, and a task for each connection.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::Client;
use super::certificates::{Resolver, provider};
use super::proxy;
use super::state::Router;
use crate::error::{Error, Result};
use crate::network::inbound::{HEAD_BYTES, PAUSE, converse};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// For the head of a request, and for the next request on a connection that is kept.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// How every HTTP/2 connection begins (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests at the same time on one HTTP/2 connection.
const STREAMS: u32 = 256;
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
            if let Some(is_h2) = begins_as_http2(&stream).await {
                self.serve(stream, client, is_h2).await;
            }
            return;
        };
        let shaken = timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await;
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
        if !is_h2 {
            return converse(io, service, HEAD_PATIENCE, &self.ending).await;
        }
        let Ok(Some(io)) = timeout(HEAD_PATIENCE, Begun::read(io)).await else { return };
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES as u32)
            .keep_alive_interval(HEAD_PATIENCE)
            .adaptive_window(true);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.moved.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

/// Whether the client speaks HTTP/2 from the first byte. `None` if it says nothing for too long, or has gone.
async fn begins_as_http2(stream: &TcpStream) -> Option<bool> {
    let mut first = [0; 3];
    let peeked = timeout(HEAD_PATIENCE, stream.peek(&mut first)).await;
    match peeked {
        // `PRI * HTTP/2.0`; no method of HTTP/1.1 begins like that.
        Ok(Ok(count)) if count > 0 => Some(first == *b"PRI"),
        _ => None,
    }
}

/// A connection whose beginning was read already. The HTTP/2 library would wait for that part without end.
struct Begun<I> {
    first: Cursor<[u8; PREFACE.len()]>,
    io: I,
}

impl<I: AsyncRead + Unpin> Begun<I> {
    /// None if it does not begin as RFC 9113, section 3.4, wants it.
    async fn read(mut io: I) -> Option<Self> {
        let mut first = [0; PREFACE.len()];
        io.read_exact(&mut first).await.ok()?;
        (first == *PREFACE).then(|| Self { first: Cursor::new(first), io })
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Begun<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.position() < PREFACE.len() as u64 {
            return Pin::new(&mut self.first).poll_read(context, buffer);
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Begun<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_of_an_http2_connection_is_read_again_and_half_a_beginning_is_none() {
        let whole = [PREFACE.as_slice(), b"frames"].concat();
        let mut text = Vec::new();
        let mut begun = Begun::read(whole.as_slice()).await.expect("it begins as it should");
        begun.read_to_end(&mut text).await.expect("it is in memory");
        assert_eq!(text, whole);
        assert!(Begun::read(&whole[..20]).await.is_none());
        assert!(Begun::read(b"PRI * HTTP/2.0\r\n\r\nsomething".as_slice()).await.is_none());
    }
}
