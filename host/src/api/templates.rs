//! `/api/v1/templates`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Params, Success, ok};
use super::view::{PageView, time};
use crate::app::App;
use crate::app::template::{self, Scope};
use crate::domain::difference::DiffLine;
use crate::domain::page::PageRequest;
use crate::domain::template::{PipelineTemplate, TemplateContent};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(template_list))
        .routes(routes!(template_view, template_save, template_delete))
        .routes(routes!(template_versions))
        .routes(routes!(template_diff))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TemplateView {
    id: String,
    name: String,
    version: i64,
    /// Absent: all projects have it.
    project_id: Option<String>,
    content: TemplateContent,
    created_by: String,
    created_at: String,
}

impl From<PipelineTemplate> for TemplateView {
    fn from(row: PipelineTemplate) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            version: row.version,
            project_id: row.project_id.map(|id| id.to_string()),
            content: row.content,
            created_by: row.created_by,
            created_at: time(row.created_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct DiffView {
    /// 0: nothing, before the first version.
    from: i64,
    to: i64,
    lines: Vec<DiffLine>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TemplateQuery {
    /// Id, number or name of the project whose templates these are; those of all projects if left out.
    project: Option<String>,
    /// The latest if left out.
    version: Option<i64>,
    /// For a comparison: the version before `to` if left out.
    from: Option<i64>,
    /// For a comparison: the latest if left out.
    to: Option<i64>,
    /// `next` of the page before.
    before: Option<i64>,
    /// Rows a page, 1 to 200; 50 if left out.
    limit: Option<i64>,
}

impl TemplateQuery {
    fn scope(&self) -> Scope {
        Scope(self.project.clone())
    }

    fn page(&self) -> PageRequest {
        PageRequest::new(self.before, self.limit)
    }
}

/// Lists templates of pipelines, each with its latest version.
#[utoipa::path(get, path = "/api/v1/templates", tag = "pipelines", params(TemplateQuery),
    responses((status = 200, body = Success<PageView<TemplateView>>)),
    security(("token" = ["viewer:template"])))]
async fn template_list(
    State(app): State<App>,
    _: Auth,
    Params(query): Params<TemplateQuery>,
) -> ApiResult<Json<Success<PageView<TemplateView>>>> {
    let page = template::template_list(&app, &query.scope(), query.page()).await?;
    Ok(ok(PageView::of(page, TemplateView::from)))
}

/// Shows a version of a template.
#[utoipa::path(get, path = "/api/v1/templates/{template}", tag = "pipelines", params(TemplateQuery),
    responses((status = 200, body = Success<TemplateView>)),
    security(("token" = ["viewer:template"])))]
async fn template_view(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(query): Params<TemplateQuery>,
) -> ApiResult<Json<Success<TemplateView>>> {
    Ok(ok(template::template_view(&app, &query.scope(), &name, query.version).await?.into()))
}

/// Adds a version, the first one of a new template included. What equals the latest version is not stored again.
#[utoipa::path(put, path = "/api/v1/templates/{template}", tag = "pipelines", params(TemplateQuery),
    request_body = TemplateContent, responses((status = 200, body = Success<TemplateView>)),
    security(("token" = ["developer:template"])))]
async fn template_save(
    State(app): State<App>,
    auth: Auth,
    Path(name): Path<String>,
    Params(query): Params<TemplateQuery>,
    Body(content): Body<TemplateContent>,
) -> ApiResult<Json<Success<TemplateView>>> {
    let who = &auth.who.user.name;
    Ok(ok(template::template_save(&app, &query.scope(), &name, content, who).await?.into()))
}

/// Removes a template with all its versions.
#[utoipa::path(delete, path = "/api/v1/templates/{template}", tag = "pipelines", params(TemplateQuery),
    responses((status = 204)),
    security(("token" = ["developer:template"])))]
async fn template_delete(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(query): Params<TemplateQuery>,
) -> ApiResult<StatusCode> {
    template::template_delete(&app, &query.scope(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists a template's versions, newest first.
#[utoipa::path(get, path = "/api/v1/templates/{template}/versions", tag = "pipelines", params(TemplateQuery),
    responses((status = 200, body = Success<PageView<TemplateView>>)),
    security(("token" = ["viewer:template"])))]
async fn template_versions(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(query): Params<TemplateQuery>,
) -> ApiResult<Json<Success<PageView<TemplateView>>>> {
    let page = template::template_versions(&app, &query.scope(), &name, query.page()).await?;
    Ok(ok(PageView::of(page, TemplateView::from)))
}

/// Compares two versions line by line.
#[utoipa::path(get, path = "/api/v1/templates/{template}/diff", tag = "pipelines", params(TemplateQuery),
    responses((status = 200, body = Success<DiffView>)),
    security(("token" = ["viewer:template"])))]
async fn template_diff(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(query): Params<TemplateQuery>,
) -> ApiResult<Json<Success<DiffView>>> {
    let diff = template::template_diff(&app, &query.scope(), &name, query.from, query.to).await?;
    Ok(ok(DiffView { from: diff.from, to: diff.to, lines: diff.lines }))
}
