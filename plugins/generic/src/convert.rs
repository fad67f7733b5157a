//! Their words → ours.

use windlass_sdk::Failure;
use windlass_sdk::forge::{Change, Commit, Push, RefUpdate, Repository, asks_to_skip_ci, malformed, unix_ms};

use crate::parse::{self, Person};

pub fn push(payload: parse::Push) -> Result<Push, Failure> {
    let change = change(&payload)?;
    let repository = repository(payload.repository)?;
    let sender = payload.sender.or(payload.pusher).as_ref().map(short_name).unwrap_or_default();
    Ok(Push { repository, sender, changes: vec![change] })
}

fn change(payload: &parse::Push) -> Result<Change, Failure> {
    let update = RefUpdate {
        name: &full_name(payload)?,
        before: payload.before.as_deref().unwrap_or_default(),
        after: payload.after.as_deref().unwrap_or_default(),
        deleted: payload.deleted,
    };
    let mut change = update.change()?;
    if let Some(after) = &change.after {
        change.head = head(payload, after);
        change.skip_ci = change.head.as_ref().is_some_and(|head| asks_to_skip_ci(&head.message));
        change.paths = paths(payload);
    }
    if payload.forced {
        change.extras.push(("forced".to_owned(), "true".to_owned()));
    }
    Ok(change)
}

/// Exactly one of `ref`, `branch` and `tag` says what was pushed; several have to agree.
fn full_name(payload: &parse::Push) -> Result<String, Failure> {
    let said = [
        payload.full_name.clone(),
        payload.branch.as_ref().map(|name| format!("refs/heads/{name}")),
        payload.tag.as_ref().map(|name| format!("refs/tags/{name}")),
    ];
    let mut said = said.into_iter().flatten();
    let Some(name) = said.next() else {
        return Err(malformed(
            "What was pushed is missing: give `ref` (`refs/heads/main`), or `branch` (`main`), or `tag` (`v1`).",
        ));
    };
    if let Some(other) = said.find(|other| *other != name) {
        return Err(malformed(format!("The body names both `{name}` and `{other}`; give only one of them.")));
    }
    if !name.starts_with("refs/") {
        return Err(malformed(format!(
            "`ref` is `{name}`, but has to be a full name: `refs/heads/{name}`, or `refs/tags/{name}`. \
             To give the name alone, call the field `branch` or `tag`."
        )));
    }
    Ok(name)
}

fn head(payload: &parse::Push, after: &str) -> Option<Commit> {
    let commits = payload.commits.as_deref().unwrap_or_default();
    let listed = payload
        .head_commit
        .as_ref()
        .or_else(|| commits.iter().find(|commit| commit.id.eq_ignore_ascii_case(after)).or(commits.last()));
    if payload.message.is_none() && payload.author.is_none() && listed.is_none() {
        return None;
    }
    let listed = listed.cloned().unwrap_or_default();
    let timestamp = payload.timestamp.as_ref().or(listed.timestamp.as_ref());
    Some(Commit {
        sha: if listed.id.is_empty() { after.to_owned() } else { listed.id.to_ascii_lowercase() },
        message: payload.message.clone().unwrap_or(listed.message),
        author: payload.author.as_ref().or(listed.author.as_ref()).map(name_and_mail).unwrap_or_default(),
        at: timestamp.and_then(|text| unix_ms(text)),
    })
}

/// Sorted, each once.
fn paths(payload: &parse::Push) -> Vec<String> {
    let commits = payload.commits.iter().flatten();
    let listed = commits.flat_map(|commit| [&commit.added, &commit.modified, &commit.removed]);
    let mut paths: Vec<String> = listed.chain([&payload.paths]).flatten().flatten().cloned().collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn repository(repository: Option<parse::Repository>) -> Result<Repository, Failure> {
    let object = match repository {
        Some(parse::Repository::Object(object)) => object,
        Some(parse::Repository::Address(url)) => {
            parse::RepositoryObject { url: Some(url), ..parse::RepositoryObject::default() }
        }
        None => parse::RepositoryObject::default(),
    };
    let candidates = [object.clone_url, object.ssh_url, object.git_url, object.html_url, object.url];
    let mut urls: Vec<String> = Vec::new();
    for url in candidates.into_iter().flatten().chain(object.urls).filter(|url| !url.is_empty()) {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    let Some(first) = urls.first() else {
        return Err(malformed("`repository.url` is missing: it has to be the address of the repository."));
    };
    let full_name = object.full_name.unwrap_or_else(|| path_of(first).to_owned());
    Ok(Repository { full_name, urls, default_branch: object.default_branch })
}

/// `team/app` of `https://git.example/team/app.git` and of `git@git.example:team/app.git`.
fn path_of(url: &str) -> &str {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => url.split_once(':').map_or(url, |(_, path)| path),
    };
    let path = path.trim_matches('/');
    path.strip_suffix(".git").unwrap_or(path)
}

fn short_name(person: &Person) -> String {
    match person {
        Person::Name(name) => name.clone(),
        Person::Object { login, name, .. } => login.clone().or_else(|| name.clone()).unwrap_or_default(),
    }
}

fn name_and_mail(person: &Person) -> String {
    let Person::Object { login, name, email } = person else { return short_name(person) };
    match (name.as_ref().or(login.as_ref()), email) {
        (Some(name), Some(email)) => format!("{name} <{email}>"),
        (Some(name), None) => name.clone(),
        (None, Some(email)) => format!("<{email}>"),
        (None, None) => String::new(),
    }
}
