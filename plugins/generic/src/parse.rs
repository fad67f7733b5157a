//! The documented shape, and what is read leniently: GitHub's names for the same things.

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Ping {
    #[serde(default)]
    pub ping: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Push {
    #[serde(rename = "ref")]
    pub full_name: Option<String>,
    pub branch: Option<String>,
    pub tag: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
    pub deleted: bool,
    pub forced: bool,
    pub repository: Option<Repository>,
    pub message: Option<String>,
    pub author: Option<Person>,
    pub timestamp: Option<String>,
    pub paths: Option<Vec<String>>,
    pub sender: Option<Person>,
    pub pusher: Option<Person>,
    pub head_commit: Option<Commit>,
    pub commits: Option<Vec<Commit>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Repository {
    Address(String),
    Object(RepositoryObject),
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RepositoryObject {
    pub full_name: Option<String>,
    pub default_branch: Option<String>,
    pub url: Option<String>,
    pub urls: Vec<String>,
    pub clone_url: Option<String>,
    pub ssh_url: Option<String>,
    pub git_url: Option<String>,
    pub html_url: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum Person {
    Name(String),
    Object { login: Option<String>, name: Option<String>, email: Option<String> },
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Commit {
    pub id: String,
    pub message: String,
    pub timestamp: Option<String>,
    pub author: Option<Person>,
    pub added: Option<Vec<String>>,
    pub modified: Option<Vec<String>>,
    pub removed: Option<Vec<String>>,
}
