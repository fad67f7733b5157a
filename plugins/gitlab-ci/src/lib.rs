//! A `.gitlab-ci.yml` whose pipelines Windlass starts: a stage for each environment, with a matrix of its hosts.
//!
//! Untrusted texts are quoted for YAML and for bash. GitLab expands `$NAME` in variables, so a value with a `$` is handed to the
//! script by the shell instead; a job parameter's default says `expand: false`.
//!
//! On hosts, the scripts run over SSH. The project's CI/CD variables have to be `SSH_PRIVATE_KEY` and `SSH_KNOWN_HOSTS`, both of
//! the type "file", and `WINDLASS_REPORT_SECRET` for a signed report. An approval is a manual job.

mod jobs;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use windlass_sdk::generator::template::fill;
use windlass_sdk::generator::{File, Generator, Model, check, yaml};
use windlass_sdk::params::{self, Param};
use windlass_sdk::{Failure, Manifest, Problem};

pub struct GitlabCi;

const PARAMS: &[Param] = &[
    Param::text(
        "image",
        "buildpack-deps:bookworm-scm",
        200,
        "Container image of the jobs; it needs bash, ssh and curl",
    ),
    Param::text("tag", "", 100, "Tag of the runners; any runner if empty"),
    Param::text("ssh_user", "deploy", 64, "Whom to log in as on the hosts"),
    Param::integer("timeout_minutes", 60, 1..=43_200, "Minutes after which a job is stopped"),
];

const STANDARD: &str = "\
@{header}
workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE =~ /^(api|pipeline|schedule|trigger|web)$/
stages:
  @{stages}
default:
  @{defaults}
@{variables}
@{jobs}
";

impl Generator for GitlabCi {
    fn describe() -> Manifest {
        Manifest::new(
            "gitlab-ci",
            env!("CARGO_PKG_VERSION"),
            "Writes .gitlab-ci.yml: stages, a matrix of hosts, variables, manual approvals and a signed report",
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

windlass_sdk::export_generator!(GitlabCi);

fn file(model: &Model) -> Result<File, Vec<Problem>> {
    let settings = check::settings(model, PARAMS, jobs::problems(model))?;
    let mut defaults = json!({
        "image": settings.text("image"),
        "timeout": format!("{} minutes", settings.integer("timeout_minutes")),
    });
    if !settings.text("tag").is_empty() {
        defaults["tags"] = json!([settings.text("tag")]);
    }
    let mut variables = String::new();
    if !model.parameters.is_empty() {
        let all: Map<String, Value> =
            model.parameters.iter().map(|one| (one.name.clone(), default(&one.value))).collect();
        variables = yaml::block(&json!({ "variables": all }));
    }
    let parts = [
        ("header", yaml::comment(&format!("{}\n{}", model.name, model.description))),
        ("stages", yaml::block(&json!(jobs::stages(model)))),
        ("defaults", yaml::block(&defaults)),
        ("variables", variables),
        ("jobs", yaml::block(&jobs::jobs(model, &settings))),
    ];
    let content =
        fill(model.template.as_deref().unwrap_or(STANDARD), &parts, "jobs").map_err(|one| vec![one])?;
    Ok(File::new(".gitlab-ci.yml", content))
}

/// With a description, the form in which people start a pipeline asks for it.
fn default(value: &str) -> Value {
    let mut variable = json!({ "value": value, "description": "Can be set for each pipeline." });
    if is_expanded(value) {
        variable["expand"] = json!(false);
    }
    variable
}

/// Whether GitLab would replace a part of the value.
fn is_expanded(value: &str) -> bool {
    value.contains('$')
}
