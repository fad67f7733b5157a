//! Tokens, plugins, and the server itself.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, PageQuery, Params, Success, ok};
use super::view::{PageView, PluginView, TokenView};
use crate::app::{App, health, metrics, people, plugin, token};
use crate::domain::Id;
use crate::domain::access::Role;
use crate::error::Error;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(token_list, token_create))
        .routes(routes!(token_revoke))
        .routes(routes!(plugin_list))
        .routes(routes!(plugin_inspect))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics_text))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenInput {
    /// What or who uses it.
    name: String,
    /// RFC 3339; never if left out.
    #[serde(default)]
    expires_at: Option<String>,
    /// The most that it may do; as much as its owner if left out.
    #[serde(default)]
    role: Option<Role>,
    /// Id or name of the only team that it is good for.
    #[serde(default)]
    team: Option<String>,
    /// Id, number or name of the only project that it is good for.
    #[serde(default)]
    project: Option<String>,
    /// Whose it is: you if left out; somebody else's is made by an administrator of the installation.
    #[serde(default)]
    user: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`, or `unavailable` if a part does not work.
    status: String,
    version: String,
    /// Each part with `ok` or what is wrong with it.
    parts: std::collections::BTreeMap<String, String>,
}

/// Lists tokens; never the secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, body = Success<PageView<TokenView>>)),
    security(("token" = ["viewer:any"])))]
async fn token_list(
    State(app): State<App>,
    auth: Auth,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<TokenView>>>> {
    Ok(ok(PageView::of(token::token_list(&app, page.request(), &auth.who).await?, TokenView::from)))
}

/// Makes a token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenInput,
    responses((status = 201, body = Success<TokenView>)),
    security(("token" = ["viewer:any"])))]
async fn token_create(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<TokenInput>,
) -> ApiResult<(StatusCode, Json<Success<TokenView>>)> {
    auth.who.unlimited()?;
    let expires_at = match &input.expires_at {
        Some(text) => Some(
            DateTime::parse_from_rfc3339(text)
                .map_err(|_| {
                    Error::invalid("expiresAt", format!("`{}` is not an RFC 3339 time", text.escape_debug()))
                })?
                .timestamp_millis(),
        ),
        None => None,
    };
    let owner = match &input.user {
        Some(key) => people::user_for_token(&app, &auth.who, key).await?.id,
        None => auth.who.user.id.clone(),
    };
    let new = token::TokenInput {
        name: &input.name,
        user: &owner,
        expires_at,
        role: input.role,
        team: input.team.as_deref(),
        project: input.project.as_deref(),
    };
    let created = token::token_create(&app, &auth.who, new).await?;
    let view = TokenView { secret: Some(created.secret), ..created.token.into() };
    Ok((StatusCode::CREATED, ok(view)))
}

/// Revokes a token at once.
#[utoipa::path(delete, path = "/api/v1/tokens/{token}", tag = "tokens", responses((status = 204)),
    security(("token" = ["viewer:token"])))]
async fn token_revoke(State(app): State<App>, _: Auth, Path(id): Path<String>) -> ApiResult<StatusCode> {
    token::token_revoke(&app, &Id::from_text(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists plugins, those that could not be loaded with the reason.
#[utoipa::path(get, path = "/api/v1/plugins", tag = "plugins", responses((status = 200, body = Success<Vec<PluginView>>)),
    security(("token" = ["viewer:any"])))]
async fn plugin_list(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<Vec<PluginView>>>> {
    Ok(ok(plugin::plugin_list(&app).into_iter().map(PluginView::from).collect()))
}

/// Shows a plugin: kinds, imports, exports and schema, read from the component.
#[utoipa::path(get, path = "/api/v1/plugins/{plugin}", tag = "plugins",
    responses((status = 200, body = Success<PluginView>)),
    security(("token" = ["viewer:any"])))]
async fn plugin_inspect(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<PluginView>>> {
    Ok(ok(plugin::plugin_inspect(&app, &name)?.into()))
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, body = String)), security(()))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether it can work: database, engine, plugins.
#[utoipa::path(get, path = "/readyz", tag = "server", responses((status = 200, body = Health), (status = 503, body = Health)),
    security(()))]
async fn readyz(State(app): State<App>) -> impl IntoResponse {
    let parts = health::check(&app).await;
    let ready = parts.values().all(|state| state == "ok");
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if ready { "ok" } else { "unavailable" };
    (status, Json(Health { status: word.into(), version: env!("CARGO_PKG_VERSION").into(), parts }))
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "server", responses((status = 200, content_type = "application/openmetrics-text", body = String)),
    security(("token" = ["viewer:server"])))]
async fn metrics_text(State(app): State<App>, _: Auth) -> ApiResult<impl IntoResponse> {
    let text = metrics::metrics_text(&app).await?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
