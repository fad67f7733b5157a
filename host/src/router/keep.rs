//! The table on disk: written as a whole beside the old one, then renamed, so that there is always one that is complete.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::domain::route::RouteTable;
use crate::error::{Error, Result};

fn path(folder: &Path) -> PathBuf {
    folder.join("table.json")
}

/// On disk when this returns, also after a power cut.
///
/// # Errors
/// `Unavailable` with what the operating system says.
pub fn store(folder: &Path, table: &RouteTable) -> Result<()> {
    let (path, next) = (path(folder), folder.join("table.json.next"));
    let text = serde_json::to_vec(table).map_err(Error::internal)?;
    let write = || {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&next, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| {
        Error::unavailable(format!("the route table cannot be kept in {}: {error}", path.display()))
    })
}

/// The table that was applied last. One that cannot be understood is laid aside: the server applies a new one, and until then
/// there are no routes.
pub fn load(folder: &Path) -> Option<RouteTable> {
    let path = path(folder);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::error!(%error, "[@router:table] {} cannot be read", path.display());
            }
            return None;
        }
    };
    let table = serde_json::from_slice::<RouteTable>(&text).map_err(|error| error.to_string());
    match table.and_then(|table| table.check().map(|()| table).map_err(|error| error.to_string())) {
        Ok(table) => Some(table),
        Err(why) => {
            let aside = folder.join("table.json.broken");
            tracing::error!(why, "[@router:table] {} is not understood and laid aside", path.display());
            if let Err(error) = std::fs::rename(&path, &aside) {
                tracing::error!(%error, "[@router:table] it cannot be laid aside");
            }
            None
        }
    }
}
