//! ssh host keys of git servers: pinned when they are first seen, listed, and forgotten when a server gets a new one.
//!
//! Each server of several has its own, in its data folder.

use super::App;
use crate::domain::code::KnownHost;
use crate::error::{Error, Result};

/// # Errors
/// `Internal` if the file cannot be read.
pub async fn host_list(app: &App) -> Result<Vec<KnownHost>> {
    app.git.known_hosts().await
}

/// Forgets the keys of a host, so that the next one that it shows is trusted and pinned.
///
/// # Errors
/// `NotFound` if none of its keys is pinned.
pub async fn host_forget(app: &App, host: &str) -> Result<()> {
    if !app.git.forget_host(host).await? {
        return Err(Error::not_found("host key of", host));
    }
    tracing::info!(host, "[@git:host] the pinned keys of a git server are forgotten");
    Ok(())
}
