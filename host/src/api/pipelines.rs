//! `/api/v1/pipelines`: what a pipeline would be, without storing it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use crate::app::App;
use crate::app::access::require;
use crate::app::pipeline::{GeneratorOutput, Order, Rendering, Source, pipeline_render};
use crate::app::template::Scope;
use crate::domain::access::{Role, Subject};
use crate::domain::plugin::Problem;
use crate::domain::template::TemplateContent;
use crate::error::{Error, Result};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(render)).routes(routes!(lint))
}

/// One of `model`, `template` and `draft`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PipelineInput {
    /// A pipeline model.
    #[serde(default)]
    #[schema(value_type = Option<crate::domain::pipeline::PipelineModel>)]
    model: Option<Value>,
    /// Name of a stored template.
    #[serde(default)]
    template: Option<String>,
    /// Of the stored template; the latest if left out.
    #[serde(default)]
    version: Option<i64>,
    /// Whose template: id, number or name.
    #[serde(default)]
    project: Option<String>,
    /// A template that is not stored.
    #[serde(default)]
    draft: Option<TemplateContent>,
    /// Of the template.
    #[serde(default)]
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// Names of generators; all if left out.
    #[serde(default)]
    generators: Vec<String>,
    /// By generator; they come before the template's.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: BTreeMap<String, Value>,
}

impl PipelineInput {
    /// Whether the caller may see the project whose template is named.
    async fn check(&self, app: &App, auth: &Auth) -> Result<()> {
        match self.project.as_deref().filter(|key| !key.is_empty()) {
            Some(key) => require(app, &auth.who.rights, Role::Viewer, Subject::Project, key).await,
            None => Ok(()),
        }
    }

    fn order(self) -> Result<Order> {
        let source = match (self.model, self.template, self.draft) {
            (Some(model), None, None) => Source::Model(model),
            (None, Some(name), None) => Source::Template(Scope(self.project), name, self.version),
            (None, None, Some(draft)) => Source::Draft(Box::new(draft)),
            _ => return Err(Error::invalid("model", "give exactly one of `model`, `template` and `draft`")),
        };
        Ok(Order {
            source,
            parameters: self.parameters,
            generators: self.generators,
            settings: self.settings,
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ProblemView {
    /// JSON pointer; empty for the whole.
    path: String,
    message: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct FileView {
    /// Relative to the repository's root.
    path: String,
    content: String,
    executable: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct OutputView {
    generator: String,
    problems: Vec<ProblemView>,
    /// The first is the one that the vendor starts from. Empty if there are problems, and when linting.
    files: Vec<FileView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RenderingView {
    /// Whether there is no problem.
    good: bool,
    /// With the model itself; no generator was asked then.
    problems: Vec<ProblemView>,
    outputs: Vec<OutputView>,
}

fn problems(found: Vec<Problem>) -> Vec<ProblemView> {
    found.into_iter().map(|one| ProblemView { path: one.path, message: one.message }).collect()
}

impl From<Rendering> for RenderingView {
    fn from(rendering: Rendering) -> Self {
        let good = rendering.is_good();
        let output = |one: GeneratorOutput| OutputView {
            generator: one.generator,
            problems: problems(one.problems),
            files: one
                .files
                .into_iter()
                .map(|file| FileView { path: file.path, content: file.content, executable: file.executable })
                .collect(),
        };
        Self {
            good,
            problems: problems(rendering.problems),
            outputs: rendering.outputs.into_iter().map(output).collect(),
        }
    }
}

/// The files that each generator makes of a model or a template. Nothing is stored.
#[utoipa::path(post, path = "/api/v1/pipelines/render", tag = "pipelines", request_body = PipelineInput,
    responses((status = 200, body = Success<RenderingView>)),
    security(("token" = ["viewer:any"])))]
async fn render(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<PipelineInput>,
) -> ApiResult<Json<Success<RenderingView>>> {
    input.check(&app, &auth).await?;
    Ok(ok(pipeline_render(&app, input.order()?).await?.into()))
}

/// What is wrong with a model or a template, for each generator.
#[utoipa::path(post, path = "/api/v1/pipelines/lint", tag = "pipelines", request_body = PipelineInput,
    responses((status = 200, body = Success<RenderingView>)),
    security(("token" = ["viewer:any"])))]
async fn lint(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<PipelineInput>,
) -> ApiResult<Json<Success<RenderingView>>> {
    input.check(&app, &auth).await?;
    let mut rendering = pipeline_render(&app, input.order()?).await?;
    rendering.outputs.iter_mut().for_each(|output| output.files.clear());
    Ok(ok(rendering.into()))
}
