//! How a stack is built (seed 2, `BuildConfig`).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Id, UnixMs,
    build_options::BuildOptions,
    path,
    path_filter::{COMPILED_BYTES, PathFilter, check_patterns},
    stack::check_variable,
};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildConfig {
    pub id: Id,
    pub stack_id: Id,
    pub repository_id: Option<Id>,
    pub settings: BuildSettings,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// The part of a build configuration that a person writes. Field names are seed 2's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildSettings {
    #[serde(default = "docker_build")]
    pub build_type: String,
    /// Folder handed to the build, relative to the repository's root.
    #[serde(default)]
    pub context_path: Option<String>,
    /// Relative to the repository's root.
    #[serde(default)]
    pub dockerfile_path: Option<String>,
    #[serde(default)]
    pub compose_path: Option<String>,
    #[serde(default)]
    pub target: Option<String>,
    #[serde(default)]
    pub build_args: Vec<BuildArg>,
    #[serde(default)]
    pub pre_build_commands: Vec<String>,
    #[serde(default)]
    pub post_build_commands: Vec<String>,
    /// Environment of the running containers.
    #[serde(default)]
    pub environment_variables: Vec<EnvVar>,
    /// Build timeout in seconds.
    #[serde(default = "half_hour")]
    pub timeout: u32,
    #[serde(default = "yes")]
    pub auto_deploy_on_push: bool,
    /// Regular expressions, each matched against the whole branch name. Empty: the repository's default branch only.
    #[serde(default)]
    pub auto_deploy_branches: Vec<String>,
    /// Patterns of tags (`v*`, `!*-rc*`): a push of such a tag deploys its commit. Empty: none.
    #[serde(default)]
    pub auto_deploy_tags: Vec<String>,
    /// Patterns of paths (`src/**`, `!docs/**`): a push deploys only if it changes one of these files. Empty: any. Where
    /// the forge does not name all changed files, a push deploys.
    #[serde(default)]
    pub auto_deploy_paths: Vec<String>,
    #[serde(default)]
    pub health_check_path: Option<String>,
    /// Seconds a new instance may take to become healthy.
    #[serde(default)]
    pub health_check_timeout: Option<u32>,
    #[serde(default = "yes")]
    pub rollback_on_failure: bool,
    /// How the build is done beyond the fields above.
    #[serde(default)]
    pub options: BuildOptions,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildArg {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvVar {
    pub name: String,
    /// Sealed in the database when `secret`.
    pub value: String,
    #[serde(default)]
    pub secret: bool,
}

fn docker_build() -> String {
    "docker_build".into()
}

fn half_hour() -> u32 {
    1800
}

fn yes() -> bool {
    true
}

/// Seconds, when the build configuration names none.
pub const DEFAULT_HEALTH_TIMEOUT_SECS: u32 = 60;

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            build_type: docker_build(),
            context_path: None,
            dockerfile_path: None,
            compose_path: None,
            target: None,
            build_args: Vec::new(),
            pre_build_commands: Vec::new(),
            post_build_commands: Vec::new(),
            environment_variables: Vec::new(),
            timeout: half_hour(),
            auto_deploy_on_push: true,
            auto_deploy_branches: Vec::new(),
            auto_deploy_tags: Vec::new(),
            auto_deploy_paths: Vec::new(),
            health_check_path: None,
            health_check_timeout: None,
            rollback_on_failure: true,
            options: BuildOptions::default(),
        }
    }
}

