//! The listener of the API, the webhooks and the dashboard: a task for each connection, none of which may dawdle. It speaks
//! HTTP/1.1, as reverse proxies do with what is behind them.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::{Service as _, service_fn};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::network::inbound::{PAUSE, allow_many_connections, converse};

/// So many bytes of a body have to come in while the patience lasts, or all that are left.
const PORTION: usize = 64 * 1024;

/// Answers until `stop`, and after that what is under way.
///
/// `patience` is for the head of a request, for the next one on a connection that is kept, and for each portion of a body.
pub async fn listen(listener: TcpListener, paths: Router, patience: Duration, stop: CancellationToken) {
    allow_many_connections();
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                connections.spawn(welcome(stream, address, paths.clone(), patience, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "[@server:http] a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn welcome(
    stream: TcpStream,
    address: SocketAddr,
    paths: Router,
    patience: Duration,
    stop: CancellationToken,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let paths = TowerToHyperService::new(paths);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Punctual::new(body, patience)));
        request.extensions_mut().insert(ConnectInfo(address));
        paths.call(request)
    });
    converse(stream, service, patience, &stop).await;
}

/// A body whose next portion comes in time, or which ends with an error.
struct Punctual {
    body: Incoming,
    patience: Duration,
    /// From the first look at a body that is not there yet.
    deadline: Option<Pin<Box<Sleep>>>,
    portion: usize,
}

impl Punctual {
    fn new(body: Incoming, patience: Duration) -> Self {
        Self { body, patience, deadline: None, portion: 0 }
    }
}

impl HttpBody for Punctual {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                let bytes = match &frame {
                    Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
                    _ => 0,
                };
                this.portion += bytes;
                if this.portion >= PORTION {
                    this.portion = 0;
                    let next = Instant::now() + this.patience;
                    if let Some(deadline) = &mut this.deadline {
                        deadline.as_mut().reset(next);
                    }
                }
                Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)))
            }
            Poll::Pending => {
                let patience = this.patience;
                let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(deadline.as_mut().poll(context));
                let late = "the body of the request came in too slowly";
                Poll::Ready(Some(Err(axum::Error::new(std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    late,
                )))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
