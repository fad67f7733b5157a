//! What commands have made, out of the engine's archive and into the checkout. The archive is a stranger's: nothing is
//! written through a link or outside of the folder.

use std::{
    fs::{self, File},
    io::{self, Seek as _},
    path::{Component, Path, PathBuf},
};

use crate::error::{Error, Result};

const MOST_ENTRIES: usize = 1_000_000;
const FIELD: &str = "build.options.outputs";

/// Replaces `output` (relative to `checkout`; empty for all of it) by the archive's one file or folder. Blocking.
///
/// # Errors
/// `Failed` for an archive that leads out of the folder or has nothing in it, `Invalid` for an output over a link.
pub fn replace(mut archive: File, checkout: &Path, output: &str) -> Result<()> {
    archive.rewind().map_err(Error::internal)?;
    // Beside the checkout, on the same disk, so that moving is renaming.
    let parent = checkout.parent().unwrap_or(checkout);
    let fresh = tempfile::Builder::new().prefix("output-").tempdir_in(parent).map_err(Error::internal)?;
    let top = unpack(archive, fresh.path())?;
    if output.is_empty() {
        // In the place of the folder a link would have us move what is behind it on this machine.
        if !fs::symlink_metadata(&top).is_ok_and(|meta| meta.is_dir()) {
            let text = "the folder that the commands run in is no folder any more, so nothing can be taken out of it";
            return Err(Error::failed(text));
        }
        for old in children(checkout)? {
            remove(&old)?;
        }
        for new in children(&top)? {
            let name = new.file_name().unwrap_or_default().to_owned();
            fs::rename(&new, checkout.join(name)).map_err(Error::internal)?;
        }
        return Ok(());
    }
    let (folder, name) = output.rsplit_once('/').unwrap_or(("", output));
    let mut at = checkout.to_path_buf();
    for segment in folder.split('/').filter(|segment| !segment.is_empty()) {
        at.push(segment);
        match fs::symlink_metadata(&at) {
            Ok(meta) if meta.is_symlink() => {
                return Err(Error::invalid(
                    FIELD,
                    format!("`{output}` leads over a symbolic link (`{segment}`), which is not followed"),
                ));
            }
            Ok(_) => {}
            Err(_) => fs::create_dir(&at).map_err(Error::internal)?,
        }
    }
    remove(&at.join(name))?;
    fs::rename(&top, at.join(name)).map_err(Error::internal)
}

/// The one thing that the archive has at its top.
fn unpack(archive: File, into: &Path) -> Result<PathBuf> {
    let mut archive = tar::Archive::new(io::BufReader::new(archive));
    let mut top: Option<PathBuf> = None;
    // Links come last, so that no file is written through one.
    let mut links = Vec::new();
    for (count, entry) in archive.entries().map_err(Error::internal)?.enumerate() {
        if count > MOST_ENTRIES {
            return Err(Error::failed(format!("the commands have made more than {MOST_ENTRIES} files")));
        }
        let mut entry = entry.map_err(Error::internal)?;
        let name = entry.path().map_err(Error::internal)?.into_owned();
        let Some(path) = inside(into, &name) else { return Err(escape(&name)) };
        top.get_or_insert_with(|| path.clone());
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            fs::create_dir_all(&path).map_err(Error::internal)?;
        } else if kind.is_symlink() {
            let target = entry.link_name().map_err(Error::internal)?.unwrap_or_default().into_owned();
            links.push((path, target));
        } else if kind.is_hard_link() {
            let target = entry.link_name().map_err(Error::internal)?.unwrap_or_default().into_owned();
            let Some(source) = inside(into, &target) else { return Err(escape(&target)) };
            // Of a link that is not there yet, there is nothing to copy.
            if source.is_file() {
                fs::copy(source, path).map_err(Error::internal)?;
            }
        } else if kind.is_file() {
            write(&mut entry, &path)?;
        }
        // Devices and pipes are nothing that a build could hand on.
    }
    for (path, target) in links {
        // One that is there by now is no folder for the next ones.
        if path.ancestors().skip(1).take_while(|at| *at != into).any(Path::is_symlink) {
            return Err(escape(path.strip_prefix(into).unwrap_or(&path)));
        }
        std::os::unix::fs::symlink(target, path).map_err(Error::internal)?;
    }
    top.ok_or_else(|| Error::failed("the engine handed out an empty archive"))
}

