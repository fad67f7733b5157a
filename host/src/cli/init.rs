//! `init`: writes the configuration file that is its own manual.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::failure::{Failure, Outcome, exit};
use super::output::Output;
use crate::config::DEFAULTS;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass init
  windlass init /etc/windlass/windlass.toml")]
pub struct InitArgs {
    /// Where to write it.
    #[arg(default_value = "windlass.toml")]
    file: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
}

pub fn init(out: &Output, args: &InitArgs) -> Outcome<u8> {
    let name = args.file.display();
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    // It may come to hold a webhook secret.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&args.file).and_then(|mut file| file.write_all(DEFAULTS.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::local(
            format!("{name} exists already and is left as it is."),
            "Pass another path, or --force to replace it.",
        ),
        _ => Failure::local(
            format!("{name} cannot be written: {error}."),
            "Pass a path in a folder that exists and is yours.",
        ),
    })?;
    if out.is_json() {
        out.json(&json!({ "file": args.file }));
        return Ok(exit::SUCCESS);
    }
    out.line(&format!("{name} is written: every setting with its default. Change what you need, then:"));
    out.line(&format!("  windlass doctor --config {name}"));
    out.line(&format!("  windlass serve --config {name}"));
    Ok(exit::SUCCESS)
}
