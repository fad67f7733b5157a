//! Projects.

use serde::Deserialize;
use windlass_sdk::forge::RepositoryDetails;
use windlass_sdk::{Connection, Failure};

use crate::api::Api;
use crate::names;

#[derive(Debug, Deserialize)]
pub struct Project {
    path_with_namespace: String,
    /// Absent as long as nothing was pushed.
    pub default_branch: Option<String>,
    /// `private`, `internal` or `public`.
    visibility: Option<String>,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    empty_repo: bool,
    description: Option<String>,
    http_url_to_repo: Option<String>,
    ssh_url_to_repo: Option<String>,
    pub web_url: Option<String>,
    ci_config_path: Option<String>,
    builds_access_level: Option<String>,
}

impl Project {
    pub fn get(api: &Api, project: &str, code: &str) -> Result<Self, Failure> {
        api.get(&names::address(project), &[(404, code)])
    }

    /// The file that GitLab makes pipelines of.
    pub fn pipeline_path(&self) -> &str {
        self.ci_config_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(".gitlab-ci.yml")
    }

    pub fn can_build(&self) -> bool {
        !self.archived && self.builds_access_level.as_deref() != Some("disabled")
    }

    fn branch(&self) -> Option<&str> {
        self.default_branch.as_deref().filter(|branch| !branch.is_empty() && !self.empty_repo)
    }
}

pub fn default_branch(connection: &Connection, repository: &str) -> Result<String, Failure> {
    let name = names::project(connection, repository)?;
    let found = Project::get(&Api::default(), &name, "no-such-repository")?;
    found.branch().map(str::to_owned).ok_or_else(|| {
        let said = format!("The repository of `{name}` is empty: it has no branch yet.");
        Failure::permanent("empty-repository", said)
    })
}

pub fn details(connection: &Connection, repository: &str) -> Result<RepositoryDetails, Failure> {
    let name = names::project(connection, repository)?;
    let found = Project::get(&Api::default(), &name, "no-such-repository")?;
    Ok(RepositoryDetails {
        default_branch: found.branch().unwrap_or_default().to_owned(),
        full_name: found.path_with_namespace,
        clone_urls: [found.http_url_to_repo, found.ssh_url_to_repo].into_iter().flatten().collect(),
        web_url: found.web_url,
        description: found.description.unwrap_or_default(),
        private: found.visibility.as_deref() != Some("public"),
        archived: found.archived,
        extras: Vec::new(),
    })
}
