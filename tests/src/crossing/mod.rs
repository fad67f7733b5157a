//! Load that crosses cutovers: small requests on kept connections, answers of two seconds, downloads and WebSockets, all the
//! time, so that some of each are in flight at any moment. Afterwards it is known what failed, what was slow, and what each
//! cutover met.

mod line;
mod outcome;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use windlass::router::client::RouterClient;

use line::Asked;
pub use line::Line;
pub use outcome::{Outcome, Visit};

/// WebSockets send and hear something this often.
const CHAT: Duration = Duration::from_millis(100);
/// How long each WebSocket is kept, and about how long each download takes.
const KEPT: Duration = Duration::from_millis(2500);
const MIB: usize = 1024 * 1024;
/// The router's table is looked at this often.
const LOOK: Duration = Duration::from_millis(10);

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections with small requests, and how long each pauses between two.
    pub visitors: u32,
    pub pause: Duration,
    pub download_mib: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Slow,
    Download,
    WebSocket,
}

/// Something that takes longer, while it was in flight.
#[derive(Debug, Clone, Copy)]
pub struct Long {
    pub kind: Kind,
    pub from: Instant,
    pub to: Instant,
}

/// Everybody who asks for something.
pub struct Crossing {
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

struct Shared {
    address: SocketAddr,
    host: String,
    load: Load,
    stop: AtomicBool,
    requests: AtomicU64,
    /// Sent twice because a kept connection was closed in that moment, as any browser would.
    repeated: AtomicU64,
    failed: Mutex<Vec<String>>,
    visits: Mutex<Vec<Visit>>,
    long: Mutex<Vec<Long>>,
    cutovers: Mutex<Vec<Instant>>,
}

impl Crossing {
    pub fn start(address: SocketAddr, host: &str, load: Load) -> Self {
        let shared = Arc::new(Shared {
            address,
            host: host.to_owned(),
            load,
            stop: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            failed: Mutex::default(),
            visits: Mutex::default(),
            long: Mutex::default(),
            cutovers: Mutex::default(),
        });
        let mut tasks: Vec<_> = (0..load.visitors).map(|n| tokio::spawn(visit(shared.clone(), n))).collect();
        // Two of each, half a turn apart: while one begins anew, the other is in flight.
        for delay in [Duration::ZERO, KEPT / 2] {
            tasks.push(tokio::spawn(wait(shared.clone(), delay)));
            tasks.push(tokio::spawn(download(shared.clone(), delay)));
            tasks.push(tokio::spawn(chat(shared.clone(), delay)));
        }
        Self { shared, tasks }
    }

    /// The requests have just been sent elsewhere.
    pub fn cut_over(&self) {
        self.shared.cutovers.lock().unwrap().push(Instant::now());
    }

    /// From now on, a cutover is when the shares in this router's table change.
    pub fn watch(&mut self, router: RouterClient) {
        let shared = self.shared.clone();
        self.tasks.push(tokio::spawn(async move {
            let mut before = None;
            while shared.goes_on() {
                // A router that is away has the shares of before when it is back.
                let Ok(table) = router.table().await else { continue };
                let releases = table.routes.iter().flat_map(|route| &route.releases);
                let now: Vec<(String, u8)> =
                    releases.map(|share| (share.release.clone(), share.weight)).collect();
                if before.as_ref().is_some_and(|before| *before != now) {
                    shared.cutovers.lock().unwrap().push(Instant::now());
                }
                before = Some(now);
                tokio::time::sleep(LOOK).await;
            }
        }));
    }

    /// Small answers so far.
    pub fn answered(&self) -> usize {
        self.shared.visits.lock().unwrap().len()
    }

    /// Lets everything end that was begun.
    pub async fn end(self) -> Outcome {
        self.shared.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        let take = |list: &Mutex<Vec<String>>| std::mem::take(&mut *list.lock().unwrap());
        Outcome {
            requests: self.shared.requests.load(Ordering::SeqCst),
            repeated: self.shared.repeated.load(Ordering::SeqCst),
            failed: take(&self.shared.failed),
            visits: std::mem::take(&mut *self.shared.visits.lock().unwrap()),
            long: std::mem::take(&mut *self.shared.long.lock().unwrap()),
            cutovers: std::mem::take(&mut *self.shared.cutovers.lock().unwrap()),
        }
    }
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn asks(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
    }

    fn fails(&self, what: &str, why: &str, after: Duration) {
        self.failed.lock().unwrap().push(format!("{what}: {why} after {after:?}"));
    }

