//! The master keys and where they come from.
//!
//! One or more of `<version>:<64 hex digits>`, separated by line breaks or commas; 64 hex digits alone are version 1. The
//! highest version seals, all of them open.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::random;
use crate::config::MasterKey;
use crate::error::{Error, Result};

pub(super) const KEY_BYTES: usize = 32;
const OWN_FILE: &str = "secret.key";

/// Wiped from memory when it is dropped.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// Keys by version, the newest among them.
pub(super) struct Ring {
    keys: BTreeMap<u32, Key>,
    newest: (u32, Key),
}

impl Ring {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut keys = BTreeMap::new();
        let entries = text.split(['\n', ',']).map(str::trim).filter(|entry| !entry.is_empty());
        for entry in entries {
            let (version, digits) = entry.split_once(':').unwrap_or(("1", entry));
            let version = version.trim().parse().ok().filter(|version| *version > 0)?;
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            hex::decode_to_slice(digits.trim(), &mut key[..]).ok()?;
            if keys.insert(version, key).is_some() {
                return None;
            }
        }
        Self::of(keys)
    }

    fn of(keys: BTreeMap<u32, Key>) -> Option<Self> {
        let newest = keys.last_key_value().map(|(version, key)| (*version, key.clone()))?;
        Some(Self { keys, newest })
    }

    /// The same keys and a new one of the next version.
    fn with_another(mut self) -> Result<Self> {
        let next = (self.newest.0 + 1, Zeroizing::new(random::<KEY_BYTES>()?));
        self.keys.insert(next.0, next.1.clone());
        Ok(Self { keys: self.keys, newest: next })
    }

    /// As [`parse`](Self::parse) reads it.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.keys.len() * 80));
        for (version, key) in &self.keys {
            let digits = Zeroizing::new(hex::encode(&key[..]));
            text.push_str(&version.to_string());
            text.push(':');
            text.push_str(&digits);
            text.push('\n');
        }
        text
    }

    pub(super) fn get(&self, version: u32) -> Option<&Key> {
        self.keys.get(&version)
    }

    pub(super) fn newest(&self) -> (u32, &Key) {
        (self.newest.0, &self.newest.1)
    }

    pub(super) fn versions(&self) -> Vec<u32> {
        self.keys.keys().copied().collect()
    }
}

pub(super) enum Source {
    /// The file of the data folder, which this server may write.
    Own(PathBuf),
    /// A file that somebody else keeps.
    File(PathBuf),
    Text(Zeroizing<String>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(path) | Self::File(path) => write!(f, "{}", path.display()),
            Self::Text(_) => f.write_str("WINDLASS_MASTER_KEY"),
        }
    }
}

impl Source {
    pub(super) fn new(master: &MasterKey, data: &Path) -> Self {
        match master {
            MasterKey::DataFolder => Self::Own(data.join(OWN_FILE)),
            MasterKey::File(path) => Self::File(path.clone()),
            MasterKey::Text(text) => Self::Text(text.clone()),
        }
    }

    pub(super) fn load(&self) -> Result<Ring> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Own(path) | Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Zeroizing::new(text),
                Err(error) if error.kind() == ErrorKind::NotFound && matches!(self, Self::Own(_)) => {
                    create(path)?
                }
                Err(error) => {
                    return Err(Error::unavailable(format!("the master key {self} cannot be read: {error}")));
                }
            },
        };
        Ring::parse(&text).ok_or_else(|| {
            Error::unavailable(format!(
                "the master key in {self} is damaged: it has to be 64 hex digits, or a line of <version>:<64 hex digits> for \
                 each version; restore it from a backup, without it stored secrets are lost"
            ))
        })
    }

    /// The ring with a new version, which is in the file when this returns.
    pub(super) fn add_version(&self) -> Result<Ring> {
        let Self::Own(path) = self else {
            return Err(Error::conflict(format!(
                "the master key comes from {self}, which this server does not write; add a line with the next version there"
            )));
        };
        let ring = self.load()?.with_another()?;
        replace(path, &ring.text()).map_err(|error| unwritable(path, &error))?;
        Ok(ring)
    }
}

fn create(path: &Path) -> Result<Zeroizing<String>> {
    let key = Zeroizing::new(random::<KEY_BYTES>()?);
    let text = Zeroizing::new(hex::encode(&key[..]));
    let write = || -> std::io::Result<()> {
        let mut file = private(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| unwritable(path, &error))?;
    Ok(text)
}

/// All of the new text or all of the old one, whatever happens meanwhile.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("key.new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

fn private(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable(format!("the master key {} cannot be written: {error}", path.display()))
}
