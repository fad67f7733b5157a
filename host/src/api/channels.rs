//! `/api/v1/channels`: where people and programs are told what happened. A webhook of one's own is a channel as well.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deliveries::DeliveryView;
use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use super::view::{time, times};
use crate::app::App;
use crate::app::notify::channel::{self, ChannelInput};
use crate::app::notify::{delivery, rule};
use crate::domain::notify::{Channel, Rule, RulePlan};
use crate::error::Result;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(channel_list))
        .routes(routes!(team_channels, channel_create))
        .routes(routes!(channel_view, channel_update, channel_delete))
        .routes(routes!(channel_test))
        .routes(routes!(channel_rotate))
        .routes(routes!(rule_list, rule_create))
        .routes(routes!(rule_update, rule_delete))
}

/// Credentials are never shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChannelView {
    id: String,
    seq: i64,
    team_id: String,
    name: String,
    plugin: String,
    url: String,
    #[schema(value_type = Object)]
    settings: Value,
    has_credentials: bool,
    /// Until when the secret before the present one signs as well.
    previous_secret_until: Option<String>,
    private_network: bool,
    /// In PEM.
    certificates: Option<String>,
    enabled: bool,
    /// The last message that was tried.
    last_delivery: Option<DeliveryView>,
    created_at: String,
    updated_at: String,
}

impl ChannelView {
    async fn of(app: &App, row: Channel) -> Result<Self> {
        let last = delivery::delivery_last(app, &row.id).await?;
        Ok(Self {
            id: row.id.to_string(),
            seq: row.seq,
            team_id: row.team_id.to_string(),
            name: row.name,
            plugin: row.plugin,
            url: row.url,
            settings: row.settings,
            has_credentials: row.credentials.is_some(),
            previous_secret_until: times(row.previous_until),
            private_network: row.private_network,
            certificates: row.certificates,
            enabled: row.enabled,
            last_delivery: last.map(DeliveryView::from),
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

#[derive(Serialize, ToSchema)]
struct Channels {
    items: Vec<ChannelView>,
}

#[derive(Serialize, ToSchema)]
struct ChannelSecret {
    channel: ChannelView,
    /// What messages are signed with, if it was made here. It is shown this once.
    secret: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChannelRotation {
    /// How long the secret before signs as well; a day if left out, 0 if somebody knows it who should not.
    #[serde(default)]
    overlap_secs: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RuleView {
    id: String,
    seq: i64,
    /// Absent: all stacks of the team.
    stack_id: Option<String>,
    #[serde(flatten)]
    plan: RulePlan,
    created_at: String,
    updated_at: String,
}

impl From<Rule> for RuleView {
    fn from(row: Rule) -> Self {
        Self {
            id: row.id.to_string(),
            seq: row.seq,
            stack_id: row.stack_id.map(|id| id.to_string()),
            plan: row.plan,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Rules {
    items: Vec<RuleView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RuleInput {
    /// Name, number or id of a stack of the channel's team; left out: all of them.
    #[serde(default)]
    stack: Option<String>,
    plan: RulePlan,
}

async fn all(app: &App, rows: Vec<Channel>) -> ApiResult<Json<Success<Channels>>> {
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(ChannelView::of(app, row).await?);
    }
    Ok(ok(Channels { items }))
}

/// Lists the channels of one's own teams.
#[utoipa::path(get, path = "/api/v1/channels", tag = "notifications",
    responses((status = 200, body = Success<Channels>)),
    security(("token" = ["viewer:any"])))]
async fn channel_list(State(app): State<App>, auth: Auth) -> ApiResult<Json<Success<Channels>>> {
    let rows = channel::channel_list(&app, &auth.who).await?;
    all(&app, rows.into_iter().map(|(channel, _)| channel).collect()).await
}

/// Lists a team's channels.
#[utoipa::path(get, path = "/api/v1/teams/{team}/channels", tag = "notifications",
    responses((status = 200, body = Success<Channels>), (status = 404)),
    security(("token" = ["viewer:team"])))]
async fn team_channels(
    State(app): State<App>,
    _: Auth,
    Path(team): Path<String>,
) -> ApiResult<Json<Success<Channels>>> {
    let rows = channel::channel_list_of(&app, &team).await?;
    all(&app, rows).await
}

/// Adds a channel. A plugin that signs gets a secret that is shown this once, unless there are credentials.
#[utoipa::path(post, path = "/api/v1/teams/{team}/channels", tag = "notifications", request_body = ChannelInput,
    responses((status = 201, body = Success<ChannelSecret>), (status = 403), (status = 409), (status = 422)),
    security(("token" = ["admin:team"])))]
async fn channel_create(
    State(app): State<App>,
    auth: Auth,
    Path(team): Path<String>,
    Body(input): Body<ChannelInput>,
) -> ApiResult<(StatusCode, Json<Success<ChannelSecret>>)> {
    let (row, secret) = channel::channel_create(&app, &team, input, &auth.who).await?;
    let channel = ChannelView::of(&app, row).await?;
    Ok((StatusCode::CREATED, ok(ChannelSecret { channel, secret })))
}

/// Shows a channel by id or number.
#[utoipa::path(get, path = "/api/v1/channels/{channel}", tag = "notifications",
    responses((status = 200, body = Success<ChannelView>), (status = 404)),
    security(("token" = ["viewer:channel"])))]
async fn channel_view(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<ChannelView>>> {
    let row = channel::channel_view(&app, &key).await?;
    Ok(ok(ChannelView::of(&app, row).await?))
}

/// Changes a channel. Credentials stay as they are if they are left out.
#[utoipa::path(put, path = "/api/v1/channels/{channel}", tag = "notifications", request_body = ChannelInput,
    responses((status = 200, body = Success<ChannelView>), (status = 403), (status = 404), (status = 422)),
    security(("token" = ["admin:channel"])))]
