//! Changing the plugins of the running server.

use axum::Json;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use super::view::PluginView;
use crate::app::{App, plugin};
use crate::error::Error;

/// Largest component that is taken.
const MAX_COMPONENT_BYTES: usize = 64 << 20;
const COMPONENT_TYPE: &str = "application/wasm";

pub fn router() -> OpenApiRouter<App> {
    let upload = OpenApiRouter::new()
        .routes(routes!(plugin_install))
        .layer(DefaultBodyLimit::max(MAX_COMPONENT_BYTES));
    OpenApiRouter::new()
        .routes(routes!(plugin_reload))
        .routes(routes!(plugin_enable))
        .routes(routes!(plugin_disable))
        .routes(routes!(plugin_approve))
        .routes(routes!(plugin_remove))
        .merge(upload)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InstallInput {
    /// `oci:<reference>`, with a tag or a digest.
    source: String,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApproveInput {
    /// sha256 of the component whose wishes are granted; if another one asks by now, nothing is granted.
    #[serde(default)]
    digest: Option<String>,
}

/// Installs a plugin: a component's bytes as `application/wasm`, or JSON with a source. It goes by the name in its manifest.
#[utoipa::path(post, path = "/api/v1/plugins/install", tag = "plugins",
    request_body(content((InstallInput = "application/json"), (Vec<u8> = "application/wasm"))),
    responses((status = 200, body = Success<PluginView>)),
    security(("token" = ["admin:server"])))]
async fn plugin_install(
    State(app): State<App>,
    _: Auth,
    request: Request,
) -> ApiResult<Json<Success<PluginView>>> {
    let content = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let what = if content.is_some_and(|content| content.starts_with(COMPONENT_TYPE)) {
        let bytes = Bytes::from_request(request, &app).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Error::TooLarge { what: "component", limit: MAX_COMPONENT_BYTES as u64 }
            } else {
                Error::invalid("component", rejection.body_text())
            }
        })?;
        plugin::Install::Component(bytes.to_vec())
    } else {
        plugin::Install::Source(Body::<InstallInput>::from_request(request, &app).await?.0.source)
    };
    Ok(ok(plugin::plugin_install(&app, what).await?.into()))
}

/// Loads the plugins of the configuration anew. No call is lost.
#[utoipa::path(post, path = "/api/v1/plugins/reload", tag = "plugins", responses((status = 200, body = Success<Vec<PluginView>>)),
    security(("token" = ["admin:server"])))]
async fn plugin_reload(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<Vec<PluginView>>>> {
    Ok(ok(plugin::plugin_reload(&app).await?.into_iter().map(PluginView::from).collect()))
}

/// Starts a disabled plugin, or gives a quarantined component another chance.
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/enable", tag = "plugins",
    responses((status = 200, body = Success<PluginView>), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn plugin_enable(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<PluginView>>> {
    Ok(ok(plugin::plugin_enable(&app, &name).await?.into()))
}

/// Stops a plugin until it is enabled again.
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/disable", tag = "plugins",
    responses((status = 200, body = Success<PluginView>), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn plugin_disable(
    State(app): State<App>,
    auth: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<PluginView>>> {
    Ok(ok(plugin::plugin_disable(&app, &name, &auth.who.user.name).await?.into()))
}

/// Removes a plugin that was installed; the components that nobody needs any more go with it.
#[utoipa::path(delete, path = "/api/v1/plugins/{plugin}", tag = "plugins", responses((status = 204), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn plugin_remove(State(app): State<App>, _: Auth, Path(name): Path<String>) -> ApiResult<StatusCode> {
    plugin::plugin_remove(&app, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Grants a plugin what it asks for (`missing` of the plugin).
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/approve", tag = "plugins", request_body = ApproveInput,
    responses((status = 200, body = Success<PluginView>), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn plugin_approve(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Body(input): Body<ApproveInput>,
) -> ApiResult<Json<Success<PluginView>>> {
    Ok(ok(plugin::plugin_approve(&app, &name, input.digest.as_deref()).await?.into()))
}
