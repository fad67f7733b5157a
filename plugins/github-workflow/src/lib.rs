//! A workflow for GitHub Actions that Windlass starts: a job for each environment, with a matrix of its hosts.
//!
//! Untrusted texts are quoted for YAML, for bash, and for GitHub's own `${{ … }}`, which is replaced wherever it stands: a value
//! that holds one is handed to the script by the shell instead of by `env`.
//!
//! On hosts, the scripts run over SSH. The repository's or the environment's secrets have to be `SSH_PRIVATE_KEY` and
//! `SSH_KNOWN_HOSTS`, and `WINDLASS_REPORT_SECRET` for a signed report. An approval is asked for by the environment's
//! protection rules, which only GitHub's settings can make.

mod jobs;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use windlass_sdk::generator::template::fill;
use windlass_sdk::generator::{File, Generator, Model, Shell, check, yaml};
use windlass_sdk::params::{self, Param};
use windlass_sdk::{Failure, Manifest, Problem};

pub struct Workflow;

/// What GitHub evaluates, wherever it stands.
const SHELL: Shell = Shell::avoiding("${{");

const PARAMS: &[Param] = &[
    Param::text("runs_on", "ubuntu-latest", 100, "Label of the runners"),
    Param::text("ssh_user", "deploy", 64, "Whom to log in as on the hosts"),
    Param::integer("timeout_minutes", 60, 1..=4320, "Minutes after which a job is stopped"),
];

/// The input by which Windlass finds the run that it started, since the run's name shows it.
const KEY_INPUT: &str = "windlass_run";
/// GitHub takes 25, and one is ours.
const MAX_INPUTS: usize = 24;

const STANDARD: &str = "\
@{header}
on:
  @{triggers}
permissions:
  contents: read
concurrency:
  group: ${{ github.workflow }}
  cancel-in-progress: false
defaults:
  run:
    shell: bash
@{env}
jobs:
  @{jobs}
";

impl Generator for Workflow {
    fn describe() -> Manifest {
        Manifest::new(
            "github-workflow",
            env!("CARGO_PKG_VERSION"),
            "Writes a workflow for GitHub Actions: environments, a matrix of hosts, inputs and a signed report",
        )
        .settings_schema(params::schema(PARAMS))
    }

    fn validate(model: &Model) -> Vec<Problem> {
        file(model).err().unwrap_or_default()
    }

    fn generate(model: Model) -> Result<Vec<File>, Failure> {
        file(&model).map(|file| vec![file]).map_err(|problems| check::invalid(&problems))
    }
}

windlass_sdk::export_generator!(Workflow);

fn file(model: &Model) -> Result<File, Vec<Problem>> {
    let mut problems = Vec::new();
    if model.parameters.len() > MAX_INPUTS {
        let message =
            format!("GitHub takes at most {MAX_INPUTS} parameters, not {}.", model.parameters.len());
        problems.push(Problem::at("/parameters", message));
    }
    if let Some(n) = model.parameters.iter().position(|one| one.name == KEY_INPUT) {
        let message =
            format!("`{KEY_INPUT}` is the input by which Windlass finds its runs; please take another name.");
        problems.push(Problem::at(format!("/parameters/{n}/name"), message));
    }
    let settings = check::settings(model, PARAMS, problems)?;
    let input = |value: &str| json!({ "type": "string", "required": false, "default": value });
    let mut inputs: Map<String, Value> =
        model.parameters.iter().map(|one| (one.name.clone(), input(&one.value))).collect();
    let env: Map<String, Value> =
        inputs.keys().map(|name| (name.clone(), json!(format!("${{{{ inputs.{name} }}}}")))).collect();
    inputs.insert(KEY_INPUT.to_owned(), input(""));
    let env = if env.is_empty() { String::new() } else { yaml::block(&json!({ "env": env })) };
    let name = jobs::label(&model.name);
    let names = json!({ "name": name, "run-name": format!("{name} ${{{{ inputs.{KEY_INPUT} }}}}") });
    let header = yaml::comment(&model.description) + &approvals(model) + &yaml::block(&names);
    let parts = [
        ("header", header),
        ("triggers", yaml::block(&json!({ "workflow_dispatch": { "inputs": inputs } }))),
        ("env", env),
        ("jobs", yaml::block(&jobs::jobs(model, &settings))),
    ];
    let content =
        fill(model.template.as_deref().unwrap_or(STANDARD), &parts, "jobs").map_err(|one| vec![one])?;
    Ok(File::new(&format!(".github/workflows/{}.yml", slug(&model.name)), content))
}

/// What a workflow cannot ask for itself.
fn approvals(model: &Model) -> String {
    let asked = model.environments.iter().filter(|environment| environment.approval);
    let text = |name: &str| {
        format!(
            "The environment {name} needs required reviewers, in the repository's settings: nobody else is asked."
        )
    };
    asked.map(|environment| yaml::comment(&text(&environment.name))).collect()
}

/// The file's name for a job's name.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug: String = words.collect::<Vec<_>>().join("-").to_ascii_lowercase().chars().take(60).collect();
    if slug.is_empty() { "windlass".to_owned() } else { slug }
}
