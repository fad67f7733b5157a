//! `/api/v1/stacks/{stack}/ci`: stacks that a CI/CD provider deploys, and what becomes of their deployments there.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ci_builds::CicdBuildView;
use super::ci_jobs::CicdJobView;
use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok, with_provider};
use super::view::time;
use crate::app::App;
use crate::app::cicd::{deployment as carried, stack};
use crate::app::deployment;
use crate::domain::cicd::{CicdProvider, Mapping, StackCi, StackCiSettings};
use crate::error::Error;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(stack_ci_view, stack_ci_put, stack_ci_delete))
        .routes(routes!(deployment_ci_view))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StackCiRequest {
    /// Id, number or name of a provider.
    provider: String,
    #[serde(flatten)]
    settings: StackCiSettings,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StackCiView {
    /// Its name.
    provider: String,
    provider_id: String,
    /// The job that deploys the stack, once there was a deployment.
    job_id: Option<String>,
    #[serde(flatten)]
    settings: StackCiSettings,
}

impl From<(StackCi, CicdProvider)> for StackCiView {
    fn from((row, provider): (StackCi, CicdProvider)) -> Self {
        Self {
            provider: provider.name,
            provider_id: provider.id.to_string(),
            job_id: row.job_id.map(|id| id.to_string()),
            settings: row.settings,
        }
    }
}

/// Seed 0, a row of `deployment_cicd_mappings`.
#[derive(Debug, Serialize, ToSchema)]
struct MappingView {
    id: String,
    deployment_id: String,
    cicd_job_id: String,
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    build_number: Option<String>,
    build_url: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<Mapping> for MappingView {
    fn from(mapping: Mapping) -> Self {
        Self {
            id: mapping.id.to_string(),
            deployment_id: mapping.deployment_id.to_string(),
            cicd_job_id: mapping.cicd_job_id.to_string(),
            parameters: mapping.parameters,
            build_number: mapping.build_number,
            build_url: mapping.build_url,
            created_at: time(mapping.created_at),
            updated_at: time(mapping.updated_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct DeploymentCiView {
    /// Of the deployment, in seed 1's words: pending, running, completed or failed.
    status: &'static str,
    /// Name of the provider.
    provider: String,
    mapping: MappingView,
    job: CicdJobView,
    /// Oldest first; more than one if a failed one was started again.
    builds: Vec<CicdBuildView>,
}

/// Shows how a stack is deployed by a provider; 404 if it is not.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/ci", tag = "providers",
    responses((status = 200, body = Success<StackCiView>), (status = 404)),
    security(("token" = ["viewer:stack"])))]
async fn stack_ci_view(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<StackCiView>>> {
    Ok(ok(stack::stack_ci_view(&app, &key).await?.into()))
}

/// Has a stack deployed by a provider of its team from now on; by one of the installation, only its administrators can. The
/// job is made with the next deployment.
#[utoipa::path(put, path = "/api/v1/stacks/{stack}/ci", tag = "providers", request_body = StackCiRequest,
    responses((status = 200, body = Success<StackCiView>), (status = 404), (status = 409), (status = 422)),
    security(("token" = ["admin:stack"])))]
async fn stack_ci_put(
    State(app): State<App>,
    auth: Auth,
    Path(key): Path<String>,
    Body(request): Body<Map<String, Value>>,
) -> ApiResult<Json<Success<StackCiView>>> {
    let (provider, settings) = with_provider(request)?;
    let StackCiRequest { provider, settings } = StackCiRequest { provider, settings };
    Ok(ok(stack::stack_ci_put(&app, &auth.who, &key, &provider, settings).await?.into()))
}

/// Has a stack deployed by this server again. The job stays at the provider.
#[utoipa::path(delete, path = "/api/v1/stacks/{stack}/ci", tag = "providers", responses((status = 204), (status = 404)),
    security(("token" = ["admin:stack"])))]
async fn stack_ci_delete(State(app): State<App>, _: Auth, Path(key): Path<String>) -> ApiResult<StatusCode> {
    stack::stack_ci_delete(&app, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows how a provider carries a deployment out; 404 if this server does it itself.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/ci", tag = "providers",
    responses((status = 200, body = Success<DeploymentCiView>), (status = 404)),
    security(("token" = ["viewer:deployment"])))]
async fn deployment_ci_view(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<DeploymentCiView>>> {
    let row = deployment::deployment_view(&app, &key).await?;
    let found = carried::carried(&app, &row.id).await?;
    let found = found.ok_or_else(|| Error::not_found("provider of the deployment", &key))?;
    Ok(ok(DeploymentCiView {
        status: row.status.seed1(),
        provider: found.provider.name,
        mapping: found.mapping.into(),
        job: found.job.into(),
        builds: found.builds.into_iter().map(CicdBuildView::from).collect(),
    }))
}
