//! A `.circleci/config.yml` whose pipelines Windlass starts: a job for each environment, used once for each of its hosts.
//!
//! Untrusted texts are quoted for YAML, for bash, and for CircleCI's own `<< … >>`: a value with `<<` is handed to the script by
//! the shell instead of by `environment`.
//!
//! Names of pipeline parameters have no upper case at CircleCI: the parameter `VERSION` is `version` where a pipeline is
//! started, and `VERSION` again for the scripts. On hosts, the scripts run over SSH with the project's SSH keys; the context or
//! the project has to set `SSH_KNOWN_HOSTS`, and `WINDLASS_REPORT_SECRET` for a signed report.

mod jobs;
#[cfg(test)]
mod tests;
mod workflow;

use serde_json::{Map, Value, json};
use windlass_sdk::generator::template::fill;
use windlass_sdk::generator::{File, Generator, Model, Shell, check, yaml};
use windlass_sdk::params::{self, Param};
use windlass_sdk::{Failure, Manifest, Problem};

pub struct Config;

/// What CircleCI replaces, wherever it stands.
const SHELL: Shell = Shell::avoiding("<<");

const PARAMS: &[Param] = &[
    Param::text(
        "image",
        "cimg/base:current",
        200,
        "Container image of the jobs; it needs bash, ssh and curl",
    ),
    Param::text("resource_class", "medium", 100, "Size of the machines"),
    Param::text("context", "", 100, "Context with the variables of the jobs; none if empty"),
    Param::text(
        "ssh_fingerprint",
        "",
        100,
        "Fingerprint of the SSH key for the hosts; all keys of the project if empty",
    ),
    Param::text("ssh_user", "deploy", 64, "Whom to log in as on the hosts"),
];

/// CircleCI takes no more characters in a parameter.
const MAX_VALUE: usize = 512;

const STANDARD: &str = "\
@{header}
version: 2.1
@{parameters}
jobs:
  @{jobs}
workflows:
  windlass:
    when:
      not:
        equal: [webhook, << pipeline.trigger_source >>]
    jobs:
      @{workflow}
";

impl Generator for Config {
    fn describe() -> Manifest {
        Manifest::new(
            "circleci-config",
            env!("CARGO_PKG_VERSION"),
            "Writes .circleci/config.yml: a job for each environment and host, parameters, approvals and a signed report",
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

windlass_sdk::export_generator!(Config);

fn file(model: &Model) -> Result<File, Vec<Problem>> {
    let settings = check::settings(model, PARAMS, problems(model))?;
    let mut parameters = String::new();
    if !model.parameters.is_empty() {
        let declared = |value: &str| json!({ "type": "string", "default": value });
        let all: Map<String, Value> =
            model.parameters.iter().map(|one| (parameter(&one.name), declared(&one.value))).collect();
        parameters = yaml::block(&json!({ "parameters": all }));
    }
    let plan = workflow::plan(model);
    let parts = [
        ("header", yaml::comment(&format!("{}\n{}", model.name, model.description))),
        ("parameters", parameters),
        ("jobs", yaml::block(&jobs::jobs(model, &plan, &settings))),
        ("workflow", yaml::block(&workflow::jobs(model, &plan, &settings))),
    ];
    let content =
        fill(model.template.as_deref().unwrap_or(STANDARD), &parts, "jobs").map_err(|one| vec![one])?;
    Ok(File::new(".circleci/config.yml", content))
}

/// Its name at CircleCI: two lower-case characters at least, the first of them a letter.
fn parameter(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if name.len() > 1 && !name.starts_with('_') { name } else { format!("param-{name}") }
}

fn problems(model: &Model) -> Vec<Problem> {
    let mut found = Vec::new();
    for (n, one) in model.parameters.iter().enumerate() {
        if model.parameters[..n].iter().any(|other| parameter(&other.name) == parameter(&one.name)) {
            let message = format!(
                "CircleCI cannot tell `{}` from a parameter before it: it knows no upper case.",
                one.name
            );
            found.push(Problem::at(format!("/parameters/{n}/name"), message));
        }
        if SHELL.is_expression(&one.value) || one.value.chars().count() > MAX_VALUE {
            let message = format!(
                "CircleCI takes no default with `<<` in it, nor one of more than {MAX_VALUE} characters."
            );
            found.push(Problem::at(format!("/parameters/{n}/value"), message));
        }
    }
    found
}
