//! Secrets at rest: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a random nonce, under a key that lives in the
//! data folder beside, not in, the database.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::error::{Error, Result};

/// Names algorithm and key, so that a later key can be told from this one.
const PREFIX: &str = "x1:";
const NONCE_BYTES: usize = 24;

#[derive(Clone)]
pub struct Vault {
    cipher: XChaCha20Poly1305,
}

impl Vault {
    /// Reads the key from `path`, or makes one there that only the owner may read.
    pub fn open(path: &Path) -> Result<Self> {
        let key = match std::fs::read(path) {
            Ok(bytes) => hex::decode(bytes.trim_ascii()).map_err(|_| damaged(path))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create_key(path)?,
            Err(error) => {
                return Err(Error::unavailable(format!(
                    "the key {} cannot be read: {error}",
                    path.display()
                )));
            }
        };
        let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| damaged(path))?;
        Ok(Self { cipher })
    }

    /// `context` names the place of the secret (`git_repositories/<id>/credentials`); it has to be the same when opening,
    /// so a sealed text cannot be moved to another row.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<String> {
        let nonce = random::<NONCE_BYTES>()?;
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::internal("a secret could not be sealed"))?;
        Ok(format!("{PREFIX}{}", BASE64.encode([nonce.as_slice(), &sealed].concat())))
    }

    pub fn open_sealed(&self, context: &str, sealed: &str) -> Result<Vec<u8>> {
        let wrong = || {
            Error::internal(format!(
                "the secret at {context} cannot be opened: it was sealed with another key than the one in the data folder"
            ))
        };
        let bytes =
            sealed.strip_prefix(PREFIX).and_then(|text| BASE64.decode(text).ok()).ok_or_else(wrong)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(wrong)?;
        let payload = Payload { msg: sealed, aad: context.as_bytes() };
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| wrong())?;
        self.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| wrong())
    }
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

fn create_key(path: &Path) -> Result<Vec<u8>> {
    let key = random::<32>()?;
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(hex::encode(key).as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| {
        Error::unavailable(format!("the key {} cannot be written: {error}", path.display()))
    })?;
    Ok(key.to_vec())
}

fn damaged(path: &Path) -> Error {
    Error::unavailable(format!(
        "the key {} is damaged: it has to be 64 hex digits; restore it from a backup, without it stored secrets are lost",
        path.display()
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_in_its_own_place() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("key")).unwrap();
        let again = Vault::open(&folder.path().join("key")).unwrap();
        let sealed = vault.seal("here", b"secret").unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(again.open_sealed("here", &sealed).unwrap(), b"secret");
        assert!(again.open_sealed("there", &sealed).is_err());
    }
}
