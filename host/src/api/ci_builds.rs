//! `/api/v1/ci/builds`: builds at CI/CD providers, in seed 0's words.

use async_stream::try_stream;
use axum::Json;
use axum::body::{Body as RawBody, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use super::logs::{self, LogQuery, Part};
use super::view::{time, times};
use crate::app::App;
use crate::app::cicd::build;
use crate::app::logs::LogKind;
use crate::domain::ci::CiArtifact;
use crate::domain::cicd::CicdBuild;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(ci_build_view))
        .routes(routes!(ci_build_logs))
        .routes(routes!(ci_build_cancel))
        .routes(routes!(ci_build_rerun))
        .routes(routes!(ci_artifact_list))
        .routes(routes!(ci_artifact_read))
}

/// Seed 0, `CICDBuild`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CicdBuildView {
    id: String,
    seq: i64,
    job_id: String,
    deployment_id: Option<String>,
    /// The provider's own name for it, as soon as it has one.
    external_id: Option<String>,
    /// Empty as long as there is none.
    number: String,
    /// pending, running, success, failure, cancelled or unknown.
    status: &'static str,
    /// The provider's word for an unknown status.
    status_word: Option<String>,
    url: Option<String>,
    #[serde(rename = "ref")]
    ref_name: Option<String>,
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// deployment, api, rerun, retry, schedule, failover, or outside: somebody else started it.
    origin: &'static str,
    attempt: i64,
    /// How often it is started again if it fails, counted over all attempts.
    retries: i64,
    timeout_secs: i64,
    /// Why it is moved to the job's second provider.
    failover: Option<String>,
    /// Id of the build that took its place.
    successor_id: Option<String>,
    cancel_requested: bool,
    /// What keeps it from being followed right now, and since when.
    trouble: Option<String>,
    trouble_since: Option<String>,
    /// Why it failed, where that is not the build's own doing.
    error: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    /// When its log was complete and nothing more was to be done.
    settled_at: Option<String>,
    deadline_at: String,
    created_at: String,
    updated_at: String,
}

impl From<CicdBuild> for CicdBuildView {
    fn from(build: CicdBuild) -> Self {
        Self {
            id: build.id.to_string(),
            seq: build.seq,
            job_id: build.job_id.to_string(),
            deployment_id: build.deployment_id.map(|id| id.to_string()),
            external_id: build.external_id,
            number: build.number,
            status: build.status.as_str(),
            status_word: build.status_word,
            url: build.url,
            ref_name: build.ref_name,
            parameters: build.parameters,
            origin: build.origin.as_str(),
            attempt: build.attempt,
            retries: build.retries,
            timeout_secs: build.timeout_secs,
            failover: build.failover,
            successor_id: build.successor_id.map(|id| id.to_string()),
            cancel_requested: build.cancel_requested,
            trouble: build.trouble,
            trouble_since: times(build.trouble_since),
            error: build.error,
            started_at: times(build.started_at),
            finished_at: times(build.finished_at),
            settled_at: times(build.settled_at),
            deadline_at: time(build.deadline_at),
            created_at: time(build.created_at),
            updated_at: time(build.updated_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ArtifactView {
    /// The provider's own name for it.
    id: String,
    path: String,
    size_bytes: Option<u64>,
}

impl From<CiArtifact> for ArtifactView {
    fn from(artifact: CiArtifact) -> Self {
        Self { id: artifact.id, path: artifact.path, size_bytes: artifact.size_bytes }
    }
}

/// Shows a build at a provider.
#[utoipa::path(get, path = "/api/v1/ci/builds/{ci_build}", tag = "providers",
    responses((status = 200, body = Success<CicdBuildView>), (status = 404)),
    security(("token" = ["viewer:ci_build"])))]
async fn ci_build_view(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<CicdBuildView>>> {
    Ok(ok(build::build_view(&app, &key).await?.into()))
}

/// The log of a build at a provider: as text, or live as server-sent events.
#[utoipa::path(get, path = "/api/v1/ci/builds/{ci_build}/logs", tag = "providers", params(LogQuery),
    responses((status = 200, content_type = "text/plain", body = String), (status = 404)),
    security(("token" = ["viewer:ci_build"])))]
async fn ci_build_logs(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
    Params(query): Params<LogQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let row = build::build_view(&app, &key).await?;
    let name = format!("ci-build-{}", row.seq);
    Ok(logs::logs(app, vec![Part { kind: LogKind::Ci, id: row.id }], &name, &query, &headers))
}

/// Has the provider stop a build. Its status tells when it has.
#[utoipa::path(post, path = "/api/v1/ci/builds/{ci_build}/cancel", tag = "providers",
    responses((status = 202, body = Success<CicdBuildView>), (status = 404), (status = 409)),
    security(("token" = ["deployer:ci_build"])))]
async fn ci_build_cancel(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<CicdBuildView>>)> {
    Ok((StatusCode::ACCEPTED, ok(build::build_cancel(&app, &key).await?.into())))
}

/// Starts a build with the values of another one.
#[utoipa::path(post, path = "/api/v1/ci/builds/{ci_build}/rerun", tag = "providers",
    responses((status = 202, body = Success<CicdBuildView>), (status = 404), (status = 409)),
    security(("token" = ["deployer:ci_build"])))]
async fn ci_build_rerun(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<CicdBuildView>>)> {
    Ok((StatusCode::ACCEPTED, ok(build::build_rerun(&app, &key).await?.into())))
}

/// Lists what a build made.
#[utoipa::path(get, path = "/api/v1/ci/builds/{ci_build}/artifacts", tag = "providers",
    responses((status = 200, body = Success<Vec<ArtifactView>>), (status = 404), (status = 409), (status = 422)),
    security(("token" = ["viewer:ci_build"])))]
async fn ci_artifact_list(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<Vec<ArtifactView>>>> {
    let found = build::artifact_list(&app, &key).await?;
    Ok(ok(found.into_iter().map(ArtifactView::from).collect()))
}

/// Downloads what a build made, by its id in the list. The provider's file name is not used.
#[utoipa::path(get, path = "/api/v1/ci/builds/{ci_build}/artifacts/{artifact}", tag = "providers",
    responses((status = 200, content_type = "application/octet-stream", body = String), (status = 404), (status = 422)),
    security(("token" = ["viewer:ci_build"])))]
async fn ci_artifact_read(
    State(app): State<App>,
    _: Auth,
    Path((key, artifact)): Path<(String, String)>,
) -> ApiResult<Response> {
    // The first piece is read before the answer begins, so that what cannot be read is an error and no empty file.
    let first = build::artifact_read(&app, &key, &artifact, None).await?;
    let pieces = try_stream! {
        yield Bytes::from(first.bytes);
        let mut next = first.cursor;
        while let Some(cursor) = next {
            let piece = build::artifact_read(&app, &key, &artifact, Some(&cursor))
                .await
                .map_err(std::io::Error::other)?;
            yield Bytes::from(piece.bytes);
            next = piece.cursor;
        }
    };
    let pieces: std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send>> =
        Box::pin(pieces);
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"artifact\""),
    ];
    Ok((headers, RawBody::from_stream(pieces)).into_response())
}
