//! Who can open a backup. Keys and format are age's (age-encryption.org/v1), so that its own tools open a backup as well.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;

use age::secrecy::{ExposeSecret as _, SecretString};
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// What a backup is closed with.
#[derive(Clone)]
pub enum Lock {
    Recipients(Vec<x25519::Recipient>),
    Passphrase(SecretString),
}

/// Without the passphrase.
impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lock({} recipients)", self.recipients())
    }
}

impl Lock {
    /// # Errors
    /// `Invalid` if there is none, or one that is no public key of age.
    pub fn to_recipients(field: &str, keys: &[String]) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::invalid(
                field,
                "a backup holds the keys of all secrets, so it is made for somebody only: name a public key (age1…, as \
                 `age-keygen` makes it) or a file with a passphrase",
            ));
        }
        let parse = |key: &String| {
            key.trim().parse::<x25519::Recipient>().map_err(|why| {
                let shown = key.chars().take(80).collect::<String>();
                let message =
                    format!("{field}: `{}` is no public key of age (age1…): {why}", shown.escape_debug());
                Error::invalid(field, message)
            })
        };
        keys.iter().map(parse).collect::<Result<_>>().map(Self::Recipients)
    }

    /// # Errors
    /// `Invalid` if the file cannot be read or its passphrase is too short to be one.
    pub fn with_passphrase(file: &Path) -> Result<Self> {
        passphrase(file).map(Self::Passphrase)
    }

    /// How many keys open it; a passphrase is one.
    pub fn recipients(&self) -> usize {
        match self {
            Self::Recipients(keys) => keys.len(),
            Self::Passphrase(_) => 1,
        }
    }

    pub(super) fn close<W: Write>(&self, output: W) -> Result<StreamWriter<W>> {
        let encryptor = match self {
            Self::Recipients(keys) => {
                Encryptor::with_recipients(keys.iter().map(|key| key as &dyn age::Recipient))
                    .map_err(Error::internal)?
            }
            Self::Passphrase(words) => Encryptor::with_user_passphrase(words.clone()),
        };
        encryptor
            .wrap_output(output)
            .map_err(|error| Error::unavailable(format!("the backup cannot be written: {error}")))
    }
}

/// What a backup is opened with.
pub enum Unlock {
    Identities(Vec<x25519::Identity>),
    Passphrase(SecretString),
}

impl Unlock {
    /// Reads a file as `age-keygen` writes it.
    ///
    /// # Errors
    /// `Invalid` if it cannot be read, or has no secret key of age in it.
    pub fn with_identities(file: &Path) -> Result<Self> {
        let text = read(file)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let wrong = || {
            let what = "has no secret keys of age (AGE-SECRET-KEY-1…), one a line";
            Error::invalid("identity", format!("{} {what}", file.display()))
        };
        let keys: Vec<x25519::Identity> =
            lines.map(|line| line.parse().map_err(|_| wrong())).collect::<Result<_>>()?;
        if keys.is_empty() { Err(wrong()) } else { Ok(Self::Identities(keys)) }
    }

    /// # Errors
    /// As [`Lock::with_passphrase`].
    pub fn with_passphrase(file: &Path) -> Result<Self> {
        passphrase(file).map(Self::Passphrase)
    }

    pub(super) fn open<R: Read>(&self, input: R) -> Result<StreamReader<R>> {
        let decryptor = Decryptor::new(input).map_err(|error| refused(&error))?;
        let opened = match self {
            Self::Identities(keys) => decryptor.decrypt(keys.iter().map(|key| key as &dyn age::Identity)),
            Self::Passphrase(words) => {
                let identity = scrypt::Identity::new(words.clone());
                decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))
            }
        };
        opened.map_err(|error| refused(&error))
    }
}

fn refused(error: &DecryptError) -> Error {
    let why = match error {
        DecryptError::NoMatchingKeys => {
            "this key does not open the backup: it was made for other ones, or for a passphrase; name the file of the right one \
             by --identity or --passphrase-file"
                .into()
        }
        DecryptError::Io(error) => format!("the backup cannot be read: {error}"),
        other => format!("the backup cannot be opened: {other}; it is damaged, or the key or passphrase is another one"),
    };
    Error::invalid("backup", why)
}

fn passphrase(file: &Path) -> Result<SecretString> {
    let text = read(file)?;
    let words = SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned());
    if words.expose_secret().len() < 12 {
        let message = format!("the passphrase in {} has to have at least 12 characters", file.display());
        return Err(Error::invalid("passphrase-file", message));
    }
    Ok(words)
}

fn read(file: &Path) -> Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(file);
    text.map(Zeroizing::new)
        .map_err(|error| Error::invalid("file", format!("{} cannot be read: {error}", file.display())))
}
