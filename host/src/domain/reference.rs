//! Names of branches, tags and commits, which come from strangers and end up in git calls, image tags and logs.

use crate::error::{Error, Result};

/// The rules of `git check-ref-format` for one branch or tag name, and no leading dash.
pub fn check_name(name: &str) -> Result<()> {
    let bad = name.is_empty()
        || name.len() > 255
        || name.starts_with(['-', '/', '.'])
        || name.ends_with(['/', '.'])
        || name == "@"
        || name.contains("..")
        || name.contains("//")
        || name.contains("@{")
        || name
            .chars()
            .any(|c| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\'))
        || name.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock"));
    if bad {
        return Err(Error::invalid(
            "ref",
            format!("`{}` is not a valid branch or tag name", name.escape_debug()),
        ));
    }
    Ok(())
}

/// A full object name: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
pub fn check_commit(sha: &str) -> Result<()> {
    if matches!(sha.len(), 40 | 64) && sha.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Ok(());
    }
    Err(Error::invalid("commit", format!("`{}` is not a full commit id", sha.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_git_or_a_shell_would_misread_are_refused() {
        for name in [
            "-h",
            "--upload-pack=id",
            "a..b",
            "a b",
            "x~1",
            "x^",
            ".hidden",
            "a/.b",
            "a.lock",
            "@",
            "a@{1}",
            "a\nb",
            "",
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["main", "feature/x-1", "v1.2.3", "user@host", "ünïcode"] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }
}
