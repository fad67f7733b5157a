//! Compiled components on disk, so that a start compiles nothing and instantiates nothing.
//!
//! An entry is two files named `<sha256 of the component>-<compatibility of the engine>`: the native code (`.cwasm`), and a
//! record (`.json`) with what was read from the component and the code's HMAC; the record's first line is its own HMAC.
//! Native code is executed as it is, so an entry is only believed if this installation's key signed it under that name.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tempfile::NamedTempFile;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::domain::plugin::Manifest;

/// Larger than any record this host writes.
const RECORD_BYTES: u64 = 4 << 20;

pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    owner: u32,
}

/// What is known of a component beside its code.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The contract that the component was checked against.
    pub(super) contract: String,
    /// HMAC of the native code, in hex.
    pub(super) code: String,
    pub(super) manifest: Manifest,
    /// It has passed the conformance suite.
    #[serde(default)]
    pub(super) conforms: bool,
}

impl Cache {
    /// `folder` becomes private to us, because what is in it is executed.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let entries = folder.join("cache");
        for folder in [folder, &entries] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            if fs::symlink_metadata(folder)?.is_symlink() {
                return Err(io::Error::other(format!("{} is a symbolic link", folder.display())));
            }
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        }
        // Root can set the mode of a folder in which somebody else writes.
        let owner = rustix::process::geteuid().as_raw();
        for folder in [folder, &entries] {
            if fs::metadata(folder)?.uid() != owner {
                return Err(io::Error::other(format!("{} belongs to another user", folder.display())));
            }
        }
        let key = key(&folder.join("cache.key"), owner)?;
        Ok(Self { folder: entries, key, owner })
    }

    /// Private to us.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, stem: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{stem}.{extension}"))
    }

    /// The entry of that name; `None` if there is none, an error if there is one that cannot be believed.
    pub(super) fn load(&self, engine: &Engine, stem: &str) -> Result<Option<(Component, Record)>, String> {
        let code = match self.file(&self.path(stem, "cwasm"))? {
            Some(file) => file,
            None => return Ok(None),
        };
        let Some(record) = self.record(stem)? else {
            return Ok(None);
        };
        let expected = hex::decode(&record.code).map_err(|_| "its record is damaged".to_owned())?;
        let found = self.mac_of_file(stem, &code).map_err(|error| format!("it cannot be read: {error}"))?;
        if !bool::from(found.as_slice().ct_eq(&expected)) {
            return Err("its code is not what this installation compiled".into());
        }
        // SAFETY: the bytes were produced by `Component::serialize` of this installation: an HMAC with a key only we can
        // read, over code and name, was just checked on this open file. The path below leads to that same open file, not
        // to whatever has the name by now. In between nobody else can write to it: it is ours, read-only, and in a
        // folder with mode 0700 that was checked to be ours; we ourselves never change an entry but replace it by
        // renaming. Code of another wasmtime is refused by its own header.
        let component =
            unsafe { Component::deserialize_file(engine, same_file(&code, &self.path(stem, "cwasm"))) }
                .map_err(|error| format!("its code cannot be mapped: {error:#}"))?;
        Ok(Some((component, record)))
    }

    /// Makes an entry of a file in the cache's folder, the record last: an entry without a record does not exist.
    pub(super) fn store(&self, stem: &str, code: NamedTempFile, mut record: Record) -> io::Result<()> {
        record.code = hex::encode(self.mac_of_file(stem, &code.reopen()?)?);
        seal(code, &self.path(stem, "cwasm"))?;
        self.write(stem, &record)
    }

    /// Puts another record in the place of an entry's.
    pub(super) fn write(&self, stem: &str, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        let mut signed = hex::encode(self.mac(&["record", stem], &text)).into_bytes();
        signed.push(b'\n');
        signed.extend_from_slice(&text);
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(&signed)?;
        seal(file, &self.path(stem, "json"))
    }

    pub(super) fn discard(&self, stem: &str) {
        for extension in ["json", "cwasm"] {
            // What is not there is discarded already; what cannot be removed will be replaced.
            let _ = fs::remove_file(self.path(stem, extension));
        }
    }

    /// Removes what another version of the engine compiled: nothing will ever ask for it.
    pub(super) fn prune(&self, compatibility: &str) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for path in entries.filter_map(|entry| entry.ok()).map(|entry| entry.path()) {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if !stem.ends_with(&format!("-{compatibility}")) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Removes the code of components that nobody would run.
    pub(super) fn retain(&self, is_wanted: impl Fn(&str) -> bool) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.filter_map(|entry| entry.ok()).map(|entry| entry.path()) {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if stem.split_once('-').is_some_and(|(digest, _)| digest.len() == 64 && !is_wanted(digest)) {
                // What cannot be removed now will be next time.
                let _ = fs::remove_file(&path);
            }
        }
    }

    pub(super) fn record(&self, stem: &str) -> Result<Option<Record>, String> {
        let Some(file) = self.file(&self.path(stem, "json"))? else {
            return Ok(None);
        };
        let mut signed = Vec::new();
        file.take(RECORD_BYTES).read_to_end(&mut signed).map_err(|error| error.to_string())?;
        let damaged = || "its record is damaged".to_owned();
        let split = signed.iter().position(|&b| b == b'\n').ok_or_else(damaged)?;
        let (mac, text) = signed.split_at(split);
        let text = text.get(1..).ok_or_else(damaged)?;
        let mac = hex::decode(mac).map_err(|_| damaged())?;
        if !bool::from(self.mac(&["record", stem], text).as_slice().ct_eq(&mac)) {
            return Err("its record was not written by this installation".into());
        }
        serde_json::from_slice(text).map(Some).map_err(|_| damaged())
    }

    /// Opens a file that only we can have written.
    fn file(&self, path: &Path) -> Result<Option<File>, String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if !metadata.is_file() || metadata.uid() != self.owner || metadata.mode() & 0o022 != 0 {
            return Err("others could have written it".into());
        }
        Ok(Some(file))
    }

    fn keyed(&self, labels: &[&str]) -> Hmac<Sha256> {
        // HMAC fills its key with zeros up to the hash's block, so this is the key of 32 bytes.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.key);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        // The labels say what is signed, so that no entry can stand in for another one.
        for label in labels {
            mac.update(label.as_bytes());
            mac.update(&[0]);
        }
        mac
    }

    fn mac(&self, labels: &[&str], bytes: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed(labels);
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    fn mac_of_file(&self, stem: &str, mut file: &File) -> io::Result<[u8; 32]> {
        let mut mac = self.keyed(&["code", stem]);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = file.read(&mut buffer)?;
            match buffer.get(..n) {
                Some([]) | None => return Ok(mac.finalize().into_bytes().into()),
                Some(bytes) => mac.update(bytes),
            }
        }
    }
}

/// Gives a file its name when it is whole, so that no reader ever sees a part, and nobody writes to it any more.
fn seal(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().set_permissions(Permissions::from_mode(0o400))?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A path that leads to the open file itself where the system has one.
fn same_file(file: &File, path: &Path) -> PathBuf {
    let open = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if open.exists() { open } else { path.to_owned() }
}

/// Reads the key, or makes a new one if there is none or others could have read it: then no old entry is believed.
fn key(path: &Path, owner: u32) -> io::Result<[u8; 32]> {
    match File::open(path) {
        Ok(mut file) => {
            let metadata = file.metadata()?;
            let mut key = [0; 32];
            let private = metadata.uid() == owner && metadata.mode() & 0o077 == 0 && metadata.len() == 32;
            if private && file.read_exact(&mut key).is_ok() {
                return Ok(key);
            }
            tracing::warn!(
                "[@plugins:cache] The key {} is damaged or was readable by others. It is replaced, and all plugins \
                 are compiled again.",
                path.display()
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let folder = path.parent().ok_or_else(|| io::Error::other("the key has no folder"))?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&key)?;
    file.as_file().set_permissions(Permissions::from_mode(0o600))?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(key)
}
