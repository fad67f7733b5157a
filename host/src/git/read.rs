//! Reading a mirror: commits, files and lists.

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository, Tree};

use super::{Git, error::reading, tree};
use crate::{
    domain::{Id, UnixMs, path, reference},
    error::{Error, Result},
};

/// A file larger than this is not read into memory.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;
/// A commit's message is cut to so many characters.
const LONGEST_MESSAGE: usize = 10_000;

/// A commit as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// All 40 hex digits.
    pub sha: String,
    pub message: String,
    pub author: String,
    pub email: String,
    /// When it was committed.
    pub at: UnixMs,
    /// The tag by which it was found.
    pub tag: Option<String>,
}

impl Commit {
    /// The message's first line.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

impl Git {
    /// The commit of a branch, else a tag, else a commit id (whole, or at least 7 digits of it). `refs/heads/x` and
    /// `refs/tags/x` are taken too.
    ///
    /// # Errors
    /// `NotFound` naming the reference; `Invalid` if it is not a name; `Conflict` if nothing was fetched yet.
    pub async fn resolve(&self, id: &Id, reference: &str) -> Result<Commit> {
        let reference = reference.to_string();
        self.on_mirror(id, move |mirror| {
            let (found, full) = find(mirror, &reference)?;
            let tag = full.and_then(|name| name.strip_prefix("refs/tags/").map(str::to_owned));
            Ok(Commit { tag, ..commit(&found) })
        })
        .await
    }

    /// The newest commit of the server's default branch, as last fetched.
    ///
    /// # Errors
    /// `NotFound` for an empty repository.
    pub async fn head_commit(&self, id: &Id) -> Result<Commit> {
        self.on_mirror(id, |mirror| {
            let head = mirror.head().map_err(|_| Error::not_found("branch", "HEAD"))?;
            Ok(commit(&head.peel_to_commit().map_err(reading)?))
        })
        .await
    }

    /// A file's content at a commit.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Invalid` for a path that leads out, a folder or a link; `TooLarge` above 4 MiB.
    pub async fn file(&self, id: &Id, sha: &str, path: &str) -> Result<Vec<u8>> {
        path::check_relative("path", path)?;
        let (sha, path) = (sha.to_string(), path::join("", path));
        self.on_mirror(id, move |mirror| {
            let (odb, oid, size) = file_at(mirror, &sha, &path)?;
            if size > LARGEST_FILE {
                return Err(Error::TooLarge { what: "file", limit: LARGEST_FILE });
            }
            Ok(odb.read(oid).map_err(reading)?.data().to_vec())
        })
        .await
    }

    /// All files of a commit, sorted, at most `limit`; folders and submodules are not files.
    ///
    /// # Errors
    /// `NotFound` if there is no such commit.
    pub async fn list_files(&self, id: &Id, sha: &str, limit: usize) -> Result<Vec<String>> {
        let sha = sha.to_string();
        self.on_mirror(id, move |mirror| {
            let mut all = Vec::new();
            tree::list(mirror, &tree_of(mirror, &sha)?, "", limit, &mut all).map_err(reading)?;
            all.sort();
            Ok(all)
        })
        .await
    }
}

pub(super) fn tree_of<'mirror>(mirror: &'mirror Repository, sha: &str) -> Result<Tree<'mirror>> {
    reference::check_commit(sha)?;
    let found = Oid::from_str(sha).and_then(|oid| mirror.find_commit(oid));
    found.map_err(|_| Error::not_found("commit", sha))?.tree().map_err(reading)
}

/// Where the content of a file is, and how long it is. Nothing is followed: not a link, nor a submodule.
pub(super) fn file_at<'mirror>(
    mirror: &'mirror Repository,
    sha: &str,
    path: &str,
) -> Result<(Odb<'mirror>, Oid, u64)> {
    let root = tree_of(mirror, sha)?;
    let entry = root.get_path(path.as_ref()).map_err(|error| match error.code() {
        ErrorCode::NotFound => Error::not_found("file", path),
        _ => reading(error),
    })?;
    if entry.kind() != Some(ObjectType::Blob) || entry.filemode() == tree::LINK {
        return Err(Error::invalid("path", format!("`{path}` is not a file but a folder or link")));
    }
    let odb = mirror.odb().map_err(reading)?;
    let (size, _) = odb.read_header(entry.id()).map_err(reading)?;
    Ok((odb, entry.id(), size as u64))
}

/// The commit, and the whole name of the branch or tag that leads to it.
pub(super) fn find<'mirror>(
    mirror: &'mirror Repository,
    name: &str,
) -> Result<(git2::Commit<'mirror>, Option<String>)> {
    let missing = || Error::not_found("branch, tag or commit", name);
    if reference::check_commit(name).is_ok() {
        // Forges may name an annotated tag by its own id.
        let found = Oid::from_str(name).and_then(|oid| mirror.find_object(oid, None)?.peel_to_commit());
        return found.map(|commit| (commit, None)).map_err(|_| missing());
    }
    reference::check_name(name)?;
    let full =
        ["refs/heads/", "refs/tags/"].iter().any(|kind| name.starts_with(kind)).then(|| name.to_string());
    let candidates = [full, Some(format!("refs/heads/{name}")), Some(format!("refs/tags/{name}"))];
    for candidate in candidates.into_iter().flatten() {
        match mirror.find_reference(&candidate) {
            Ok(found) => {
                return found
                    .peel_to_commit()
                    .map(|commit| (commit, Some(candidate)))
                    .map_err(|_| Error::invalid("ref", format!("`{name}` does not lead to a commit")));
            }
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(reading(error)),
        }
    }
    let abbreviated = (7..40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_hexdigit());
    if !abbreviated {
        return Err(missing());
    }
    mirror.find_commit_by_prefix(name).map(|commit| (commit, None)).map_err(|error| match error.code() {
        ErrorCode::Ambiguous => {
            Error::invalid("ref", format!("`{name}` begins several commit ids; add digits"))
        }
        _ => missing(),
    })
}

pub(super) fn commit(found: &git2::Commit<'_>) -> Commit {
    let author = found.author();
    Commit {
        sha: found.id().to_string(),
        message: String::from_utf8_lossy(found.message_bytes())
            .trim()
            .chars()
            .take(LONGEST_MESSAGE)
            .collect(),
        author: String::from_utf8_lossy(author.name_bytes()).into_owned(),
        email: String::from_utf8_lossy(author.email_bytes()).into_owned(),
        at: found.time().seconds().saturating_mul(1000),
        tag: None,
    }
}
