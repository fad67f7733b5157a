//! Details of a repository.

use serde::Deserialize;
use windlass_sdk::forge::{Repositories, RepositoryDetails};
use windlass_sdk::http::Request;
use windlass_sdk::{Connection, Failure};

use crate::Gitea;
use crate::api::{NO_REPOSITORY, path, sent};

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    #[serde(default)]
    default_branch: String,
    clone_url: String,
    #[serde(default)]
    ssh_url: String,
    html_url: Option<String>,
    #[serde(default)]
    description: String,
    private: bool,
    #[serde(default)]
    archived: bool,
    /// Without a commit. There is a default branch all the same, in name.
    #[serde(default)]
    empty: bool,
}

fn repository(name: &str) -> Result<Repository, Failure> {
    sent(Request::get(path(name, "")?), "the scope read:repository", NO_REPOSITORY)?.json()
}

impl Repositories for Gitea {
    fn get_default_branch(_: Connection, name: &str) -> Result<String, Failure> {
        let found = repository(name)?;
        if found.empty || found.default_branch.is_empty() {
            let said = format!("The repository {} has no branch yet.", found.full_name);
            return Err(Failure::permanent("empty-repository", said));
        }
        Ok(found.default_branch)
    }

    fn get_repository_details(_: Connection, name: &str) -> Result<RepositoryDetails, Failure> {
        let found = repository(name)?;
        Ok(RepositoryDetails {
            full_name: found.full_name,
            default_branch: if found.empty { String::new() } else { found.default_branch },
            clone_urls: [found.clone_url, found.ssh_url].into_iter().filter(|url| !url.is_empty()).collect(),
            web_url: found.html_url,
            description: found.description,
            private: found.private,
            archived: found.archived,
            extras: Vec::new(),
        })
    }
}
