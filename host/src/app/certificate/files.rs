//! Certificates as files, for the router. Their names change with their content, so that the route table changes with it.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{certificate_list, is_on, key_context};
use crate::app::App;
use crate::domain::certificate::Certificate;
use crate::domain::route::CertificateFiles;
use crate::error::{Error, Result};

/// The certificates that the router should have: those of the configuration, and those that were issued. What is not on
/// disk any more is written again; what cannot be is left out.
///
/// # Errors
/// If the database does not answer.
pub async fn certificate_files(app: &App) -> Result<Vec<CertificateFiles>> {
    let mut files: Vec<CertificateFiles> = app
        .config
        .router
        .certificates
        .iter()
        .map(|own| CertificateFiles {
            hosts: own.hosts.clone(),
            chain: own.chain.clone(),
            key: own.key.clone(),
        })
        .collect();
    if !is_on(app) {
        return Ok(files);
    }
    let folder = folder(app)?;
    for row in certificate_list(app).await? {
        let (Some(chain), Some(sealed)) = (&row.chain, &row.sealed_key) else { continue };
        let (chain_path, key_path) = paths(&folder, &row, chain);
        if !chain_path.exists() || !key_path.exists() {
            let written = app.vault.open_sealed(&key_context(&row.host), sealed).and_then(|key| {
                write(&key_path, &key)?;
                write(&chain_path, chain.as_bytes())
            });
            if let Err(error) = written {
                // The other hosts, and every rollout, go on.
                tracing::error!(
                    host = row.host,
                    error = error.for_log(),
                    "[@router:acme] a certificate is left out"
                );
                continue;
            }
        }
        files.push(CertificateFiles { hosts: vec![row.host], chain: chain_path, key: key_path });
    }
    Ok(files)
}

/// Removes the files that the router's table does not name any more.
pub(super) async fn tidy(app: &App) -> Result<()> {
    let folder = folder(app)?;
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
    let found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    if found.is_empty() {
        return Ok(());
    }
    let table = app.router.table().await?;
    let used: BTreeSet<&Path> =
        table.certificates.iter().flat_map(|files| [files.chain.as_path(), files.key.as_path()]).collect();
    let wanted = certificate_files(app).await?;
    let wanted: BTreeSet<&Path> =
        wanted.iter().flat_map(|files| [files.chain.as_path(), files.key.as_path()]).collect();
    for path in found.iter().filter(|path| !used.contains(path.as_path()) && !wanted.contains(path.as_path()))
    {
        if let Err(error) = std::fs::remove_file(path) {
            tracing::debug!(%error, "[@router:acme] {} cannot be removed", path.display());
        }
    }
    Ok(())
}

fn folder(app: &App) -> Result<PathBuf> {
    let data = std::path::absolute(&app.config.server.data_dir).map_err(Error::internal)?;
    Ok(crate::router::folder(&data).join("certificates"))
}

fn paths(folder: &Path, row: &Certificate, chain: &str) -> (PathBuf, PathBuf) {
    let digest = hex::encode(&Sha256::digest(chain)[..6]);
    let name = |ending: &str| folder.join(format!("{}-{digest}.{ending}", row.host));
    (name("pem"), name("key"))
}

/// Complete or not at all, and for its owner only.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    let next = path.with_extension("next");
    let store = || {
        let folder = path.parent().ok_or_else(|| std::io::Error::from(ErrorKind::NotFound))?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file =
            std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&next, path)
    };
    store().map_err(|error| Error::unavailable(format!("{} cannot be written: {error}", path.display())))
}
