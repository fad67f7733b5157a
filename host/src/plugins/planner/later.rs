//! What came after the contract's version 0.1: options, files, written Dockerfiles and steps, in the contract's open cases.

use serde::Deserialize;

use super::{image_name, nonsense, short, text};
use crate::domain::build_config::BuildSettings;
use crate::domain::path;
use crate::domain::plan::BuildStep;
use crate::plugins::call::CallError;

/// A Dockerfile that a planner writes.
const TEXT_BYTES: usize = 256 << 10;
const COMMANDS: usize = 256;
const COMMAND_BYTES: usize = 64 << 10;
const OUTPUTS: usize = 256;

/// A configuration's options as JSON, and the files that the planner wanted to read.
pub(super) fn extras(settings: &BuildSettings, contents: &[(String, String)]) -> Vec<(String, String)> {
    let options = &settings.options;
    let mut extras = Vec::new();
    if *options != Default::default()
        && let Ok(json) = serde_json::to_string(options)
    {
        extras.push(("options".to_owned(), json));
    }
    extras.extend(contents.iter().map(|(path, content)| (format!("file:{path}"), content.clone())));
    extras
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    image: Option<String>,
    commands: Vec<String>,
    working_directory: String,
    #[serde(default)]
    outputs: Vec<String>,
}

/// A step by its name and, after a blank, its argument.
pub(super) fn step(words: &str) -> Result<BuildStep, CallError> {
    match words.split_once(' ').unwrap_or((words, "")) {
        ("compose-config", path) => {
            inside("composePath", path)?;
            Ok(BuildStep::ComposeConfig { path: path.to_owned() })
        }
        ("compose-build", "") => Ok(BuildStep::ComposeBuild),
        ("compose-pull", "") => Ok(BuildStep::ComposePull),
        ("run-in-container", json) => run(json),
        _ => Err(nonsense(format!("the step `{}`, which this host does not know", text::line(words, 128)))),
    }
}

fn run(json: &str) -> Result<BuildStep, CallError> {
    let run: Run = serde_json::from_str(json).map_err(|error| {
        nonsense(format!(
            "a `run-in-container` step that is not one: {}",
            text::line(&error.to_string(), 256)
        ))
    })?;
    if run.commands.is_empty() || run.commands.len() > COMMANDS || run.outputs.len() > OUTPUTS {
        return Err(nonsense(format!(
            "{} commands and {} outputs (1 to {COMMANDS} and at most {OUTPUTS} make sense)",
            run.commands.len(),
            run.outputs.len()
        )));
    }
    for command in &run.commands {
        short("command", command, COMMAND_BYTES)?;
        if command.contains('\0') {
            return Err(nonsense("a command with a NUL character".to_owned()));
        }
    }
    for path in run.outputs.iter().chain([&run.working_directory]) {
        inside("path", path)?;
    }
    Ok(BuildStep::RunInContainer {
        image: run.image.map(image_name).transpose()?,
        commands: run.commands,
        working_directory: run.working_directory,
        outputs: run.outputs,
    })
}

fn inside(field: &str, path: &str) -> Result<(), CallError> {
    path::check_relative(field, path).map_err(|error| nonsense(text::line(&error.to_string(), 2048)))
}

/// A text in a step's extras.
pub(super) fn text_of(extras: &[(String, String)], name: &'static str) -> Result<Option<String>, CallError> {
    let Some((_, text)) = extras.iter().find(|(key, _)| key == name) else { return Ok(None) };
    short(name, text, TEXT_BYTES)?;
    Ok(Some(text.clone()))
}
