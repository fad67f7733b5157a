//! `/api/v1/ci/jobs`: jobs at CI/CD providers, in seed 0's words.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ci_builds::CicdBuildView;
use super::error::ApiResult;
use super::extract::{Auth, Body, PageQuery, Params, Success, ok, with_provider};
use super::view::{PageView, time, times};
use crate::app::App;
use crate::app::access::require;
use crate::app::cicd::build::{self, Wanted};
use crate::app::cicd::change::{self, FileChange, JobChange};
use crate::app::cicd::{job, provider, watch};
use crate::domain::access::{Role, Subject};
use crate::domain::cicd::{CicdJob, JobParams};
use crate::domain::difference::DiffLine;
use crate::domain::page::PageRequest;
use crate::error::Error;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(ci_job_list, ci_job_create))
        .routes(routes!(ci_job_view, ci_job_update, ci_job_delete))
        .routes(routes!(ci_job_trigger))
        .routes(routes!(ci_job_sync))
        .routes(routes!(ci_job_diff))
        .routes(routes!(ci_job_builds))
}

/// Seed 0, `CICDJob`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CicdJobView {
    id: String,
    seq: i64,
    name: String,
    provider_id: String,
    /// The provider's own name for it; absent until it has been made there.
    external_id: Option<String>,
    description: Option<String>,
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    trigger_token: Option<String>,
    trigger_url: Option<String>,
    job_url: Option<String>,
    /// What it was asked to be.
    spec: JobParams,
    /// Of the newest build: pending, running, success, failure, cancelled or unknown.
    status: Option<&'static str>,
    last_build_number: Option<String>,
    last_synced_at: Option<String>,
    /// When the provider is next asked whether somebody else has started a build; null for a job that is not watched.
    look_at: Option<String>,
    creator_id: Option<String>,
    team_id: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<CicdJob> for CicdJobView {
    fn from(job: CicdJob) -> Self {
        Self {
            id: job.id.to_string(),
            seq: job.seq,
            name: job.name,
            provider_id: job.provider_id.to_string(),
            external_id: Some(job.external_id).filter(|external| *external != job.id.as_str()),
            description: job.description,
            parameters: job.parameters,
            trigger_token: job.trigger_token.map(|_| "***".to_owned()),
            trigger_url: job.trigger_url,
            job_url: job.job_url,
            spec: job.spec,
            status: job.status.map(|status| status.as_str()),
            last_build_number: job.last_build_number,
            last_synced_at: times(job.last_synced_at),
            look_at: times(job.look_at),
            creator_id: job.creator_id,
            team_id: job.team_id,
            created_at: time(job.created_at),
            updated_at: time(job.updated_at),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct JobQuery {
    /// Id, number or name of a provider; the jobs of all if left out.
    provider: Option<String>,
    /// `next` of the page before.
    before: Option<i64>,
    /// Rows a page, 1 to 200; 50 if left out.
    limit: Option<i64>,
}

/// Seed 0, `CreateCICDJobParams`, and where to make it.
#[derive(Debug, Serialize, ToSchema)]
struct JobRequest {
    /// Id, number or name.
    provider: String,
    #[serde(flatten)]
    params: JobParams,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct TriggerRequest {
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// Branch or tag; the job's own if left out.
    #[serde(rename = "ref")]
    ref_name: Option<String>,
    /// Seconds after which it is stopped; an hour if left out.
    timeout_secs: Option<u32>,
    /// How often it is started again if it fails, at most 10; as the job has it if left out.
    retries: Option<u32>,
}

/// Lists the jobs of the providers that the caller may see, newest first.
#[utoipa::path(get, path = "/api/v1/ci/jobs", tag = "providers", params(JobQuery),
    responses((status = 200, body = Success<PageView<CicdJobView>>)),
    security(("token" = ["viewer:any"])))]
async fn ci_job_list(
    State(app): State<App>,
    auth: Auth,
    Params(query): Params<JobQuery>,
) -> ApiResult<Json<Success<PageView<CicdJobView>>>> {
    let page = PageRequest::new(query.before, query.limit);
    let page = match query.provider.as_deref() {
        Some(key) => {
            require(&app, &auth.who.rights, Role::Viewer, Subject::Provider, key).await?;
            job::job_list_of(&app, key, page).await?
        }
        None => job::job_list(&app, page, &auth.reach()).await?,
    };
    Ok(ok(PageView::of(page, CicdJobView::from)))
}

/// Makes a job at a provider, or brings the one of that name into the state asked for. Its pipeline is written from `scripts`
/// and `hosts`, given in `files`, or `committed` in the repository already.
#[utoipa::path(post, path = "/api/v1/ci/jobs", tag = "providers", request_body = JobRequest,
    responses((status = 201, body = Success<CicdJobView>), (status = 404), (status = 422)),
    security(("token" = ["admin:any"])))]
async fn ci_job_create(
    State(app): State<App>,
    auth: Auth,
    Body(request): Body<Map<String, Value>>,
) -> ApiResult<(StatusCode, Json<Success<CicdJobView>>)> {
    let (provider, params) = with_provider(request)?;
    let JobRequest { provider, params } = JobRequest { provider, params };
    require(&app, &auth.who.rights, Role::Admin, Subject::Provider, &provider).await?;
    let job = job::job_create(&app, &provider, params, &auth.caller()).await?;
    Ok((StatusCode::CREATED, ok(job.into())))
}