    async fn ask(&self, line: &mut Option<Line>, path: &str) -> Result<Asked, String> {
        self.asks();
        let (answer, repeated) = line::ask(line, self.address, &self.host, path).await?;
        self.repeated.fetch_add(u64::from(repeated), Ordering::SeqCst);
        if answer.status != 200 {
            return Err(format!("status {}", answer.status));
        }
        Ok(answer)
    }

    fn notes(&self, kind: Kind, from: Instant) {
        self.long.lock().unwrap().push(Long { kind, from, to: Instant::now() });
    }
}

/// Small requests at a steady pace.
async fn visit(shared: Arc<Shared>, n: u32) {
    tokio::time::sleep(shared.load.pause * n / shared.load.visitors).await;
    let mut line = None;
    let mut pace = tokio::time::interval(shared.load.pause);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shared.goes_on() {
        pace.tick().await;
        let from = Instant::now();
        let asked = async { shared.ask(&mut line, "/").await?.text().await };
        match asked.await {
            Ok((name, healthy_at)) => {
                let visit = Visit { from, took: from.elapsed(), name, healthy_at };
                shared.visits.lock().unwrap().push(visit);
            }
            Err(why) => shared.fails("a small request", &why, from.elapsed()),
        }
    }
}

/// Answers that take two seconds.
async fn wait(shared: Arc<Shared>, delay: Duration) {
    tokio::time::sleep(delay).await;
    let mut line = None;
    while shared.goes_on() {
        let from = Instant::now();
        let asked = async { shared.ask(&mut line, "/slow").await?.text().await };
        match asked.await {
            Ok(_) => shared.notes(Kind::Slow, from),
            Err(why) => shared.fails("an answer of two seconds", &why, from.elapsed()),
        }
    }
}

/// Downloads, read as fast as takes [`KEPT`].
async fn download(shared: Arc<Shared>, delay: Duration) {
    tokio::time::sleep(delay).await;
    let size = shared.load.download_mib * MIB;
    let path = format!("/big?{}", shared.load.download_mib);
    while shared.goes_on() {
        let from = Instant::now();
        let reading = async {
            let mut body = shared.ask(&mut None, &path).await?.body;
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                read += frame.map_err(|error| error.to_string())?.data_ref().map_or(0, bytes::Bytes::len);
                let due = KEPT.mul_f64(read as f64 / size as f64);
                tokio::time::sleep(due.saturating_sub(from.elapsed())).await;
            }
            if read == size { Ok(()) } else { Err(format!("{read} of {size} bytes came")) }
        };
        match reading.await {
            Ok(()) => shared.notes(Kind::Download, from),
            Err(why) => shared.fails("a download", &why, from.elapsed()),
        }
    }
}

/// Connections that change to another protocol and are kept for a while.
async fn chat(shared: Arc<Shared>, delay: Duration) {
    tokio::time::sleep(delay).await;
    while shared.goes_on() {
        shared.asks();
        let from = Instant::now();
        match talk(&shared, from).await {
            Ok(()) => shared.notes(Kind::WebSocket, from),
            Err(error) => shared.fails("a WebSocket", &error.to_string(), from.elapsed()),
        }
    }
}

async fn talk(shared: &Shared, from: Instant) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(shared.address).await?);
    let ask = format!(
        "GET /socket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        shared.host
    );
    stream.write_all(ask.as_bytes()).await?;
    let mut status = String::new();
    stream.read_line(&mut status).await?;
    if !status.starts_with("HTTP/1.1 101") {
        return Err(std::io::Error::other(format!("the answer is `{}`", status.trim())));
    }
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await?;
    }
    line.clear();
    stream.read_line(&mut line).await?;
    while from.elapsed() < KEPT {
        let (said, mut heard) = (*b"are you there?", [0; 14]);
        stream.write_all(&said).await?;
        tokio::time::timeout(crate::PATIENCE, stream.read_exact(&mut heard)).await??;
        if said != heard {
            return Err(std::io::Error::other("it hears something else than it said"));
        }
        tokio::time::sleep(CHAT).await;
    }
    Ok(())
}

/// One small request on the kept connection or a new one; whatever the answer's status is.
pub async fn ask_once(line: &mut Option<Line>, address: SocketAddr, host: &str) {
    if let Ok((answer, _)) = line::ask(line, address, host, "/").await {
        let _ = answer.text().await;
    }
}
