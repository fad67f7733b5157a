//! The adapter for git forges.

use std::sync::Arc;

use bytes::Bytes;

use super::Plugins;
use super::answer::whole;
use super::bindings::base::windlass::types::types::{Delivery, Failure};
use super::bindings::forge::exports::windlass::git_forge::forge as wit;
use super::broker::Connection;
use super::call::{CallError, nonsense};
use super::delivery::{BODY_BYTES, public_headers};
use super::tape::Function;
use super::text::{self, MESSAGE_BYTES};
use crate::domain::plugin::PluginKind;
use crate::domain::webhook::{ChangeKind, ForgeEvent, Push, PushCommit, PushRepository, RefChange};
use crate::domain::{UnixMs, reference};
use crate::error::{Error, Result};

/// Most refs in one delivery.
const CHANGES: usize = 1024;
/// Most URLs of one repository.
const URLS: usize = 64;
/// Most paths kept of one change; the contract says that they may be incomplete.
const PATHS: usize = 10_000;

const PARSE_WEBHOOK: Function =
    Function { interface: "windlass:git-forge/forge@0.1.0", name: "parse-webhook" };

impl Plugins {
    /// Reads one delivery. The signature has been verified before.
    pub async fn forge_parse(
        &self,
        name: &str,
        headers: Vec<(String, String)>,
        body: Bytes,
    ) -> Result<ForgeEvent> {
        self.forge_parse_on(name, headers, body, None).await
    }

    /// The same for a delivery that belongs to a connection, so that the plugin may ask the other side about it.
    pub async fn forge_parse_on(
        &self,
        name: &str,
        headers: Vec<(String, String)>,
        body: Bytes,
        connection: Option<Arc<Connection>>,
    ) -> Result<ForgeEvent> {
        if body.len() > BODY_BYTES {
            return Err(Error::TooLarge { what: "webhook's body", limit: BODY_BYTES as u64 });
        }
        let plugin = self.find(name, PluginKind::GitForge, PARSE_WEBHOOK.name)?;
        let headers = public_headers(headers, plugin.info.manifest.webhooks.as_ref());
        let callee = match connection {
            Some(connection) => plugin.callee_on(connection),
            None => plugin.callee(),
        };
        let delivery = Delivery { headers, body: body.into() };
        let read = |answer: Result<wit::Event, Failure>| event_from(answer?);
        self.runtime().invoke(callee, PARSE_WEBHOOK, (delivery,), read).await
    }
}

fn event_from(event: wit::Event) -> Result<ForgeEvent, CallError> {
    Ok(match event {
        wit::Event::Ping => ForgeEvent::Ping,
        wit::Event::Push(push) => ForgeEvent::Push(push_from(push)?),
        wit::Event::Unsupported(name) | wit::Event::Other(name) => {
            ForgeEvent::Unsupported(text::line(&name, 128))
        }
    })
}

fn push_from(push: wit::Push) -> Result<Push, CallError> {
    if push.changes.len() > CHANGES {
        return Err(nonsense(format!("a push with more than {CHANGES} changes")));
    }
    Ok(Push {
        repository: repository_from(push.repository)?,
        sender: text::line(&push.sender, 256),
        changes: push.changes.into_iter().map(change_from).collect::<Result<_, _>>()?,
    })
}

fn repository_from(repository: wit::Repository) -> Result<PushRepository, CallError> {
    if repository.urls.len() > URLS {
        return Err(nonsense(format!("a repository with more than {URLS} URLs")));
    }
    Ok(PushRepository {
        full_name: whole("repository name", repository.full_name)?,
        urls: repository.urls.into_iter().map(|url| whole("URL", url)).collect::<Result<_, _>>()?,
        default_branch: repository.default_branch.map(|name| whole("branch name", name)).transpose()?,
    })
}

fn change_from(change: wit::Change) -> Result<RefChange, CallError> {
    let says = |name: &str| change.extras.iter().any(|(known, value)| known == name && value == "true");
    // A forge that names no path knows none; what a forced push left behind is in no payload.
    let all_paths = (1..=PATHS).contains(&change.paths.len())
        && change.before.is_some()
        && !says("paths-incomplete")
        && !says("forced");
    Ok(RefChange {
        all_paths,
        kind: match change.kind {
            wit::ChangeKind::BranchPushed => ChangeKind::BranchPushed,
            wit::ChangeKind::BranchDeleted => ChangeKind::BranchDeleted,
            wit::ChangeKind::TagPushed => ChangeKind::TagPushed,
            wit::ChangeKind::TagDeleted => ChangeKind::TagDeleted,
            wit::ChangeKind::Other(name) => ChangeKind::Other(text::line(&name, 128)),
        },
        name: whole("ref name", change.name)?,
        before: change.before.map(commit_id).transpose()?,
        after: change.after.map(commit_id).transpose()?,
        head: change.head.map(commit_from).transpose()?,
        skip_ci: change.skip_ci,
        paths: change
            .paths
            .into_iter()
            .take(PATHS)
            .map(|path| whole("path", path))
            .collect::<Result<_, _>>()?,
    })
}

fn commit_from(commit: wit::Commit) -> Result<PushCommit, CallError> {
    Ok(PushCommit {
        sha: commit_id(commit.sha)?,
        message: text::block(&commit.message, MESSAGE_BYTES),
        author: text::line(&commit.author, 512),
        at: commit.at.map(|at| UnixMs::try_from(at).unwrap_or(UnixMs::MAX)),
    })
}

pub(super) fn commit_id(sha: String) -> Result<String, CallError> {
    match reference::check_commit(&sha) {
        Ok(()) => Ok(sha),
        Err(_) => Err(nonsense(format!("`{}` as a commit id", text::line(&sha, 80)))),
    }
}
