//! Repositories.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use windlass_sdk::Failure;
use windlass_sdk::forge::RepositoryDetails;

use crate::api::Api;
use crate::names;

#[derive(Debug, Deserialize)]
pub struct Repository {
    full_name: String,
    pub default_branch: String,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    private: bool,
    description: Option<String>,
    clone_url: Option<String>,
    ssh_url: Option<String>,
    html_url: Option<String>,
    /// In kilobytes; 0 as long as nothing was pushed.
    size: Option<u64>,
}

/// The repository, or a failure with this code where there is none that the token may see.
pub fn get<T: DeserializeOwned>(api: &Api, repository: &str, code: &str) -> Result<T, Failure> {
    api.get(format!("/repos/{repository}"), &[(404, code)])
}

pub fn default_branch(repository: &str) -> Result<String, Failure> {
    let (api, name) = (Api::default(), names::repository(repository)?);
    let found: Repository = get(&api, &name, "no-such-repository")?;
    if is_empty(&api, &found)? {
        let said = format!("The repository `{name}` is empty: it has no branch yet.");
        return Err(Failure::permanent("empty-repository", said));
    }
    Ok(found.default_branch)
}

pub fn details(repository: &str) -> Result<RepositoryDetails, Failure> {
    let (api, name) = (Api::default(), names::repository(repository)?);
    let found: Repository = get(&api, &name, "no-such-repository")?;
    let default_branch = if is_empty(&api, &found)? { String::new() } else { found.default_branch };
    Ok(RepositoryDetails {
        full_name: found.full_name,
        default_branch,
        clone_urls: [found.clone_url, found.ssh_url].into_iter().flatten().collect(),
        web_url: found.html_url,
        description: found.description.unwrap_or_default(),
        private: found.private,
        archived: found.archived,
        extras: Vec::new(),
    })
}

/// GitHub names a default branch before there is one. A small repository has the size 0 for a while as well, so only then
/// is the branch itself asked for.
fn is_empty(api: &Api, repository: &Repository) -> Result<bool, Failure> {
    if repository.size != Some(0) {
        return Ok(false);
    }
    let branch = windlass_sdk::http::segment(&repository.default_branch);
    let path = format!("/repos/{}/branches/{branch}", repository.full_name);
    Ok(api.find::<serde::de::IgnoredAny>(path)?.is_none())
}
