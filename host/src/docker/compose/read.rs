//! Reading a compose file out of a checkout.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::context::{descend, read_text};
use crate::domain::compose::source;
use crate::domain::path::join;
use crate::error::{Error, Result};

/// A compose file as it was written, judged and ready to be rendered.
pub struct ComposeSource {
    pub file: Value,
    /// The folder in the checkout that it lies in: relative paths count from there.
    pub folder: PathBuf,
    /// Names of the variables that it uses.
    pub variables: Vec<String>,
}

/// Reads `path` beneath `root` without following links, and sees to it that what it names lies there as well. Blocking.
///
/// # Errors
/// `Invalid` for a file that is missing, is no YAML, or leads out of the checkout.
pub fn read(root: &Path, path: &str) -> Result<ComposeSource> {
    let path = join("", path);
    let missing = || Error::invalid(source::FIELD, format!("there is no `{path}` in this commit"));
    let place = descend(root, source::FIELD, &path)?.ok_or_else(missing)?;
    let text = read_text(source::FIELD, &place, &path)?;
    let options = serde_saphyr::options! { strict_booleans: true, legacy_octal_numbers: true };
    let file: Value = serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
        let words = error.to_string();
        Error::invalid(
            source::FIELD,
            format!("`{path}` is not proper YAML: {}", words.lines().next().unwrap_or("")),
        )
    })?;
    let base = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for named in source::check(&file)? {
        let named = join(base, &named);
        let found = descend(root, source::FIELD, &named)?;
        if !found.is_some_and(|found| found.is_file()) {
            return Err(Error::invalid(
                source::FIELD,
                format!("`{path}` names `{named}`, which is no file of this commit"),
            ));
        }
    }
    Ok(ComposeSource { folder: root.join(base), variables: source::variables(&text), file })
}
