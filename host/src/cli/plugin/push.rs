//! `plugin push`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::failed;
use super::project::component_of;
use crate::app::plugin_pack::{Artefact, artefact, plugin_push};
use crate::app::plugin_tool::plugin_open;
use crate::cli::failure::{Failure, Outcome, exit};
use crate::cli::output::Output;
use crate::domain::image_index::digest;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plugin push my-plugin.oci registry.example/team/my-plugin:1.2.0
  windlass plugin push . registry.example/team/my-plugin       # the project in this folder; its version as the tag

Logs in with what `docker login` has left for the registry. The digest is the same that `plugin pack` prints.")]
pub struct PushArgs {
    /// A folder that `plugin pack` wrote, a project that was built, or a component's file.
    component: PathBuf,
    /// Where to: registry, repository and, if it is not to be the plugin's version, a tag.
    #[arg(value_name = "REFERENCE")]
    reference: String,
}

pub async fn push(out: &Output, args: &PushArgs) -> Outcome<u8> {
    let artefact = if args.component.join("index.json").is_file() {
        Artefact::read(&args.component).map_err(|why| Failure::local(format!("{why}."), ""))?
    } else {
        let (file, bytes) = component_of(&args.component)?;
        let info = plugin_open(&file.to_string_lossy()).await.map_err(failed)?.info;
        artefact(bytes, &info)
    };
    let (manifest, component) = (digest(&artefact.manifest), digest(&artefact.component));
    let reference = plugin_push(artefact, args.reference.trim_start_matches("oci:")).await.map_err(failed)?;
    if out.is_json() {
        out.json(&json!({ "reference": reference, "digest": manifest, "component": component }));
    } else {
        // Alone on standard output, so that a script can take it.
        out.line(&reference);
        out.note(&format!("In windlass.toml, under [plugins.<name>]:\n  source = \"oci:{reference}\""));
        out.note(&format!("Or at once: windlass plugin install oci:{reference}"));
    }
    Ok(exit::SUCCESS)
}
