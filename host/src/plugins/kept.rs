//! The bytes of components that were loaded, by sha256: a recorded call can only be replayed with the very component
//! that was called, and its source may have another one by then.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub(super) struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// `folder` is the plugins' own, which only we can read.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.join("called") }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// Does nothing where the component is there already.
    pub(super) fn keep(&self, digest: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(digest);
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// `None` if it is not there or no longer what its name says.
    pub(super) fn read(&self, digest: &str) -> Option<Vec<u8>> {
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let bytes = fs::read(self.path(digest)).ok()?;
        (hex::encode(Sha256::digest(&bytes)) == digest).then_some(bytes)
    }

    /// Removes all others.
    pub(super) fn retain(&self, digests: &HashSet<String>) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let digest = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if !digests.contains(digest) {
                // What cannot be removed now is found again the next time.
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
    fn a_component_is_found_by_its_digest_until_nothing_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path());
        let digest = hex::encode(Sha256::digest(b"component"));
        kept.keep(&digest, b"component").unwrap();
        assert_eq!(kept.read(&digest).unwrap(), b"component");
        kept.retain(&HashSet::from([digest.clone()]));
        assert!(kept.read(&digest).is_some());
        fs::write(kept.path(&digest), b"another").unwrap();
        assert_eq!(kept.read(&digest), None, "a changed component is not believed");
        kept.retain(&HashSet::new());
        assert!(!kept.path(&digest).exists());
        assert_eq!(kept.read("../../etc/passwd"), None);
    }
}
