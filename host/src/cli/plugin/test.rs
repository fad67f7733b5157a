//! `plugin test`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::project::Project;
use super::{build, check, failed};
use crate::app::plugin_rehearsal::{Take, plugin_rehearse};
use crate::app::plugin_tool::plugin_check;
use crate::app::recorder::cassette_read;
use crate::cli::failure::{Failure, Outcome, exit};
use crate::cli::output::{Output, Tone};
use crate::cli::text::clean;
use crate::domain::cassette::Cassette;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass plugin test

Runs `cargo test`, `npm test` or `python3 -m unittest`, compiles the component, runs the conformance suite on it, and plays
the cassettes in tests/cassettes: as they were recorded, and with 429, time-outs, cut bodies and deliveries out of order
and twice.
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
    let component = built.file.to_string_lossy();
    let conformance = plugin_check(&component).await.map_err(failed)?;
    let cassettes = cassettes(&args.folder.join("tests/cassettes"))?;
    let takes = if cassettes.is_empty() || conformance.plugin.is_none() {
        Vec::new()
    } else {
        plugin_rehearse(&component, &cassettes).await.map_err(failed)?
    };
    let passed = conformance.passed() && takes.iter().all(|take| take.passed);
    if out.is_json() {
        out.json(&json!({
            "passed": passed,
            "file": built.file,
            "sha256": built.sha256,
            "findings": conformance.findings,
            "takes": takes,
        }));
    } else {
        check::show(out, &conformance);
        show(out, &takes, cassettes.len());
    }
    Ok(if passed { exit::SUCCESS } else { exit::FAILED })
}

/// The cassettes of a folder, by their files' names; none if there is no such folder.
fn cassettes(folder: &Path) -> Outcome<Vec<(String, Cassette)>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(|error| super::build::unreadable(&path, &error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let cassette = cassette_read(&text)
            .map_err(|error| Failure::local(format!("{}: {}.", path.display(), error.for_log()), ""))?;
        Ok((name, cassette))
    };
    paths.into_iter().map(read).collect()
}

fn show(out: &Output, takes: &[Take], cassettes: usize) {
    for take in takes.iter().filter(|take| !take.passed) {
        let word = out.paint(Tone::Bad, "FAIL");
        let (cassette, function) = (clean(&take.cassette), clean(&take.function));
        out.line(&format!("{word}  {cassette}, call {}: {function}, {}", take.call, take.variant));
        take.problems.iter().for_each(|problem| out.line(&format!("      {}", clean(problem))));
    }
    let failed = takes.iter().filter(|take| !take.passed).count();
    match (takes.len(), failed) {
        (0, _) => {}
        (all, 0) => out.line(&format!("All {all} takes of {cassettes} cassettes pass.")),
        (all, failed) => out.line(&format!("{failed} of {all} takes of {cassettes} cassettes fail.")),
    }
}
