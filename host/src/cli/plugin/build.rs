//! `plugin build`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::project::Project;
use crate::cli::failure::{Failure, Outcome, exit};
use crate::cli::output::Output;
use crate::cli::text::bytes;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plugin build
  windlass plugin build ./my-plugin -o json

Leaves the component in the project's folder, as <name>.wasm. A project in Rust is compiled by cargo, which downloads
crates that are neither in its cache nor vendored; in JavaScript by the script `build` of package.json; in Python by
componentize-py.")]
pub struct BuildArgs {
    /// The project.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

/// A component that was just made.
pub(super) struct Built {
    pub(super) file: PathBuf,
    pub(super) size: u64,
    pub(super) sha256: String,
}

pub fn build(out: &Output, args: &BuildArgs) -> Outcome<u8> {
    let built = compile(&Project::open(&args.folder)?)?;
    if out.is_json() {
        out.json(&json!({ "file": built.file, "sizeBytes": built.size, "sha256": built.sha256 }));
    } else {
        out.line(&format!("{}  {}  sha256:{}", built.file.display(), bytes(built.size), built.sha256));
    }
    Ok(exit::SUCCESS)
}

pub(super) fn compile(project: &Project) -> Outcome<Built> {
    let made = project.compile()?;
    let content = fs::read(&made).map_err(|error| unreadable(&made, &error))?;
    // A component starts like a module, but its layer is 1.
    if content.get(4..8) != Some(&[0x0d, 0, 1, 0]) {
        return Err(Failure::local(
            format!("{} is a module and no component.", made.display()),
            "Is another linker than wasm-component-ld configured for this project?",
        ));
    }
    let file = project.component();
    if made != file {
        fs::write(&file, &content)
            .map_err(|error| Failure::local(format!("{} cannot be written: {error}.", file.display()), ""))?;
    }
    Ok(Built { file, size: content.len() as u64, sha256: hex::encode(Sha256::digest(&content)) })
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::local(format!("{} cannot be read: {error}.", path.display()), "")
}
