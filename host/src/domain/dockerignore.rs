//! `.dockerignore`, by the documented rules: the last pattern that matches a path or one of its parents decides.

use regex::Regex;

use crate::error::{Error, Result};

/// Patterns of one file at most, and bytes of one pattern: each may be tried at every path and each of its folders.
const MOST_PATTERNS: usize = 1000;
const LONGEST_PATTERN: usize = 1000;

/// The patterns of one `.dockerignore` file.
pub struct Ignore {
    patterns: Vec<Pattern>,
}

struct Pattern {
    regex: Regex,
    /// Started with `!`: takes back what an earlier pattern left out.
    keeps: bool,
}

impl Ignore {
    /// # Errors
    /// `Invalid` naming the line that is not a pattern or is too long, or if there are too many.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (number, line) in text.lines().enumerate() {
            // Only a `#` in the first column starts a comment.
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (keeps, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let pattern = clean(pattern);
            if pattern.is_empty() {
                if keeps {
                    return Err(bad(file, number, line));
                }
                continue;
            }
            if pattern.len() > LONGEST_PATTERN {
                let text = format!(
                    "line {} of {file} is a pattern of more than {LONGEST_PATTERN} bytes; a shorter one with `*` may say the same",
                    number + 1
                );
                return Err(Error::invalid(file, text));
            }
            if patterns.len() == MOST_PATTERNS {
                let text = format!(
                    "{file} has more than {MOST_PATTERNS} patterns, and each is tried at every path; one with `*` can say what \
                     many do"
                );
                return Err(Error::invalid(file, text));
            }
            let regex = Regex::new(&translate(&pattern)).map_err(|_| bad(file, number, line))?;
            patterns.push(Pattern { regex, keeps });
        }
        Ok(Self { patterns })
    }

    /// Whether a `/`-separated path relative to the context stays out of it.
    pub fn leaves_out(&self, path: &str) -> bool {
        let mut out = false;
        for pattern in &self.patterns {
            // A pattern that would not change the verdict need not be tried.
            if pattern.keeps == out && pattern.matches(path) {
                out = !out;
            }
        }
        out
    }

    /// Whether something below a directory that is left out may still be wanted.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.keeps)
    }
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path) || path.match_indices('/').any(|(at, _)| self.regex.is_match(&path[..at]))
    }
}

fn bad(file: &str, number: usize, line: &str) -> Error {
    Error::invalid(file, format!("line {} of {file} is not a pattern: `{}`", number + 1, line.escape_debug()))
}

/// Like Go's `filepath.Clean` after the leading slash is cut off: a pattern is always relative to the context's root.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// A pattern as a regular expression over the whole path.
fn translate(pattern: &str) -> String {
    let mut regex = String::from("^");
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let literal = chars.next().unwrap_or('\\');
                regex.push_str(&regex::escape(&literal.to_string()));
            }
            _ if in_class => {
                in_class = c != ']';
                // These mean something in this regex dialect's classes and nothing in the pattern's.
                if matches!(c, '[' | '&' | '~') {
                    regex.push('\\');
                }
                regex.push(c);
            }
            '[' => {
                in_class = true;
                regex.push('[');
            }
            '?' => regex.push_str("[^/]"),
            '*' if chars.next_if_eq(&'*').is_some() => {
                let before_slash = chars.next_if_eq(&'/').is_some();
                regex.push_str(if chars.peek().is_none() && !before_slash { ".*" } else { "(.*/)?" });
            }
            '*' => regex.push_str("[^/]*"),
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex.push('$');
    regex
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn left_out(patterns: &str, path: &str) -> bool {
        Ignore::parse(".dockerignore", patterns).unwrap().leaves_out(path)
    }

    #[test]
    fn the_examples_of_the_reference_hold() {
        assert!(left_out("*/temp*", "somedir/temporary.txt"));
        assert!(left_out("*/temp*", "somedir/temp"));
        assert!(!left_out("*/temp*", "a/b/temporary.txt"));
        assert!(left_out("*/*/temp*", "somedir/subdir/temporary.txt"));
        assert!(left_out("temp?", "tempa"));
        assert!(!left_out("temp?", "temp"));
        assert!(left_out("**/*.go", "main.go"));
        assert!(left_out("**/*.go", "a/b/main.go"));
        assert!(left_out("*.md\n!README.md", "x.md"));
        assert!(!left_out("*.md\n!README.md", "README.md"));
        assert!(left_out("*.md\n!README*.md\nREADME-secret.md", "README-secret.md"));
        assert!(!left_out("*.md\nREADME-secret.md\n!README*.md", "README-secret.md"));
    }

    #[test]
    fn a_directory_takes_its_content_with_it() {
        assert!(left_out("/node_modules/", "node_modules/a/b.js"));
        assert!(!left_out("node_modules", "sub/node_modules/b.js"));
        assert!(left_out("**/node_modules", "sub/node_modules/b.js"));
        assert!(!left_out("dist\n!dist/keep", "dist/keep/x"));
        assert!(left_out("dist\n!dist/keep", "dist/other"));
        assert!(left_out("**", "anything/at/all"));
        assert!(left_out("a/**", "a/b/c"));
    }

    #[test]
    fn comments_blanks_and_special_characters_are_literal_where_they_should_be() {
        assert!(!left_out("# *\n\n", "a"));
        assert!(left_out("a.b", "a.b"));
        assert!(!left_out("a.b", "axb"));
        assert!(left_out("a\\*b", "a*b"));
        assert!(!left_out("a\\*b", "axb"));
        assert!(left_out("[a-c].txt", "b.txt"));
        assert!(left_out("(x)+{1}", "(x)+{1}"));
        assert!(left_out("./a/../b", "b"));
    }

    #[test]
    fn a_line_that_is_no_pattern_is_named() {
        let error = Ignore::parse(".dockerignore", "ok\n[z-a]").err().unwrap().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn patterns_without_end_are_refused_in_words() {
        let refused = |text: &str| Ignore::parse(".dockerignore", text).err().map(|error| error.to_string());
        assert_eq!(refused(&"# nothing\na\n".repeat(MOST_PATTERNS)), None);
        let many = refused(&"a\n".repeat(MOST_PATTERNS + 1)).unwrap();
        assert!(many.contains("more than 1000 patterns"), "{many}");
        assert_eq!(refused(&"a".repeat(LONGEST_PATTERN)), None);
        let long = refused(&format!("a\n{}", "a".repeat(LONGEST_PATTERN + 1))).unwrap();
        assert!(long.contains("line 2") && long.contains("more than 1000 bytes"), "{long}");
    }
}
