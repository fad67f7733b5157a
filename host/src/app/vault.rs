//! Secrets at rest. Each is sealed with a data key of its own, which is kept beside it, wrapped by a master key from
//! outside the database. Both are XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a random nonce.

mod keys;
pub mod rotate;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::config::MasterKey;
use crate::domain::sealed::Sealed;
use crate::error::{Error, Result};
use keys::{KEY_BYTES, Key, Ring, Source};

const NONCE_BYTES: usize = 24;

/// Cheap to clone. Keys are wiped from memory with the last clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    source: Source,
    ring: ArcSwap<Ring>,
    /// Versions are added by one at a time.
    adding: Mutex<()>,
}

impl Vault {
    /// Reads the master keys. Where they are in the data folder, the first is made if there is none, for its owner only.
    ///
    /// # Errors
    /// `Unavailable` if they cannot be read or are no keys.
    pub fn open(master: &MasterKey, data: &Path) -> Result<Self> {
        let source = Source::new(master, data);
        let ring = ArcSwap::from_pointee(source.load()?);
        Ok(Self(Arc::new(Inner { source, ring, adding: Mutex::default() })))
    }

    /// `context` names the place of the secret (`git_repositories/<id>/credentials`); it has to be the same when opening,
    /// so a sealed text cannot be moved to another row, column or key version.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<String> {
        let ring = self.0.ring.load();
        let (version, master) = ring.newest();
        let data_key = Zeroizing::new(random::<KEY_BYTES>()?);
        let wrapped = encrypt(master, &wrap_context(version, context), &data_key[..])?;
        let sealed = encrypt(&data_key, context, plain)?;
        Ok(Sealed::text(version, &wrapped, &sealed))
    }

    /// # Errors
    /// `Internal` if the text was sealed elsewhere, was changed, or needs a key that this server does not have.
    pub fn open_sealed(&self, context: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>> {
        let parsed = Sealed::parse(sealed).ok_or_else(|| wrong(context))?;
        let ring = self.ring_with(parsed.version(), context)?;
        match parsed {
            Sealed::Plain { sealed } => decrypt(ring.get(1).ok_or_else(|| wrong(context))?, context, sealed),
            Sealed::Enveloped { version, wrapped, sealed } => {
                decrypt(&data_key(&ring, version, context, wrapped)?, context, sealed)
            }
        }
    }

    /// The same secret under the newest master key, and with a new data key if asked; `None` if it is there already.
    fn resealed(&self, context: &str, text: &str, new_data_key: bool) -> Result<Option<String>> {
        let parsed = Sealed::parse(text).ok_or_else(|| wrong(context))?;
        let newest = self.newest();
        match parsed {
            Sealed::Enveloped { version, .. } if version >= newest => Ok(None),
            Sealed::Enveloped { version, wrapped, sealed } if !new_data_key => {
                let ring = self.ring_with(version, context)?;
                let data_key = data_key(&ring, version, context, wrapped)?;
                let (version, master) = ring.newest();
                let wrapped = encrypt(master, &wrap_context(version, context), &data_key[..])?;
                Ok(Some(Sealed::text(version, &wrapped, sealed)))
            }
            _ => self.seal(context, &self.open_sealed(context, text)?).map(Some),
        }
    }

    /// The keys, read anew if they lack the version: somebody may have added it.
    fn ring_with(&self, version: u32, context: &str) -> Result<Arc<Ring>> {
        let ring = self.0.ring.load_full();
        if ring.get(version).is_some() {
            return Ok(ring);
        }
        self.reload()?;
        let ring = self.0.ring.load_full();
        if ring.get(version).is_some() {
            return Ok(ring);
        }
        Err(Error::internal(format!(
            "the secret at {context} is sealed with version {version} of the master key, which {} does not have; add it there",
            self.0.source
        )))
    }

    fn reload(&self) -> Result<()> {
        let _one = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.ring.store(Arc::new(self.0.source.load()?));
        Ok(())
    }

    /// Makes a new version of the master key, from now on the one that seals.
    ///
    /// # Errors
    /// `Conflict` if the keys come from outside the data folder, `Unavailable` if the file cannot be written.
    fn add_version(&self) -> Result<u32> {
        let _one = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.0.source.add_version()?;
        let version = ring.newest().0;
        self.0.ring.store(Arc::new(ring));
        Ok(version)
    }

    /// The master keys as their file has them, read anew: a backup is worth nothing without them.
    pub(super) fn exported(&self) -> Result<Zeroizing<String>> {
        self.reload()?;
        Ok(self.0.ring.load().text())
    }

    fn newest(&self) -> u32 {
        self.0.ring.load().newest().0
    }

    fn versions(&self) -> Vec<u32> {
        self.0.ring.load().versions()
    }
}

/// Whether a restore writes these keys of a backup into the data folder. Where they come from outside they are not written, and
/// have to be there.
///
/// # Errors
/// `Conflict` if a key of the backup is missing outside, `Invalid` if these are no keys.
pub(super) fn keeps_keys(master: &MasterKey, data: &Path, keys: &[u8]) -> Result<bool> {
    let ring = std::str::from_utf8(keys).ok().and_then(Ring::parse);
    let ring = ring.ok_or_else(|| Error::invalid("backup", "the master keys of the backup are damaged"))?;
    let source = Source::new(master, data);
    if matches!(source, Source::Own(_)) {
        return Ok(true);
    }
    let here = source.load()?;
    match ring.versions().into_iter().find(|version| here.get(*version) != ring.get(*version)) {
        None => Ok(false),
        Some(version) => Err(Error::conflict(format!(
            "version {version} of the master key in {source} is not the one of the backup, so its secrets could not be opened; \
             put the old server's keys there, or name no master key: then the backup's go into the data folder"
        ))),
    }
}