/// Shows a job.
#[utoipa::path(get, path = "/api/v1/ci/jobs/{ci_job}", tag = "providers",
    responses((status = 200, body = Success<CicdJobView>), (status = 404)),
    security(("token" = ["viewer:ci_job"])))]
async fn ci_job_view(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<CicdJobView>>> {
    Ok(ok(job::job_view(&app, &key).await?.into()))
}

/// What a change of a job comes to.
#[derive(Debug, Serialize, ToSchema)]
struct JobChangeView {
    /// Of what the job is asked to be, as JSON and without its files.
    definition: Vec<DiffLine>,
    /// The files of the pipeline, as they are written today from what the job was and is to be.
    files: Vec<FileChangeView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FileChangeView {
    path: String,
    lines: Vec<DiffLine>,
}

impl From<JobChange> for JobChangeView {
    fn from(change: JobChange) -> Self {
        let file = |FileChange { path, lines }| FileChangeView { path, lines };
        Self { definition: change.definition, files: change.files.into_iter().map(file).collect() }
    }
}

/// What a job is to be. A file for one names its provider, which stays.
async fn definition(app: &App, key: &str, mut given: Map<String, Value>) -> ApiResult<JobParams> {
    let named = given.remove("provider");
    let params: JobParams = serde_json::from_value(Value::Object(given))
        .map_err(|error| Error::invalid("", error.to_string()))?;
    let Some(named) = named else { return Ok(params) };
    let job = job::job_view(app, key).await?;
    let at = provider::provider_view(app, job.provider_id.as_str()).await?;
    let names = [at.id.to_string(), at.seq.to_string(), at.name];
    if named.as_str().is_some_and(|named| names.iter().any(|name| name == named)) {
        return Ok(params);
    }
    let message =
        format!("the job is at provider `{}` and stays there; make another one elsewhere", names[2]);
    Err(Error::invalid("provider", message).into())
}

/// Changes a job in place, at the provider as well. Name, repository and folder may be left out, and stay.
#[utoipa::path(put, path = "/api/v1/ci/jobs/{ci_job}", tag = "providers", request_body = JobParams,
    responses((status = 200, body = Success<CicdJobView>), (status = 404), (status = 409), (status = 422)),
    security(("token" = ["admin:ci_job"])))]
async fn ci_job_update(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
    Body(request): Body<Map<String, Value>>,
) -> ApiResult<Json<Success<CicdJobView>>> {
    let params = definition(&app, &key, request).await?;
    Ok(ok(change::job_update(&app, &key, params).await?.into()))
}

/// Tells what changing a job like this would change. Nothing is sent to the provider.
#[utoipa::path(post, path = "/api/v1/ci/jobs/{ci_job}/diff", tag = "providers", request_body = JobParams,
    responses((status = 200, body = Success<JobChangeView>), (status = 404), (status = 409), (status = 422)),
    security(("token" = ["admin:ci_job"])))]
async fn ci_job_diff(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
    Body(request): Body<Map<String, Value>>,
) -> ApiResult<Json<Success<JobChangeView>>> {
    let params = definition(&app, &key, request).await?;
    Ok(ok(change::job_difference(&app, &key, params).await?.into()))
}

/// Deletes a job at the provider, and what is known of its builds.
#[utoipa::path(delete, path = "/api/v1/ci/jobs/{ci_job}", tag = "providers",
    responses((status = 204), (status = 404), (status = 409), (status = 422)),
    security(("token" = ["admin:ci_job"])))]
async fn ci_job_delete(State(app): State<App>, _: Auth, Path(key): Path<String>) -> ApiResult<StatusCode> {
    job::job_delete(&app, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Starts a build. It is stored before anything is sent; its status tells what the provider made of it.
#[utoipa::path(post, path = "/api/v1/ci/jobs/{ci_job}/trigger", tag = "providers", request_body = TriggerRequest,
    responses((status = 202, body = Success<CicdBuildView>), (status = 404), (status = 409), (status = 422)),
    security(("token" = ["deployer:ci_job"])))]
async fn ci_job_trigger(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
    Body(request): Body<TriggerRequest>,
) -> ApiResult<(StatusCode, Json<Success<CicdBuildView>>)> {
    let TriggerRequest { parameters, ref_name, timeout_secs, retries } = request;
    let wanted = Wanted { parameters, ref_name, timeout_secs, retries };
    let build = build::build_trigger(&app, &key, wanted).await?;
    Ok((StatusCode::ACCEPTED, ok(build.into())))
}

/// Has the provider asked about a job now: a build that somebody else has started is followed from then on.
#[utoipa::path(post, path = "/api/v1/ci/jobs/{ci_job}/sync", tag = "providers",
    responses((status = 202, body = Success<CicdJobView>), (status = 404), (status = 409)),
    security(("token" = ["deployer:ci_job"])))]
async fn ci_job_sync(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<CicdJobView>>)> {
    Ok((StatusCode::ACCEPTED, ok(watch::job_sync(&app, &key).await?.into())))
}

/// Lists a job's builds, newest first.
#[utoipa::path(get, path = "/api/v1/ci/jobs/{ci_job}/builds", tag = "providers", params(PageQuery),
    responses((status = 200, body = Success<PageView<CicdBuildView>>), (status = 404)),
    security(("token" = ["viewer:ci_job"])))]
async fn ci_job_builds(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<CicdBuildView>>>> {
    let page = build::build_list(&app, &key, page.request()).await?;
    Ok(ok(PageView::of(page, CicdBuildView::from)))
}