impl BuildSettings {
    /// What the host can say without the planner: ranges, names, and that paths stay inside the repository.
    pub fn check(&self) -> Result<()> {
        for (field, value) in [
            ("build.contextPath", &self.context_path),
            ("build.dockerfilePath", &self.dockerfile_path),
            ("build.composePath", &self.compose_path),
        ] {
            if let Some(value) = value {
                path::check_relative(field, value)?;
            }
        }
        if !(1..=86_400).contains(&self.timeout) {
            return Err(Error::invalid("build.timeout", "timeout has to be between 1 and 86400 seconds"));
        }
        if self.health_check_timeout.is_some_and(|secs| !(1..=3600).contains(&secs)) {
            return Err(Error::invalid(
                "build.healthCheckTimeout",
                "healthCheckTimeout has to be between 1 and 3600 seconds",
            ));
        }
        if let Some(path) = &self.health_check_path
            && (!path.starts_with('/') || path.len() > 2048 || path.bytes().any(|b| b <= b' ' || b == 0x7f))
        {
            return Err(Error::invalid(
                "build.healthCheckPath",
                "healthCheckPath has to start with / and may not contain blanks or control characters",
            ));
        }
        for arg in &self.build_args {
            check_variable("build.buildArgs", &arg.name, &arg.value)?;
        }
        for variable in &self.environment_variables {
            check_variable("build.environmentVariables", &variable.name, &variable.value)?;
        }
        self.options.check()?;
        for name in &self.options.secrets {
            if !self.environment_variables.iter().any(|variable| variable.name == *name) {
                return Err(Error::invalid(
                    "build.options.secrets",
                    format!(
                        "there is no variable `{}` in environmentVariables; add it there",
                        name.escape_debug()
                    ),
                ));
            }
        }
        self.branch_patterns()?;
        self.tag_filter()?;
        self.path_filter().map(|_| ())
    }

    /// The variables that a build gets: commands in their environment, Dockerfiles as secrets that no layer keeps.
    pub fn build_secrets(&self) -> Vec<(String, String)> {
        let wanted = |variable: &&EnvVar| self.options.secrets.contains(&variable.name);
        let variables = self.environment_variables.iter().filter(wanted);
        variables.map(|variable| (variable.name.clone(), variable.value.clone())).collect()
    }

    /// The environment of commands: what is no secret, and the secrets that a build gets.
    pub fn command_environment(&self) -> Vec<(String, String)> {
        let open = self
            .environment_variables
            .iter()
            .filter(|variable| !variable.secret || self.options.secrets.contains(&variable.name));
        open.map(|variable| (variable.name.clone(), variable.value.clone())).collect()
    }

    /// The compiled branch patterns. The engine's cost is linear in its input and its size is bounded here.
    pub fn branch_patterns(&self) -> Result<Vec<regex::Regex>> {
        let field = "build.autoDeployBranches";
        check_patterns(field, &self.auto_deploy_branches)?;
        let compile = |text: &str| regex::RegexBuilder::new(text).size_limit(COMPILED_BYTES).build();
        let patterns = self.auto_deploy_branches.iter().map(|pattern| {
            // By itself as well: `a)|(b` would be none, but become one in parentheses.
            let compiled = compile(pattern).and_then(|_| compile(&format!(r"\A(?:{pattern})\z")));
            compiled.map_err(|error| {
                let pattern = pattern.escape_debug();
                Error::invalid(field, format!("`{pattern}` is not a regular expression: {error}"))
            })
        });
        patterns.collect()
    }

    /// The compiled patterns of tags; nothing where no tag is deployed.
    pub fn tag_filter(&self) -> Result<Option<PathFilter>> {
        let filter = PathFilter::new("build.autoDeployTags", &self.auto_deploy_tags)?;
        Ok((!self.auto_deploy_tags.is_empty()).then_some(filter))
    }

    /// The compiled patterns of paths.
    pub fn path_filter(&self) -> Result<PathFilter> {
        PathFilter::new("build.autoDeployPaths", &self.auto_deploy_paths)
    }

    pub fn health_timeout_secs(&self) -> u32 {
        self.health_check_timeout.unwrap_or(DEFAULT_HEALTH_TIMEOUT_SECS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_patterns_are_checked_and_bounded() {
        let refused = |patterns: Vec<String>| {
            BuildSettings { auto_deploy_branches: patterns, ..Default::default() }.check().is_err()
        };
        assert!(refused(vec!["(".into()]) && refused(vec!["a)|(b".into()]));
        assert!(refused(vec!["a{1000}{1000}".into()]) && refused(vec!["a".into(); 65]));
        assert!(refused(vec!["a".repeat(257)]));
        assert!(!refused(vec!["release/.*".into(), "main|next".into()]));
    }

    #[test]
    fn a_path_that_leaves_the_repository_is_refused() {
        let settings = BuildSettings { dockerfile_path: Some("../Dockerfile".into()), ..Default::default() };
        assert!(settings.check().is_err());
    }
}
