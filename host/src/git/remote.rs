//! What a server has, without fetching it.

use std::{sync::Arc, time::Duration};

use git2::{Direction, RemoteConnection, Repository};
use tokio_util::sync::CancellationToken;

use super::{Git, Log, RepoAccess, error::reading, mirror, progress::Conversation, way::Way};
use crate::error::{Error, Result};

/// For one look at a server.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a stopped conversation may take to end; after that it ends alone.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a server advertises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteRefs {
    /// Name of the branch that HEAD is; an empty repository has none.
    pub default_branch: Option<String>,
    /// Branches and tags, by name.
    pub refs: Vec<RemoteRef>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    /// `refs/heads/main`, `refs/tags/v1`.
    pub name: String,
    /// The object it names: for an annotated tag the tag, not the commit.
    pub object: String,
    /// What it leads to in the end.
    pub commit: String,
}

impl RemoteRefs {
    /// The commit of a branch or else a tag of that name.
    pub fn commit(&self, name: &str) -> Option<&str> {
        let of = |kind: &str| self.refs.iter().find(|one| one.name.strip_prefix(kind) == Some(name));
        of("refs/heads/").or_else(|| of("refs/tags/")).map(|one| one.commit.as_str())
    }

    /// A branch, or a tag by its full name (`refs/tags/v1`).
    pub fn place(&self, name: &str) -> Option<&RemoteRef> {
        let is_it = |one: &&RemoteRef| one.name.strip_prefix("refs/heads/").unwrap_or(&one.name) == name;
        self.refs.iter().find(is_it)
    }
}

impl RemoteRef {
    /// Where it is, in the words of somebody who has it at this place: an annotated tag may be named by its own id.
    pub fn at<'a>(&'a self, place: &'a str) -> &'a str {
        if self.object == place { place } else { &self.commit }
    }
}

impl Git {
    /// Branches, tags and the default branch of a server.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be reached, `Failed` if it refuses, `Cancelled`.
    pub async fn ls_remote(&self, repo: &RepoAccess, cancel: &CancellationToken) -> Result<RemoteRefs> {
        repo.check()?;
        let log: Log = Arc::new(|_| ());
        let git = self.clone();
        self.converse((repo, log), cancel, LIMIT, "asking the git server", move |talk| {
            let scratch = mirror::open_or_create(&git.inner.root.join("scratch.git")).map_err(reading)?;
            let explain = |error: git2::Error| talk.explain(&error);
            let mut remote = scratch.remote_anonymous(&talk.way.url).map_err(explain)?;
            let connection = connect(&mut remote, talk, &git).map_err(explain)?;
            refs(&connection).map_err(explain)
        })
        .await
    }

    /// Succeeds if the repository can be read with these credentials.
    ///
    /// # Errors
    /// As [`Git::ls_remote`].
    pub async fn test_connection(&self, repo: &RepoAccess) -> Result<()> {
        self.ls_remote(repo, &CancellationToken::new()).await.map(|_| ())
    }

    /// Name of the branch that the server's HEAD is.
    ///
    /// # Errors
    /// As [`Git::ls_remote`]; `Failed` for an empty repository.
    pub async fn default_branch(&self, repo: &RepoAccess) -> Result<String> {
        let refs = self.ls_remote(repo, &CancellationToken::new()).await?;
        refs.default_branch
            .ok_or_else(|| Error::failed(format!("{} has no branch yet; push a commit first", repo.shown())))
    }

    /// Opens the way to a server, runs a conversation on a blocking thread, and stops it when it is cancelled or takes too
    /// long.
    pub(super) async fn converse<T: Send + 'static>(
        &self,
        (access, log): (&RepoAccess, Log),
        cancel: &CancellationToken,
        limit: Duration,
        what: &'static str,
        work: impl FnOnce(&Conversation) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = tokio::select! {
            turn = Arc::clone(&self.inner.connections).acquire_owned() => turn.map_err(Error::internal)?,
            () = cancel.cancelled() => return Err(Error::cancelled(what)),
        };
        let late = tokio::time::sleep(limit);
        tokio::pin!(late);
        let way = tokio::select! {
            way = Way::open(&self.inner.outgoing, access) => way?,
            () = cancel.cancelled() => return Err(Error::cancelled(what)),
            () = &mut late => return Err(Error::timeout(what, limit.as_secs())),
        };
        let talk = Conversation::new(access, log, way);
        let (stop, ending) = (talk.stop.clone(), talk.way.ending());
        let mut task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&talk)
        });
        let ended = tokio::select! {
            outcome = &mut task => return outcome.map_err(Error::internal)?,
            () = cancel.cancelled() => Error::cancelled(what),
            () = &mut late => Error::timeout(what, limit.as_secs()),
        };
        stop.set();
        // A thread that waits for a silent server notices this.
        ending.cancel();
        let _ = tokio::time::timeout(LAST_WORDS, task).await;
        Err(ended)
    }
}

pub(super) fn connect<'repo, 'connection, 'talk>(
    remote: &'connection mut git2::Remote<'repo>,
    talk: &'talk Conversation,
    git: &'talk Git,
) -> Result<RemoteConnection<'repo, 'connection, 'talk>, git2::Error> {
    remote.connect_auth(Direction::Fetch, Some(talk.callbacks(&git.inner.host_keys)), None)
}

pub(super) fn refs(connection: &RemoteConnection<'_, '_, '_>) -> Result<RemoteRefs, git2::Error> {
    let mut refs: Vec<RemoteRef> = Vec::new();
    for head in connection.list()? {
        let name = head.name();
        let object = head.oid().to_string();
        if let Some(tag) = name.strip_suffix("^{}") {
            if let Some(tag) = refs.iter_mut().rfind(|one| one.name == tag) {
                tag.commit = object;
            }
        } else if (name.starts_with("refs/heads/") || name.starts_with("refs/tags/"))
            && git2::Reference::is_valid_name(name)
        {
            refs.push(RemoteRef { name: name.to_string(), commit: object.clone(), object });
        }
    }
    refs.sort_by(|a, b| a.name.cmp(&b.name));
    let head = connection.default_branch().ok();
    let head =
        head.as_ref().and_then(|name| name.as_str().ok()).and_then(|name| name.strip_prefix("refs/heads/"));
    Ok(RemoteRefs { default_branch: head.map(str::to_string), refs })
}

/// Where the mirror's own HEAD should point.
pub(super) fn set_head(repository: &Repository, branch: Option<&str>) -> Result<(), git2::Error> {
    let Some(branch) = branch else { return Ok(()) };
    let wanted = format!("refs/heads/{branch}");
    let head = repository.find_reference("HEAD")?;
    if head.symbolic_target().ok().flatten() == Some(wanted.as_str()) {
        return Ok(());
    }
    repository.reference_symbolic("HEAD", &wanted, true, "the server's HEAD").map(|_| ())
}
