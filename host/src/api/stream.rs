//! Server-sent events (WHATWG HTML, "Server-sent events"): logs and state changes, resumable with `Last-Event-ID`.

use std::convert::Infallible;
use std::time::Duration;

use async_stream::stream;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params};
use super::view::EventView;
use crate::app::logs::LogKind;
use crate::app::{App, deployment, event, stack};
use crate::domain::Id;
use crate::error::Result;

/// Read from a log file at once.
const CHUNK: usize = 64 * 1024;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// One log file of a stream that shows several in a row.
pub struct Part {
    pub kind: LogKind,
    pub id: Id,
}

#[derive(Debug, Deserialize, IntoParams)]
struct EventsQuery {
    /// Id, number or name of the stack whose events are wanted.
    stack: Option<String>,
    /// Events after this `seq`. `Last-Event-ID` wins over it; without both, only what happens from now on.
    after: Option<i64>,
}

/// State changes as they are committed, as server-sent events with `seq` as id.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventsQuery),
    responses((status = 200, content_type = "text/event-stream", body = EventView)))]
async fn events(
    State(app): State<App>,
    _: Auth,
    Params(query): Params<EventsQuery>,
    headers: HeaderMap,
) -> ApiResult<impl IntoResponse> {
    let stack_id = match &query.stack {
        Some(name) => Some(stack::stack_view(&app, name).await?.stack.id),
        None => None,
    };
    let after = last_event_id(&headers).and_then(|id| id.parse().ok()).or(query.after);
    let cursor = match after {
        Some(cursor) => cursor,
        None => event::latest_seq(&app).await?,
    };
    Ok(Sse::new(event_stream(app, stack_id, cursor)).keep_alive(keep_alive()))
}

fn event_stream(
    app: App,
    stack_id: Option<Id>,
    mut cursor: i64,
) -> impl Stream<Item = Result<SseEvent, Infallible>> {
    stream! {
        let mut changes = app.db.subscribe_events();
        loop {
            let rows = match event::list_after(&app, cursor, stack_id.as_ref()).await {
                Ok(rows) => rows,
                Err(error) => {
                    yield Ok(SseEvent::default().event("error").data(error.to_string()));
                    break;
                }
            };
            let more = !rows.is_empty();
            for row in rows {
                cursor = row.seq;
                let (seq, kind) = (row.seq, row.kind.as_str());
                if let Ok(data) = serde_json::to_string(&EventView::from(row)) {
                    yield Ok(SseEvent::default().id(seq.to_string()).event(kind).data(data));
                }
            }
            // A receiver that fell behind reads from the table, so a lagged signal is as good as a received one. The
            // timeout covers events that another node committed.
            if !more {
                let _ = tokio::time::timeout(Duration::from_secs(1), changes.recv()).await;
            }
        }
    }
}

/// The logs in a row, as plain text or live.
pub async fn logs(app: App, parts: Vec<Part>, headers: &HeaderMap) -> ApiResult<Response> {
    let live = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    if live {
        let from = last_event_id(headers).and_then(position).unwrap_or((0, 0));
        return Ok(Sse::new(log_stream(app, parts, from)).keep_alive(keep_alive()).into_response());
    }
    let body = axum::body::Body::from_stream(text_stream(app, parts));
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

fn text_stream(app: App, parts: Vec<Part>) -> impl Stream<Item = Result<Vec<u8>>> {
    stream! {
        for part in parts {
            let mut offset = 0;
            loop {
                let bytes = app.logs.read(part.kind, &part.id, offset, CHUNK).await?;
                if bytes.is_empty() {
                    break;
                }
                offset += bytes.len() as u64;
                yield Ok(bytes);
            }
        }
    }
}

/// An event a line. Ids are `<part>:<offset>`, the position after the line.
fn log_stream(
    app: App,
    parts: Vec<Part>,
    (first, mut offset): (usize, u64),
) -> impl Stream<Item = Result<SseEvent, Infallible>> {
    stream! {
        for (index, part) in parts.iter().enumerate().skip(first) {
            let mut rest = Vec::new();
            loop {
                let mut extent = app.logs.follow(part.kind, &part.id);
                let finished = extent.borrow_and_update().finished;
                let bytes = match app.logs.read(part.kind, &part.id, offset + rest.len() as u64, CHUNK).await {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        yield Ok(SseEvent::default().event("error").data(error.to_string()));
                        return;
                    }
                };
                let read = !bytes.is_empty();
                rest.extend(bytes);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    offset += line.len() as u64;
                    let text = String::from_utf8_lossy(&line[..end]).into_owned();
                    yield Ok(SseEvent::default().id(format!("{index}:{offset}")).data(text));
                }
                if read {
                    continue;
                }
                if finished && is_over(&app, part).await {
                    break;
                }
                // The deadline covers a log whose writer is between two attempts, or on another node.
                let _ = tokio::time::timeout(Duration::from_millis(500), extent.changed()).await;
                if finished {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            offset = 0;
        }
        let status = match parts.last() {
            Some(part) => final_status(&app, part).await.unwrap_or_default(),
            None => String::new(),
        };
        yield Ok(SseEvent::default().event("end").data(status));
    }
}

/// A log that nobody writes right now may still be continued, unless what it tells of has ended.
async fn is_over(app: &App, part: &Part) -> bool {
    let over = match part.kind {
        LogKind::Build => {
            crate::app::build::build_view(app, part.id.as_str()).await.map(|row| row.status.is_terminal())
        }
        LogKind::Deployment => {
            deployment::deployment_view(app, part.id.as_str()).await.map(|row| row.status.is_terminal())
        }
    };
    over.unwrap_or(true)
}

async fn final_status(app: &App, part: &Part) -> Result<String> {
    Ok(match part.kind {
        LogKind::Build => {
            crate::app::build::build_view(app, part.id.as_str()).await?.status.as_str().to_string()
        }
        LogKind::Deployment => {
            deployment::deployment_view(app, part.id.as_str()).await?.status.as_str().to_string()
        }
    })
}

fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|value| value.to_str().ok())
}

fn position(id: &str) -> Option<(usize, u64)> {
    let (part, offset) = id.split_once(':')?;
    Some((part.parse().ok()?, offset.parse().ok()?))
}

fn keep_alive() -> KeepAlive {
    KeepAlive::new().interval(Duration::from_secs(15))
}
