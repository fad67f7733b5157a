//! The files of a backup: what a new machine needs besides the database. Mirrors, caches, logs and artifacts are not among them:
//! they come again, or are nobody's loss.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::app::plugin_lock;
use crate::config::Config;
use crate::error::{Error, Result};

/// The master keys, wherever they come from.
pub(super) const KEYS: &str = "data/secret.key";
/// Whatever is below is put into the data folder again.
const DATA: &str = "data/";
/// What lies elsewhere on the old machine. A restore shows it and leaves it to a person where it belongs.
const NAMED: &str = "named/";
/// The folder of the data folder where that is put.
pub(super) const NAMED_FOLDER: &str = "restored";

/// A file to be read, and its name in the backup.
pub(super) struct Wanted {
    pub path: PathBuf,
    pub member: String,
    /// The configuration names it, so it has to be there.
    pub is_needed: bool,
}

impl Wanted {
    fn needed(path: &Path, member: String) -> Self {
        Self { path: path.to_owned(), member: format!("{NAMED}{member}"), is_needed: true }
    }

    fn own(path: PathBuf, member: &str) -> Self {
        Self { path, member: format!("{DATA}{member}"), is_needed: false }
    }

    /// Its content; nothing if it is not there and need not be.
    pub fn read(&self) -> Result<Option<Vec<u8>>> {
        match std::fs::read(&self.path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound && !self.is_needed => Ok(None),
            Err(error) => Err(Error::unavailable(format!(
                "{} belongs into the backup and cannot be read: {error}",
                self.path.display()
            ))),
        }
    }
}

/// All of them but the keys.
pub(super) fn wanted(config: &Config) -> Result<Vec<Wanted>> {
    let data = &config.server.data_dir;
    let mut files: Vec<Wanted> = ["instance", "git/known_hosts", "targets/known_hosts"]
        .iter()
        .map(|name| Wanted::own(data.join(name), name))
        .collect();
    files.extend(plugin_lock::existing(config).map(|path| Wanted::own(path, plugin_lock::NAME)));
    files.extend(components(&data.join("plugins/components"))?);
    files.extend(config.file.iter().map(|path| Wanted::needed(path, "windlass.toml".into())));
    for (number, own) in config.router.certificates.iter().enumerate() {
        files.push(Wanted::needed(&own.chain, format!("certificates/{number}.pem")));
        files.push(Wanted::needed(&own.key, format!("certificates/{number}.key")));
    }
    for (name, plugin) in &config.plugins {
        if let Some(path) = plugin.source.strip_prefix("path:") {
            files.push(Wanted::needed(Path::new(path), format!("plugins/{name}.wasm")));
        }
        files
            .extend(plugin.cosign_key.iter().map(|path| Wanted::needed(path, format!("plugins/{name}.pub"))));
    }
    let single = [
        (&config.oidc.root, "oidc-root.pem"),
        (&config.acme.root, "acme-root.pem"),
        (&config.plugin_install.cosign_key, "plugin-install.pub"),
    ];
    for (path, name) in single {
        if !path.as_os_str().is_empty() {
            files.push(Wanted::needed(path, name.into()));
        }
    }
    Ok(files)
}

/// Plugins that were installed.
fn components(folder: &Path) -> Result<Vec<Wanted>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Error::unavailable(format!("{} cannot be read: {error}", folder.display())));
        }
    };
    let mut files: Vec<Wanted> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".wasm"))
        .map(|name| Wanted::own(folder.join(&name), &format!("plugins/components/{name}")))
        .collect();
    files.sort_by(|a, b| a.member.cmp(&b.member));
    Ok(files)
}

/// Where a member is put; nothing if it is no file, or one that wants to be outside of the data folder.
pub fn place(data: &Path, member: &str) -> Option<PathBuf> {
    let is_plain = |path: &str| {
        path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'))
    };
    let (folder, name) = match (member.strip_prefix(DATA), member.strip_prefix(NAMED)) {
        (Some(name), _) => (data.to_owned(), name),
        (_, Some(name)) => (data.join(NAMED_FOLDER), name),
        _ => return None,
    };
    is_plain(name).then(|| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_member_gets_out_of_the_data_folder() {
        let data = Path::new("/data");
        assert_eq!(place(data, "data/git/known_hosts"), Some("/data/git/known_hosts".into()));
        assert_eq!(place(data, "named/windlass.toml"), Some("/data/restored/windlass.toml".into()));
        for bad in ["data/../x", "data//x", "data/", "/etc/passwd", "named/./x", "tables/x/1", "data"] {
            assert_eq!(place(data, bad), None, "{bad}");
        }
    }
}
