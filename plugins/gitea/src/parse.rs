//! The payloads of Gitea, Forgejo and Gogs, as far as they matter.

use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
pub struct Push {
    #[serde(rename = "ref")]
    pub name: String,
    pub before: String,
    pub after: String,
    #[serde(default, deserialize_with = "or_default")]
    pub commits: Vec<Commit>,
    /// How many commits there are; the list may hold fewer. Gogs does not say.
    pub total_commits: Option<usize>,
    pub head_commit: Option<Commit>,
    pub repository: Repository,
    pub pusher: Option<Account>,
    pub sender: Option<Account>,
}

/// The event `delete`.
#[derive(Deserialize)]
pub struct Deleted {
    /// The name alone, or the full one.
    #[serde(rename = "ref")]
    pub name: String,
    pub ref_type: String,
    pub repository: Repository,
    pub sender: Option<Account>,
}

#[derive(Deserialize)]
pub struct Commit {
    pub id: String,
    #[serde(default)]
    pub message: String,
    pub timestamp: Option<String>,
    pub author: Option<Person>,
    #[serde(default, deserialize_with = "or_default")]
    pub added: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub modified: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub removed: Vec<String>,
}

#[derive(Deserialize)]
pub struct Person {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub email: String,
}

/// Gitea calls the name of an account `login`, Gogs `username`; both send both.
#[derive(Deserialize)]
pub struct Account {
    #[serde(default)]
    pub login: String,
    #[serde(default)]
    pub username: String,
}

#[derive(Deserialize)]
pub struct Repository {
    pub full_name: String,
    pub default_branch: Option<String>,
    pub clone_url: Option<String>,
    pub ssh_url: Option<String>,
    pub html_url: Option<String>,
}

/// `null` stands for an empty list in places.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}
