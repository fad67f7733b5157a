//! Bodies on their way to the client: passed on piece by piece, never collected.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::account::Account;
use super::upstream::{Line, Upstream};

/// A body of ours, or one that a target sends.
pub enum Body {
    Text(Option<Bytes>),
    Relayed(Box<Relayed>),
}

/// A target's body. Dropped before its end, it takes the connection with it: nobody wants the rest.
pub struct Relayed {
    incoming: Incoming,
    /// The connection it comes from, and where that goes afterwards. Connections that may change their protocol look after
    /// themselves.
    line: Option<(Line, Arc<Upstream>)>,
    account: Account,
    idle: Idle,
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    ended: bool,
}

/// A deadline that moves with every piece; there is a timer only while somebody waits.
struct Idle {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    is_set: bool,
}

impl Idle {
    fn progress(&mut self) {
        self.is_set = false;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.limit)));
        if !self.is_set {
            sleep.as_mut().reset(Instant::now() + self.limit);
            self.is_set = true;
        }
        sleep.as_mut().poll(cx)
    }
}

impl Relayed {
    pub fn new(
        incoming: Incoming,
        line: Option<(Line, Arc<Upstream>)>,
        account: Account,
        idle: Duration,
    ) -> Self {
        let idle = Idle { limit: idle, sleep: None, is_set: false };
        let mut body = Self { incoming, line, account, idle, cut: None, ended: false };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        self.ended = true;
        self.account.complete();
        if let Some((line, upstream)) = self.line.take() {
            upstream.give_back(line);
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let Some((line, _)) = &mut self.line else { return Poll::Pending };
        line.poll_connection(cx);
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    /// Why nobody should wait any longer.
    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Error> {
        let account = &self.account;
        let cut = self.cut.get_or_insert_with(|| Box::pin(account.cut()));
        if cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(std::io::Error::other("the release was drained for too long"));
        }
        ready!(self.idle.poll(cx));
        Poll::Ready(std::io::Error::from(std::io::ErrorKind::TimedOut))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match self.poll_incoming(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.progress();
                self.account.passed(frame.data_ref().map_or(0, Bytes::len));
                if self.incoming.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.account.broke();
                Poll::Ready(Some(Err(std::io::Error::other(error))))
            }
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let error = ready!(self.poll_limits(cx));
                self.account.broke();
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Relayed(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Relayed(body) => body.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Relayed(body) => body.incoming.size_hint(),
        }
    }
}
