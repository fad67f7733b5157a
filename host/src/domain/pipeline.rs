//! What a pipeline is generated from and what comes out: the host's side of `windlass:pipeline-generator`.

use serde::{Deserialize, Serialize};

use super::path;
use crate::error::{Error, Result};

/// What to run where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineModel {
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub repository: PipelineRepository,
    /// In the order in which they run.
    #[serde(default)]
    pub environments: Vec<Environment>,
    /// None: the scripts run where the provider runs its jobs.
    #[serde(default)]
    pub hosts: Vec<PipelineHost>,
    /// In the order in which they run on each host.
    #[serde(default)]
    pub scripts: Vec<Script>,
    /// Parameters of the job itself, with their defaults.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Where the pipeline posts its result.
    #[serde(default)]
    pub report_url: Option<String>,
    /// A template in the generator's own language.
    #[serde(default)]
    pub template: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineRepository {
    pub url: String,
    pub branch: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineHost {
    pub name: String,
    pub address: String,
    /// Name of an environment.
    pub environment: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    pub name: String,
    /// Never secret.
    #[serde(default)]
    pub variables: Vec<Parameter>,
    /// Whether a person has to agree before it begins.
    #[serde(default)]
    pub approval: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub path: String,
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineFile {
    pub path: String,
    pub content: String,
    pub executable: bool,
}

impl PipelineModel {
    /// What the contract promises every generator: names that are names, paths inside the repository, hosts in
    /// environments that exist.
    pub fn check(&self) -> Result<()> {
        let environments: Vec<&str> = self.environments.iter().map(|one| one.name.as_str()).collect();
        unique_names("environments", &environments)?;
        unique_names("hosts", &self.hosts.iter().map(|one| one.name.as_str()).collect::<Vec<_>>())?;
        for (i, host) in self.hosts.iter().enumerate() {
            if !environments.contains(&host.environment.as_str()) {
                return Err(Error::invalid(
                    format!("hosts/{i}/environment"),
                    format!(
                        "the host `{}` is in the environment `{}`, which the pipeline does not have",
                        host.name,
                        host.environment.escape_debug()
                    ),
                ));
            }
        }
        for (i, script) in self.scripts.iter().enumerate() {
            path::check_relative(&format!("scripts/{i}/path"), &script.path)?;
        }
        let variables = self.environments.iter().flat_map(|environment| &environment.variables);
        let of_scripts = self.scripts.iter().flat_map(|script| &script.parameters);
        for parameter in variables.chain(of_scripts).chain(&self.parameters) {
            if !is_variable(&parameter.name) {
                return Err(Error::invalid(
                    "parameters",
                    format!(
                        "`{}` is no name of a parameter; it has to begin with a letter or `_` and to go on with letters, \
                         digits and `_`",
                        parameter.name.escape_debug()
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn unique_names(field: &str, names: &[&str]) -> Result<()> {
    for (i, name) in names.iter().enumerate() {
        let fits = (1..=63).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !fits {
            return Err(Error::invalid(
                format!("{field}/{i}/name"),
                format!(
                    "`{}` does not fit `[A-Za-z0-9][A-Za-z0-9._-]{{0,62}}`, as names of {field} have to",
                    name.escape_debug()
                ),
            ));
        }
        if names.iter().take(i).any(|other| other == name) {
            return Err(Error::invalid(
                format!("{field}/{i}/name"),
                format!("`{name}` occurs twice among the {field}; each needs a name of its own"),
            ));
        }
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> PipelineModel {
        PipelineModel {
            name: "deploy".into(),
            environments: vec![Environment { name: "prod".into(), variables: Vec::new(), approval: true }],
            hosts: vec![PipelineHost {
                name: "web-1".into(),
                address: "10.0.0.1".into(),
                environment: "prod".into(),
            }],
            scripts: vec![Script {
                path: "scripts/deploy.sh".into(),
                parameters: vec![Parameter { name: "VERSION".into(), value: "1; rm".into() }],
            }],
            ..PipelineModel::default()
        }
    }

    #[test]
    fn a_good_model_is_taken_and_its_values_are_left_alone() {
        assert!(model().check().is_ok());
    }

    #[test]
    fn what_a_generator_could_stumble_over_is_refused_with_its_place() {
        let field = |change: fn(&mut PipelineModel)| {
            let mut model = model();
            change(&mut model);
            match model.check() {
                Err(Error::Invalid { field, .. }) => field,
                other => format!("{other:?}"),
            }
        };
        assert_eq!(field(|model| model.hosts[0].environment = "test".into()), "hosts/0/environment");
        assert_eq!(field(|model| model.hosts[0].name = "a b".into()), "hosts/0/name");
        assert_eq!(field(|model| model.hosts.push(model.hosts[0].clone())), "hosts/1/name");
        assert_eq!(field(|model| model.environments[0].name = String::new()), "environments/0/name");
        assert_eq!(field(|model| model.scripts[0].path = "../x".into()), "scripts/0/path");
        assert_eq!(field(|model| model.scripts[0].parameters[0].name = "a-b".into()), "parameters");
    }
}
