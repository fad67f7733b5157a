//! The push of Bitbucket Data Center → ours. It names no paths, and the newest commit only in later versions.

use serde::Deserialize;
use windlass_sdk::Failure;
use windlass_sdk::forge::{Change, Commit, Push, RefUpdate, Repository, asks_to_skip_ci};

#[derive(Deserialize)]
pub struct Payload {
    actor: Option<Actor>,
    repository: Repo,
    changes: Vec<RefChange>,
    /// The commit that the branch points to now, where a single one was pushed.
    #[serde(rename = "toCommit")]
    to_commit: Option<ToCommit>,
}

#[derive(Deserialize)]
struct Actor {
    name: String,
}

#[derive(Deserialize)]
struct Repo {
    slug: String,
    project: Project,
    #[serde(default)]
    links: Links,
}

#[derive(Deserialize)]
struct Project {
    key: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Links {
    clone: Vec<Link>,
    #[serde(rename = "self")]
    pages: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct RefChange {
    #[serde(rename = "refId")]
    name: String,
    #[serde(rename = "fromHash")]
    before: String,
    #[serde(rename = "toHash")]
    after: String,
    /// `ADD`, `UPDATE` or `DELETE`.
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct ToCommit {
    id: String,
    #[serde(default)]
    message: String,
    author: Option<Author>,
    /// Milliseconds.
    #[serde(rename = "authorTimestamp")]
    at: Option<u64>,
}

#[derive(Deserialize)]
struct Author {
    name: String,
    #[serde(rename = "emailAddress")]
    mail: Option<String>,
}

pub fn push(payload: Payload) -> Result<Push, Failure> {
    let newest = payload.to_commit.as_ref();
    let changes = payload.changes.iter().map(|found| change(found, newest)).collect::<Result<_, _>>()?;
    let sender = payload.actor.map(|actor| actor.name).unwrap_or_default();
    Ok(Push { repository: repository(payload.repository), sender, changes })
}

fn change(change: &RefChange, newest: Option<&ToCommit>) -> Result<Change, Failure> {
    let deleted = change.kind == "DELETE";
    let update = RefUpdate { name: &change.name, before: &change.before, after: &change.after, deleted };
    let mut read = update.change()?;
    let Some(after) = read.after.clone() else { return Ok(read) };
    read.head = newest.filter(|newest| newest.id.eq_ignore_ascii_case(&after)).map(|newest| Commit {
        sha: after,
        message: newest.message.clone(),
        author: newest.author.as_ref().map(author).unwrap_or_default(),
        at: newest.at,
    });
    read.skip_ci = read.head.as_ref().is_some_and(|head| asks_to_skip_ci(&head.message));
    Ok(read)
}

fn author(author: &Author) -> String {
    match &author.mail {
        Some(mail) => format!("{} <{mail}>", author.name),
        None => author.name.clone(),
    }
}

fn repository(repository: Repo) -> Repository {
    let links = repository.links.clone.into_iter().chain(repository.links.pages);
    Repository {
        full_name: format!("{}/{}", repository.project.key, repository.slug),
        urls: links.map(|link| link.href).filter(|url| !url.is_empty()).collect(),
        default_branch: None,
    }
}
