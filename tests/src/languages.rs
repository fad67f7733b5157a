//! What `scripts/setup-examples.sh` left: the tool chains of other languages, and the examples built with them.

use std::path::PathBuf;

use crate::tools::{folder, tool};

/// Folders with a language's programs, for PATH; `None`, with a word about `test`, where there is no tool chain.
pub fn toolchain(language: &str, test: &str) -> Option<String> {
    tool("examples", language, test)
}

/// The component of an example in that language; `None`, with a word about `test`, where there is no tool chain.
///
/// # Panics
/// If there is a tool chain and no component: then the script did not do its work.
pub fn example(language: &str, name: &str, test: &str) -> Option<PathBuf> {
    toolchain(language, test)?;
    let path = folder("examples").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing; run scripts/setup-examples.sh", path.display());
    Some(path)
}
