//! ssh host keys of git servers and deploy targets: pinned when they are first seen, listed, and forgotten when a host gets a
//! new one.
//!
//! Each server of several has its own, in its data folder.

use std::path::Path;
use std::sync::Arc;

use super::App;
use crate::domain::code::{HostPurpose, KnownHost};
use crate::error::{Error, Result};
use crate::git::HostKeys;

/// Those of targets. OpenSSH reads the file and adds to it.
pub(super) fn of_targets(data: &Path) -> Arc<HostKeys> {
    Arc::new(HostKeys::new(data.join("targets/known_hosts"), HostPurpose::Target))
}

/// Does that with each of the files, or with the one for a purpose.
async fn in_each<T: Send + 'static>(
    app: &App,
    purpose: Option<HostPurpose>,
    work: impl Fn(&HostKeys) -> std::io::Result<T> + Send + 'static,
) -> Result<Vec<T>> {
    let files = [app.git.host_keys(), Arc::clone(&app.target_keys)];
    let done = tokio::task::spawn_blocking(move || {
        let wanted = files.iter().filter(|keys| purpose.is_none_or(|purpose| keys.purpose() == purpose));
        wanted.map(|keys| work(keys)).collect()
    });
    let done: std::io::Result<Vec<T>> = done.await.map_err(Error::internal)?;
    done.map_err(Error::internal)
}

/// # Errors
/// `Internal` if a file cannot be read.
pub async fn host_list(app: &App) -> Result<Vec<KnownHost>> {
    Ok(in_each(app, None, HostKeys::list).await?.into_iter().flatten().collect())
}

/// Forgets the keys of a host, so that the next one that it shows is trusted and pinned: those for one purpose, or all.
///
/// # Errors
/// `NotFound` if none of its keys is pinned.
pub async fn host_forget(app: &App, host: &str, purpose: Option<HostPurpose>) -> Result<()> {
    let name = host.to_owned();
    if !in_each(app, purpose, move |keys| keys.forget(&name)).await?.contains(&true) {
        return Err(Error::not_found("host key of", host));
    }
    let purpose = purpose.map_or("all", HostPurpose::as_str);
    tracing::info!(host, purpose, "[@git:host] the pinned keys of a host are forgotten");
    Ok(())
}
