//! What `scripts/setup-examples.sh` left: the tool chains of other languages, and the examples built with them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/examples")
}

/// Says at once, whatever the test runner hides, that a test was skipped.
fn skipped(test: &str, why: &str) {
    // Who has closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {}", why.trim());
}

/// Folders with a language's programs, for PATH; `None`, with a word about `test`, where there is no tool chain.
pub fn toolchain(language: &str, test: &str) -> Option<String> {
    let read = |end: &str| std::fs::read_to_string(folder().join(format!("{language}.{end}"))).ok();
    let path = read("path").filter(|_| read("skipped").is_none());
    if path.is_none() {
        let why = read("skipped").unwrap_or_else(|| "scripts/setup-examples.sh was not run".to_owned());
        skipped(test, &format!("{language}: {why}"));
    }
    path
}

/// The component of an example in that language; `None`, with a word about `test`, where there is no tool chain.
///
/// # Panics
/// If there is a tool chain and no component: then the script did not do its work.
pub fn example(language: &str, name: &str, test: &str) -> Option<PathBuf> {
    toolchain(language, test)?;
    let path = folder().join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing; run scripts/setup-examples.sh", path.display());
    Some(path)
}
