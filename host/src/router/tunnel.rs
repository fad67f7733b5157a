//! WebSockets and other protocols that begin as an HTTP/1.1 request: after the change, bytes in both directions.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

use super::account::Account;
use super::body::{Body, Relayed};
use super::page::Refusal;
use super::proxy::{Choice, passed_on, refused, seat_cookie};
use super::quiet::Quiet;
use super::state::Router;
use super::upstream::{Line, Outgoing};

/// Sends the request and, if the target agrees, connects the two ends.
pub async fn open(
    router: &Router,
    choice: Choice,
    line: Line,
    request: Request<Outgoing>,
    downstream: OnUpgrade,
) -> Result<Response<Body>, Refusal> {
    let limit = Duration::from_millis(choice.route.route.timeouts.response_ms);
    let mut send = line.into_upgradable();
    let refusal = match tokio::time::timeout(limit, send.send_request(request)).await {
        Ok(Ok(response)) => return Ok(agree(router, choice, response, downstream)),
        Ok(Err(_)) => Refusal::Broken { route: choice.route.route.name.clone() },
        Err(_) => Refusal::NoAnswer { route: choice.route.route.name.clone() },
    };
    Err(refused(choice.account, refusal))
}

fn agree(
    router: &Router,
    choice: Choice,
    mut response: Response<hyper::body::Incoming>,
    downstream: OnUpgrade,
) -> Response<Body> {
    let Choice { route, mut account, seat, .. } = choice;
    let idle = Duration::from_millis(route.route.timeouts.idle_ms);
    let cookie = seat_cookie(&route, seat);
    account.answered(response.status().as_u16());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return passed_on(response, cookie, |incoming| Relayed::new(incoming, None, account, idle));
    }
    let protocol = response.headers_mut().remove(UPGRADE);
    let upstream = hyper::upgrade::on(&mut response);
    router.tunnels.spawn(carry(downstream, upstream, account, idle));
    let (mut parts, _) = response.into_parts();
    super::headers::strip_hop_by_hop(&mut parts.headers);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.extend(protocol.map(|protocol| (UPGRADE, protocol)));
    Response::from_parts(parts, Body::Text(None))
}

/// Until one end is done, nothing has moved for too long, or the release is cut.
async fn carry(downstream: OnUpgrade, upstream: OnUpgrade, mut account: Account, idle: Duration) {
    let cut = account.cut();
    let carrying = async {
        let (downstream, upstream) = tokio::try_join!(downstream, upstream).map_err(std::io::Error::other)?;
        let quiet = Quiet::new();
        let mut downstream = Watched { inner: TokioIo::new(downstream), quiet: quiet.clone() };
        let mut upstream = TokioIo::new(upstream);
        tokio::select! {
            copied = copy_bidirectional(&mut downstream, &mut upstream) => copied,
            () = quiet.lasts(idle) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    };
    tokio::select! {
        carried = carrying => {
            if let Ok((_, to_client)) = carried {
                account.passed(usize::try_from(to_client).unwrap_or(usize::MAX));
            }
            account.complete();
        }
        () = cut => account.broke(),
    }
}

/// Both directions pass through one of the two ends.
struct Watched<T> {
    inner: T,
    quiet: Arc<Quiet>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if done.is_ready() {
            self.quiet.moved();
        }
        done
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if done.is_ready() {
            self.quiet.moved();
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
