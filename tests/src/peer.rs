//! The other side of a connection: a real HTTP server on loopback that keeps what it was sent, and a network in which
//! names lead where a test wants.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use windlass::network::{Network, Pending};

/// For `ci.example` and `127.0.0.1`, and signed by itself.
pub const CERTIFICATE: &str = include_str!("../fixtures/tls-cert.pem");

/// Where that certificate is, for programs that are told whom to trust.
pub const CERTIFICATE_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls-cert.pem");

/// Speaks TLS with that certificate.
pub fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates = CertificateDer::pem_slice_iter(CERTIFICATE.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../fixtures/tls-key.pem"));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates.unwrap(), key.unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Everything of it as text.
    pub fn echo(&self) -> String {
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort();
        format!("{} {} {headers:?} {}", self.method, self.target, String::from_utf8_lossy(&self.body))
    }
}

/// A server that lives as long as this value.
pub struct Peer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// Answers each request with what the function says.
    pub async fn start(answer: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer).await
    }

    /// The same at an address that was another one's before.
    pub async fn start_at(
        address: SocketAddr,
        answer: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        let handler = move |request: Request| {
            let (kept, answer) = (kept.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let headers = head.headers.iter().map(|(name, value)| {
                    (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                });
                let request = Seen {
                    method: head.method.to_string(),
                    target: head.uri.path_and_query().map(|path| path.to_string()).unwrap_or_default(),
                    headers: headers.collect(),
                    body: to_bytes(body, usize::MAX).await.unwrap(),
                };
                let response = answer(&request);
                kept.lock().unwrap().push(request);
                response
            }
        };
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(handler);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, task }
    }

    /// Reads a request, and leaves the answer, good HTTP or not, to the test.
    pub async fn raw(answer: impl Fn(TcpStream) -> JoinHandle<()> + Clone + Send + 'static) -> Self {
        Self::accepting(move |mut stream| {
            let answer = answer.clone();
            tokio::spawn(async move {
                // The requests of these tests arrive in one piece.
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = answer(stream).await;
            })
        })
        .await
    }

    /// Leaves the connections to the test.
    pub async fn accepting(serve: impl Fn(TcpStream) -> JoinHandle<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.push(serve(stream));
            }
        });
        Self { address, seen: Arc::default(), task }
    }

    /// TLS in front of a server.
    pub async fn secured(server: SocketAddr) -> Self {
        let acceptor = acceptor();
        Self::accepting(move |stream| {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            })
        })
        .await
    }

    /// A proxy that leads everybody to one server, whatever they ask for, and keeps what they said.
    pub async fn proxy(server: SocketAddr) -> (Self, Arc<Mutex<Vec<String>>>) {
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = heads.clone();
        let peer = Self::accepting(move |mut stream| {
            let kept = kept.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                kept.lock().unwrap().push(String::from_utf8(head).unwrap());
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            })
        })
        .await;
        (peer, heads)
    }

    /// Sends the bytes and leaves the connection open for as long as the other side wants it.
    pub async fn saying(bytes: &'static [u8]) -> Self {
        Self::raw(move |mut stream| {
            tokio::spawn(async move {
                let _ = stream.write_all(bytes).await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            })
        })
        .await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// A response with a body.
pub fn text(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).body(body.into()).unwrap()
}

/// A response that leads elsewhere.
pub fn redirect(status: u16, location: &str) -> Response {
    Response::builder().status(status).header("location", location).body(Body::empty()).unwrap()
}

/// A network of the test's own: names lead to addresses, and addresses to servers on loopback.
#[derive(Debug, Default)]
pub struct Net {
    /// Each look-up of a name takes the next answer; the last one stays.
    pub names: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub servers: HashMap<IpAddr, SocketAddr>,
    pub dialled: Mutex<Vec<SocketAddr>>,
}

impl Net {
    pub fn name(self, name: &str, answers: &[&[&str]]) -> Self {
        let answers = answers.iter().map(|all| all.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        self.names.lock().unwrap().insert(name.into(), answers);
        self
    }

    pub fn server(mut self, address: &str, peer: &Peer) -> Self {
        self.servers.insert(address.parse().unwrap(), peer.address);
        self
    }
}

impl Network for Net {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, Vec<SocketAddr>> {
        Box::pin(async move {
            let mut names = self.names.lock().unwrap();
            let answers = names.get_mut(host).ok_or_else(|| io::Error::other("no such name"))?;
            let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            Ok(answer.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }

    fn dial(&self, address: SocketAddr) -> Pending<'_, TcpStream> {
        Box::pin(async move {
            self.dialled.lock().unwrap().push(address);
            let server = self.servers.get(&address.ip()).copied().unwrap_or(address);
            TcpStream::connect(server).await
        })
    }
}
