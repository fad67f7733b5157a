//! Connections to targets: kept open, and driven by the very task that uses them.
//!
//! A connection has no task of its own: whoever waits for its answer polls it. That saves two wake-ups and a move to another
//! processor for each request. While it is idle nobody polls it; that it was closed meanwhile is noticed when it is taken.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::quiet::Quiet;
use crate::domain::route::Probe;

/// Idle connections that are kept to one target.
const IDLE: usize = 512;
/// Below the five seconds after which common application servers close an idle connection.
const IDLE_FOR: Duration = Duration::from_secs(4);

/// One target and what is known of it. Lives as long as a table has its address.
#[derive(Debug)]
pub struct Upstream {
    pub address: SocketAddr,
    healthy: AtomicBool,
    /// Why it is out of rotation.
    reason: Mutex<String>,
    idle: Mutex<Vec<Idle>>,
    /// Requests and WebSockets that it answers.
    pub in_flight: AtomicU32,
    /// Set when no table has it any more: connections end after what they carry.
    closed: AtomicBool,
    pub(super) probing: Mutex<Option<(Probe, AbortHandle)>>,
}

#[derive(Debug)]
struct Idle {
    line: Line,
    since: Instant,
}

/// A connection with the means to send on it.
#[derive(Debug)]
pub struct Line {
    send: SendRequest<Outgoing>,
    connection: Connection<TokioIo<TcpStream>, Outgoing>,
    ended: bool,
    /// It has carried a request before, so the other side may be closing it just now.
    pub used: bool,
}

/// What is sent to a target: the client's body, or none.
#[derive(Debug, Default)]
pub struct Outgoing(Option<(Incoming, Arc<Quiet>)>);

impl Outgoing {
    pub fn of(body: Incoming) -> Self {
        Self((!body.is_end_stream()).then(|| (body, Quiet::new())))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Knows how long nothing of the body has moved.
    pub fn quiet(&self) -> Option<Arc<Quiet>> {
        self.0.as_ref().map(|(_, quiet)| quiet.clone())
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some((body, quiet)) = &mut self.0 else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        if frame.is_ready() {
            quiet.moved();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

impl Upstream {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            healthy: AtomicBool::new(true),
            reason: Mutex::default(),
            idle: Mutex::default(),
            in_flight: AtomicU32::default(),
            closed: AtomicBool::new(false),
            probing: Mutex::default(),
        }
    }

    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    pub fn set_health(&self, verdict: Result<(), String>) {
        self.healthy.store(verdict.is_ok(), Ordering::Relaxed);
        *lock(&self.reason) = verdict.err().unwrap_or_default();
    }

    pub fn reason(&self) -> String {
        lock(&self.reason).clone()
    }

    /// An open connection that was used before, if there is one that still lives.
    pub async fn take_idle(&self) -> Option<Line> {
        loop {
            let mut line = lock(&self.idle).pop()?.line;
            if line.is_alive().await {
                return Some(line);
            }
        }
    }

    /// # Errors
    /// What the operating system says; `TimedOut` after `patience`.
    pub async fn connect(&self, patience: Duration) -> std::io::Result<Line> {
        let connecting = TcpStream::connect(self.address);
        let stream = tokio::time::timeout(patience, connecting)
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        let (send, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        Ok(Line { send, connection, ended: false, used: false })
    }

    /// Keeps a connection whose answer has ended, if it can carry another one.
    pub fn give_back(&self, mut line: Line) {
        // It takes one look for the connection to see that it is idle. Whoever takes it next is woken by it from then on.
        line.poll_connection(&mut Context::from_waker(Waker::noop()));
        if line.ended || !line.send.is_ready() || self.closed.load(Ordering::Acquire) {
            return;
        }
        line.used = true;
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE {
            idle.push(Idle { line, since: Instant::now() });
        }
    }

    /// Closes connections that were idle for too long.
    pub fn tidy(&self) {
        lock(&self.idle).retain(|idle| idle.since.elapsed() < IDLE_FOR);
    }

    /// No table has it any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        lock(&self.idle).clear();
        if let Some((_, task)) = lock(&self.probing).take() {
            task.abort();
        }
    }
}

impl Line {
    async fn is_alive(&mut self) -> bool {
        poll_fn(|cx| {
            self.poll_connection(cx);
            Poll::Ready(())
        })
        .await;
        !self.ended && self.send.is_ready()
    }

    pub fn poll_connection(&mut self, cx: &mut Context<'_>) {
        if !self.ended && Pin::new(&mut self.connection).poll(cx).is_ready() {
            self.ended = true;
        }
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// With the request, where nothing of it was sent.
    #[allow(clippy::result_large_err, reason = "the request that comes back is the point of this error")]
    pub async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
        let mut answer = pin!(self.send.try_send_request(request));
        let (connection, ended) = (&mut self.connection, &mut self.ended);
        poll_fn(|cx| {
            if !*ended && Pin::new(&mut *connection).poll(cx).is_ready() {
                *ended = true;
            }
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// For a request that may end in another protocol: the connection gets a task of its own, which hands the stream over.
    pub fn into_upgradable(self) -> SendRequest<Outgoing> {
        tokio::spawn(self.connection.with_upgrades());
        self.send
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
