//! The relay for http and https. libgit2 speaks plain http to it and never learns the server's address; it connects to what
//! was judged, speaks TLS, follows redirects, and gives credentials to nobody but the server that the user has named.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{client::conn::http1 as client, server::conn::http1 as server};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::body::{SILENCE, Sent, broken, from_server, from_us, nothing, silent};
use super::error::Obstacle;
use super::place::{Origin, Place};
use super::relay::Shared;
use crate::domain::remote::{Remote, Scheme};
use crate::error::{Error, Result};
use crate::network::{Outgoing, named_by_connection};

/// How a conversation begins, and the only question whose redirects are followed.
const REFS: &str = "/info/refs?service=git-upload-pack";
/// How it goes on.
const PACK: &str = "/git-upload-pack";
/// Redirects in a row.
const REDIRECTS: usize = 5;

/// What is between two neighbours only (RFC 9110, section 7.6.1), and what frames a message: both connections have their own.
const HOP_BY_HOP: [HeaderName; 11] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The server of one conversation.
pub(super) struct Forge {
    outgoing: Outgoing,
    /// Begins every path that libgit2 asks for. Whoever does not know it gets nothing from the relay.
    secret: String,
    /// Where the conversation is; a redirect moves it.
    base: Mutex<Base>,
}

/// A server and the path of a repository on it.
#[derive(Clone)]
struct Base {
    place: Arc<Place>,
    path: String,
    /// The credentials are for this server. Once a redirect has led to another one they stay behind, even if that one
    /// redirects back: it would choose what they are used for.
    is_home: bool,
}

impl Forge {
    /// # Errors
    /// `Internal` without randomness.
    pub(super) fn new(outgoing: &Outgoing, place: Place, remote: &Remote<'_>) -> Result<Self> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|error| Error::internal(format!("no randomness: {error}")))?;
        let path = remote.path.split(['?', '#']).next().unwrap_or_default();
        Ok(Self {
            outgoing: outgoing.clone(),
            secret: format!("/{}", hex::encode(secret)),
            base: Mutex::new(Base {
                place: Arc::new(place),
                path: encoded(path.trim_end_matches('/')),
                is_home: true,
            }),
        })
    }

    /// The path that libgit2 is told.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    fn base(&self) -> Base {
        self.base.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn move_to(&self, base: Base) {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
    }
}

/// Serves one of libgit2's connections.
pub(super) async fn serve(forge: &Arc<Forge>, relay: &Arc<Shared>, stream: TcpStream) -> io::Result<()> {
    let service = service_fn(|request| {
        let talk = Talk { forge: Arc::clone(forge), relay: Arc::clone(relay) };
        async move { Ok::<_, Infallible>(talk.answer(request).await) }
    });
    server::Builder::new().serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

/// One request of libgit2.
struct Talk {
    forge: Arc<Forge>,
    relay: Arc<Shared>,
}

impl Talk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Sent> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        let answered = match (&head.method, target.strip_prefix(self.forge.secret.as_str())) {
            (&Method::GET, Some(REFS)) => self.refs(head.headers).await,
            (&Method::POST, Some(PACK)) => self.pack(head.headers, from_us(body)).await,
            _ => return empty(StatusCode::NOT_FOUND),
        };
        answered.unwrap_or_else(|obstacle| {
            self.relay.note(obstacle);
            empty(StatusCode::BAD_GATEWAY)
        })
    }

    /// Asks what the repository has, wherever it is now.
    async fn refs(&self, headers: HeaderMap) -> Result<Response<Sent>, Obstacle> {
        let mut base = self.forge.base();
        let mut target = format!("{}{REFS}", base.path);
        for _ in 0..=REDIRECTS {
            let response = self.ask(&base, Method::GET, &target, headers.clone(), nothing()).await?;
            if !is_redirect(response.status()) {
                let no_repository = "redirects to a page that is no repository; either there is none, or it is not \
                                     visible with the stored credentials";
                let path = target.strip_suffix(REFS).filter(|path| !path.contains('?'));
                base.path = path.ok_or(Obstacle::Redirect(no_repository))?.to_owned();
                self.forge.move_to(base.clone());
                return self.passed_on(&base, response);
            }
            let (place, next) = self.follow(&base.place, &target, response.headers().get(LOCATION)).await?;
            base.is_home &= place.origin == base.place.origin;
            (base.place, target) = (place, next);
        }
        Err(Obstacle::Redirect("redirects again and again"))
    }

    /// Goes on where [`Self::refs`] has found the repository.
    async fn pack(&self, headers: HeaderMap, body: Sent) -> Result<Response<Sent>, Obstacle> {
        let base = self.forge.base();
        let target = format!("{}{PACK}", base.path);
        let response = self.ask(&base, Method::POST, &target, headers, body).await?;
        match is_redirect(response.status()) {
            true => Err(Obstacle::Redirect("redirects in the middle of a fetch, which is not followed")),
            false => self.passed_on(&base, response),
        }
    }

    /// The answer of the server that a conversation has come to.
    async fn ask(
        &self,
        base: &Base,
        method: Method,
        target: &str,
        mut headers: HeaderMap,
        body: Sent,
    ) -> Result<Response<Incoming>, Obstacle> {
        if base.is_home {
            return self.exchange(&base.place, method, target, headers, body).await;
        }
        headers.remove(AUTHORIZATION);
        let answered = self.exchange(&base.place, method, target, headers, body).await;
        answered.map_err(|obstacle| Obstacle::Behind(Box::new(obstacle)))
    }

    /// Each request has a connection of its own, so that nobody has to prove which one an idle connection was judged for.
    async fn exchange(
        &self,
        place: &Place,
        method: Method,
        target: &str,
        mut headers: HeaderMap,
        body: Sent,
    ) -> Result<Response<Incoming>, Obstacle> {
        let unusable = || Obstacle::Away("its address cannot be asked for".into());
        end_to_end(&mut headers);
        headers.insert(HOST, HeaderValue::try_from(place.origin.authority()).map_err(|_| unusable())?);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(|_| unusable())?;
        *request.headers_mut() = headers;

        let stream = place.connect(&self.forge.outgoing).await?;
        let shaken = client::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| broken(&error))?;
        self.relay.spawn(async move {
            // Whoever waits for the answer is told the error.
            let _ = connection.await;
        });
        let response = timeout(SILENCE, sender.send_request(request)).await.map_err(|_| silent())?;
        response.map_err(|error| broken(&error))
    }

    /// Where a redirect leads, judged like the first address.
    async fn follow(
        &self,
        from: &Arc<Place>,
        target: &str,
        location: Option<&HeaderValue>,
    ) -> Result<(Arc<Place>, String), Obstacle> {
        let unusable = || Obstacle::Redirect("redirects to an address that cannot be used");
        let asked = Url::parse(&format!("{}{target}", from.origin)).map_err(|_| unusable())?;
        let location = location.and_then(|location| location.to_str().ok()).ok_or_else(unusable)?;
        let mut to = asked.join(location).map_err(|_| unusable())?;
        to.set_fragment(None);
        let remote = Remote::parse(to.as_str()).map_err(|_| unusable())?;
        match remote.scheme {
            Scheme::Https => {}
            Scheme::Http if !from.origin.is_tls => {}
            Scheme::Http => {
                return Err(Obstacle::Redirect("redirects from https to http, which is not followed"));
            }
            _ => return Err(unusable()),
        }
        if Origin::of(&remote) == from.origin {
            return Ok((Arc::clone(from), remote.path.to_owned()));
        }
        let place = Place::find(&self.forge.outgoing, &remote).await.map_err(|obstacle| match obstacle {
            Obstacle::Away(_) => {
                Obstacle::Behind(Box::new(Obstacle::Away("its name cannot be resolved".into())))
            }
            other => Obstacle::Behind(Box::new(other)),
        })?;
        Ok((Arc::new(place), remote.path.to_owned()))
    }

    /// The answer as libgit2 gets it.
    fn passed_on(&self, base: &Base, response: Response<Incoming>) -> Result<Response<Sent>, Obstacle> {
        if response.status() == StatusCode::UNAUTHORIZED && !base.is_home {
            return Err(Obstacle::Redirect(
                "redirects to another server, which wants credentials, and those that are stored are not for it; store \
                 the new address",
            ));
        }
        let (mut head, body) = response.into_parts();
        end_to_end(&mut head.headers);
        head.headers.remove(LOCATION);
        let mut answer = Response::new(from_server(body, &self.relay));
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        Ok(answer)
    }
}

