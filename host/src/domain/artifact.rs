//! Files that a build declares and that are kept for a while.

use super::{Id, UnixMs, path_filter::PathFilter};
use crate::error::{Error, Result};

/// What one build may leave behind.
pub const MOST_FILES: usize = 200;
pub const LARGEST_FILE: u64 = 256 << 20;
pub const LARGEST_ALL: u64 = 1 << 30;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub id: Id,
    pub build_id: Id,
    /// Relative to the repository's root, as the build has left it.
    pub path: String,
    /// In bytes.
    pub size: i64,
    /// In hex.
    pub sha256: String,
    pub created_at: UnixMs,
    pub expires_at: UnixMs,
}

impl Artifact {
    /// The path's last part.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Picks the files that patterns name out of all files with their sizes, sorted by path.
///
/// # Errors
/// `Failed` naming what is too much; `Invalid` for a pattern that is none.
pub fn choose(patterns: &[String], files: &[(String, u64)]) -> Result<Vec<(String, u64)>> {
    let filter = PathFilter::new("build.options.artifacts", patterns)?;
    let mut chosen: Vec<(String, u64)> =
        files.iter().filter(|(path, _)| filter.takes_one(path)).cloned().collect();
    chosen.sort();
    if chosen.len() > MOST_FILES {
        return Err(Error::failed(format!(
            "`build.options.artifacts` fits {} files, and {MOST_FILES} are kept at most; make an archive of them",
            chosen.len()
        )));
    }
    if let Some((path, size)) = chosen.iter().find(|(_, size)| *size > LARGEST_FILE) {
        return Err(Error::failed(format!(
            "the artifact `{path}` has {size} bytes, and {LARGEST_FILE} are kept at most"
        )));
    }
    let all: u64 = chosen.iter().map(|(_, size)| size).sum();
    if all > LARGEST_ALL {
        return Err(Error::failed(format!(
            "the artifacts have {all} bytes together, and {LARGEST_ALL} are kept at most"
        )));
    }
    Ok(chosen)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn patterns_pick_files_and_bounds_hold() {
        let files: Vec<(String, u64)> =
            [("dist/b.tgz", 2), ("dist/a.tgz", 1), ("dist/deep/c.tgz", 3), ("report.xml", 4)]
                .map(|(path, size)| (path.to_string(), size))
                .to_vec();
        let names = |patterns: &[&str]| -> Vec<String> {
            let patterns: Vec<String> = patterns.iter().map(|&text| text.to_string()).collect();
            choose(&patterns, &files).unwrap().into_iter().map(|(path, _)| path).collect()
        };
        assert_eq!(names(&["dist/*.tgz"]), ["dist/a.tgz", "dist/b.tgz"]);
        assert_eq!(names(&["dist/**", "!dist/deep/**"]), ["dist/a.tgz", "dist/b.tgz"]);
        assert_eq!(names(&["*.xml"]), ["report.xml"]);
        let large = [("x".to_string(), LARGEST_FILE + 1)];
        assert!(choose(&["x".into()], &large).unwrap_err().to_string().contains("`x`"));
        let many: Vec<(String, u64)> = (0..=MOST_FILES).map(|n| (format!("d/{n}"), 1)).collect();
        assert!(choose(&["d/*".into()], &many).is_err());
        let heavy: Vec<(String, u64)> = (0..5).map(|n| (format!("d/{n}"), LARGEST_FILE)).collect();
        assert!(choose(&["d/*".into()], &heavy).is_err());
    }
}
