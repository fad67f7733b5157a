//! Pipelines: from a model or a template to the files of each vendor, without storing anything.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::App;
use super::template::{Scope, template_view};
use crate::domain::pipeline::{PipelineFile, PipelineModel};
use crate::domain::plugin::{PluginKind, Problem};
use crate::domain::template::TemplateContent;
use crate::error::{Error, PluginErrorKind, Result};
use crate::plugins::{problems_by, unrecorded};

/// What a pipeline is made from.
#[derive(Debug)]
pub enum Source {
    Model(Value),
    /// A stored template: whose, its name, and its version if not the latest.
    Template(Scope, String, Option<i64>),
    /// A template that is not stored.
    Draft(Box<TemplateContent>),
}

#[derive(Debug)]
pub struct Order {
    pub source: Source,
    /// Of the template.
    pub parameters: Map<String, Value>,
    /// Names of generators; none: all that there are.
    pub generators: Vec<String>,
    /// By generator; they come before the template's.
    pub settings: BTreeMap<String, Value>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Rendering {
    /// With the model itself, before any generator saw it.
    pub problems: Vec<Problem>,
    pub outputs: Vec<GeneratorOutput>,
}

#[derive(Debug)]
pub struct GeneratorOutput {
    pub generator: String,
    pub problems: Vec<Problem>,
    /// None if there are problems.
    pub files: Vec<PipelineFile>,
}

impl Rendering {
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.outputs.iter().all(|output| output.problems.is_empty())
    }
}

/// Names of the generators that are loaded.
pub fn generator_names(app: &App) -> Vec<String> {
    let is_generator = |status: &crate::domain::plugin::PluginStatus| {
        status.info.as_ref().is_some_and(|info| info.kinds.contains(&PluginKind::PipelineGenerator))
    };
    app.plugins.list().into_iter().filter(is_generator).map(|status| status.name).collect()
}

/// Problems are an answer; an error is that something could not be asked.
pub async fn pipeline_render(app: &App, order: Order) -> Result<Rendering> {
    let content = match order.source {
        Source::Model(model) => TemplateContent { model, ..TemplateContent::default() },
        Source::Template(scope, name, version) => template_view(app, &scope, &name, version).await?.content,
        Source::Draft(content) => *content,
    };
    let model = match model_of(&content, &order.parameters) {
        Ok(model) => model,
        Err(problems) => return Ok(Rendering { problems, outputs: Vec::new() }),
    };
    let names = if order.generators.is_empty() { generator_names(app) } else { order.generators };
    let mut outputs = Vec::new();
    for generator in names {
        let settings = order.settings.get(&generator).or_else(|| content.settings.get(&generator));
        let settings = settings.cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let mut model = model.clone();
        if let Some(text) = content.texts.get(&generator) {
            model.template = Some(text.clone());
        }
        outputs.push(generate(app, generator, &model, &settings).await?);
    }
    Ok(Rendering { problems: Vec::new(), outputs })
}

/// Like [`pipeline_render`], for what is asked at each key that is pressed: the calls are not recorded.
pub async fn pipeline_preview(app: &App, order: Order) -> Result<Rendering> {
    unrecorded(pipeline_render(app, order)).await
}

async fn generate(
    app: &App,
    generator: String,
    model: &PipelineModel,
    settings: &Value,
) -> Result<GeneratorOutput> {
    let mut problems = app.plugins.generator_validate(&generator, model, settings).await?;
    let mut files = Vec::new();
    if problems.is_empty() {
        match app.plugins.generator_generate(&generator, model, settings).await {
            Ok(made) => files = made,
            Err(Error::Plugin(error)) => match error.kind {
                PluginErrorKind::Failure { message, .. } => problems.push(problem("", message)),
                kind => return Err(Error::Plugin(crate::error::PluginError { kind, ..error })),
            },
            Err(other) => return Err(other),
        }
    }
    Ok(GeneratorOutput { generator, problems, files })
}

/// A draft may be wrong in any way.
fn model_of(content: &TemplateContent, given: &Map<String, Value>) -> Result<PipelineModel, Vec<Problem>> {
    let told = |error: Error| match error {
        Error::Invalid { field, message } => vec![problem(&field, message)],
        other => vec![problem("", other.to_string())],
    };
    if content.parameters.is_null() {
        // A model by itself has no parameters, and its braces are only braces.
        return read(content.model.clone()).map_err(|one| vec![one]);
    }
    content.check().map_err(told)?;
    let values = content.completed(given);
    let mut problems = problems_by(&content.parameters, &Value::Object(values.clone())).map_err(told)?;
    problems.iter_mut().for_each(|one| one.path.insert_str(0, "/parameters"));
    if !problems.is_empty() {
        return Err(problems);
    }
    read(content.filled(&values).map_err(told)?).map_err(|one| vec![one])
}

fn read(model: Value) -> Result<PipelineModel, Problem> {
    serde_json::from_value(model)
        .map_err(|error| problem("model", format!("the model cannot be read: {error}")))
}

fn problem(field: &str, message: impl Into<String>) -> Problem {
    let path = if field.is_empty() { String::new() } else { format!("/{field}") };
    Problem { path, message: message.into() }
}