fn data_key(ring: &Ring, version: u32, context: &str, wrapped: &str) -> Result<Key> {
    let master = ring.get(version).ok_or_else(|| wrong(context))?;
    let bytes = decrypt(master, &wrap_context(version, context), wrapped).map_err(|_| wrong(context))?;
    Ok(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| wrong(context))?))
}

/// A data key is bound to the place of its secret and to the version of the key that wraps it.
fn wrap_context(version: u32, context: &str) -> String {
    format!("data key under {version} of {context}")
}

fn encrypt(key: &Key, context: &str, plain: &[u8]) -> Result<String> {
    let nonce = random::<NONCE_BYTES>()?;
    let payload = Payload { msg: plain, aad: context.as_bytes() };
    let sealed = cipher(key)
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| Error::internal("a secret could not be sealed"))?;
    Ok(BASE64.encode([nonce.as_slice(), &sealed].concat()))
}

fn decrypt(key: &Key, context: &str, text: &str) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = BASE64.decode(text).map_err(|_| wrong(context))?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(|| wrong(context))?;
    let payload = Payload { msg: sealed, aad: context.as_bytes() };
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| wrong(context))?;
    cipher(key).decrypt(&XNonce::from(nonce), payload).map(Zeroizing::new).map_err(|_| wrong(context))
}

/// It wipes its copy of the key when it is dropped.
fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&**key).into())
}

fn wrong(context: &str) -> Error {
    Error::internal(format!(
        "the secret at {context} cannot be opened: it was sealed with another master key than this server's, or was changed"
    ))
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    fn vault(folder: &Path) -> Vault {
        Vault::open(&MasterKey::DataFolder, folder).unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_only_in_its_own_place() {
        let folder = tempfile::tempdir().unwrap();
        let sealed = vault(folder.path()).seal("here", b"secret").unwrap();
        assert!(!sealed.contains("secret"));
        let again = vault(folder.path());
        assert_eq!(*again.open_sealed("here", &sealed).unwrap(), b"secret");
        assert!(again.open_sealed("there", &sealed).is_err());
        let another = tempfile::tempdir().unwrap();
        assert!(vault(another.path()).open_sealed("here", &sealed).is_err());
    }

    #[test]
    fn what_the_first_release_sealed_still_opens_and_moves_on() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(folder.path());
        let old = {
            let ring = vault.0.ring.load();
            format!("x1:{}", encrypt(ring.get(1).unwrap(), "here", b"secret").unwrap())
        };
        assert_eq!(*vault.open_sealed("here", &old).unwrap(), b"secret");
        assert!(vault.open_sealed("there", &old).is_err());
        let new = vault.resealed("here", &old, false).unwrap().unwrap();
        assert!(new.starts_with("x2:1:"), "{new}");
        assert_eq!(*vault.open_sealed("here", &new).unwrap(), b"secret");
    }

    #[test]
    fn a_new_master_key_takes_over_and_the_old_one_still_opens() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(folder.path());
        let old = vault.seal("here", b"secret").unwrap();
        assert_eq!(vault.resealed("here", &old, true).unwrap(), None);
        assert_eq!(vault.add_version().unwrap(), 2);
        for new_data_key in [false, true] {
            let new = vault.resealed("here", &old, new_data_key).unwrap().unwrap();
            assert!(new.starts_with("x2:2:"), "{new}");
            assert_eq!(new.rsplit(':').next() == old.rsplit(':').next(), !new_data_key);
            assert_eq!(*vault.open_sealed("here", &new).unwrap(), b"secret");
            // Another version's name on it does not help anybody.
            assert!(vault.open_sealed("here", &new.replacen("x2:2:", "x2:1:", 1)).is_err());
        }
        assert_eq!(*vault.open_sealed("here", &old).unwrap(), b"secret");
    }

    #[test]
    fn a_key_that_another_node_added_to_the_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (vault(folder.path()), vault(folder.path()));
        one.add_version().unwrap();
        let sealed = one.seal("here", b"secret").unwrap();
        assert_eq!(*other.open_sealed("here", &sealed).unwrap(), b"secret");
        let foreign = sealed.replacen("x2:2:", "x2:9:", 1);
        let error = other.open_sealed("here", &foreign).unwrap_err().for_log();
        assert!(error.contains("version 9") && error.contains("secret.key"), "{error}");
    }

    #[test]
    fn keys_from_outside_are_read_with_their_versions_and_not_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = ("11".repeat(32), "22".repeat(32));
        let given = |text: &str| MasterKey::Text(Zeroizing::new(text.to_owned()));
        let first = Vault::open(&given(&one), folder.path()).unwrap();
        let both = Vault::open(&given(&format!("2:{two}, 1:{one}")), folder.path()).unwrap();
        let sealed = first.seal("here", b"secret").unwrap();
        assert_eq!(*both.open_sealed("here", &sealed).unwrap(), b"secret");
        assert_eq!((both.newest(), both.versions()), (2, vec![1, 2]));
        assert!(both.add_version().is_err());
        assert!(!folder.path().join("secret.key").exists());
        let path = folder.path().join("key");
        std::fs::write(&path, format!("1:{one}\n")).unwrap();
        let file = Vault::open(&MasterKey::File(path), folder.path()).unwrap();
        assert_eq!(*file.open_sealed("here", &sealed).unwrap(), b"secret");
        for bad in ["", "abc", "0:00", &format!("1:{one},1:{two}"), &format!("x:{one}")] {
            let error = Vault::open(&given(bad), folder.path()).err().unwrap().to_string();
            assert!(error.contains("64 hex digits") && !error.contains(&one), "{error}");
        }
    }
}
