//! Details of a repository.

use serde::Deserialize;
use windlass_sdk::forge::{Repositories, RepositoryDetails};
use windlass_sdk::http::Request;
use windlass_sdk::{Connection, Failure};

use crate::Bitbucket;
use crate::api::{Api, NO_REPOSITORY, sent};
use crate::edition::Edition;

const RIGHT: &str = "the right to read the repository";

#[derive(Deserialize)]
struct CloudRepository {
    full_name: String,
    mainbranch: Option<Branch>,
    is_private: bool,
    description: Option<String>,
    links: CloudLinks,
}

#[derive(Deserialize)]
struct Branch {
    name: String,
}

#[derive(Deserialize)]
struct CloudLinks {
    #[serde(default)]
    clone: Vec<Link>,
    html: Option<Link>,
}

#[derive(Deserialize)]
struct DataCenterRepository {
    slug: String,
    project: Project,
    description: Option<String>,
    #[serde(default)]
    public: bool,
    #[serde(default)]
    archived: bool,
    links: DataCenterLinks,
}

#[derive(Deserialize)]
struct Project {
    key: String,
}

#[derive(Deserialize)]
struct DataCenterLinks {
    #[serde(default)]
    clone: Vec<Link>,
    #[serde(default, rename = "self")]
    pages: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct DefaultBranch {
    #[serde(rename = "displayId")]
    name: String,
}

fn details(api: &Api) -> Result<RepositoryDetails, Failure> {
    let response = sent(Request::get(api.path("")), RIGHT, NO_REPOSITORY)?;
    Ok(match api.edition {
        Edition::Cloud => {
            let found: CloudRepository = response.json()?;
            RepositoryDetails {
                full_name: found.full_name,
                default_branch: found.mainbranch.map(|branch| branch.name).unwrap_or_default(),
                clone_urls: found.links.clone.into_iter().map(without_user).collect(),
                web_url: found.links.html.map(|link| link.href),
                description: found.description.unwrap_or_default(),
                private: found.is_private,
                archived: false,
                extras: Vec::new(),
            }
        }
        Edition::DataCenter => {
            let found: DataCenterRepository = response.json()?;
            RepositoryDetails {
                full_name: format!("{}/{}", found.project.key, found.slug),
                default_branch: data_center_branch(api)?,
                clone_urls: found.links.clone.into_iter().map(without_user).collect(),
                web_url: found.links.pages.into_iter().next().map(|link| link.href),
                description: found.description.unwrap_or_default(),
                private: !found.public,
                archived: found.archived,
                extras: Vec::new(),
            }
        }
    })
}

/// Empty for a repository without a commit: some versions have no content to say then, others no such branch.
fn data_center_branch(api: &Api) -> Result<String, Failure> {
    let request = Request::get(api.path("/default-branch"));
    match sent(request, RIGHT, ("no-branch", "There is no default branch.")) {
        Ok(response) if response.status == 204 => Ok(String::new()),
        Ok(response) => response.json::<DefaultBranch>().map(|branch| branch.name),
        Err(failure) if failure.code == "no-branch" => Ok(String::new()),
        Err(failure) => Err(failure),
    }
}

/// Over HTTP both editions put the name of whoever asks into the address.
fn without_user(link: Link) -> String {
    match link.href.split_once("://") {
        Some((scheme @ ("https" | "http"), rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        _ => link.href,
    }
}

impl Repositories for Bitbucket {
    fn get_default_branch(connection: Connection, repository: &str) -> Result<String, Failure> {
        let found = details(&Api::of(&connection, repository)?)?;
        if found.default_branch.is_empty() {
            let said = format!("The repository {} has no branch yet.", found.full_name);
            return Err(Failure::permanent("empty-repository", said));
        }
        Ok(found.default_branch)
    }

    fn get_repository_details(
        connection: Connection,
        repository: &str,
    ) -> Result<RepositoryDetails, Failure> {
        details(&Api::of(&connection, repository)?)
    }
}
