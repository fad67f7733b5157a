//! What people look at in a mirror: history, folders, files, branches and tags. Links are shown and never followed.

use git2::{ObjectType, Odb, Repository, TreeEntry};

use super::{
    Commit, Git,
    error::reading,
    read::{commit, file_at, find, tree_of},
    tree::LINK,
};
use crate::{
    domain::{
        Id,
        code::{Content, Entry, EntryKind, Named, RefKind},
        path,
    },
    error::{Error, Result},
};

/// A longer file is not shown.
const LARGEST_SHOWN: u64 = 512 * 1024;
/// Of a folder, so many entries are shown.
const MOST_ENTRIES: usize = 2_000;
/// Of branches and of tags, so many are shown: those with the newest commits.
const MOST_NAMES: usize = 1_000;

impl Git {
    /// The commits that lead to a reference, in the order of `git log`, without the first `skip`. Only as much of the history
    /// is read as it takes.
    ///
    /// # Errors
    /// As [`Git::resolve`].
    pub async fn history(&self, id: &Id, reference: &str, skip: usize, limit: usize) -> Result<Vec<Commit>> {
        let reference = reference.to_string();
        self.on_mirror(id, move |mirror| {
            let mut walk = mirror.revwalk().map_err(reading)?;
            walk.push(find(mirror, &reference)?.0.id()).map_err(reading)?;
            walk.skip(skip)
                .take(limit)
                .map(|oid| {
                    oid.and_then(|oid| mirror.find_commit(oid)).map(|found| commit(&found)).map_err(reading)
                })
                .collect()
        })
        .await
    }

    /// What one folder of a commit contains, folders first; an empty `folder` is the root. The second answer is whether there
    /// is more than is shown.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder; `Invalid` for a path that leads out.
    pub async fn list_folder(&self, id: &Id, sha: &str, folder: &str) -> Result<(Vec<Entry>, bool)> {
        let folder = folder.trim_end_matches('/');
        if !folder.is_empty() {
            path::check_relative("path", folder)?;
        }
        let (sha, folder) = (sha.to_string(), path::join("", folder));
        self.on_mirror(id, move |mirror| {
            let mut at = tree_of(mirror, &sha)?;
            if !folder.is_empty() {
                let missing = |_| Error::not_found("folder", &folder);
                let entry = at.get_path(folder.as_ref()).map_err(missing)?;
                at = mirror.find_tree(entry.id()).map_err(missing)?;
            }
            let odb = mirror.odb().map_err(reading)?;
            let shown = at.iter().take(MOST_ENTRIES);
            let mut entries: Vec<Entry> = shown.map(|one| entry(&odb, &one)).collect::<Result<_>>()?;
            entries.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
            Ok((entries, at.len() > MOST_ENTRIES))
        })
        .await
    }

    /// A file's content for people: text, if it is text and not longer than 512 KiB.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Invalid` for a path that leads out, a folder or a link.
    pub async fn content(&self, id: &Id, sha: &str, path: &str) -> Result<Content> {
        path::check_relative("path", path)?;
        let (sha, path) = (sha.to_string(), path::join("", path));
        self.on_mirror(id, move |mirror| {
            let (odb, oid, size) = file_at(mirror, &sha, &path)?;
            let bytes = match size <= LARGEST_SHOWN {
                true => Some(odb.read(oid).map_err(reading)?.data().to_vec()),
                false => None,
            };
            Ok(Content::of(size, bytes))
        })
        .await
    }

    /// Branches and tags as last fetched, branches first, the newest commits first; the default branch
    /// leads. The second answer is whether there
    /// are more than are shown.
    ///
    /// # Errors
    /// `Conflict` if nothing was fetched yet.
    pub async fn names(&self, id: &Id) -> Result<(Vec<Named>, bool)> {
        self.on_mirror(id, |mirror| {
            let (branches, more_branches) = named(mirror, RefKind::Branch)?;
            let (tags, more_tags) = named(mirror, RefKind::Tag)?;
            Ok((branches.into_iter().chain(tags).collect(), more_branches || more_tags))
        })
        .await
    }
}

fn entry(odb: &Odb<'_>, found: &TreeEntry<'_>) -> Result<Entry> {
    let kind = match found.kind() {
        Some(ObjectType::Tree) => EntryKind::Folder,
        Some(ObjectType::Blob) if found.filemode() == LINK => EntryKind::Link,
        Some(ObjectType::Blob) => EntryKind::File,
        _ => EntryKind::Submodule,
    };
    let size = match kind {
        EntryKind::File | EntryKind::Link => Some(odb.read_header(found.id()).map_err(reading)?.0 as u64),
        EntryKind::Folder | EntryKind::Submodule => None,
    };
    Ok(Entry { name: String::from_utf8_lossy(found.name_bytes()).into_owned(), kind, size })
}

fn named(mirror: &Repository, kind: RefKind) -> Result<(Vec<Named>, bool)> {
    let before = match kind {
        RefKind::Branch => "refs/heads/",
        RefKind::Tag => "refs/tags/",
    };
    let head = mirror.find_reference("HEAD").map_err(reading)?;
    let default = head.symbolic_target().ok().flatten();
    let mut all = Vec::new();
    for reference in mirror.references_glob(&format!("{before}*")).map_err(reading)? {
        let reference = reference.map_err(reading)?;
        // A tag of something that is no commit leads nowhere that could be deployed.
        let (Ok(full), Ok(leads_to)) = (reference.name(), reference.peel_to_commit()) else { continue };
        all.push(Named {
            kind,
            name: full.strip_prefix(before).unwrap_or(full).to_owned(),
            sha: leads_to.id().to_string(),
            at: leads_to.time().seconds().saturating_mul(1000),
            is_default: default == Some(full),
        });
    }
    all.sort_by(|a, b| (b.is_default, b.at, &a.name).cmp(&(a.is_default, a.at, &b.name)));
    let more = all.len() > MOST_NAMES;
    all.truncate(MOST_NAMES);
    Ok((all, more))
}
