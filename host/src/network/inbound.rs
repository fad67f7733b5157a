//! Connections that others open to us, with limits on what each may take of time and memory.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// All headers of one request. What comes in with one read may be more of it.
pub const HEAD_BYTES: usize = 64 * 1024;
const HEADERS: usize = 128;
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

/// Answers the requests of one HTTP/1.1 connection until it ends, or, after the request that it carries, until `ending`.
///
/// `patience` is for the head of a request, and for the next request on a connection that is kept. How a connection ends is
/// between its two ends; what was wrong with a request is in its answer.
pub async fn converse<I, S, B>(io: I, service: S, patience: Duration, ending: &CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
    tokio::select! {
        _ = connection.as_mut() => return,
        () = ending.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
