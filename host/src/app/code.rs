//! What is in a stack's repository, for people who may see the stack: commits, files, branches and tags.
//!
//! All of it is read from the mirror that builds fetch, and so of this repository only. The server's credentials may open
//! what a person's own do not, so folders and files are for those who may change the stack.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::App;
use super::look::access;
use super::repository::mirror_of;
use super::stack::{StackView, stack_view};
use crate::domain::Id;
use crate::domain::code::{Content, Cursor, Entry, Named};
use crate::domain::deployment::DeploymentStatus;
use crate::domain::reference;
use crate::domain::repository::GitRepository;
use crate::error::{Error, Result};
use crate::git::Commit;
use crate::store::commit_fates;

/// What was fetched so lately is shown without asking the git server again.
const FRESH: Duration = Duration::from_secs(30);
/// How long a person waits for the git server. The command line waits for 30 s.
const PATIENCE: Duration = Duration::from_secs(20);
const USUAL_PAGE: usize = 50;
const LARGEST_PAGE: usize = 200;

/// A commit of a stack's repository, at which something is looked at.
#[derive(Debug, Clone)]
pub struct Looked {
    pub stack: StackView,
    mirror: Id,
    /// What was asked for: a branch, tag or commit.
    pub git_ref: String,
    pub commit: Commit,
    /// Why this may be older than what the git server has.
    pub behind: Option<String>,
}

/// A commit, and what became of it here.
#[derive(Debug, Clone)]
pub struct CommitRow {
    pub commit: Commit,
    /// It is what serves now.
    pub runs: bool,
    /// A deployment of it has been successful.
    pub was_deployed: bool,
    /// Number and status of its newest deployment.
    pub deployment: Option<(i64, DeploymentStatus)>,
}

#[derive(Debug, Clone)]
pub struct History {
    pub at: Looked,
    pub items: Vec<CommitRow>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// A page of the commits that lead to a branch, tag or commit: the repository's branch, if none is named.
///
/// # Errors
/// `Conflict` for a stack without a repository; `NotFound` for a reference that is not there; what the git server says, if
/// nothing was ever fetched.
pub async fn commit_list(
    app: &App,
    stack: &str,
    git_ref: Option<&str>,
    cursor: Option<&str>,
    limit: Option<usize>,
) -> Result<History> {
    let limit = limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE);
    let cursor = cursor.map(Cursor::parse).transpose()?;
    let at = look(app, stack, cursor.as_ref().map(|cursor| cursor.head.as_str()).or(git_ref)).await?;
    let cursor = cursor.unwrap_or_else(|| Cursor { head: at.commit.sha.clone(), skip: 0 });
    let mut commits = app.git.history(&at.mirror, &cursor.head, cursor.skip, limit + 1).await?;
    let has_more = commits.len() > limit;
    commits.truncate(limit);
    let next = cursor.next(limit).filter(|_| has_more).map(|next| next.text());
    let items = with_fates(app, &at.stack, commits).await?;
    let git_ref = git_ref.map_or(at.git_ref, str::to_owned);
    Ok(History { at: Looked { git_ref, ..at }, items, next })
}

async fn with_fates(app: &App, view: &StackView, commits: Vec<Commit>) -> Result<Vec<CommitRow>> {
    let ids: Vec<&str> = commits.iter().map(|one| one.sha.as_str()).collect();
    let mut conn = app.db.read().await?;
    let fates = commit_fates::list(&mut conn, &view.stack.id, &ids).await?;
    let running = view.active_release.as_ref().map(|release| release.commit_sha.as_str());
    let row = |commit: Commit| {
        let fate = fates.iter().find(|fate| fate.commit_sha == commit.sha);
        CommitRow {
            runs: running == Some(commit.sha.as_str()),
            was_deployed: fate.is_some_and(|fate| fate.was_successful),
            deployment: fate.map(|fate| (fate.seq, fate.status)),
            commit,
        }
    };
    Ok(commits.into_iter().map(row).collect())
}

/// What a folder of a commit contains, and whether there is more than is shown. An empty path is the root.
///
/// # Errors
/// As [`commit_list`]; `NotFound` for a folder that is not there, `Invalid` for a path that leads out.
pub async fn file_list(
    app: &App,
    stack: &str,
    git_ref: Option<&str>,
    path: &str,
) -> Result<(Looked, Vec<Entry>, bool)> {
    let at = look(app, stack, git_ref).await?;
    let (entries, more) = app.git.list_folder(&at.mirror, &at.commit.sha, path).await?;
    Ok((at, entries, more))
}

/// A file of a commit.
///
/// # Errors
/// As [`file_list`].
pub async fn file_content(
    app: &App,
    stack: &str,
    git_ref: Option<&str>,
    path: &str,
) -> Result<(Looked, Content)> {
    let at = look(app, stack, git_ref).await?;
    let content = app.git.content(&at.mirror, &at.commit.sha, path).await?;
    Ok((at, content))
}

/// Branches and tags, and whether there are more than are shown.
///
/// # Errors
/// As [`commit_list`].
pub async fn ref_list(app: &App, stack: &str) -> Result<(Looked, Vec<Named>, bool)> {
    let at = look(app, stack, None).await?;
    let (names, more) = refs_at(app, &at).await?;
    Ok((at, names, more))
}

/// The same for a repository that was looked at just now: the git server is not asked once more.
///
/// # Errors
/// `Internal` if the mirror cannot be read.
pub async fn refs_at(app: &App, at: &Looked) -> Result<(Vec<Named>, bool)> {
    app.git.names(&at.mirror).await
}

/// Finds a commit in the stack's mirror, which is fetched before if that was not done lately. Where the git server does not
/// answer, what was fetched before is shown, and why it may be old.
async fn look(app: &App, stack: &str, git_ref: Option<&str>) -> Result<Looked> {
    let stack = stack_view(app, stack).await?;
    let row = stack.repository.as_ref().ok_or_else(|| {
        let name = &stack.stack.name;
        Error::conflict(format!("stack `{name}` has no repository to look into; add one"))
    })?;
    let git_ref = git_ref.map(str::trim).filter(|name| !name.is_empty()).unwrap_or(&row.branch).to_owned();
    reference::check_name(&git_ref)?;
    let mirror = mirror_of(app, row).await?;
    let known = app.git.resolve(&mirror, &git_ref).await;
    // A commit never changes, and a branch that was asked for a moment ago hardly.
    let is_good = reference::check_commit(&git_ref).is_ok() || app.git.is_fresh(&mirror, FRESH);
    let (commit, behind) = match known {
        Ok(commit) if is_good => (commit, None),
        known => match fetched(app, row).await {
            Ok(()) => (app.git.resolve(&mirror, &git_ref).await?, None),
            Err(error) => (known.map_err(|_| error.clone())?, Some(error.to_string())),
        },
    };
    Ok(Looked { mirror, git_ref, commit, behind, stack })
}

async fn fetched(app: &App, row: &GitRepository) -> Result<()> {
    let (app, row) = (app.clone(), row.clone());
    // It goes on when nobody waits for it any more: whoever looks next finds what it has brought.
    let fetch = tokio::spawn(async move {
        let access = access(&app, &row).await?;
        app.git.fetch(&access, &CancellationToken::new(), Arc::new(|_| ())).await
    });
    match tokio::time::timeout(PATIENCE, fetch).await {
        Ok(done) => done.map_err(Error::internal)?,
        Err(_) => Err(Error::unavailable("the repository is still being fetched; look again in a moment")),
    }
}
