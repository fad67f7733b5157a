//! A plugin's settings schema: checked when the plugin is first seen, and what every value is checked against.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::text::{self, MESSAGE_BYTES};
use crate::domain::plugin::Problem;
use crate::error::{Error, Result};

/// Subschemas that a value may have to be compared with, those behind references counted each time. A schema is written
/// by a stranger: references in circles or that double at each level would keep the host busy forever.
const WEIGHT: usize = 10_000;
const DEPTH: usize = 64;
const PROBLEMS: usize = 64;

/// Compiled when it is first needed, since most starts of a server check no settings.
pub(super) struct Schema {
    text: String,
    validator: OnceLock<Option<Validator>>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

impl Schema {
    /// A schema that [`check`] has found good.
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), validator: OnceLock::new() }
    }

    /// What is wrong with a value; nothing if it fits.
    pub(super) fn problems(&self, value: &Value) -> Vec<Problem> {
        let validator = self.validator.get_or_init(|| {
            let schema = serde_json::from_str(&self.text).ok()?;
            compile(&schema).ok()
        });
        let Some(validator) = validator else {
            return vec![Problem {
                path: String::new(),
                message: "The plugin's schema cannot be read, so no settings can be checked.".into(),
            }];
        };
        let mut problems: Vec<Problem> = validator
            .iter_errors(value)
            .take(PROBLEMS)
            .map(|error| Problem {
                path: text::line(error.instance_path().as_str(), 1024),
                message: text::line(&error.to_string(), MESSAGE_BYTES),
            })
            .collect();
        problems.sort_by(|a, b| a.path.cmp(&b.path));
        problems
    }

    /// # Errors
    /// `Invalid` with the first problem.
    pub(super) fn check(&self, plugin: &str, value: &Value) -> Result<()> {
        match self.problems(value).into_iter().next() {
            None => Ok(()),
            Some(problem) => Err(Error::invalid(
                format!("settings{}", problem.path),
                format!("The settings of plugin `{plugin}` do not fit its schema: {}", problem.message),
            )),
        }
    }
}

/// What is wrong with a value by a schema that a person wrote; the schema is checked as a plugin's is.
///
/// # Errors
/// `Invalid` for the field `parameters` if the schema cannot be used.
pub fn problems_by(schema: &Value, value: &Value) -> Result<Vec<Problem>> {
    let text = schema.to_string();
    check(&text).map_err(|why| Error::invalid("parameters", format!("the parameters' schema {why}")))?;
    Ok(Schema::new(&text).problems(value))
}

/// Whether a schema has a property of this name that is a text.
pub(super) fn has_text(schema: &str, property: &str) -> bool {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    schema["properties"][property]["type"] == "string"
}

/// Whether a text is a schema that the host can use. The error ends the sentence `its settings' schema …`.
pub(super) fn check(text: &str) -> Result<(), String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    if !schema.is_object() {
        return Err("is not a JSON object".into());
    }
    if let Some(dialect) = schema.get("$schema")
        && dialect.as_str().map(|uri| uri.trim_end_matches('#'))
            != Some("https://json-schema.org/draft/2020-12/schema")
    {
        return Err(format!(
            "is of another dialect than https://json-schema.org/draft/2020-12/schema: {}",
            text::line(&dialect.to_string(), 256)
        ));
    }
    let mut weight = 0;
    weigh(&schema, &schema, 0, &mut weight)?;
    if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
        return Err(format!(
            "is none of JSON Schema 2020-12: at `{}`, {}",
            text::line(error.instance_path().as_str(), 1024),
            text::line(&error.to_string(), 1024)
        ));
    }
    compile(&schema)
        .map(|_| ())
        .map_err(|error| format!("cannot be used: {}", text::line(&error.to_string(), 1024)))
}

/// Patterns run in linear time, formats are checked, and nothing outside the schema is looked up.
fn compile(schema: &Value) -> Result<Validator, Box<jsonschema::ValidationError<'static>>> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(true)
        .build(schema)
        .map_err(Box::new)
}

/// Counts what a value may have to be compared with, references followed.
fn weigh(root: &Value, node: &Value, depth: usize, weight: &mut usize) -> Result<(), String> {
    *weight += 1;
    if depth > DEPTH || *weight > WEIGHT {
        return Err(format!(
            "is too deep or too large once its references are followed (at most {DEPTH} levels and {WEIGHT} parts); \
             a reference to itself counts without end"
        ));
    }
    match node {
        Value::Array(items) => items.iter().try_for_each(|item| weigh(root, item, depth + 1, weight)),
        Value::Object(members) => {
            let foreign: BTreeSet<&str> =
                ["$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor"].into();
            if let Some(word) = members.keys().find(|name| foreign.contains(name.as_str())) {
                return Err(format!(
                    "uses `{word}`; this host only follows `$ref` to a place in the schema itself"
                ));
            }
            if let Some(reference) = members.get("$ref") {
                weigh(root, target(root, reference)?, depth + 1, weight)?;
            }
            // Definitions weigh where they are used.
            members
                .iter()
                .filter(|(name, _)| *name != "$defs" && *name != "$ref")
                .try_for_each(|(_, member)| weigh(root, member, depth + 1, weight))
        }
        _ => Ok(()),
    }
}

fn target<'a>(root: &'a Value, reference: &Value) -> Result<&'a Value, String> {
    let shown = text::line(&reference.to_string(), 256);
    reference
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'))
        .filter(|pointer| !pointer.contains('%'))
        .and_then(|pointer| root.pointer(pointer))
        .ok_or_else(|| format!("refers to {shown}, which is no place in the schema itself"))
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
