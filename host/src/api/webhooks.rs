//! Webhook deliveries in, and the inbox.

mod body;

pub(super) use body::read as read_body;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use super::view::{PageView, WebhookEventView};
use crate::app::webhook::{Incoming, Received, Target};
use crate::app::{App, webhook};
use crate::domain::Id;
use crate::domain::page::PageRequest;

/// The forge plugin behind the route that seed 4 spells out.
const SEED4_FORGE: &str = "github";

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(receive))
        .routes(routes!(receive_from))
        .routes(routes!(receive_shared))
        .routes(routes!(webhook_list))
        .routes(routes!(webhook_view))
        .routes(routes!(webhook_replay))
}

#[derive(Serialize, ToSchema)]
struct Accepted {
    success: bool,
    /// Id of the stored event.
    event_id: String,
    /// True if the same delivery was stored before; nothing is started then.
    duplicate: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    repository: Option<String>,
    before: Option<i64>,
    limit: Option<i64>,
}

/// Takes a delivery for one repository. Answered once it is committed; what it meant is in the inbox.
#[utoipa::path(post, path = "/api/webhooks/{repository}", tag = "webhooks", request_body(content = String),
    responses((status = 202, body = Accepted), (status = 401), (status = 404), (status = 429)), security(()))]
async fn receive(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<Accepted>)> {
    take(&app, Target::Repository { id: Id::from_text(id), provider: None }, &headers, body).await
}

/// Takes a delivery for one repository whose deliveries come from the forge plugin named in the address, such as
/// `github`, `gitlab`, `bitbucket` or `gitea`. One for another forge than the repository's is refused.
#[utoipa::path(post, path = "/api/webhooks/{provider}/{repository}", tag = "webhooks",
    request_body(content = String),
    responses((status = 202, body = Accepted), (status = 401), (status = 404), (status = 409), (status = 429)),
    security(()))]
async fn receive_from(
    State(app): State<App>,
    Path((provider, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<Accepted>)> {
    let target = Target::Repository { id: Id::from_text(id), provider: Some(provider) };
    take(&app, target, &headers, body).await
}

/// Takes a GitHub delivery for whichever repositories it is about (seed 4).
#[utoipa::path(post, path = "/v1/webhooks/github", tag = "webhooks", request_body(content = String),
    responses((status = 202, body = Accepted), (status = 401), (status = 429)), security(()))]
async fn receive_shared(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<Accepted>)> {
    take(&app, Target::Provider(SEED4_FORGE.to_string()), &headers, body).await
}

/// Names are in lower case already.
pub(super) fn lower_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let read = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(read).collect()
}

async fn take(
    app: &App,
    target: Target,
    headers: &HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<Accepted>)> {
    // The room is given back once the delivery is answered.
    let (body, _room) = body::read(app, headers, body).await?;
    let headers = lower_headers(headers);
    let received = webhook::webhook_receive(app, Incoming { target, headers, body }).await?;
    let (event_id, duplicate) = match received {
        Received::Accepted { event_id } => (event_id, false),
        Received::Duplicate { of } => (of, true),
    };
    Ok((StatusCode::ACCEPTED, Json(Accepted { success: true, event_id: event_id.to_string(), duplicate })))
}

/// Lists received deliveries, newest first.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", params(ListQuery),
    responses((status = 200, body = Success<PageView<WebhookEventView>>)),
    security(("token" = ["viewer:any"])))]
async fn webhook_list(
    State(app): State<App>,
    auth: Auth,
    Params(query): Params<ListQuery>,
) -> ApiResult<Json<Success<PageView<WebhookEventView>>>> {
    let repository = query.repository.map(Id::from_text);
    let page = PageRequest::new(query.before, query.limit);
    let page = webhook::webhook_list(&app, repository.as_ref(), page, &auth.reach()).await?;
    Ok(ok(PageView::of(page, WebhookEventView::summary)))
}

/// Shows a delivery with its headers and body.
#[utoipa::path(get, path = "/api/v1/webhooks/{event}", tag = "webhooks",
    responses((status = 200, body = Success<WebhookEventView>)),
    security(("token" = ["viewer:event"])))]
async fn webhook_view(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<WebhookEventView>>> {
    Ok(ok(WebhookEventView::whole(webhook::webhook_view(&app, &id).await?)))
}

/// Reads a delivery again and acts on it, as a new one with the same headers and body.
#[utoipa::path(post, path = "/api/v1/webhooks/{event}/replay", tag = "webhooks",
    responses((status = 202, body = Success<WebhookEventView>), (status = 404), (status = 409)),
    security(("token" = ["deployer:event"])))]
async fn webhook_replay(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<WebhookEventView>>)> {
    let event = webhook::webhook_replay(&app, &id).await?;
    Ok((StatusCode::ACCEPTED, ok(WebhookEventView::summary(event))))
}
