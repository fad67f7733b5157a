//! `/api/v1/git/hosts`: the ssh host keys of git servers and deploy targets that this server trusts.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use crate::app::{App, host_key};
use crate::domain::code::{HostPurpose, KnownHost};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(host_list)).routes(routes!(host_forget))
}

/// Lists the ssh host keys of git servers and deploy targets that were trusted when they were first seen. Each server of several
/// has its own.
#[utoipa::path(get, path = "/api/v1/git/hosts", tag = "code", responses((status = 200, body = Success<Vec<KnownHost>>)),
    security(("token" = ["admin:server"])))]
async fn host_list(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<Vec<KnownHost>>>> {
    Ok(ok(host_key::host_list(&app).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ForgetQuery {
    /// Forget only what is pinned for this: a host may be both. All if left out.
    purpose: Option<HostPurpose>,
}

/// Forgets the keys of a git server or deploy target, which got a new one: the next key that it shows is trusted.
#[utoipa::path(delete, path = "/api/v1/git/hosts/{host}", tag = "code", params(ForgetQuery),
    responses((status = 204), (status = 404), (status = 422)),
    security(("token" = ["admin:server"])))]
async fn host_forget(
    State(app): State<App>,
    _: Auth,
    Path(host): Path<String>,
    Params(query): Params<ForgetQuery>,
) -> ApiResult<StatusCode> {
    host_key::host_forget(&app, &host, query.purpose).await?;
    Ok(StatusCode::NO_CONTENT)
}
