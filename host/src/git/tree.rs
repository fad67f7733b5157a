//! A commit's tree as folders and files, written by ourselves: no index, no filters, no hooks, nothing followed.
//!
//! Trees come from strangers. A name may not be a path, may not be `.git` in any spelling that some file system folds to
//! it, and nothing may be written where something is already, so that no entry can redirect a later one.

use std::{
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use git2::{ObjectType, Odb, Oid, Repository, Tree, TreeEntry};

use super::{error::reading, progress::Stop};
use crate::error::{Error, Result};

/// The file mode of a symbolic link in a tree.
pub(super) const LINK: i32 = 0o120_000;
const EXECUTABLE: i32 = 0o100;
/// Limits against trees that unpack into far more than was fetched.
const MOST_ENTRIES: usize = 500_000;
const MOST_BYTES: u64 = 20 * 1024 * 1024 * 1024;
const DEEPEST: usize = 200;

/// What has been written so far; the limits are for a checkout with all its submodules.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    entries: usize,
    bytes: u64,
}

/// Writes a tree, and counts.
pub(super) struct Writer<'a> {
    mirror: &'a Repository,
    odb: Odb<'a>,
    stop: &'a Stop,
    pub(super) files: usize,
    /// Where submodules are to be, and at which commits.
    pub(super) submodules: Vec<(PathBuf, Oid)>,
    pub(super) written: Written,
}

impl<'a> Writer<'a> {
    pub(super) fn new(mirror: &'a Repository, stop: &'a Stop, written: Written) -> Result<Self> {
        let odb = mirror.odb().map_err(reading)?;
        Ok(Self { mirror, odb, stop, files: 0, submodules: Vec::new(), written })
    }

    /// `folder` has to exist and be empty.
    pub(super) fn write(&mut self, tree: &Tree<'_>, folder: &Path, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::failed(format!("the commit's folders are nested more than {DEEPEST} deep")));
        }
        for entry in tree {
            if self.stop.is_set() {
                return Err(Error::cancelled("the checkout"));
            }
            self.written.entries += 1;
            if self.written.entries > MOST_ENTRIES {
                return Err(Error::TooLarge {
                    what: "number of files in the commit",
                    limit: MOST_ENTRIES as u64,
                });
            }
            let name = entry.name_bytes();
            if !is_harmless(name) {
                return Err(Error::failed(format!(
                    "the commit contains the path `{}`, which is never written to disk",
                    String::from_utf8_lossy(name).escape_debug()
                )));
            }
            self.entry(&entry, folder.join(std::ffi::OsStr::from_bytes(name)), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &TreeEntry<'_>, path: PathBuf, depth: usize) -> Result<()> {
        match entry.kind() {
            Some(ObjectType::Tree) => {
                // Fails on anything that is there, also on a link to a folder.
                written(&path, fs::create_dir(&path))?;
                let tree = self.mirror.find_tree(entry.id()).map_err(reading)?;
                self.write(&tree, &path, depth + 1)
            }
            Some(ObjectType::Blob) => {
                self.files += 1;
                self.file(entry, &path)
            }
            // A submodule: git leaves an empty folder, too.
            _ => {
                written(&path, fs::create_dir(&path))?;
                self.submodules.push((path, entry.id()));
                Ok(())
            }
        }
    }

    fn file(&mut self, entry: &TreeEntry<'_>, path: &Path) -> Result<()> {
        let (size, _) = self.odb.read_header(entry.id()).map_err(reading)?;
        self.written.bytes += size as u64;
        if self.written.bytes > MOST_BYTES {
            return Err(Error::TooLarge { what: "commit's content", limit: MOST_BYTES });
        }
        let blob = self.odb.read(entry.id()).map_err(reading)?;
        if entry.filemode() == LINK {
            let target = std::ffi::OsStr::from_bytes(blob.data());
            return written(path, std::os::unix::fs::symlink(target, path));
        }
        let mode = if entry.filemode() & EXECUTABLE != 0 { 0o755 } else { 0o644 };
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        written(path, file.and_then(|mut file| file.write_all(blob.data())))
    }
}

fn written<T>(path: &Path, outcome: std::io::Result<T>) -> Result<T> {
    outcome.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::failed(format!(
            "the commit contains `{}` twice",
            path.file_name().unwrap_or_default().to_string_lossy().escape_debug()
        )),
        std::io::ErrorKind::StorageFull => {
            Error::unavailable("the disk is full: the checkout could not be written")
        }
        _ => Error::internal(format!("{}: {error}", path.display())),
    })
}

/// One path segment that is not a way out and not git's own folder on any file system.
fn is_harmless(name: &[u8]) -> bool {
    if name.is_empty() || name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return false;
    }
    // HFS+ ignores these characters, NTFS ignores trailing dots and blanks and cuts streams and short names.
    let folded: String = String::from_utf8_lossy(name)
        .chars()
        .filter(|c| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'))
        .collect::<String>()
        .to_lowercase();
    let folded = folded.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    !matches!(folded, ".git" | "git~1")
}

/// Paths of all files below a tree, in the tree's order, until there are `limit`.
pub(super) fn list(
    mirror: &Repository,
    tree: &Tree<'_>,
    prefix: &str,
    limit: usize,
    all: &mut Vec<String>,
) -> Result<(), git2::Error> {
    for entry in tree {
        if all.len() >= limit {
            return Ok(());
        }
        let path = format!("{prefix}{}", String::from_utf8_lossy(entry.name_bytes()));
        match entry.kind() {
            Some(ObjectType::Blob) => all.push(path),
            Some(ObjectType::Tree) if path.matches('/').count() < DEEPEST => {
                list(mirror, &mirror.find_tree(entry.id())?, &format!("{path}/"), limit, all)?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_own_folder_is_recognised_in_every_spelling() {
        for name in [
            ".git",
            ".GIT",
            ".Git",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".git.",
            ".git ",
            ".git::$INDEX_ALLOCATION",
            "git~1",
            "GIT~1",
            "..",
            ".",
            "",
            "a/b",
            "a\0b",
        ] {
            assert!(!is_harmless(name.as_bytes()), "{name:?}");
        }
        for name in [".github", ".gitignore", ".gitmodules", "git", "a:b", "...", "ünï", "git~2"] {
            assert!(is_harmless(name.as_bytes()), "{name:?}");
        }
    }
}
