//! `windlass.yaml`: what a commit says about its own build and run, laid over what the stack says.
//!
//! Whoever may push may write it. So it says how the commit is built and started, and nothing about what the stack may
//! reach: no ports, volumes, grants, hosts, secrets, replicas, deployment rules or strategies.

use serde::Deserialize;
use utoipa::ToSchema;

use super::build_config::{BuildArg, BuildSettings, EnvVar};
use super::stack::RunSpec;
use super::yaml;
use crate::error::{Error, Result};

/// In the root of the repository.
pub const NAME: &str = "windlass.yaml";

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepoFile {
    /// 1.
    #[serde(default = "first")]
    version: u32,
    #[serde(default)]
    build: Build,
    #[serde(default)]
    run: Run,
}

fn first() -> u32 {
    1
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Build {
    build_type: Option<String>,
    context_path: Option<String>,
    dockerfile_path: Option<String>,
    compose_path: Option<String>,
    target: Option<String>,
    /// Added to the stack's; of two with one name this one counts.
    #[serde(default)]
    build_args: Vec<BuildArg>,
    pre_build_commands: Option<Vec<String>>,
    post_build_commands: Option<Vec<String>>,
    /// Added to the stack's; of two with one name the stack's counts.
    #[serde(default)]
    environment_variables: Vec<Variable>,
    health_check_path: Option<String>,
    health_check_timeout: Option<u32>,
}

/// Never secret: everybody who can read the repository reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    command: Option<Vec<String>>,
    stop_timeout_secs: Option<u32>,
    exclusive: Option<String>,
    service: Option<String>,
}

/// Lays the file over a stack's settings.
///
/// # Errors
/// `Invalid`, with line and column.
pub fn overlay(text: &str, settings: &mut BuildSettings, run: &mut RunSpec) -> Result<()> {
    let file: RepoFile = yaml::read(NAME, text)?;
    let placed = |error| yaml::place(NAME, text, "", error);
    if file.version != 1 {
        return Err(placed(Error::invalid(
            "version",
            format!("version {} is not known; write 1", file.version),
        )));
    }
    lay_build(file.build, settings);
    let given = file.run;
    run.command = given.command.or(run.command.take());
    run.stop_timeout_secs = given.stop_timeout_secs.unwrap_or(run.stop_timeout_secs);
    run.exclusive = given.exclusive.or(run.exclusive.take());
    run.service = given.service.or(run.service.take());
    settings.check().and_then(|()| run.check()).map_err(placed)
}

fn lay_build(given: Build, settings: &mut BuildSettings) {
    settings.build_type = given.build_type.unwrap_or(std::mem::take(&mut settings.build_type));
    settings.context_path = given.context_path.or(settings.context_path.take());
    settings.dockerfile_path = given.dockerfile_path.or(settings.dockerfile_path.take());
    settings.compose_path = given.compose_path.or(settings.compose_path.take());
    settings.target = given.target.or(settings.target.take());
    settings.health_check_path = given.health_check_path.or(settings.health_check_path.take());
    settings.health_check_timeout = given.health_check_timeout.or(settings.health_check_timeout);
    if let Some(commands) = given.pre_build_commands {
        settings.pre_build_commands = commands;
    }
    if let Some(commands) = given.post_build_commands {
        settings.post_build_commands = commands;
    }
    settings.build_args.retain(|old| given.build_args.iter().all(|new| new.name != old.name));
    settings.build_args.extend(given.build_args);
    for Variable { name, value } in given.environment_variables {
        if settings.environment_variables.iter().all(|own| own.name != name) {
            settings.environment_variables.push(EnvVar { name, value, secret: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lay(text: &str) -> Result<(BuildSettings, RunSpec)> {
        let secret = EnvVar { name: "KEY".into(), value: "s".into(), secret: true };
        let mut settings = BuildSettings { environment_variables: vec![secret], ..BuildSettings::default() };
        settings.build_args.push(BuildArg { name: "A".into(), value: "old".into() });
        let mut run = RunSpec { replicas: 3, ..RunSpec::default() };
        overlay(text, &mut settings, &mut run).map(|()| (settings, run))
    }

    #[test]
    fn a_commit_says_how_it_is_built_and_the_stack_keeps_the_rest() {
        let text = "version: 1\nbuild:\n  dockerfilePath: deploy/Dockerfile\n  buildArgs:\n    - {name: A, value: new}\n  \
                    environmentVariables:\n    - {name: KEY, value: mine}\n    - {name: MODE, value: fast}\nrun:\n  \
                    command: [serve, --fast]\n";
        let (settings, run) = lay(text).expect("taken");
        assert_eq!(settings.dockerfile_path.as_deref(), Some("deploy/Dockerfile"));
        assert_eq!(settings.build_args, [BuildArg { name: "A".into(), value: "new".into() }]);
        let shown: Vec<_> = settings
            .environment_variables
            .iter()
            .map(|one| (one.name.as_str(), one.value.as_str()))
            .collect();
        assert_eq!(shown, [("KEY", "s"), ("MODE", "fast")], "the stack's own variables win");
        assert_eq!((run.command, run.replicas), (Some(vec!["serve".into(), "--fast".into()]), 3));
        assert_eq!(lay("").expect("an empty file").1.replicas, 3);
    }

    #[test]
    fn what_is_not_the_commits_to_say_is_refused_with_its_place() {
        for (text, place) in [
            ("run:\n  ports: []\n", "windlass.yaml:2:3"),
            ("run:\n  grants: [privileged]\n", "windlass.yaml:2:3"),
            ("traffic:\n  hosts: [a]\n", "windlass.yaml:1:1"),
            (
                "build:\n  environmentVariables:\n    - {name: A, value: b, secret: true}\n",
                "windlass.yaml:3:",
            ),
            ("build:\n  dockerfilePath: ../Dockerfile\n", "windlass.yaml:2:3"),
            ("version: 2\n", "windlass.yaml:1:1"),
            ("run:\n  stopTimeoutSecs: 100000\n", "windlass.yaml:2:3"),
        ] {
            let error = lay(text).expect_err("refused").to_string();
            assert!(error.starts_with(place), "{text}: {error}");
        }
    }
}