async fn channel_update(
    State(app): State<App>,
    auth: Auth,
    Path(key): Path<String>,
    Body(input): Body<ChannelInput>,
) -> ApiResult<Json<Success<ChannelView>>> {
    let row = channel::channel_update(&app, &key, input, &auth.who).await?;
    Ok(ok(ChannelView::of(&app, row).await?))
}

/// Removes a channel with its rules and what it was told.
#[utoipa::path(delete, path = "/api/v1/channels/{channel}", tag = "notifications",
    responses((status = 204), (status = 404)),
    security(("token" = ["admin:channel"])))]
async fn channel_delete(State(app): State<App>, _: Auth, Path(key): Path<String>) -> ApiResult<StatusCode> {
    channel::channel_delete(&app, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a test message, once and now, and answers with how it went.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/test", tag = "notifications",
    responses((status = 200, body = Success<DeliveryView>), (status = 404), (status = 409)),
    security(("token" = ["admin:channel"])))]
async fn channel_test(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<DeliveryView>>> {
    Ok(ok(delivery::channel_test(&app, &key).await?.into()))
}

/// Makes a new signing secret, which is shown this once. For a while both sign.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/rotate", tag = "notifications", request_body = ChannelRotation,
    responses((status = 200, body = Success<ChannelSecret>), (status = 404), (status = 409), (status = 422)),
    security(("token" = ["admin:channel"])))]
async fn channel_rotate(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
    Body(input): Body<ChannelRotation>,
) -> ApiResult<Json<Success<ChannelSecret>>> {
    let rotated = channel::channel_rotate(&app, &key, input.overlap_secs).await?;
    let channel = ChannelView::of(&app, rotated.channel).await?;
    Ok(ok(ChannelSecret { channel, secret: Some(rotated.secret) }))
}

/// Lists what a channel is told.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/rules", tag = "notifications",
    responses((status = 200, body = Success<Rules>), (status = 404)),
    security(("token" = ["viewer:channel"])))]
async fn rule_list(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<Rules>>> {
    let channel = channel::channel_view(&app, &key).await?;
    let rows = rule::rule_list(&app, &channel.id).await?;
    Ok(ok(Rules { items: rows.into_iter().map(RuleView::from).collect() }))
}

/// Has a channel told of some events.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/rules", tag = "notifications", request_body = RuleInput,
    responses((status = 201, body = Success<RuleView>), (status = 403), (status = 404), (status = 422)),
    security(("token" = ["admin:channel"])))]
async fn rule_create(
    State(app): State<App>,
    auth: Auth,
    Path(key): Path<String>,
    Body(input): Body<RuleInput>,
) -> ApiResult<(StatusCode, Json<Success<RuleView>>)> {
    let row = rule::rule_create(&app, &key, input.stack.as_deref(), input.plan, &auth.who).await?;
    Ok((StatusCode::CREATED, ok(row.into())))
}

/// Changes a rule.
#[utoipa::path(put, path = "/api/v1/channels/{channel}/rules/{rule}", tag = "notifications", request_body = RuleInput,
    responses((status = 200, body = Success<RuleView>), (status = 403), (status = 404), (status = 422)),
    security(("token" = ["admin:channel"])))]
async fn rule_update(
    State(app): State<App>,
    auth: Auth,
    Path((channel, key)): Path<(String, String)>,
    Body(input): Body<RuleInput>,
) -> ApiResult<Json<Success<RuleView>>> {
    let row = rule::rule_update(&app, &channel, &key, input.stack.as_deref(), input.plan, &auth.who).await?;
    Ok(ok(row.into()))
}

/// Removes a rule. What it has had told stays.
#[utoipa::path(delete, path = "/api/v1/channels/{channel}/rules/{rule}", tag = "notifications",
    responses((status = 204), (status = 404)),
    security(("token" = ["admin:channel"])))]
async fn rule_delete(
    State(app): State<App>,
    _: Auth,
    Path((channel, key)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    rule::rule_delete(&app, &channel, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
