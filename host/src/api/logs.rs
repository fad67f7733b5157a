//! Logs: as text, live as server-sent events that resume after `Last-Event-ID`, or the lines that have a text.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use async_stream::stream;
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiResult;
use super::extract::{Success, ok};
use super::stream::last_event_id;
use crate::app::logs::{Batch, LogKind, Needle, log_reader};
use crate::app::{App, build, cicd, deployment};
use crate::domain::Id;
use crate::error::Result;

/// A viewer that is up to date gets new lines after this long at most. Meanwhile they gather, so that a chatty program does
/// not wake every viewer for every line.
const GATHER: Duration = Duration::from_millis(20);
/// More than so many bytes are passed on at once.
const FULL: usize = 64 * 1024;
/// A comment is sent into the silence, so that nothing in between believes the connection to be dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often a log that nobody writes, and that is not over, is looked at: its writer is between two attempts, or on another
/// node.
const LOOK: Duration = Duration::from_millis(700);
/// Lines that one search answers.
const MAX_FOUND: usize = 1000;

/// One log of an answer that has several in a row.
pub struct Part {
    pub kind: LogKind,
    pub id: Id,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// Send it as a file to be saved.
    #[serde(default)]
    pub download: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// What a line has to contain, in upper or lower case.
    q: String,
    /// `q` is a regular expression.
    #[serde(default)]
    regex: bool,
    /// `next` of the answer before.
    after: Option<String>,
    /// Lines an answer, 1 to 1000; 200 if left out.
    limit: Option<usize>,
}

/// Lines that have the text, in the order of the log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundLines {
    items: Vec<FoundLine>,
    /// Where to go on looking; absent at the end of the log.
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundLine {
    /// `<part>:<line>`, as in the ids of the live log: parts count from 0, lines from 1.
    position: String,
    text: String,
}

/// The logs in a row, as plain text or live. `name` is that of the file where one is wanted.
pub fn logs(app: App, parts: Vec<Part>, name: &str, query: &LogQuery, headers: &HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/event-stream")) {
        let from = last_event_id(headers).and_then(position).unwrap_or((0, 0));
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-cache"),
            // nginx would gather lines until it has a buffer full of them.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        return (
            headers,
            Body::from_stream(follow(app, parts, from).map(|seen| Ok::<_, Infallible>(sse(seen)))),
        )
            .into_response();
    }
    let how = if query.download { "attachment" } else { "inline" };
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_string()),
        (header::CONTENT_DISPOSITION, format!("{how}; filename=\"{name}.log\"")),
    ];
    (headers, Body::from_stream(text(app, parts))).into_response()
}

/// The lines that have a text.
pub async fn search(app: &App, parts: &[Part], query: &SearchQuery) -> ApiResult<Json<Success<FoundLines>>> {
    let needle = Needle::new(&query.q, query.regex)?;
    let limit = query.limit.unwrap_or(200).clamp(1, MAX_FOUND);
    let (first, mut after) = query.after.as_deref().and_then(position).unwrap_or((0, 0));
    let mut items: Vec<FoundLine> = Vec::new();
    for (index, part) in parts.iter().enumerate().skip(first) {
        let mut reader = log_reader(app, part.kind, &part.id, std::mem::take(&mut after)).await?;
        let found = reader.search(&needle, limit - items.len()).await?;
        items.extend(
            found
                .into_iter()
                .map(|line| FoundLine { position: format!("{index}:{}", line.line), text: line.text }),
        );
        if items.len() == limit {
            break;
        }
    }
    let next = items.last().filter(|_| items.len() == limit).map(|line| line.position.clone());
    Ok(ok(FoundLines { items, next }))
}

fn text(app: App, parts: Vec<Part>) -> impl Stream<Item = Result<Bytes>> {
    stream! {
        for part in parts {
            let mut reader = log_reader(&app, part.kind, &part.id, 0).await?;
            loop {
                let batch = reader.read().await?;
                if batch.text.is_empty() {
                    break;
                }
                yield Ok(Bytes::from(batch.text));
            }
        }
    }
}

