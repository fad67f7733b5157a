//! `plugin inspect` of a file: what a component is, from its bytes alone.

use serde_json::json;

use super::failed;
use crate::app::plugin_tool::plugin_open;
use crate::cli::failure::{Failure, Outcome, exit};
use crate::cli::output::{Output, Tone};
use crate::cli::stack::joined;
use crate::cli::table::{Cell, details};
use crate::cli::text::{bytes, clean};
use crate::domain::plugin::PluginInfo;

pub async fn inspect(out: &Output, file: &str) -> Outcome<u8> {
    let info = plugin_open(file).await.map_err(failed)?.info;
    if out.is_json() {
        let mut value = serde_json::to_value(&info).map_err(|error| Failure::local(error.to_string(), ""))?;
        value["settingsSchema"] = schema(&info);
        out.json(&json!(value));
        return Ok(exit::SUCCESS);
    }
    let manifest = &info.manifest;
    let kinds: Vec<String> = info.kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    let schemes: Vec<String> = manifest
        .webhooks
        .iter()
        .flat_map(|contract| &contract.schemes)
        .map(|scheme| scheme.name.clone())
        .collect();
    details(
        out,
        vec![
            ("Plugin", Cell::toned(clean(&manifest.name), Tone::Strong)),
            ("Version", clean(&manifest.version).as_str().into()),
            ("Summary", clean(&manifest.summary).as_str().into()),
            ("Kinds", joined(&kinds)),
            ("Digest", info.digest.as_str().into()),
            ("Size", bytes(info.size_bytes).into()),
            ("Credentials", joined(&credentials(&info))),
            ("Permissions", joined(&permissions(&info))),
            ("Webhook schemes", joined(&schemes)),
            ("Imports", joined(&info.imports)),
            ("Exports", joined(&info.exports)),
        ],
    );
    out.line("");
    out.line(&out.paint(Tone::Faint, "JSON Schema of its settings:"));
    out.json(&schema(&info));
    Ok(exit::SUCCESS)
}

fn credentials(info: &PluginInfo) -> Vec<String> {
    let words = info.manifest.credentials.iter().map(|slot| {
        let need = if slot.required { "required" } else { "optional" };
        format!("{} ({}, {need}): {}", slot.name, slot.injection, slot.summary)
    });
    words.collect()
}

pub(super) fn permissions(info: &PluginInfo) -> Vec<String> {
    let words = info.manifest.permissions.iter().map(|permission| {
        let methods = if permission.methods.is_empty() {
            "any method".to_owned()
        } else {
            permission.methods.join("|")
        };
        format!("{methods} {} ({})", permission.path, permission.reason)
    });
    words.collect()
}

/// The host has checked that it is JSON.
fn schema(info: &PluginInfo) -> serde_json::Value {
    serde_json::from_str(&info.manifest.settings_schema).unwrap_or_default()
}
