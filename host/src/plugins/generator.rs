//! The adapter for pipeline generators.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Plugins;
use super::answer::count;
use super::bindings::base::windlass::types::types::Failure;
use super::bindings::generator::exports::windlass::pipeline_generator::generator as wit;
use super::call::{CallError, nonsense};
use super::planner::problems_from;
use super::tape::Function;
use super::text;
use crate::domain::path;
use crate::domain::pipeline::{Parameter, PipelineFile, PipelineModel};
use crate::domain::plugin::{PluginKind, Problem};
use crate::error::{Error, Result};

const FILES: usize = 64;
const FILE_BYTES: usize = 1 << 20;

const VALIDATE: Function =
    Function { interface: "windlass:pipeline-generator/generator@0.1.0", name: "validate" };
const GENERATE: Function = Function { name: "generate", ..VALIDATE };

impl Plugins {
    /// What is wrong with a model: what the contract says, then the schema of the settings, then the plugin itself.
    pub async fn generator_validate(
        &self,
        name: &str,
        model: &PipelineModel,
        settings: &Value,
    ) -> Result<Vec<Problem>> {
        let plugin = self.find(name, PluginKind::PipelineGenerator, VALIDATE.name)?;
        match model.check() {
            Ok(()) => {}
            Err(Error::Invalid { field, message }) => {
                return Ok(vec![Problem { path: format!("/{field}"), message }]);
            }
            Err(other) => return Err(other),
        }
        let mut problems = plugin.schema.problems(settings);
        for problem in &mut problems {
            problem.path.insert_str(0, "/settings");
        }
        if !problems.is_empty() {
            return Ok(problems);
        }
        let params = (model_to(model, settings),);
        self.runtime().invoke(plugin.callee(), VALIDATE, params, |found| Ok(problems_from(found))).await
    }

    /// The files of the pipeline; the first is the one that the provider starts from.
    pub async fn generator_generate(
        &self,
        name: &str,
        model: &PipelineModel,
        settings: &Value,
    ) -> Result<Vec<PipelineFile>> {
        let plugin = self.find(name, PluginKind::PipelineGenerator, GENERATE.name)?;
        model.check()?;
        plugin.schema.check(name, settings)?;
        let params = (model_to(model, settings),);
        let read = |answer: Result<Vec<wit::File>, Failure>| files_from(answer?);
        self.runtime().invoke(plugin.callee(), GENERATE, params, read).await
    }
}

fn model_to(model: &PipelineModel, settings: &Value) -> wit::Model {
    let parameters = |parameters: &[Parameter]| -> Vec<wit::Parameter> {
        parameters
            .iter()
            .map(|parameter| wit::Parameter { name: parameter.name.clone(), value: parameter.value.clone() })
            .collect()
    };
    wit::Model {
        name: model.name.clone(),
        description: model.description.clone(),
        repository: wit::Repository {
            url: model.repository.url.clone(),
            branch: model.repository.branch.clone(),
        },
        environments: model
            .environments
            .iter()
            .map(|environment| wit::Environment {
                name: environment.name.clone(),
                variables: parameters(&environment.variables),
                approval: environment.approval,
                extras: Vec::new(),
            })
            .collect(),
        hosts: model
            .hosts
            .iter()
            .map(|host| wit::Host {
                name: host.name.clone(),
                address: host.address.clone(),
                environment: host.environment.clone(),
            })
            .collect(),
        scripts: model
            .scripts
            .iter()
            .map(|script| wit::Script {
                path: script.path.clone(),
                parameters: parameters(&script.parameters),
            })
            .collect(),
        parameters: parameters(&model.parameters),
        report_url: model.report_url.clone(),
        template: model.template.clone(),
        settings: settings.to_string(),
        extras: Vec::new(),
    }
}

fn files_from(files: Vec<wit::File>) -> Result<Vec<PipelineFile>, CallError> {
    if files.is_empty() {
        return Err(nonsense("a pipeline without a file"));
    }
    count("files of a pipeline", files.len(), FILES)?;
    let mut paths = BTreeSet::new();
    let mut checked = Vec::with_capacity(files.len());
    for file in files {
        path::check_relative("path", &file.path)
            .map_err(|error| nonsense(text::line(&error.to_string(), 2048)))?;
        count("bytes in a file of a pipeline", file.content.len(), FILE_BYTES)?;
        // `a` and `./a` are the same file.
        if !paths.insert(path::join("", &file.path)) {
            return Err(nonsense(format!("the file `{}` twice", text::line(&file.path, 256))));
        }
        checked.push(PipelineFile { path: file.path, content: file.content, executable: file.executable });
    }
    Ok(checked)
}
