//! `/api/v1/registries`: log-ins to registries of images.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, PageQuery, Params, Success, ok};
use super::view::{PageView, RegistryView};
use crate::app::App;
use crate::app::registry;
use crate::domain::registry::RegistryInput;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(registry_list, registry_create))
        .routes(routes!(registry_view, registry_update, registry_delete))
        .routes(routes!(registry_test))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TestInput {
    /// A repository that the log-in may read. Without it one is asked for that is not there, which some registries refuse.
    #[serde(default)]
    repository: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TestView {
    /// Whether the registry has answered and has taken the log-in.
    works: bool,
    /// Why it does not work, in the registry's words.
    reason: Option<String>,
}

/// Lists registries, newest first; never their passwords.
#[utoipa::path(get, path = "/api/v1/registries", tag = "registries", params(PageQuery),
    security(("token" = ["admin:server"])),
    responses((status = 200, body = Success<PageView<RegistryView>>)))]
async fn registry_list(
    State(app): State<App>,
    _: Auth,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<RegistryView>>>> {
    Ok(ok(PageView::of(registry::registry_list(&app, page.request()).await?, RegistryView::from)))
}

/// Adds a registry with its log-in.
#[utoipa::path(post, path = "/api/v1/registries", tag = "registries", request_body = RegistryInput,
    security(("token" = ["admin:server"])),
    responses((status = 201, body = Success<RegistryView>), (status = 409)))]
async fn registry_create(
    State(app): State<App>,
    _: Auth,
    Body(input): Body<RegistryInput>,
) -> ApiResult<(StatusCode, Json<Success<RegistryView>>)> {
    Ok((StatusCode::CREATED, ok(registry::registry_create(&app, input).await?.into())))
}

/// Shows a registry by id, number or name.
#[utoipa::path(get, path = "/api/v1/registries/{registry}", tag = "registries",
    security(("token" = ["admin:server"])),
    responses((status = 200, body = Success<RegistryView>)))]
async fn registry_view(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<RegistryView>>> {
    Ok(ok(registry::registry_view(&app, &name).await?.into()))
}

/// Changes a registry. A password that is left out is kept, unless the address changes.
#[utoipa::path(put, path = "/api/v1/registries/{registry}", tag = "registries", request_body = RegistryInput,
    security(("token" = ["admin:server"])),
    responses((status = 200, body = Success<RegistryView>), (status = 409)))]
async fn registry_update(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Body(input): Body<RegistryInput>,
) -> ApiResult<Json<Success<RegistryView>>> {
    Ok(ok(registry::registry_update(&app, &name, input).await?.into()))
}

/// Forgets a registry and its log-in. What was pushed to it stays there.
#[utoipa::path(delete, path = "/api/v1/registries/{registry}", tag = "registries",
    security(("token" = ["admin:server"])),
    responses((status = 204)))]
async fn registry_delete(State(app): State<App>, _: Auth, Path(name): Path<String>) -> ApiResult<StatusCode> {
    registry::registry_delete(&app, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tries whether the engine can reach the registry and log in to it.
#[utoipa::path(post, path = "/api/v1/registries/{registry}/test", tag = "registries", request_body = TestInput,
    security(("token" = ["admin:server"])),
    responses((status = 200, body = Success<TestView>)))]
async fn registry_test(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Body(input): Body<TestInput>,
) -> ApiResult<Json<Success<TestView>>> {
    registry::registry_view(&app, &name).await?;
    let tried = registry::registry_test(&app, &name, input.repository.as_deref()).await;
    Ok(ok(TestView { works: tried.is_ok(), reason: tried.err().map(|error| error.to_string()) }))
}
