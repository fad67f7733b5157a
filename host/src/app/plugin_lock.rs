//! `windlass.lock`: which component each plugin is, where it is from and what it was granted. It lies beside the
//! configuration file, or in the data folder if there is none or its folder cannot be written.
//!
//! Kept under version control with the configuration, it carries approvals to the next machine: what it grants counts
//! where the database knows nothing of a plugin yet.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::plugins::Admitted;

pub(super) const NAME: &str = "windlass.lock";
const HEAD: &str = "# Written by windlass: the plugins that were loaded last, and what they were granted.\n";

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LockFile {
    #[serde(default)]
    plugins: BTreeMap<String, Locked>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Locked {
    source: String,
    /// sha256 of the component, in hex.
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    granted: Vec<String>,
}

fn places(config: &Config) -> impl Iterator<Item = PathBuf> {
    let beside = config.file.as_ref().map(|file| file.with_file_name(NAME));
    beside.into_iter().chain([config.server.data_dir.join(NAME)])
}

/// The one that counts, if there is one.
pub(super) fn existing(config: &Config) -> Option<PathBuf> {
    places(config).find(|path| path.exists())
}

impl LockFile {
    /// The first one that can be read; what cannot is as good as none.
    pub(super) fn read(config: &Config) -> Self {
        for path in places(config) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            match toml::from_str(&text) {
                Ok(lock) => return lock,
                Err(error) => tracing::warn!(
                    "[@plugins:lock] {} is not understood and does not count: {}",
                    path.display(),
                    error.to_string().trim().replace('\n', " ")
                ),
            }
        }
        Self::default()
    }

    pub(super) fn granted(&self, name: &str) -> Vec<String> {
        self.plugins.get(name).map(|locked| locked.granted.clone()).unwrap_or_default()
    }

    /// Writes what is true now, if that is news. Only what is not built in: that comes with the program.
    pub(super) fn write(&mut self, config: &Config, admitted: &Admitted) {
        let foreign = admitted.iter().filter(|(_, admission)| admission.source != "builtin");
        let plugins = foreign
            .map(|(name, admission)| {
                let (source, digest) = (admission.source.clone(), admission.digest.clone());
                let granted = admission.verdict.granted.clone();
                (name.clone(), Locked { source, digest, granted })
            })
            .collect();
        let new = Self { plugins };
        if *self == new {
            return;
        }
        let text = match toml::to_string(&new) {
            Ok(text) => format!("{HEAD}\n{text}"),
            Err(error) => return tracing::warn!("[@plugins:lock] {NAME} cannot be written: {error}"),
        };
        let mut last = None;
        for path in places(config) {
            // In one go, so that nobody reads half of it.
            let partial = path.with_extension("lock.new");
            match std::fs::write(&partial, &text).and_then(|()| std::fs::rename(&partial, &path)) {
                Ok(()) => {
                    *self = new;
                    return;
                }
                Err(error) => last = Some((path, error)),
            }
        }
        if let Some((path, error)) = last {
            tracing::warn!("[@plugins:lock] {} cannot be written: {error}", path.display());
        }
    }
}
