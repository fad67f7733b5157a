//! `plugin docs`: the reference of a plugin's settings, from its manifest.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::failed;
use crate::app::plugin_tool::plugin_open;
use crate::cli::failure::{Outcome, exit};
use crate::cli::output::Output;
use crate::cli::text::clean;
use crate::domain::plugin::PluginInfo;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass plugin docs ./my-plugin.wasm > SETTINGS.md")]
pub struct DocsArgs {
    /// A component's file, or the name of a built-in plugin.
    component: String,
}

pub async fn docs(out: &Output, args: &DocsArgs) -> Outcome<u8> {
    let info = plugin_open(&args.component).await.map_err(failed)?.info;
    let text = reference(&info);
    if out.is_json() {
        out.json(&json!({ "name": info.manifest.name, "markdown": text }));
    } else {
        out.write(text.as_bytes());
    }
    Ok(exit::SUCCESS)
}

// Writing to a String cannot fail.
fn reference(info: &PluginInfo) -> String {
    let manifest = &info.manifest;
    let kinds: Vec<&str> = info.kinds.iter().map(|kind| kind.as_str()).collect();
    let mut text = format!(
        "# {}\n\n{}.\n\nVersion {}, {}.\n\n## Settings\n\n",
        plain(&manifest.name),
        plain(manifest.summary.trim_end_matches('.')),
        plain(&manifest.version),
        kinds.join(", ")
    );
    let schema: Value = serde_json::from_str(&manifest.settings_schema).unwrap_or_default();
    let mut rows = Vec::new();
    collect("", &schema, &mut rows);
    if rows.is_empty() {
        text.push_str("This plugin takes no settings.\n");
    } else {
        text.push_str("| setting | type | default | meaning |\n|---|---|---|---|\n");
        text.push_str(&rows.concat());
    }
    if !manifest.credentials.is_empty() {
        text.push_str("\n## Credentials\n\n| slot | sent as | needed | what it is |\n|---|---|---|---|\n");
    }
    for slot in &manifest.credentials {
        let need = if slot.required { "yes" } else { "no" };
        let (name, injection, summary) = (plain(&slot.name), plain(&slot.injection), plain(&slot.summary));
        let _ = writeln!(text, "| `{name}` | {injection} | {need} | {summary} |");
    }
    if !manifest.permissions.is_empty() {
        text.push_str("\n## Permissions\n\n");
    }
    for permission in super::inspect::permissions(info) {
        let _ = writeln!(text, "- {}", plain(&permission));
    }
    text
}

/// One row a property; those of objects within follow theirs.
fn collect(prefix: &str, schema: &Value, rows: &mut Vec<String>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (name, property) in properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let default = match property.get("default") {
            Some(default) => format!("`{}`", plain(&default.to_string())),
            None if required.contains(&name.as_str()) => "required".to_owned(),
            None => "none".to_owned(),
        };
        let meaning = property.get("description").and_then(Value::as_str).unwrap_or_default();
        rows.push(format!("| `{}` | {} | {default} | {} |\n", plain(&path), kind(property), plain(meaning)));
        collect(&path, property, rows);
    }
}

/// The values that a property takes, in words.
fn kind(property: &Value) -> String {
    if let Some(choices) = property.get("enum").and_then(Value::as_array) {
        let words: Vec<String> =
            choices.iter().map(|choice| format!("`{}`", plain(&choice.to_string()))).collect();
        return words.join(" or ");
    }
    let word = match property.get("type") {
        Some(Value::String(word)) => plain(word),
        Some(Value::Array(words)) => {
            words.iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    };
    match (property.get("minimum"), property.get("maximum")) {
        (Some(least), Some(most)) => format!("{word}, {least} to {most}"),
        (Some(least), None) => format!("{word}, at least {least}"),
        (None, Some(most)) => format!("{word}, at most {most}"),
        (None, None) => word,
    }
}

/// Text of the plugin's, that neither ends a cell nor begins markup.
fn plain(text: &str) -> String {
    clean(text).replace('|', "\\|").replace('<', "&lt;")
}
