//! One kept connection of a visitor, as thin as it can be: what is measured is the other side.

use crate::PATIENCE;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

pub type Line = SendRequest<Empty<Bytes>>;

/// An answer that has begun.
pub struct Asked {
    pub status: u16,
    healthy_at: u64,
    pub body: Incoming,
}

impl Asked {
    /// What it says, and when its instance passed its health checks, in microseconds since 1970.
    pub async fn text(self) -> Result<(String, u64), String> {
        let collected = tokio::time::timeout(PATIENCE, self.body.collect()).await;
        let body = collected.map_err(|_| "the answer does not end")?.map_err(|error| error.to_string())?;
        Ok((String::from_utf8_lossy(&body.to_bytes()).into_owned(), self.healthy_at))
    }
}

async fn connect(address: SocketAddr) -> Result<Line, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (line, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(line)
}

/// Asks on the kept connection or a new one. If the kept one was closed before anything was answered, it asks once more on a
/// new one, as browsers do; the second value says so.
pub async fn ask(
    line: &mut Option<Line>,
    address: SocketAddr,
    host: &str,
    path: &str,
) -> Result<(Asked, bool), String> {
    let mut kept = line.take();
    // A connection that was closed while nobody used it is no news.
    if let Some(used) = &mut kept
        && used.ready().await.is_err()
    {
        kept = None;
    }
    let was_kept = kept.is_some();
    let mut used = match kept {
        Some(used) => used,
        None => connect(address).await?,
    };
    let mut answer = send(&mut used, host, path).await;
    let mut repeated = false;
    if let Err(Failure::Closed(_)) = &answer
        && was_kept
    {
        repeated = true;
        used = connect(address).await?;
        answer = send(&mut used, host, path).await;
    }
    let answer = answer.map_err(|failure| match failure {
        Failure::Closed(why) | Failure::Other(why) => why,
    })?;
    let closes =
        answer.headers().get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    *line = (!closes).then_some(used);
    let healthy_at = answer.headers().get("x-healthy-at");
    let healthy_at = healthy_at.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or_default();
    Ok((Asked { status: answer.status().as_u16(), healthy_at, body: answer.into_body() }, repeated))
}

enum Failure {
    /// Before anything was answered.
    Closed(String),
    Other(String),
}

async fn send(line: &mut Line, host: &str, path: &str) -> Result<hyper::Response<Incoming>, Failure> {
    let request = Request::get(path).header(HOST, host).body(Empty::new());
    let request = request.map_err(|error| Failure::Other(error.to_string()))?;
    match tokio::time::timeout(PATIENCE, line.send_request(request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if error.is_canceled() || error.is_incomplete_message() => {
            Err(Failure::Closed(error.to_string()))
        }
        Ok(Err(error)) => Err(Failure::Other(error.to_string())),
        Err(_) => Err(Failure::Other(format!("no answer within {PATIENCE:?}"))),
    }
}
