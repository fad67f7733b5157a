//! `/api/v1/channels/{channel}/deliveries`: what a channel was told, and what came back.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, PageQuery, Params, Success, ok};
use super::view::{PageView, time, times};
use crate::app::App;
use crate::app::notify::delivery;
use crate::domain::notify::{Delivery, DeliveryStatus};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(delivery_list))
        .routes(routes!(delivery_view))
        .routes(routes!(delivery_replay))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryView {
    /// Also the message's own, in each attempt: `webhook-id`.
    id: String,
    seq: i64,
    /// Absent for a test, or if the rule is gone.
    rule_id: Option<String>,
    title: String,
    /// The events that went into it, oldest first.
    #[schema(value_type = Vec<Object>)]
    events: Value,
    status: DeliveryStatus,
    attempts: i64,
    /// HTTP status of the last answer, if there was one.
    last_status: Option<i64>,
    /// How the last attempt ended, if not well.
    reason: Option<String>,
    /// Of the next attempt; absent if there is none.
    next_at: Option<String>,
    created_at: String,
    finished_at: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(row: Delivery) -> Self {
        let next = Some(row.next_at).filter(|_| !row.status.is_final());
        Self {
            id: row.id.to_string(),
            seq: row.seq,
            title: row.title(),
            rule_id: row.rule_id.map(|id| id.to_string()),
            events: serde_json::to_value(&row.told).unwrap_or_default(),
            status: row.status,
            attempts: row.attempts,
            last_status: row.last_status,
            reason: row.reason,
            next_at: times(next),
            created_at: time(row.created_at),
            finished_at: times(row.finished_at),
        }
    }
}

/// Lists what a channel was told, newest first.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/deliveries", tag = "notifications", params(PageQuery),
    responses((status = 200, body = Success<PageView<DeliveryView>>), (status = 404)),
    security(("token" = ["viewer:channel"])))]
async fn delivery_list(
    State(app): State<App>,
    _: Auth,
    Path(channel): Path<String>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<DeliveryView>>>> {
    let page = delivery::delivery_list(&app, &channel, page.request()).await?;
    Ok(ok(PageView::of(page, DeliveryView::from)))
}

/// Shows a message and how it went, by id or number.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/deliveries/{delivery}", tag = "notifications",
    responses((status = 200, body = Success<DeliveryView>), (status = 404)),
    security(("token" = ["viewer:channel"])))]
async fn delivery_view(
    State(app): State<App>,
    _: Auth,
    Path((channel, key)): Path<(String, String)>,
) -> ApiResult<Json<Success<DeliveryView>>> {
    Ok(ok(delivery::delivery_view(&app, &channel, &key).await?.into()))
}

/// Sends a message once more, with the same id.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/deliveries/{delivery}/replay", tag = "notifications",
    responses((status = 200, body = Success<DeliveryView>), (status = 404), (status = 409)),
    security(("token" = ["admin:channel"])))]
async fn delivery_replay(
    State(app): State<App>,
    _: Auth,
    Path((channel, key)): Path<(String, String)>,
) -> ApiResult<Json<Success<DeliveryView>>> {
    Ok(ok(delivery::delivery_replay(&app, &channel, &key).await?.into()))
}
