//! What a build would do, and the files that builds leave behind.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio_util::io::ReaderStream;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use super::view::{ArtifactView, BuildPlanView};
use crate::app::{App, artifact, build};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(build_plan))
        .routes(routes!(artifact_list))
        .routes(routes!(artifact_content))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RefQuery {
    /// Branch, tag or commit; the repository's branch if left out.
    #[serde(rename = "ref")]
    git_ref: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PathQuery {
    /// As the list of artifacts has it.
    path: String,
}

/// Says what a build would do: the planner's steps, with the Dockerfile where it writes one. Nothing is built.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/build-plan", tag = "stacks", params(RefQuery),
    security(("token" = ["viewer:stack"])),
    responses((status = 200, body = Success<BuildPlanView>), (status = 409)))]
async fn build_plan(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(query): Params<RefQuery>,
) -> ApiResult<Json<Success<BuildPlanView>>> {
    Ok(ok(build::build_plan(&app, &name, query.git_ref.as_deref()).await?.into()))
}

/// Lists the files that a build has left behind, by path.
#[utoipa::path(get, path = "/api/v1/builds/{build}/artifacts", tag = "builds",
    security(("token" = ["viewer:build"])),
    responses((status = 200, body = Success<Vec<ArtifactView>>)))]
async fn artifact_list(
    State(app): State<App>,
    _: Auth,
    Path(build): Path<String>,
) -> ApiResult<Json<Success<Vec<ArtifactView>>>> {
    let rows = artifact::artifact_list(&app, &build).await?;
    Ok(ok(rows.into_iter().map(ArtifactView::from).collect()))
}

/// The content of a file that a build has left behind.
#[utoipa::path(get, path = "/api/v1/builds/{build}/artifacts/content", tag = "builds", params(PathQuery),
    security(("token" = ["viewer:build"])),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 404)))]
async fn artifact_content(
    State(app): State<App>,
    _: Auth,
    Path(build): Path<String>,
    Params(query): Params<PathQuery>,
) -> ApiResult<Response> {
    let (row, file) = artifact::artifact_open(&app, &build, &query.path).await?;
    // A stranger's file: it is saved, and never shown as a page of ours.
    let disposition = format!("attachment; filename=\"{}\"", safe_name(row.name()));
    let mut response = Body::from_stream(ReaderStream::new(file)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(row.size));
    let fallback = HeaderValue::from_static("attachment");
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).unwrap_or(fallback));
    let digest = HeaderValue::from_str(&format!("\"sha256:{}\"", row.sha256));
    headers.extend(digest.ok().map(|digest| (header::ETAG, digest)));
    Ok(response)
}

/// In the characters that every browser takes for what they are.
fn safe_name(name: &str) -> String {
    let fitting = |c: char| if c.is_ascii_alphanumeric() || "._-+ ".contains(c) { c } else { '_' };
    name.chars().map(fitting).collect()
}
