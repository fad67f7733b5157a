//! `plugin pack`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::failed;
use super::project::component_of;
use crate::app::plugin_pack::artefact;
use crate::app::plugin_tool::plugin_open;
use crate::cli::failure::{Failure, Outcome, exit};
use crate::cli::output::Output;
use crate::domain::image_index::digest;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plugin pack                            # the project in this folder, into my-plugin.oci
  windlass plugin pack ./my-plugin.wasm --to ./layout

The folder is an OCI image layout with the component as its only layer; tools for OCI registries copy it as it is.")]
pub struct PackArgs {
    /// A project that was built, or a component's file.
    #[arg(default_value = ".")]
    component: PathBuf,
    /// The folder to write, which must not be there yet.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

pub async fn pack(out: &Output, args: &PackArgs) -> Outcome<u8> {
    let (file, bytes) = component_of(&args.component)?;
    let info = plugin_open(&file.to_string_lossy()).await.map_err(failed)?.info;
    let folder = args.to.clone().unwrap_or_else(|| file.with_extension("oci"));
    if folder.exists() {
        return Err(Failure::local(
            format!("{} exists already and is left as it is.", folder.display()),
            "Pass another folder with --to.",
        ));
    }
    let tag = info.manifest.version.replace('+', "_");
    let artefact = artefact(bytes, &info);
    artefact
        .write(&folder, &tag)
        .map_err(|error| Failure::local(format!("{} cannot be written: {error}.", folder.display()), ""))?;
    let digest = digest(&artefact.manifest);
    if out.is_json() {
        out.json(&json!({ "folder": folder, "tag": tag, "digest": digest, "component": info.digest }));
    } else {
        out.line(&format!("{}  tag {tag}  {digest}", folder.display()));
    }
    Ok(exit::SUCCESS)
}
