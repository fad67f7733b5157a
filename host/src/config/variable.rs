//! Environment variables that may hold secrets: themselves, or the file that `<VARIABLE>_FILE` names.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Error, Result};

const MASTER_KEY: &str = "WINDLASS_MASTER_KEY";
/// Name of the credential in systemd's `LoadCredential=` (systemd.exec(5)).
const CREDENTIAL: &str = "windlass-master-key";

/// Where the master key is.
#[derive(Clone, Default)]
pub enum MasterKey {
    /// `secret.key`, which the server makes and adds to.
    #[default]
    DataFolder,
    /// A file that somebody else keeps.
    File(PathBuf),
    Text(Zeroizing<String>),
}

/// Without the key.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataFolder => f.write_str("DataFolder"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Text(_) => f.write_str("Text"),
        }
    }
}

impl MasterKey {
    pub(super) fn from(environment: &impl Fn(&str) -> Option<String>) -> Result<Self> {
        // The file is read later, and again when a version is added to it.
        match (given(environment, MASTER_KEY), given(environment, &in_file(MASTER_KEY))) {
            (Some(_), Some(_)) => return Err(both(MASTER_KEY)),
            (Some(text), None) => return Ok(Self::Text(Zeroizing::new(text))),
            (None, Some(path)) => return Ok(Self::File(path.into())),
            (None, None) => {}
        }
        let credential =
            given(environment, "CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(CREDENTIAL));
        Ok(credential.filter(|path| path.exists()).map_or(Self::DataFolder, Self::File))
    }
}

/// The variable's text, or that of the file which `<name>_FILE` names, without the line break at its end. An empty variable
/// is as good as none.
///
/// # Errors
/// `Invalid` if both are set, or if the file cannot be read.
pub fn variable(
    environment: &impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<Zeroizing<String>>> {
    match (given(environment, name), given(environment, &in_file(name))) {
        (Some(_), Some(_)) => Err(both(name)),
        (Some(text), None) => Ok(Some(Zeroizing::new(text))),
        (None, None) => Ok(None),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path).map(Zeroizing::new).map_err(|error| {
                let file = in_file(name);
                Error::invalid(file.clone(), format!("{file} names {path}, which cannot be read: {error}"))
            })?;
            Ok(Some(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned())))
        }
    }
}

fn given(environment: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    environment(name).filter(|text| !text.is_empty())
}

fn in_file(name: &str) -> String {
    format!("{name}_FILE")
}

fn both(name: &str) -> Error {
    Error::invalid(name, format!("{name} and {name}_FILE are both set; keep one of the two"))
}
