//! `plugin test`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::project::Project;
use super::{build, check, failed};
use crate::app::plugin_tool::plugin_check;
use crate::cli::failure::{Outcome, exit};
use crate::cli::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass plugin test

Runs `cargo test`, `npm test` or `python3 -m unittest`, compiles the component, and runs the conformance suite on it.
Exit code 1 if anything fails.")]
pub struct TestArgs {
    /// The project.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub async fn test(out: &Output, args: &TestArgs) -> Outcome<u8> {
    let project = Project::open(&args.folder)?;
    project.run_tests()?;
    let built = build::compile(&project)?;
    let conformance = plugin_check(&built.file.to_string_lossy()).await.map_err(failed)?;
    if out.is_json() {
        out.json(&json!({
            "passed": conformance.passed(),
            "file": built.file,
            "sha256": built.sha256,
            "findings": conformance.findings,
        }));
    } else {
        check::show(out, &conformance);
    }
    Ok(if conformance.passed() { exit::SUCCESS } else { exit::FAILED })
}
