//! Compose stacks: from a file in a commit to images and a rendered file, and from there to running projects.

mod build;
mod deploy;

pub use build::{Composed, Composition};
pub use deploy::{bring_up, bring_up_companions, companions_stale, remove, settle};

use serde_json::Value;

use super::App;
use crate::domain::Id;
use crate::domain::compose::ComposeRelease;
use crate::domain::release::Release;
use crate::error::{Error, Result};

pub fn file_context(release_id: &Id) -> String {
    format!("releases/{release_id}/compose")
}

/// What a release keeps of a compose file. The file is sealed: it has the values of variables.
///
/// # Errors
/// `Internal` if it cannot be sealed.
pub fn kept(app: &App, release: &Id, composed: &Composed) -> Result<ComposeRelease> {
    let plain = serde_json::to_vec(&composed.file).map_err(Error::internal)?;
    Ok(ComposeRelease {
        service: composed.service.clone(),
        sealed_file: app.vault.seal(&file_context(release), &plain)?,
        services: composed.services.clone(),
    })
}

/// The rendered file of a release, opened for this use only.
fn file_of(app: &App, release: &Release, compose: &ComposeRelease) -> Result<Value> {
    let plain = app.vault.open_sealed(&file_context(&release.id), &compose.sealed_file)?;
    serde_json::from_slice(&plain).map_err(Error::internal)
}
