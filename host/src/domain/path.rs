//! Paths that come from outside and have to stay inside a repository.

use crate::error::{Error, Result};

/// Refuses absolute paths, `..`, backslashes, control characters and option-like segments. Symbolic links are a matter
/// of the checkout and are refused there.
pub fn check_relative(field: &str, path: &str) -> Result<()> {
    let bad = path.is_empty()
        || path.len() > 1024
        || path.starts_with(['/', '-'])
        || path.contains('\\')
        || path.chars().any(char::is_control)
        || path.split('/').any(|segment| segment == ".." || segment.eq_ignore_ascii_case(".git"));
    if bad {
        return Err(Error::invalid(
            field,
            format!(
                "`{}` has to be a relative path inside the repository, without `..`, `.git` or control characters",
                path.escape_debug()
            ),
        ));
    }
    Ok(())
}

/// Joins two checked paths and drops `.` segments.
pub fn join(base: &str, path: &str) -> String {
    let segments: Vec<&str> = base
        .split('/')
        .chain(path.split('/'))
        .filter(|segment| !segment.is_empty() && *segment != ".")
        .collect();
    segments.join("/")
}
