//! Server-sent events (WHATWG HTML, "Server-sent events"): state changes, resumable with `Last-Event-ID`; and those of the past, in
//! pages.

use std::convert::Infallible;
use std::time::Duration;

use async_stream::stream;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use super::view::{EventView, PageView, PastEventView};
use crate::app::access::require;
use crate::app::event::EventChoice;
use crate::app::{App, event, stack};
use crate::domain::Id;
use crate::domain::access::{Reach, Role, Subject};
use crate::domain::event::Event;
use crate::domain::page::PageRequest;
use crate::error::Result;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(event_list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Id, number or name of the stack whose events are wanted.
    stack: Option<String>,
    /// Events after this `seq`. `Last-Event-ID` wins over it; without both, only what happens from now on.
    after: Option<i64>,
}

/// State changes as they are committed, as server-sent events with `seq` as id.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventsQuery),
    responses((status = 200, content_type = "text/event-stream", body = EventView)),
    security(("token" = ["viewer:any"])))]
async fn events(
    State(app): State<App>,
    auth: Auth,
    Params(query): Params<EventsQuery>,
    headers: HeaderMap,
) -> ApiResult<impl IntoResponse> {
    let stack_id = match &query.stack {
        Some(name) => {
            require(&app, &auth.who.rights, Role::Viewer, Subject::Stack, name).await?;
            Some(stack::stack_view(&app, name).await?.stack.id)
        }
        None => None,
    };
    let after = last_event_id(&headers).and_then(|id| id.parse().ok()).or(query.after);
    let cursor = match after {
        Some(cursor) => cursor,
        None => event::latest_seq(&app).await?,
    };
    Ok(Sse::new(event_stream(app, stack_id, auth.reach(), cursor)).keep_alive(keep_alive()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Id, number or name of the stack whose events are wanted.
    stack: Option<String>,
    /// Id or number of the deployment whose events, and whose build's, are wanted.
    deployment: Option<String>,
    /// Such as `deployment.transition`.
    kind: Option<String>,
    /// `next` of the page before.
    before: Option<i64>,
    /// Events a page, 1 to 200; 50 if left out.
    limit: Option<i64>,
}

/// Lists state changes of the past, newest first, as long as `retention.event_days` keeps them.
#[utoipa::path(get, path = "/api/v1/events/history", tag = "events", params(HistoryQuery),
    responses((status = 200, body = Success<PageView<PastEventView>>), (status = 404), (status = 422)),
    security(("token" = ["viewer:any"])))]
async fn event_list(
    State(app): State<App>,
    auth: Auth,
    Params(query): Params<HistoryQuery>,
) -> ApiResult<Json<Success<PageView<PastEventView>>>> {
    let choice = EventChoice { stack: query.stack, deployment: query.deployment, kind: query.kind };
    let request = PageRequest::new(query.before, query.limit);
    let page = event::event_list(&app, &auth.who, &choice, request).await?;
    Ok(ok(PageView::of(page, PastEventView::from)))
}

fn event_stream(
    app: App,
    stack_id: Option<Id>,
    reach: Reach,
    cursor: i64,
) -> impl Stream<Item = Result<SseEvent, Infallible>> {
    changes(app, stack_id, reach, cursor).map(|change| {
        let event = SseEvent::default();
        Ok(match change {
            Ok(row) => {
                let (seq, kind) = (row.seq, row.kind.as_str());
                let data = serde_json::to_string(&EventView::from(row)).unwrap_or_default();
                event.id(seq.to_string()).event(kind).data(data)
            }
            Err(error) => event.event("error").data(error.to_string()),
        })
    })
}

/// State changes after the cursor, and then as they are committed. It ends after an error.
pub fn changes(
    app: App,
    stack_id: Option<Id>,
    reach: Reach,
    mut cursor: i64,
) -> impl Stream<Item = Result<Event>> {
    stream! {
        let mut changes = app.db.subscribe_events();
        loop {
            let rows = match event::list_after(&app, cursor, stack_id.as_ref(), &reach).await {
                Ok(rows) => rows,
                Err(error) => {
                    yield Err(error);
                    break;
                }
            };
            let more = !rows.is_empty();
            for row in rows {
                cursor = row.seq;
                yield Ok(row);
            }
            // A receiver that fell behind reads from the table, so a lagged signal is as good as a received one. The
            // timeout covers events that another node committed.
            if !more {
                let _ = tokio::time::timeout(Duration::from_secs(1), changes.recv()).await;
            }
        }
    }
}

pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|value| value.to_str().ok())
}

fn keep_alive() -> KeepAlive {
    KeepAlive::new().interval(Duration::from_secs(15))
}
