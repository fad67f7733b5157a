//! The payloads of GitHub, as far as they matter.

use serde::{Deserialize, Deserializer};

/// Any object will do.
#[derive(Deserialize)]
pub struct Ping {}

#[derive(Deserialize)]
pub struct Push {
    #[serde(rename = "ref")]
    pub name: String,
    pub before: String,
    pub after: String,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub forced: bool,
    pub head_commit: Option<Commit>,
    #[serde(default, deserialize_with = "or_default")]
    pub commits: Vec<Commit>,
    pub repository: Repository,
    pub sender: Option<Account>,
    pub pusher: Option<Account>,
}

#[derive(Clone, Deserialize)]
pub struct Commit {
    pub id: String,
    #[serde(default)]
    pub message: String,
    pub timestamp: Option<String>,
    pub author: Option<Account>,
    #[serde(default, deserialize_with = "or_default")]
    pub added: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub modified: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub removed: Vec<String>,
}

#[derive(Clone, Deserialize)]
pub struct Account {
    pub login: Option<String>,
    pub name: Option<String>,
    pub email: Option<String>,
}

#[derive(Deserialize)]
pub struct Repository {
    pub full_name: String,
    pub default_branch: Option<String>,
    pub clone_url: Option<String>,
    pub ssh_url: Option<String>,
    pub git_url: Option<String>,
    pub html_url: Option<String>,
    pub svn_url: Option<String>,
    /// In a push it is the page's address; in other events it is the API's.
    pub url: Option<String>,
}

/// `null` stands for an empty list in places.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}
