//! The server's side of the control socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::control::{self, Refused};
use super::report::{Health, Stats};
use crate::domain::route::RouteTable;
use crate::error::{Error, Result};

/// For one question.
const PATIENCE: Duration = Duration::from_secs(5);
/// A router that is being replaced answers again after a moment.
const ATTEMPTS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);
/// More than all statistics of the largest table.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Speaks with the router of one data folder. Cheap to clone; every question has a connection of its own.
#[derive(Debug, Clone)]
pub struct RouterClient {
    folder: PathBuf,
}

impl RouterClient {
    /// `data` is the server's data folder.
    pub fn new(data: &Path) -> Self {
        Self { folder: super::folder(data) }
    }

    /// Puts a table in the place of the one in use. When this returns, every new request is decided by it, and it is on disk.
    /// While the router is being restarted or replaced, this waits for it.
    ///
    /// # Errors
    /// `Invalid` if it makes no sense, `Conflict` if it is not newer than the one in use, `Unavailable` if no router answers
    /// within two seconds. The table in use stays.
    pub async fn apply(&self, table: &RouteTable) -> Result<Health> {
        let text = Bytes::from(serde_json::to_vec(table).map_err(Error::internal)?);
        let mut attempt = 0;
        loop {
            match self.ask_at(&control::socket(&self.folder), Method::PUT, "/table", text.clone()).await {
                Err(Trouble::Nobody(why) | Trouble::Changing(why)) if attempt < ATTEMPTS => {
                    tracing::debug!(why, "[@router:client] the table is sent again");
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer.map_err(Trouble::into_error),
            }
        }
    }

    /// The table in use.
    ///
    /// # Errors
    /// `Unavailable` if no router answers.
    pub async fn table(&self) -> Result<RouteTable> {
        self.get("/table").await
    }

    /// # Errors
    /// `Unavailable` if no router answers.
    pub async fn health(&self) -> Result<Health> {
        self.get("/health").await
    }

    /// Counts, and latencies over the last `seconds` (at most 900).
    ///
    /// # Errors
    /// `Unavailable` if no router answers.
    pub async fn stats(&self, seconds: usize) -> Result<Stats> {
        self.get(&format!("/stats?seconds={seconds}")).await
    }

    /// Requests and WebSockets that a target answers, in this router process and in those that it took over from. They only
    /// become fewer once no table has the target any more.
    ///
    /// # Errors
    /// `Unavailable` if no router answers.
    pub async fn in_flight(&self, target: SocketAddr) -> Result<u64> {
        let count = |stats: &Stats| stats.in_flight.get(&target).copied().unwrap_or_default();
        let mut sum = count(&self.stats(1).await?);
        // In this order: a router that is left makes its other socket before the next one answers.
        for socket in self.leaving()? {
            match self.ask_at::<Stats>(&socket, Method::GET, "/stats?seconds=1", Bytes::new()).await {
                Ok(stats) => sum += count(&stats),
                // Nobody listens: the process was killed and is not in flight any more.
                Err(_) => {
                    let _ = std::fs::remove_file(socket);
                }
            }
        }
        Ok(sum)
    }

    /// Returns when the router process ends or is replaced.
    ///
    /// # Errors
    /// `Unavailable` if no router answers.
    pub async fn watch(&self) -> Result<()> {
        let request = Request::get("/watch").header(header::HOST, "router").body(Full::default());
        let request = request.map_err(Error::internal)?;
        let socket = control::socket(&self.folder);
        let mut answer = self.send(&socket, request).await.map_err(Trouble::into_error)?;
        while let Some(Ok(_)) = answer.body_mut().frame().await {}
        Ok(())
    }

    fn leaving(&self) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(&self.folder).map_err(Error::internal)?;
        let is_leaving = |path: &PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("leaving-") && name.ends_with(".sock"))
        };
        Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_leaving).collect())
    }

    /// Nobody to answer is an answer; a router that is being replaced is asked again.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let socket = control::socket(&self.folder);
        let mut attempt = 0;
        loop {
            match self.ask_at(&socket, Method::GET, path, Bytes::new()).await {
                Err(Trouble::Changing(_)) if attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer.map_err(Trouble::into_error),
            }
        }
    }

    async fn ask_at<T: DeserializeOwned>(
        &self,
        socket: &Path,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> std::result::Result<T, Trouble> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "router")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(internal)?;
        let asking = async {
            let (parts, body) = self.send(socket, request).await?.into_parts();
            let text = Limited::new(body, ANSWER_BYTES).collect().await.map_err(changing)?.to_bytes();
            if parts.status.is_success() {
                return serde_json::from_slice(&text).map_err(internal);
            }
            let refused: Refused = serde_json::from_slice(&text).map_err(internal)?;
            Err(match refused.code.as_str() {
                "invalid" => Trouble::Other(Error::invalid(refused.field, refused.message)),
                "conflict" => Trouble::Other(Error::conflict(refused.message)),
                _ => Trouble::Changing(refused.message),
            })
        };
        let late = |_| Err(Trouble::Nobody(format!("no answer within {} s", PATIENCE.as_secs())));
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(late)
    }

    async fn send(
        &self,
        socket: &Path,
        request: Request<Full<Bytes>>,
    ) -> std::result::Result<Response<Incoming>, Trouble> {
        let stream = UnixStream::connect(socket).await.map_err(|error| Trouble::Nobody(error.to_string()))?;
        let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(changing)?;
        tokio::spawn(connection);
        send.send_request(request).await.map_err(changing)
    }
}

/// Why there is no answer.
enum Trouble {
    /// Nobody listens, or nobody speaks.
    Nobody(String),
    /// The router ends or is being replaced: the next one answers.
    Changing(String),
    Other(Error),
}

impl Trouble {
    fn into_error(self) -> Error {
        match self {
            Self::Nobody(why) | Self::Changing(why) => Error::unavailable(format!(
                "the router does not answer: {why}; `windlass serve` starts it if router.enabled is set"
            )),
            Self::Other(error) => error,
        }
    }
}

fn changing(error: impl std::fmt::Display) -> Trouble {
    Trouble::Changing(error.to_string())
}

fn internal(error: impl std::fmt::Display) -> Trouble {
    Trouble::Other(Error::internal(error))
}
