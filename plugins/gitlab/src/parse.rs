//! The payloads of GitLab, as far as they matter.

use serde::Deserialize;

use crate::builds::Pipeline;

/// Which payload it is.
#[derive(Deserialize)]
pub struct Kind {
    pub object_kind: Option<String>,
    /// In the place of `object_kind` in some events of a whole instance.
    pub event_name: Option<String>,
}

/// `push` and `tag_push`.
#[derive(Deserialize)]
pub struct Push {
    #[serde(rename = "ref")]
    pub name: String,
    pub before: String,
    pub after: String,
    /// The commit itself, where `after` is the id of an annotated tag; absent if the ref is gone.
    pub checkout_sha: Option<String>,
    pub user_username: Option<String>,
    pub user_name: Option<String>,
    pub project: Project,
    #[serde(default)]
    pub commits: Vec<Commit>,
    #[serde(default)]
    pub total_commits_count: usize,
}

#[derive(Deserialize)]
pub struct Project {
    pub path_with_namespace: String,
    pub default_branch: Option<String>,
    pub git_http_url: Option<String>,
    pub git_ssh_url: Option<String>,
    pub web_url: Option<String>,
}

#[derive(Deserialize)]
pub struct Commit {
    pub id: String,
    #[serde(default)]
    pub message: String,
    pub timestamp: Option<String>,
    pub author: Option<Author>,
    #[serde(default)]
    pub added: Vec<String>,
    #[serde(default)]
    pub modified: Vec<String>,
    #[serde(default)]
    pub removed: Vec<String>,
}

#[derive(Deserialize)]
pub struct Author {
    pub name: Option<String>,
    pub email: Option<String>,
}

/// `pipeline`.
#[derive(Deserialize)]
pub struct PipelineChanged {
    pub object_attributes: Pipeline,
    pub project: Project,
}
