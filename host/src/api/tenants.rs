//! `/api/v1/tenants`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use super::view::time;
use crate::app::App;
use crate::app::people::tenants;
use crate::domain::people::Tenant;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(tenant_list, tenant_create)).routes(routes!(
        tenant_view,
        tenant_rename,
        tenant_delete
    ))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TenantView {
    id: String,
    name: String,
    /// How many teams are in it.
    teams: i64,
    /// How many people are in it, those who are shut out included.
    people: i64,
    created_at: String,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name,
            teams: tenant.teams,
            people: tenant.people,
            created_at: time(tenant.created_at),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TenantInput {
    /// 1 to 32 characters: a to z, 0 to 9, `-`, `_` and `.`.
    name: String,
}

/// Lists tenants by name, with how many teams and people are in each.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "people", responses((status = 200, body = Success<Vec<TenantView>>)),
    security(("token" = ["admin:server"])))]
async fn tenant_list(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<Vec<TenantView>>>> {
    Ok(ok(tenants::tenant_list(&app).await?.into_iter().map(TenantView::from).collect()))
}

/// Makes a tenant.
#[utoipa::path(post, path = "/api/v1/tenants", tag = "people", request_body = TenantInput,
    responses((status = 201, body = Success<TenantView>), (status = 409)), security(("token" = ["admin:server"])))]
async fn tenant_create(
    State(app): State<App>,
    _: Auth,
    Body(input): Body<TenantInput>,
) -> ApiResult<(StatusCode, Json<Success<TenantView>>)> {
    Ok((StatusCode::CREATED, ok(tenants::tenant_create(&app, &input.name).await?.into())))
}

/// Shows a tenant by id or name.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}", tag = "people",
    responses((status = 200, body = Success<TenantView>)), security(("token" = ["admin:server"])))]
async fn tenant_view(
    State(app): State<App>,
    _: Auth,
    Path(tenant): Path<String>,
) -> ApiResult<Json<Success<TenantView>>> {
    Ok(ok(tenants::tenant_find(&app, &tenant).await?.into()))
}

/// Gives a tenant another name. Its teams and people stay in it.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}", tag = "people", request_body = TenantInput,
    responses((status = 200, body = Success<TenantView>), (status = 409)), security(("token" = ["admin:server"])))]
async fn tenant_rename(
    State(app): State<App>,
    _: Auth,
    Path(tenant): Path<String>,
    Body(input): Body<TenantInput>,
) -> ApiResult<Json<Success<TenantView>>> {
    Ok(ok(tenants::tenant_rename(&app, &tenant, &input.name).await?.into()))
}

/// Removes a tenant that nobody is in, and no team. The first one stays.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}", tag = "people", responses((status = 204), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn tenant_delete(State(app): State<App>, _: Auth, Path(tenant): Path<String>) -> ApiResult<StatusCode> {
    tenants::tenant_delete(&app, &tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}
