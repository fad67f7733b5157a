//! The relay as an HTTP proxy. libgit2 asks for https with CONNECT, so that TLS stays end to end, and for http with the whole
//! URL in the request's first line (RFC 9112, section 3.2).

use std::{convert::Infallible, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    header::{
        CONNECTION, EXPECT, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
};
use http_body_util::{BodyExt as _, Empty, combinators::BoxBody};
use hyper::{
    body::{Bytes, Incoming},
    client, server,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq as _;
use tokio::{io::copy_bidirectional, net::TcpStream};

use super::relay::{Kind, OPENING, Shared, Upset};

/// Most bytes of a head, in either direction.
const HEAD_BYTES: usize = 64 << 10;

type Body = BoxBody<Bytes, hyper::Error>;

pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, request).await) }
    });
    let serving = server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(OPENING)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = serving.await {
        tracing::debug!(%error, "[@git] a connection to a relay broke off");
    }
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    if !is_libgit2(shared, request.headers()) {
        let mut response = empty(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        response.headers_mut().insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"relay\""));
        return response;
    }
    let Some(port) = allowed_port(shared, &request) else {
        shared.set_upset(Upset::Elsewhere);
        return empty(StatusCode::FORBIDDEN);
    };
    let Ok(server) = shared.dial(port).await else { return empty(StatusCode::BAD_GATEWAY) };
    match *request.method() == Method::CONNECT {
        true => tunnel(shared, request, server),
        false => pass_on(shared, request, server).await.unwrap_or_else(|error| {
            shared.set_upset(Upset::Away(error.to_string()));
            empty(StatusCode::BAD_GATEWAY)
        }),
    }
}

fn is_libgit2(shared: &Shared, headers: &HeaderMap) -> bool {
    let given = headers.get(PROXY_AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Basic "));
    let wanted = STANDARD.encode(&shared.credentials);
    given.is_some_and(|given| given.ct_eq(wanted.as_bytes()).into())
}

/// The port to connect to, if the request is for the server of this conversation.
fn allowed_port(shared: &Shared, request: &Request<Incoming>) -> Option<u16> {
    let uri = request.uri();
    let (host, target) = (uri.host()?.to_ascii_lowercase(), &shared.target);
    let is_connect = *request.method() == Method::CONNECT;
    let port = match (uri.port_u16(), is_connect) {
        (Some(port), _) => port,
        (None, true) => 443,
        (None, false) => 80,
    };
    let may_upgrade = matches!(shared.kind, Kind::Proxy { may_upgrade: true });
    let is_it = port == target.port || (may_upgrade && is_connect && port == 443);
    (host == target.host && is_it).then_some(port)
}

/// Agrees, and carries bytes from then on.
fn tunnel(shared: &Arc<Shared>, request: Request<Incoming>, mut server: TcpStream) -> Response<Body> {
    shared.spawn(async move {
        let Ok(stream) = hyper::upgrade::on(request).await else { return };
        if let Err(error) = copy_bidirectional(&mut TokioIo::new(stream), &mut server).await {
            tracing::debug!(%error, "[@git] a relayed connection broke off");
        }
    });
    empty(StatusCode::OK)
}

/// One request on a connection of its own, without what was said to the proxy.
async fn pass_on(
    shared: &Arc<Shared>,
    mut request: Request<Incoming>,
    server: TcpStream,
) -> Result<Response<Body>, hyper::Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = path.parse::<Uri>().unwrap_or_default();
    *request.uri_mut() = path;
    for_one_hop_only(request.headers_mut());
    let (mut sender, connection) =
        client::conn::http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(server)).await?;
    shared.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "[@git] a relayed connection broke off");
        }
    });
    let mut response = sender.send_request(request).await?;
    for_one_hop_only(response.headers_mut());
    Ok(response.map(|body| body.boxed()))
}

/// Takes out what is meant for the next hop only (RFC 9110, section 7.6.1); the bodies are framed anew.
fn for_one_hop_only(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    for name in [
        CONNECTION,
        EXPECT,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let body = Empty::new().map_err(|never: Infallible| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::relay::{Relay, Target};
    use super::*;
    use crate::network::{Outgoing, Policy};

    async fn told(relay: &Relay, head: String) -> String {
        let mut stream = TcpStream::connect(relay.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[9..]).into_owned()
    }

    #[tokio::test]
    async fn only_libgit2_is_let_through_and_only_to_its_server() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let target = Target {
            host: "forge.example".into(),
            port: address.port(),
            addresses: vec![address],
            outgoing: Outgoing::new(Policy::internet()),
        };
        let relay = Relay::start(Kind::Proxy { may_upgrade: false }, target).await.unwrap();
        let right = format!("proxy-authorization: Basic {}\r\n", STANDARD.encode(relay.credentials()));
        let wrong = format!("proxy-authorization: Basic {}\r\n", STANDARD.encode("windlass:guess"));
        let port = address.port();
        for (to, authorization, status) in [
            (format!("forge.example:{port}"), right.as_str(), "200"),
            (format!("FORGE.example:{port}"), &right, "200"),
            (format!("forge.example:{port}"), &wrong, "407"),
            (format!("forge.example:{port}"), "", "407"),
            (format!("other.example:{port}"), &right, "403"),
            (format!("127.0.0.1:{port}"), &right, "403"),
            ("forge.example:443".into(), &right, "403"),
        ] {
            let head = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n{authorization}\r\n");
            assert_eq!(told(&relay, head).await, status, "{to} {authorization}");
        }
    }
}
