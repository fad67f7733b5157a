//! The adapter for build planners.

use super::Plugins;
mod later;

use super::bindings::base::windlass::types::types;
use super::bindings::planner::exports::windlass::build_planner::planner as wit;
use super::call::{CallError, nonsense};
use super::tape::Function;
use super::text::{self, MESSAGE_BYTES};
use crate::domain::build_config::BuildSettings;
use crate::domain::image_name::is_image;
use crate::domain::path;
use crate::domain::plan::{BuildStep, PlanContext};
use crate::domain::plugin::{PluginKind, Problem};
use crate::error::Result;

/// Paths of a commit that a planner gets to see.
const FILES: usize = 10_000;
const STEPS: usize = 64;
const PAIRS: usize = 256;
const TAGS: usize = 16;
const PROBLEMS: usize = 256;

/// The plugin for a build type: `docker_build` is planned by `docker-build`.
pub fn planner_name(build_type: &str) -> String {
    build_type.replace('_', "-")
}

const VALIDATE: Function = Function { interface: "windlass:build-planner/planner@0.1.0", name: "validate" };
const PLAN: Function = Function { name: "plan", ..VALIDATE };

impl Plugins {
    /// What is wrong with a build configuration. `name` is a build type or a plugin's name.
    pub async fn planner_validate(&self, name: &str, settings: &BuildSettings) -> Result<Vec<Problem>> {
        let plugin = self.find(&planner_name(name), PluginKind::BuildPlanner, VALIDATE.name)?;
        let params = (config_to(settings, &[]),);
        self.runtime().invoke(plugin.callee(), VALIDATE, params, |found| Ok(problems_from(found))).await
    }

    /// The steps that turn a commit into an image. `name` is a build type or a plugin's name.
    pub async fn planner_plan(&self, name: &str, context: PlanContext) -> Result<Vec<BuildStep>> {
        let plugin = self.find(&planner_name(name), PluginKind::BuildPlanner, PLAN.name)?;
        let context = wit::Context {
            stack: context.stack,
            ref_name: context.ref_name,
            commit: context.commit,
            files: visible_files(context.files),
            config: config_to(&context.settings, &context.contents),
        };
        self.runtime().invoke(plugin.callee(), PLAN, (context,), steps_from).await
    }

    /// Base names of the files of a commit that a planner wants to read. `name` is a build type or a plugin's name.
    pub fn planner_reads(&self, name: &str) -> Result<Vec<String>> {
        let plugin = self.find(&planner_name(name), PluginKind::BuildPlanner, PLAN.name)?;
        Ok(plugin.info.manifest.reads.clone())
    }
}

fn steps_from(answer: Result<Vec<wit::BuildStep>, types::Failure>) -> Result<Vec<BuildStep>, CallError> {
    let steps = answer?;
    if steps.is_empty() || steps.len() > STEPS {
        return Err(nonsense(format!("a plan of {} steps (1 to {STEPS} make sense)", steps.len())));
    }
    steps.into_iter().map(step_from).collect()
}

/// Where a commit has more files than a planner may see, those nearest to the root are more telling.
fn visible_files(mut files: Vec<String>) -> Vec<String> {
    if files.len() > FILES {
        files.sort_by_cached_key(|path| (path.matches('/').count(), path.clone()));
        files.truncate(FILES);
    }
    files.sort_unstable();
    files
}

fn config_to(settings: &BuildSettings, contents: &[(String, String)]) -> wit::BuildConfig {
    wit::BuildConfig {
        build_type: settings.build_type.clone(),
        context_path: settings.context_path.clone(),
        dockerfile_path: settings.dockerfile_path.clone(),
        compose_path: settings.compose_path.clone(),
        target: settings.target.clone(),
        build_args: settings.build_args.iter().map(|arg| (arg.name.clone(), arg.value.clone())).collect(),
        pre_build_commands: settings.pre_build_commands.clone(),
        post_build_commands: settings.post_build_commands.clone(),
        timeout_seconds: settings.timeout,
        extras: later::extras(settings, contents),
    }
}

/// The findings of any kind's `validate`.
pub(super) fn problems_from(problems: Vec<types::Problem>) -> Vec<Problem> {
    problems
        .into_iter()
        .take(PROBLEMS)
        .map(|problem| Problem {
            path: text::line(&problem.path, 1024),
            message: text::line(&problem.message, MESSAGE_BYTES),
        })
        .collect()
}

fn step_from(step: wit::BuildStep) -> Result<BuildStep, CallError> {
    match step {
        wit::BuildStep::DockerBuild(build) => docker_build_from(build),
        wit::BuildStep::Tag(tag) => {
            Ok(BuildStep::Tag { source: image_name(tag.source)?, target: image_name(tag.target)? })
        }
        wit::BuildStep::Other(words) => later::step(&words),
    }
}

fn docker_build_from(build: wit::DockerBuild) -> Result<BuildStep, CallError> {
    for value in [&build.context_path, &build.dockerfile_path] {
        path::check_relative("path", value)
            .map_err(|error| nonsense(text::line(&error.to_string(), 2048)))?;
    }
    if build.tags.is_empty() || build.tags.len() > TAGS {
        return Err(nonsense(format!("an image with {} tags (1 to {TAGS} make sense)", build.tags.len())));
    }
    if let Some(target) = &build.target {
        short("build target", target, 256)?;
    }
    Ok(BuildStep::DockerBuild {
        context_path: build.context_path,
        dockerfile_path: build.dockerfile_path,
        target: build.target,
        build_args: pairs("build arguments", build.build_args)?,
        labels: pairs("labels", build.labels)?,
        tags: build.tags.into_iter().map(image_name).collect::<Result<_, _>>()?,
        dockerfile: later::text_of(&build.extras, "dockerfile")?,
        dockerignore: later::text_of(&build.extras, "dockerignore")?,
    })
}

fn pairs(what: &str, pairs: Vec<(String, String)>) -> Result<Vec<(String, String)>, CallError> {
    if pairs.len() > PAIRS {
        return Err(nonsense(format!("more than {PAIRS} {what}")));
    }
    for (name, value) in &pairs {
        short(what, name, 256)?;
        short(what, value, 64 << 10)?;
    }
    Ok(pairs)
}

fn image_name(name: String) -> Result<String, CallError> {
    if is_image(&name) {
        Ok(name)
    } else {
        Err(nonsense(format!("`{}` as an image's name", text::line(&name, 256))))
    }
}

fn short(what: &str, value: &str, max: usize) -> Result<(), CallError> {
    if value.len() > max {
        return Err(nonsense(format!("{what} of more than {max} bytes")));
    }
    Ok(())
}