fn empty(status: StatusCode) -> Response<Sent> {
    let mut response = Response::new(nothing());
    *response.status_mut() = status;
    response
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Takes out what is not for whoever comes behind the neighbour.
fn end_to_end(headers: &mut HeaderMap) {
    let named = named_by_connection(headers);
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// A path as requests have it: people paste such that are not quite URLs.
fn encoded(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                text.push_str(&format!("%{byte:02X}"))
            }
            byte if byte.is_ascii_graphic() => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::relay::{Kind, Relay};
    use super::*;
    use crate::network::Policy;

    async fn said_to(relay: &Relay, request: &str) -> String {
        let mut stream = TcpStream::connect(relay.address()).await.expect("the relay listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    #[tokio::test]
    async fn who_does_not_know_the_secret_gets_nothing_and_nobody_is_asked() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/app.git", server.local_addr().expect("an address"));
        let remote = Remote::parse(&url).expect("a URL");
        let outgoing = Outgoing::new(Policy::anywhere());
        let place = Place::find(&outgoing, &remote).await.expect("an address");
        let forge = Arc::new(Forge::new(&outgoing, place, &remote).expect("randomness"));
        let relay = Relay::start(Kind::Http(Arc::clone(&forge))).await.expect("a port");
        let wrong = format!("/{}", "0".repeat(32));
        assert_eq!(forge.secret().len(), wrong.len());
        for (method, path) in [
            ("GET", format!("/app.git{REFS}")),
            ("GET", format!("{wrong}{REFS}")),
            ("POST", format!("{wrong}{PACK}")),
            ("GET", format!("{}/app.git{REFS}", forge.secret())),
            ("GET", format!("{}/../admin", forge.secret())),
            ("POST", format!("{}{REFS}", forge.secret())),
        ] {
            let close = "Host: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            let answer = said_to(&relay, &format!("{method} {path} HTTP/1.1\r\n{close}")).await;
            assert!(answer.starts_with("HTTP/1.1 404 "), "{method} {path}: {answer}");
        }
        let accepted = timeout(std::time::Duration::from_millis(50), server.accept()).await;
        assert!(accepted.is_err() && relay.obstacle().is_none());
    }

    #[test]
    fn what_is_between_neighbours_goes_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("proxy-authorization", "Basic YTpi"),
            ("accept-encoding", "gzip"),
            ("www-authenticate", "Basic"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.append("www-authenticate", HeaderValue::from_static("Negotiate"));
        end_to_end(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept-encoding", "www-authenticate"]);
        assert_eq!(headers.get_all("www-authenticate").iter().count(), 2);
    }

    #[test]
    fn a_path_is_sent_as_it_was_written_if_it_can_be() {
        assert_eq!(encoded("/a%20b/~c.git"), "/a%20b/~c.git");
        assert_eq!(encoded("/ö/{a}"), "/%C3%B6/%7Ba%7D");
    }
}