/// What a viewer of a live log gets.
pub enum Seen {
    /// Lines of the part with that index.
    Lines(usize, Batch),
    /// Nothing was written for a while.
    Silence,
    /// The log cannot be read, and why.
    Broken(String),
    /// All of it was seen. The status that it ended with.
    End(&'static str),
}

/// The logs in a row, from after a line, until what they tell of has ended. A viewer that does not ask for more is not waited
/// for: its lines stay on disk until it does.
pub fn follow(app: App, parts: Vec<Part>, (first, mut after): (usize, u64)) -> impl Stream<Item = Seen> {
    stream! {
        let _viewer = app.metrics.log_viewer();
        let mut spoken = Instant::now();
        for (index, part) in parts.iter().enumerate().skip(first) {
            let mut reader = match log_reader(&app, part.kind, &part.id, std::mem::take(&mut after)).await {
                Ok(reader) => reader,
                Err(error) => {
                    yield Seen::Broken(error.to_string());
                    return;
                }
            };
            let mut extent = app.logs.follow(part.kind, &part.id).await;
            let mut over = false;
            loop {
                let finished = extent.borrow_and_update().finished;
                let batch = match reader.read().await {
                    Ok(batch) => batch,
                    Err(error) => {
                        yield Seen::Broken(error.to_string());
                        return;
                    }
                };
                if !batch.text.is_empty() {
                    let gathers = batch.text.len() < FULL && !finished;
                    yield Seen::Lines(index, batch);
                    spoken = Instant::now();
                    if gathers {
                        tokio::time::sleep(GATHER).await;
                    }
                } else if over {
                    break;
                } else if finished && is_over(&app, part).await {
                    // A last attempt may have come and gone since the log was read.
                    over = true;
                } else if finished {
                    tokio::time::sleep(LOOK).await;
                    extent = app.logs.follow(part.kind, &part.id).await;
                } else {
                    let _ = tokio::time::timeout(KEEP_ALIVE, extent.changed()).await;
                }
                if spoken.elapsed() >= KEEP_ALIVE {
                    yield Seen::Silence;
                    spoken = Instant::now();
                }
            }
        }
        let status = match parts.last() {
            Some(part) => status(&app, part).await.map(|(word, _)| word).unwrap_or_default(),
            None => "",
        };
        yield Seen::End(status);
    }
}

fn sse(seen: Seen) -> Bytes {
    match seen {
        Seen::Lines(part, batch) => events(part, &batch),
        Seen::Silence => Bytes::from_static(b":\n\n"),
        Seen::Broken(why) => event("error", &why),
        Seen::End(status) => event("end", status),
    }
}

/// Lines with the ids `<part>:<line>`. They are made in one piece: an answer with a frame of its own for every line is what
/// takes the time.
fn events(part: usize, batch: &Batch) -> Bytes {
    let mut text = Vec::with_capacity(batch.text.len() * 3 / 2);
    let mut id = String::new();
    for (number, line) in batch.lines() {
        id.clear();
        // Writing to a string cannot fail.
        let _ = write!(id, "id: {part}:{number}\ndata: ");
        text.extend_from_slice(id.as_bytes());
        text.extend_from_slice(line);
        text.extend_from_slice(b"\n\n");
    }
    Bytes::from(text)
}

fn event(name: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {}\n\n", data.replace(['\n', '\r'], " ")))
}

/// A log that nobody writes right now may still be continued, unless what it tells of has ended.
async fn is_over(app: &App, part: &Part) -> bool {
    status(app, part).await.map_or(true, |(_, over)| over)
}

async fn status(app: &App, part: &Part) -> Result<(&'static str, bool)> {
    Ok(match part.kind {
        LogKind::Build => {
            let status = build::build_view(app, part.id.as_str()).await?.status;
            (status.as_str(), status.is_terminal())
        }
        LogKind::Deployment => {
            let status = deployment::deployment_view(app, part.id.as_str()).await?.status;
            (status.as_str(), status.is_terminal())
        }
        LogKind::Ci => {
            let row = cicd::build::build_view(app, part.id.as_str()).await?;
            (row.status.as_str(), row.settled_at.is_some())
        }
    })
}

/// `<part>:<line>`.
pub fn position(id: &str) -> Option<(usize, u64)> {
    let (part, line) = id.split_once(':')?;
    Some((part.parse().ok()?, line.parse().ok()?))
}
