//! Components by their digest: in `<data>/plugins/components` what came over the network and what may have to return, in
//! `<data>/plugins/called` what recorded calls were made to. The two are apart because each forgets for reasons of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::source;

/// A folder of components.
#[derive(Debug, Clone)]
pub struct Components {
    folder: PathBuf,
}

impl Components {
    /// Those that plugins are loaded from, in the plugins' folder.
    pub fn new(plugins: &Path) -> Self {
        Self { folder: plugins.join("components") }
    }

    /// Those that a replay may need.
    pub(super) fn called(plugins: &Path) -> Self {
        Self { folder: plugins.join("called") }
    }

    fn path(&self, digest: &str) -> Result<PathBuf, String> {
        let is_digest = digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_digest {
            return Err(format!("`{}` is no sha256 in lower-case hex", digest.escape_debug()));
        }
        Ok(self.folder.join(format!("{digest}.wasm")))
    }

    pub fn has(&self, digest: &str) -> bool {
        self.path(digest).is_ok_and(|path| path.exists())
    }

    /// The component of that digest, checked.
    pub(super) fn read(&self, digest: &str) -> Result<Vec<u8>, String> {
        let path = self.path(digest)?;
        let bytes = source::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!(
                "its component sha256:{digest} is not in {}. Please install it again on this machine",
                self.folder.display()
            ),
            _ => format!("{} cannot be read: {error}", path.display()),
        })?;
        if hex::encode(Sha256::digest(&bytes)) != digest {
            return Err(format!("{} was changed on the disk. Please install it again", path.display()));
        }
        Ok(bytes)
    }

    /// Keeps a component and returns its digest. What is kept already stays as it is.
    ///
    /// # Errors
    /// Says why the folder cannot be written.
    pub fn keep(&self, bytes: &[u8]) -> Result<String, String> {
        let digest = hex::encode(Sha256::digest(bytes));
        self.keep_as(&digest, bytes)
            .map_err(|error| format!("{} cannot be written: {error}", self.folder.display()))?;
        Ok(digest)
    }

    /// The same for bytes whose digest is known.
    pub(super) fn keep_as(&self, digest: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(digest).map_err(io::Error::other)?;
        if fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64) {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_data()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// A small file that belongs to a digest; the caller checks what is in it.
    pub(super) fn read_beside(&self, digest: &str, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(format!("{digest}.{name}"))).ok()
    }

    /// What cannot be kept will be fetched again.
    pub(super) fn keep_beside(&self, digest: &str, name: &str, bytes: &[u8]) {
        let write = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(bytes)?;
            file.persist(self.folder.join(format!("{digest}.{name}"))).map_err(|error| error.error)
        };
        if let Err(error) = write() {
            tracing::warn!("[@plugins:components] {name} of sha256:{digest} cannot be kept: {error}");
        }
    }

    /// Removes what nobody would return to.
    pub(super) fn prune(&self, wanted: &BTreeSet<String>) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if path.extension().is_some_and(|end| end == "wasm") && !wanted.contains(stem) {
                // What cannot be removed now will be next time.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_found_by_its_digest_until_nobody_wants_it() {
        let folder = tempfile::tempdir().unwrap();
        let components = Components::called(folder.path());
        let digest = components.keep(b"component").unwrap();
        assert_eq!(components.read(&digest).unwrap(), b"component");
        components.prune(&BTreeSet::from([digest.clone()]));
        assert!(components.read(&digest).is_ok());
        fs::write(components.path(&digest).unwrap(), b"another").unwrap();
        assert!(components.read(&digest).is_err(), "a changed component is not believed");
        components.prune(&BTreeSet::new());
        assert!(!components.path(&digest).unwrap().exists());
        assert!(components.read("../../etc/passwd").is_err());
    }
}
