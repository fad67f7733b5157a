//! One HTTP/1.1 exchange: resolve, check, dial what was checked, send, and read no more than is allowed.
//!
//! Each exchange has a connection of its own. A pool would have to prove for each request that its connection was
//! checked for this very origin and audience; a handshake is cheaper than that proof.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::path::{Origin, Target};
use super::refusal::Refusal;
use crate::network::{self, Network, Policy, Stream, Unsecured};

/// Most bytes of a response's body.
pub(super) const BODY_BYTES: usize = 8 << 20;
/// Most bytes of a response's head, and most headers in it.
const HEAD_BYTES: usize = 64 << 10;
const HEADERS: usize = 256;

/// What goes out. The headers are complete but for what frames the message.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What came back, before anything was taken out of it.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Client {
    outgoing: network::Outgoing,
}

impl Client {
    pub(super) fn new(network: Arc<dyn Network>) -> Self {
        Self { outgoing: network::Outgoing::over(network, Policy::internet()) }
    }

    /// `trusted` are further certificates in PEM. The caller bounds the time.
    pub(super) async fn exchange(
        &self,
        outgoing: Outgoing,
        policy: Policy,
        trusted: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let origin = outgoing.target.origin.clone();
        let tcp = self.connect(&origin, policy).await?;
        let stream: Box<dyn Stream> = match origin.is_tls {
            true => Box::new(self.secured(tcp, &origin, trusted).await?),
            false => Box::new(tcp),
        };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Dropped at the end of this function or when the caller's time is up, and the connection with it.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let response = sender.send_request(request(outgoing)?).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        if let Some(coding) = head.headers.get(CONTENT_ENCODING)
            && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            let said = "the other side answered in a content coding, though none was asked for; what is in it cannot be \
                        checked for secrets";
            return Err(Refusal::other("coding", said));
        }
        let body = read(body).await?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// A connection to an address of the origin that was checked.
    pub(super) async fn connect(&self, origin: &Origin, policy: Policy) -> Result<TcpStream, Refusal> {
        let outgoing = self.outgoing.within(policy);
        let addresses =
            outgoing.addresses(&origin.host, origin.port).await.map_err(|trouble| match trouble {
                network::Trouble::Unknown(why) => Refusal::connect(format!("{why}; nothing was sent")),
                network::Trouble::Refused(class) => Refusal::address(&origin.host, class),
            })?;
        outgoing.dial(&addresses).await.map_err(|why| {
            Refusal::connect(format!("{origin} cannot be connected to: {why}; nothing was sent"))
        })
    }

    pub(super) async fn secured(
        &self,
        tcp: TcpStream,
        origin: &Origin,
        trusted: Option<&str>,
    ) -> Result<TlsStream<TcpStream>, Refusal> {
        self.outgoing.secured(tcp, &origin.host, trusted).await.map_err(|why| match why {
            Unsecured::Tls(error) => Refusal::tls(error.to_string()),
            Unsecured::Unusable(said) => Refusal::tls(said),
            Unsecured::Broken(error) => Refusal::connect(format!(
                "the connection broke off in the TLS handshake: {error}; nothing was sent"
            )),
        })
    }
}

fn request(outgoing: Outgoing) -> Result<Request<Full<Bytes>>, Refusal> {
    let mut request = Request::new(Full::new(outgoing.body));
    *request.method_mut() = outgoing.method;
    *request.uri_mut() = outgoing
        .target
        .request_target()
        .parse()
        .map_err(|_| Refusal::denied("path", "the path is no path of a URL (RFC 3986)"))?;
    *request.headers_mut() = outgoing.headers;
    Ok(request)
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > BODY_BYTES {
            return Err(Refusal::too_large(format!("the response is larger than {BODY_BYTES} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn broken(error: hyper::Error) -> Refusal {
    if error.is_parse_too_large() {
        return Refusal::too_large(format!(
            "the response's head is larger than {HEAD_BYTES} bytes or {HEADERS} headers"
        ));
    }
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            why = io.to_string();
        }
        source = inner.source();
    }
    Refusal::connect(format!("the connection broke off: {why}"))
}
