//! What streams through a relay: never more of it in memory than a piece, and given up when it stands still.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::error::Obstacle;
use super::relay::Shared;

/// A side that is silent for so long is gone; as long as libgit2's own patience.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// Whatever is sent.
pub(super) type Sent = UnsyncBoxBody<Bytes, io::Error>;

pub(super) fn nothing() -> Sent {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// What libgit2 sends.
pub(super) fn from_us(body: Incoming) -> Sent {
    Streamed { body, silence: None, told: None }.boxed_unsync()
}

/// What a server answers. Why it broke off is told to the relay: libgit2 only sees that it did.
pub(super) fn from_server(body: Incoming, relay: &Arc<Shared>) -> Sent {
    Streamed { body, silence: None, told: Some(Arc::clone(relay)) }.boxed_unsync()
}

pub(super) fn silent() -> Obstacle {
    Obstacle::Away(format!("it has been silent for {} s", SILENCE.as_secs()))
}

/// Why an exchange ended early.
pub(super) fn broken(error: &hyper::Error) -> Obstacle {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        why = inner.to_string();
        source = inner.source();
    }
    Obstacle::Away(match error.is_parse() {
        true => format!("it does not answer in HTTP ({why})"),
        false => format!("the connection broke off: {why}"),
    })
}

struct Streamed {
    body: Incoming,
    /// Runs while nothing arrives.
    silence: Option<Pin<Box<Sleep>>>,
    told: Option<Arc<Shared>>,
}

impl Streamed {
    fn fail(&self, obstacle: Obstacle) -> io::Error {
        if let Some(relay) = &self.told {
            relay.note(obstacle);
        }
        io::ErrorKind::ConnectionAborted.into()
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.silence = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| this.fail(broken(&error)))));
        }
        let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(SILENCE)));
        ready!(silence.as_mut().poll(cx));
        Poll::Ready(Some(Err(this.fail(silent()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
