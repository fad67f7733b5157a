//! Which files differ between two commits of a mirror.

use git2::{DiffOptions, ErrorCode, Oid};

use super::{Git, error::reading, read::tree_of};
use crate::{domain::Id, error::Result};

/// Files that one push may name; with more of them nobody knows whether these are all.
const MOST_FILES: usize = 3000;

impl Git {
    /// The files that differ between two commits, sorted; `None` where that is not what was pushed: the newer commit does
    /// not follow from the older one, the older one is not there, or there are more than 3,000.
    ///
    /// # Errors
    /// `NotFound` if the newer commit is not there; `Conflict` if nothing was fetched yet.
    pub async fn changed_files(&self, id: &Id, older: &str, newer: &str) -> Result<Option<Vec<String>>> {
        let (older, newer) = (older.to_owned(), newer.to_owned());
        self.on_mirror(id, move |mirror| {
            let tree = tree_of(mirror, &newer)?;
            let (Ok(from), Ok(to)) = (Oid::from_str(&older), Oid::from_str(&newer)) else { return Ok(None) };
            match mirror.graph_descendant_of(to, from) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                // A branch that was pushed by force, whose old commit the server no longer has.
                Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
                Err(error) => return Err(reading(error)),
            }
            let base = tree_of(mirror, &older)?;
            let mut options = DiffOptions::new();
            options.ignore_submodules(false);
            let diff =
                mirror.diff_tree_to_tree(Some(&base), Some(&tree), Some(&mut options)).map_err(reading)?;
            if diff.deltas().len() > MOST_FILES {
                return Ok(None);
            }
            let paths = diff.deltas().filter_map(|delta| delta.new_file().path().or(delta.old_file().path()));
            let mut paths: Vec<String> = paths.map(|path| path.to_string_lossy().into_owned()).collect();
            paths.sort();
            paths.dedup();
            Ok(Some(paths))
        })
        .await
    }
}
