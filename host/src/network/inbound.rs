//! Connections that others open to us, with limits on what each may take of time and memory.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// All headers of one request.
const HEAD_BYTES: usize = 64 * 1024;
const HEADERS: usize = 128;
/// Requests at the same time on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// Where no file is left for another connection, a little time helps.
pub const PAUSE: Duration = Duration::from_millis(50);

/// Each connection is a file, and the usual limit is low.
pub fn allow_many_connections() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "[@server:http] the limit of open files stays as it is");
    }
}

/// Whether the client speaks HTTP/2 from the first byte. `None` if it says nothing for too long, or has gone.
pub async fn begins_as_http2(stream: &TcpStream, patience: Duration) -> Option<bool> {
    let mut first = [0; 3];
    let peeked = tokio::time::timeout(patience, stream.peek(&mut first)).await;
    match peeked {
        // `PRI * HTTP/2.0`; no method of HTTP/1.1 begins like that.
        Ok(Ok(count)) if count > 0 => Some(first == *b"PRI"),
        _ => None,
    }
}

/// Answers the requests of one connection until it ends, or, after the request that it carries, until `ending`.
///
/// `patience` is for the head of a request, and for the next request on a connection that is kept. How a connection ends is
/// between its two ends; what was wrong with a request is in its answer.
pub async fn converse<I, S, B>(io: I, is_h2: bool, service: S, patience: Duration, ending: &CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let io = TokioIo::new(io);
    if is_h2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES as u32)
            .keep_alive_interval(patience)
            .adaptive_window(true);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = ending.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service).with_upgrades());
        tokio::select! {
            _ = connection.as_mut() => return,
            () = ending.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}
