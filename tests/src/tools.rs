//! Tools that tests use where they can be had: what `scripts/setup-examples.sh` and its neighbours brought.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a workspace")
}

/// What a script put where: `target/<set>`.
pub fn folder(set: &str) -> PathBuf {
    root().join("target").join(set)
}

/// The running test: the harness names its thread after it.
pub fn this_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

/// Says at once, whatever the test runner hides, that a test was skipped.
pub fn skipped(test: &str, why: &str) {
    // Who has closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {}", why.trim());
}

/// Where `scripts/setup-<set>.sh` has put a tool; `None`, with a word about `test`, where it could not be had.
pub fn tool(set: &str, name: &str, test: &str) -> Option<String> {
    let read = |end: &str| std::fs::read_to_string(folder(set).join(format!("{name}.{end}"))).ok();
    let path = read("path").filter(|_| read("skipped").is_none());
    if path.is_none() {
        let why = read("skipped").unwrap_or_else(|| format!("scripts/setup-{set}.sh was not run"));
        skipped(test, &format!("{name}: {why}"));
    }
    path
}
