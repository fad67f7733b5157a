//! Patterns of paths: which changed files make a push worth a deployment.
//!
//! `*` stands for anything within a folder, `**` for any number of folders, `?` for one character; a pattern that ends with
//! `/` means everything below. They match whole paths from the repository's root. A pattern after `!` takes files out again:
//! of the patterns that match a file the last one counts.

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// Most patterns of one stack, of whichever sort.
pub const PATTERNS: usize = 64;
/// Most characters of one of them.
pub const PATTERN_LENGTH: usize = 256;
/// Bytes that a compiled pattern may take. The engine's time is linear in its input times this.
pub const COMPILED_BYTES: usize = 1 << 20;

/// Compiled patterns, each with whether it takes in or out.
#[derive(Debug, Default)]
pub struct PathFilter(Vec<(bool, Regex)>);

impl PathFilter {
    /// # Errors
    /// `Invalid` for an empty pattern, or for too many or too long ones.
    pub fn new(field: &str, patterns: &[String]) -> Result<Self> {
        check_patterns(field, patterns)?;
        patterns.iter().map(|pattern| compiled(field, pattern)).collect::<Result<_>>().map(Self)
    }

    /// Whether one of the files is taken in. Without patterns all are.
    pub fn takes(&self, paths: &[String]) -> bool {
        self.0.is_empty() || paths.iter().any(|path| self.takes_one(path))
    }

    /// Whether this file is taken in.
    pub fn takes_one(&self, path: &str) -> bool {
        let counts = self.0.iter().rev().find(|(_, pattern)| pattern.is_match(path));
        // Where patterns only take out, everything else is in.
        counts.map_or_else(|| self.0.iter().all(|(takes_in, _)| !takes_in), |(takes_in, _)| *takes_in)
    }
}

/// # Errors
/// `Invalid` for more than [`PATTERNS`], or for one of more than [`PATTERN_LENGTH`] characters.
pub fn check_patterns(field: &str, patterns: &[String]) -> Result<()> {
    if patterns.len() > PATTERNS {
        let count = patterns.len();
        return Err(Error::invalid(field, format!("there are {count} patterns; {PATTERNS} are possible")));
    }
    match patterns.iter().find(|pattern| pattern.chars().count() > PATTERN_LENGTH) {
        Some(_) => Err(Error::invalid(
            field,
            format!("a pattern has more than {PATTERN_LENGTH} characters; make several of it"),
        )),
        None => Ok(()),
    }
}

fn compiled(field: &str, pattern: &str) -> Result<(bool, Regex)> {
    let (takes_in, glob) = match pattern.strip_prefix('!') {
        Some(rest) => (false, rest),
        None => (true, pattern),
    };
    let glob = glob.strip_prefix('/').unwrap_or(glob);
    if glob.is_empty() {
        return Err(Error::invalid(field, format!("`{}` names no path", pattern.escape_debug())));
    }
    let regex = RegexBuilder::new(&expression(glob)).size_limit(COMPILED_BYTES).build();
    let regex = regex.map_err(|error| {
        Error::invalid(field, format!("`{}` is no pattern: {error}", pattern.escape_debug()))
    })?;
    Ok((takes_in, regex))
}

fn expression(glob: &str) -> String {
    let mut expression = String::from(r"(?s)\A");
    let mut rest = glob;
    while let Some(next) = rest.chars().next() {
        let (taken, meaning) = match next {
            '*' if rest.starts_with("**/") => (3, "(?:.*/)?".to_owned()),
            '*' if rest.starts_with("**") => (2, ".*".to_owned()),
            '*' => (1, "[^/]*".to_owned()),
            '?' => (1, "[^/]".to_owned()),
            other => (other.len_utf8(), regex::escape(other.encode_utf8(&mut [0; 4]))),
        };
        expression.push_str(&meaning);
        rest = &rest[taken..];
    }
    if glob.ends_with('/') {
        expression.push_str(".*");
    }
    expression.push_str(r"\z");
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(patterns: &[&str], path: &str) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        PathFilter::new("paths", &patterns).expect("good patterns").takes(&[path.to_owned()])
    }

    #[test]
    fn a_pattern_matches_whole_paths() {
        for (pattern, path, wanted) in [
            ("src/*.rs", "src/main.rs", true),
            ("src/*.rs", "src/a/main.rs", false),
            ("src/**", "src/a/main.rs", true),
            ("src/", "src/a/main.rs", true),
            ("/src/", "src/a", true),
            ("**/*.rs", "main.rs", true),
            ("**/*.rs", "a/b/main.rs", true),
            ("*.rs", "a/main.rs", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("a.c", "abc", false),
            ("src", "src/main.rs", false),
            ("ä*", "änderung", true),
            ("a*", "a\nb", true),
        ] {
            assert_eq!(takes(&[pattern], path), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_counts() {
        let patterns = ["**", "!docs/**", "docs/build.md"];
        assert!(takes(&patterns, "src/a"));
        assert!(!takes(&patterns, "docs/a.md"));
        assert!(takes(&patterns, "docs/build.md"));
    }

    #[test]
    fn where_patterns_only_take_out_everything_else_is_in() {
        assert!(takes(&["!docs/**", "!*.md"], "src/a"));
        assert!(!takes(&["!docs/**", "!*.md"], "README.md"));
        assert!(takes(&[], "anything"));
    }

    #[test]
    fn patterns_are_bounded() {
        let refused = |patterns: Vec<String>| PathFilter::new("paths", &patterns).is_err();
        assert!(refused(vec![String::new()]) && refused(vec!["!".into()]) && refused(vec!["/".into()]));
        assert!(refused(vec!["a".into(); PATTERNS + 1]) && refused(vec!["a".repeat(PATTERN_LENGTH + 1)]));
        assert!(!refused(vec!["**/".repeat(85); PATTERNS]));
    }
}
