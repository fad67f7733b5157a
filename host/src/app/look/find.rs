//! One look at a git server: what has moved since the last one becomes events of the inbox.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use windlass_sdk::forge::asks_to_skip_ci;

use super::access;
use crate::app::App;
use crate::domain::head::{BY_LOOKING, Head, TAGS};
use crate::domain::look::{self, Look, MOST_BRANCHES, Moved};
use crate::domain::push_rules::PushRules;
use crate::domain::reference;
use crate::domain::repository::{GitRepository, normalized_url, redact_url};
use crate::domain::webhook::{ChangeKind, Push, PushCommit, PushRepository, RefChange};
use crate::error::{Error, Result};
use crate::git::{RemoteRef, RemoteRefs, RepoAccess};
use crate::store::webhooks::{self, FoundPush};
use crate::store::{Tx, build_configs, git_heads, stacks};

type Known = HashMap<String, Head>;

/// A branch that moved, and the event that tells it, if the stack deploys this branch.
#[derive(Clone)]
struct Found {
    moved: Moved,
    push: Option<FoundPush>,
}

/// Looks once, and answers how many pushes were found that the stack may want.
///
/// The first look at an address only remembers where its branches are: nobody has asked to deploy them. The exception is a
/// repository of which a commit was deployed before this was remembered.
pub async fn find(app: &App, look: &Look, row: &GitRepository, stop: &CancellationToken) -> Result<usize> {
    let mut conn = app.db.read().await?;
    let Some(config) = build_configs::by_stack(&mut conn, &row.stack_id).await? else { return Ok(0) };
    let mut known = by_branch(git_heads::list(&mut conn, &row.id).await?);
    drop(conn);
    let before = known.clone();
    let access = access(app, row).await?;
    let refs = app.git.ls_remote(&access, stop).await?;
    let there = places(&refs, &known);
    let is_first = look.looked_at.is_none() || look.url != row.url;
    if is_first {
        known = facts(&there);
        if let Some(commit) = row.last_synced_commit.as_ref().filter(|_| look.url.is_empty()) {
            known.insert(row.branch.clone(), fact(&row.branch, commit));
        }
    }
    let rules = PushRules::new(&config.settings, &row.branch)?;
    let moved = look::moved(&known, &there);
    if moved.iter().any(|one| rules.wants(&one.branch)) {
        app.git.fetch(&access, stop, Arc::new(|_| ())).await?;
    }
    let mut found = Vec::with_capacity(moved.len());
    for moved in moved {
        let push = match rules.wants(&moved.branch) {
            true => Some(event(app, look, row, &access, &refs, &moved).await?),
            false => None,
        };
        found.push(Found { moved, push });
    }
    let (row, is_moved) = (row.clone(), !look.url.is_empty() && look.url != row.url);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                stacks::hold(tx, &row.stack_id).await?;
                if is_moved {
                    git_heads::clear(tx, &row.id).await?;
                }
                let before = if is_moved { Known::new() } else { before };
                record(tx, &row, &before, &there, &found, is_first).await
            })
        })
        .await
}

/// Writes what was found, but for branches that somebody else has told about since the look began.
async fn record(
    tx: &mut Tx,
    row: &GitRepository,
    before: &Known,
    there: &[(String, String)],
    found: &[Found],
    is_first: bool,
) -> Result<usize> {
    let current = by_branch(git_heads::list(tx, &row.id).await?);
    let is_untold = |branch: &str| current.get(branch) == before.get(branch);
    let (mut heads, mut pushes) = (if is_first { facts(there) } else { Known::new() }, 0);
    heads.retain(|branch, _| is_untold(branch) && !current.contains_key(branch));
    for one in found.iter().filter(|one| is_untold(&one.moved.branch)) {
        let mut head = fact(&one.moved.branch, &one.moved.after);
        if let Some(push) = &one.push {
            head.event = webhooks::insert_found(tx, push).await?;
            head.via = BY_LOOKING.to_owned();
            pushes += 1;
        }
        heads.insert(head.branch.clone(), head);
    }
    let heads: Vec<Head> = heads.into_values().collect();
    git_heads::put(tx, &row.id, &heads).await?;
    for branch in look::gone(&current, there).into_iter().filter(|branch| is_untold(branch)) {
        git_heads::delete(tx, &row.id, branch).await?;
    }
    Ok(pushes)
}

fn by_branch(heads: Vec<Head>) -> Known {
    heads.into_iter().map(|head| (head.branch.clone(), head)).collect()
}

fn fact(branch: &str, commit: &str) -> Head {
    Head { branch: branch.to_owned(), commit: commit.to_owned(), via: String::new(), event: 0 }
}

fn facts(there: &[(String, String)]) -> Known {
    there.iter().map(|(branch, commit)| (branch.clone(), fact(branch, commit))).collect()
}

/// Branches and tags, and where they are; of each sort as many as are watched.
fn places(refs: &RemoteRefs, known: &Known) -> Vec<(String, String)> {
    let of = |kind: &'static str, before: &'static str| {
        let named = refs.refs.iter().filter_map(move |one| Some((one.name.strip_prefix(kind)?, one)));
        // No branch is to be taken for a tag.
        let sound =
            named.filter(|(name, _)| reference::check_name(name).is_ok() && !name.starts_with("refs/"));
        let place = move |(name, one): (&str, &RemoteRef)| {
            let name = format!("{before}{name}");
            let at = known.get(&name).map_or(one.commit.as_str(), |head| one.at(&head.commit)).to_owned();
            (name, at)
        };
        sound.map(place).take(MOST_BRANCHES)
    };
    of("refs/heads/", "").chain(of(TAGS, TAGS)).collect()
}

/// The event of one branch, with what a forge would have said: message, author and changed files.
async fn event(
    app: &App,
    look: &Look,
    row: &GitRepository,
    access: &RepoAccess,
    refs: &RemoteRefs,
    moved: &Moved,
) -> Result<FoundPush> {
    let commit = app.git.resolve(&access.id, &moved.after).await?;
    let (kind, name) = match moved.branch.strip_prefix(TAGS) {
        Some(tag) => (ChangeKind::TagPushed, tag),
        None => (ChangeKind::BranchPushed, moved.branch.as_str()),
    };
    let files = match &moved.before {
        Some(before) if kind == ChangeKind::BranchPushed => {
            app.git.changed_files(&access.id, before, &moved.after).await?
        }
        _ => None,
    };
    let change = RefChange {
        kind,
        name: name.to_owned(),
        before: moved.before.clone(),
        after: Some(moved.after.clone()),
        skip_ci: asks_to_skip_ci(&commit.message),
        head: Some(PushCommit {
            sha: commit.sha,
            message: commit.message,
            author: commit.author,
            at: Some(commit.at),
        }),
        all_paths: files.is_some(),
        paths: files.unwrap_or_default(),
    };
    let full_name = normalized_url(&row.url).split_once('/').map(|(_, path)| path.to_owned());
    let push = Push {
        repository: PushRepository {
            full_name: full_name.unwrap_or_default(),
            urls: vec![redact_url(&row.url)],
            default_branch: refs.default_branch.clone(),
        },
        sender: String::new(),
        changes: vec![change],
    };
    let payload = serde_json::to_vec(&push).map_err(Error::internal)?;
    webhooks::found(&row.id, &row.provider, look.cause.origin(), payload).await
}
