//! A declarative Jenkinsfile: a stage for each environment, in which its hosts run side by side.
//!
//! Untrusted texts are quoted for Groovy, in strings that know no `${…}`, and for bash inside of them. Jenkins expands `$NAME` in
//! `environment`, so a value with a `$` is handed to the script by the shell instead.
//!
//! On hosts, the scripts run over SSH with a credential of the type "SSH Username with private key"; the agent has to know the
//! hosts. A signed report needs a credential of the type "Secret text".

mod groovy;
mod stages;
#[cfg(test)]
mod tests;

use groovy::{block, text};
use windlass_sdk::generator::template::fill;
use windlass_sdk::generator::{File, Generator, Model, check};
use windlass_sdk::params::{self, Param};
use windlass_sdk::{Failure, Manifest, Problem};

pub struct Jenkinsfile;

const PARAMS: &[Param] = &[
    Param::text("agent", "", 200, "Label of the agents; any agent if empty"),
    Param::text("git_credentials", "", 200, "Id of the credential for the repository; none if empty"),
    Param::text("ssh_credentials", "windlass-deploy", 200, "Id of the SSH credential for the hosts"),
    Param::text(
        "report_credentials",
        "windlass-report",
        200,
        "Id of the secret for reports; they are not signed if empty",
    ),
    Param::integer("timeout_minutes", 60, 1..=43_200, "Minutes after which a stage is stopped"),
];

/// The parameter by which Windlass finds the builds that it started.
const KEY: &str = "WINDLASS_KEY";

const STANDARD: &str = "\
pipeline {
    agent none
    options {
        disableConcurrentBuilds()
        skipDefaultCheckout()
        timestamps()
    }
    @{parameters}
    stages {
        @{stages}
    }
    @{post}
}
";

impl Generator for Jenkinsfile {
    fn describe() -> Manifest {
        Manifest::new(
            "jenkins-pipeline",
            env!("CARGO_PKG_VERSION"),
            "Writes a declarative Jenkinsfile: stages, hosts side by side, parameters, approvals and a signed report",
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

windlass_sdk::export_generator!(Jenkinsfile);

fn file(model: &Model) -> Result<File, Vec<Problem>> {
    let settings = check::settings(model, PARAMS, Vec::new())?;
    let parts = [
        ("parameters", parameters(model)),
        ("stages", stages::stages(model, &settings)),
        (
            "post",
            model.report_url.as_deref().map_or(String::new(), |url| stages::report(model, url, &settings)),
        ),
    ];
    let content =
        fill(model.template.as_deref().unwrap_or(STANDARD), &parts, "stages").map_err(|one| vec![one])?;
    Ok(File::new("Jenkinsfile", content))
}

fn parameters(model: &Model) -> String {
    if model.parameters.is_empty() {
        return String::new();
    }
    let string =
        |name: &str, value: &str| format!("string(name: {}, defaultValue: {})\n", text(name), text(value));
    let own = model.parameters.iter().filter(|one| one.name != KEY).map(|one| string(&one.name, &one.value));
    // This block takes the place of the job's own parameters, so what a build is found by has to be in it as well.
    let all: String = own.chain([string(KEY, "")]).collect();
    block("parameters", &all)
}