fn write(entry: &mut tar::Entry<'_, impl io::Read>, path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::internal)?;
    }
    let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
    let mode = if executable { 0o755 } else { 0o644 };
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| Error::internal(format!("{}: {error}", path.display())))?;
    io::copy(entry, &mut file).map_err(Error::internal)?;
    Ok(())
}

/// None for a name that leads out.
fn inside(folder: &Path, name: &Path) -> Option<PathBuf> {
    let mut path = folder.to_path_buf();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (path != folder).then_some(path)
}

fn escape(name: &Path) -> Error {
    Error::failed(format!(
        "the archive of the commands' output has `{}`, which leads out of it",
        name.display()
    ))
}

fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::internal)?;
    entries.map(|entry| Ok(entry.map_err(Error::internal)?.path())).collect()
}

fn remove(path: &Path) -> Result<()> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
    if meta.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.map_err(Error::internal)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    /// Of names with contents; `@` begins a link's target.
    fn archive(entries: &[(&str, &str)]) -> File {
        let mut tar = tar::Builder::new(tempfile::tempfile().unwrap());
        for (name, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            // As it is: the builder itself would refuse what leads out.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            match content.strip_prefix('@') {
                Some(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_link_name(target).unwrap();
                    header.set_size(0);
                    header.set_cksum();
                    tar.append(&header, io::empty()).unwrap();
                }
                None => {
                    let kind =
                        if name.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular };
                    header.set_entry_type(kind);
                    header.set_size(content.len() as u64);
                    header.set_cksum();
                    tar.append(&header, content.as_bytes()).unwrap();
                }
            }
        }
        tar.into_inner().unwrap()
    }

    fn checkout() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let checkout = folder.path().join("checkout");
        fs::create_dir(&checkout).unwrap();
        fs::write(checkout.join("old"), "old").unwrap();
        (folder, checkout)
    }

    #[test]
    fn an_output_takes_the_place_of_what_was_there() {
        let (_keep, checkout) = checkout();
        fs::create_dir_all(checkout.join("web/dist")).unwrap();
        fs::write(checkout.join("web/dist/stale"), "").unwrap();
        let made = archive(&[("dist/", ""), ("dist/a/", ""), ("dist/a/x", "1"), ("dist/l", "@/etc/passwd")]);
        replace(made, &checkout, "web/dist").unwrap();
        assert_eq!(fs::read_to_string(checkout.join("web/dist/a/x")).unwrap(), "1");
        assert!(!checkout.join("web/dist/stale").exists() && checkout.join("old").exists());
        assert_eq!(fs::read_link(checkout.join("web/dist/l")).unwrap(), Path::new("/etc/passwd"));
        replace(archive(&[("one", "2")]), &checkout, "new/deep/one").unwrap();
        assert_eq!(fs::read_to_string(checkout.join("new/deep/one")).unwrap(), "2");
        replace(archive(&[("workspace/", ""), ("workspace/b", "3")]), &checkout, "").unwrap();
        assert!(checkout.join("b").exists() && !checkout.join("old").exists());
    }

    #[test]
    fn nothing_is_written_outside_or_through_a_link() {
        let (keep, checkout) = checkout();
        for bad in ["../evil", "/evil", "a/../../evil"] {
            assert!(replace(archive(&[(bad, "x")]), &checkout, "a").is_err(), "{bad}");
        }
        // The link is made after the file, whose name is then taken.
        let through = archive(&[("d/", ""), ("d/l", "@../.."), ("d/l/evil", "x")]);
        assert!(replace(through, &checkout, "d").is_err());
        std::os::unix::fs::symlink(keep.path(), checkout.join("out")).unwrap();
        assert!(replace(archive(&[("evil", "x")]), &checkout, "out/evil").is_err());
        assert!(replace(archive(&[("evil", "x")]), &checkout, "out/new/evil").is_err());
        assert!(!keep.path().join("evil").exists());
    }

    #[test]
    fn what_is_behind_a_link_stays_where_it_is() {
        let (keep, checkout) = checkout();
        let other = keep.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("ours"), "").unwrap();
        let target = format!("@{}", other.display());
        // In the place of the whole folder, and of a folder on the way to another link.
        assert!(replace(archive(&[("workspace", &target)]), &checkout, "").is_err());
        assert!(
            replace(archive(&[("d/", ""), ("d/l", &target), ("d/l/evil", "@x")]), &checkout, "d").is_err()
        );
        assert_eq!(children(&other).unwrap(), [other.join("ours")]);
        assert!(checkout.join("old").exists());
    }
}
