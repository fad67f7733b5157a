//! Their words → ours.

use windlass_sdk::Failure;
use windlass_sdk::forge::{
    Change, Commit, Event, Push, RefUpdate, Repository, asks_to_skip_ci, malformed, unix_ms,
};

use crate::parse;

/// A push; or a ping, since a test delivery is a push of the newest commit onto itself.
pub fn push(payload: parse::Push) -> Result<Event, Failure> {
    let change = change(&payload)?;
    if change.after.is_some() && change.before == change.after {
        return Ok(Event::Ping);
    }
    let sender = payload.sender.or(payload.pusher).map(name).unwrap_or_default();
    Ok(Event::Push(Push { repository: repository(payload.repository), sender, changes: vec![change] }))
}

/// The end of a branch or tag. Gitea gives its name alone, Gogs the full one.
pub fn deleted(payload: parse::Deleted) -> Result<Event, Failure> {
    let name = match payload.ref_type.as_str() {
        "branch" | "tag" if payload.name.starts_with("refs/") => payload.name,
        "branch" => format!("refs/heads/{}", payload.name),
        "tag" => format!("refs/tags/{}", payload.name),
        other => return Err(malformed(format!("`ref_type` is `{other}`, but has to be `branch` or `tag`."))),
    };
    let change = RefUpdate { name: &name, deleted: true, ..RefUpdate::default() }.change()?;
    let sender = payload.sender.map(self::name).unwrap_or_default();
    Ok(Event::Push(Push { repository: repository(payload.repository), sender, changes: vec![change] }))
}

fn change(payload: &parse::Push) -> Result<Change, Failure> {
    let update =
        RefUpdate { name: &payload.name, before: &payload.before, after: &payload.after, deleted: false };
    let mut change = update.change()?;
    let Some(after) = change.after.clone() else { return Ok(change) };
    // Gogs has no `head_commit`. The list is newest first there, but the id is what counts.
    let mut known = payload.head_commit.iter().chain(&payload.commits);
    change.head = known.find(|commit| commit.id.eq_ignore_ascii_case(&after)).map(|head| commit(head, after));
    change.skip_ci = change.head.as_ref().is_some_and(|head| asks_to_skip_ci(&head.message));
    change.paths = paths(&payload.commits);
    if payload.total_commits.is_some_and(|total| total > payload.commits.len()) {
        change.extras.push(("paths-incomplete".to_owned(), "true".to_owned()));
    }
    Ok(change)
}

fn commit(commit: &parse::Commit, sha: String) -> Commit {
    Commit {
        sha,
        message: commit.message.clone(),
        author: commit.author.as_ref().map(author).unwrap_or_default(),
        at: commit.timestamp.as_deref().and_then(unix_ms),
    }
}

fn author(person: &parse::Person) -> String {
    match (person.name.as_str(), person.email.as_str()) {
        (name, "") => name.to_owned(),
        ("", email) => format!("<{email}>"),
        (name, email) => format!("{name} <{email}>"),
    }
}

/// Sorted, each once.
fn paths(commits: &[parse::Commit]) -> Vec<String> {
    let all = commits.iter().flat_map(|commit| [&commit.added, &commit.modified, &commit.removed]);
    let mut paths: Vec<String> = all.flatten().cloned().collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn name(account: parse::Account) -> String {
    if account.login.is_empty() { account.username } else { account.login }
}

fn repository(repository: parse::Repository) -> Repository {
    let urls = [repository.clone_url, repository.ssh_url, repository.html_url];
    Repository {
        full_name: repository.full_name,
        urls: urls.into_iter().flatten().filter(|url| !url.is_empty()).collect(),
        default_branch: repository.default_branch.filter(|name| !name.is_empty()),
    }
}
