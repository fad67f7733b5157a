//! The real router as a process, and upstreams that say who they are.

use crate::PATIENCE;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, get};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use windlass::domain::route::RouteTable;
use windlass::router::client::RouterClient;

use crate::port::free_port;
use crate::server::program;

pub const BIG: usize = 100 * 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// A router process with a data folder of its own. Whatever router runs there is killed when this is dropped.
pub struct TestRouter {
    pub folder: tempfile::TempDir,
    pub address: SocketAddr,
    pub client: RouterClient,
    variables: Vec<(String, String)>,
    children: Vec<Child>,
}

impl TestRouter {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further environment variables.
    pub async fn start_with(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut router = Self {
            client: RouterClient::new(folder.path()),
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            variables: variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            children: Vec::new(),
        };
        router.launch().await;
        router
    }

    /// Starts a router process. One that runs already hands its sockets over.
    pub async fn launch(&mut self) {
        let log = self.folder.path().join("router.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut child = Command::new(program())
            .args(["router", "--data-dir"])
            .arg(self.folder.path())
            .env("WINDLASS_ROUTER_HTTP", self.address.to_string())
            .env("WINDLASS_LOG", "info")
            .envs(self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        self.children.push(child);
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            line
        });
        let line = line.await.unwrap();
        assert!(line.starts_with("listening on "), "the router did not start: {}", self.log());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("router.log")).unwrap_or_default()
    }

    /// The process that was started last.
    pub fn pid(&self) -> u32 {
        self.children.last().unwrap().id()
    }

    /// SIGKILL to the process that was started last.
    pub fn kill(&mut self) {
        let mut child = self.children.pop().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until the process that was started first has ended by itself.
    pub async fn first_ends(&mut self) {
        let started = Instant::now();
        while self.children[0].try_wait().unwrap().is_none() {
            assert!(started.elapsed() < PATIENCE, "the first process does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn apply(&self, table: &Value) {
        self.client.apply(&parse(table)).await.unwrap();
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        fresh().get(self.url(path)).send().await.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for TestRouter {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        kill_router_of(self.folder.path());
    }
}

/// Ends a router that no test process is the parent of: one that a server has started.
pub fn kill_router_of(data: &Path) {
    let processes = std::fs::read_dir("/proc").unwrap();
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
        if words.contains(&&b"router"[..]) && words.contains(&data.as_os_str().as_encoded_bytes()) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }
}

pub fn parse(table: &Value) -> RouteTable {
    serde_json::from_value(table.clone()).unwrap()
}

/// Without connections of before.
pub fn fresh() -> reqwest::Client {
    reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A table with one route for every host, and these releases.
pub fn table(version: u64, shares: &[(&str, u8, &[SocketAddr])]) -> Value {
    let releases: Vec<Value> = shares
        .iter()
        .map(|(release, weight, targets)| {
            let targets: Vec<Value> = targets.iter().map(|address| json!({ "address": address })).collect();
            json!({ "release": release, "weight": weight, "targets": targets })
        })
        .collect();
    json!({ "version": version, "routes": [{ "name": "web", "releases": releases }] })
}

/// Waits until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A program behind the router, with threads of its own. When it is dropped, its connections are closed, as if it had died.
pub struct Upstream {
    pub address: SocketAddr,
    hits: Arc<AtomicUsize>,
    stop: Option<(tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<()>)>,
}

impl Upstream {
    /// Answers with its name; `/slow` after two seconds, `/big` with 100 MiB, `/echo` with the body, `/length` with
    /// its length once it has ended, `/headers` with the
    /// request's headers, `/fail` with 500.
    pub async fn start(name: &'static str) -> Self {
        Self::start_at(name, ([127, 0, 0, 1], 0).into()).await
    }

    pub async fn start_at(name: &'static str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap().into_std().unwrap();
        let address = listener.local_addr().unwrap();
        let hits = Arc::new(AtomicUsize::new(0));
        let counted = hits.clone();
        let paths = axum::Router::new()
            .route(
                "/slow",
                get(move || async move {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    name
                }),
            )
            .route("/big", get(big))
            .route("/echo", any(|body: Body| async { body }))
            .route("/length", any(|body: Bytes| async move { body.len().to_string() }))
            .route("/fail", any(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "no") }))
            .route("/headers", any(headers))
            .fallback(any(move || async move { name }))
            .layer(axum::middleware::map_request(move |request: axum::extract::Request| {
                counted.fetch_add(1, Ordering::SeqCst);
                std::future::ready(request)
            }));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, paths) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, hits, stop: Some((stop, thread)) }
    }

    /// Requests that have arrived.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.stop.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

async fn big() -> Body {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    Body::from_stream(
        futures_util::stream::iter(0..BIG / PIECE).map(move |_| Ok::<_, std::io::Error>(piece.clone())),
    )
}

async fn headers(headers: HeaderMap) -> axum::Json<Value> {
    let text =
        |value: &axum::http::HeaderValue| Value::String(String::from_utf8_lossy(value.as_bytes()).into());
    axum::Json(headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect())
}

/// A program that agrees to another protocol and then sends back what it gets, with its name before it.
pub async fn echo_upgrade(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
                let agreed =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(agreed.as_bytes()).await.unwrap();
                stream.write_all(format!("{name}:").as_bytes()).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

/// The head of a message, byte by byte so that nothing behind it is taken.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}
