//! GitHub's words → ours.

use windlass_sdk::Failure;
use windlass_sdk::forge::{Change, Commit, Push, RefUpdate, Repository, asks_to_skip_ci, unix_ms};

use crate::parse;

pub fn push(payload: parse::Push) -> Result<Push, Failure> {
    let sender = sender(&payload);
    let change = change(&payload)?;
    Ok(Push { repository: repository(payload.repository), sender, changes: vec![change] })
}

fn change(payload: &parse::Push) -> Result<Change, Failure> {
    let update = RefUpdate {
        name: &payload.name,
        before: &payload.before,
        after: &payload.after,
        deleted: payload.deleted,
    };
    let mut change = update.change()?;
    if change.after.is_some() {
        // With an annotated tag, `after` is the tag's own id, and only `head_commit` names the commit.
        change.head = payload.head_commit.as_ref().or(payload.commits.last()).map(commit);
        change.skip_ci = change.head.as_ref().is_some_and(|head| asks_to_skip_ci(&head.message));
        change.paths = paths(&payload.commits);
    }
    if payload.forced {
        change.extras.push(("forced".to_owned(), "true".to_owned()));
    }
    Ok(change)
}

fn commit(commit: &parse::Commit) -> Commit {
    Commit {
        sha: commit.id.clone(),
        message: commit.message.clone(),
        author: commit.author.as_ref().map(author).unwrap_or_default(),
        at: commit.timestamp.as_deref().and_then(unix_ms),
    }
}

fn author(account: &parse::Account) -> String {
    let name = account.name.as_ref().or(account.login.as_ref());
    match (name, &account.email) {
        (Some(name), Some(email)) => format!("{name} <{email}>"),
        (Some(name), None) => name.clone(),
        (None, Some(email)) => format!("<{email}>"),
        (None, None) => String::new(),
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

fn sender(payload: &parse::Push) -> String {
    let sender = payload.sender.as_ref().and_then(|account| account.login.clone());
    let pusher = || payload.pusher.as_ref().and_then(|account| account.name.clone());
    sender.or_else(pusher).unwrap_or_default()
}

fn repository(repository: parse::Repository) -> Repository {
    let candidates = [
        repository.clone_url,
        repository.ssh_url,
        repository.git_url,
        repository.html_url,
        repository.svn_url,
        repository.url.filter(|url| !is_of_the_api(url)),
    ];
    let mut urls: Vec<String> = Vec::new();
    for url in candidates.into_iter().flatten().filter(|url| !url.is_empty()) {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    Repository { full_name: repository.full_name, urls, default_branch: repository.default_branch }
}

/// `https://api.github.com/repos/…`, or `https://HOST/api/v3/repos/…` of an Enterprise Server.
fn is_of_the_api(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.starts_with("api.") || rest.split('/').nth(1) == Some("api")
}
