//! Templates of pipelines: a model with places for parameters, named and versioned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Id, UnixMs};
use crate::error::{Error, Result};

/// Bytes of a template as JSON.
pub const MAX_BYTES: usize = 256 << 10;

/// One version. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineTemplate {
    pub id: Id,
    pub seq: i64,
    /// None: all projects have it.
    pub project_id: Option<Id>,
    pub name: String,
    /// From 1.
    pub version: i64,
    pub content: TemplateContent,
    /// Name of the token.
    pub created_by: String,
    pub created_at: UnixMs,
}

/// What people write.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateContent {
    #[serde(default)]
    pub description: String,
    /// A pipeline model in which `{{name}}` stands for a parameter: inside of a text, or as the whole of any value.
    #[schema(value_type = Object)]
    pub model: Value,
    /// JSON Schema 2020-12 of an object with the parameters. Its `default`s are taken for what is not given.
    #[serde(default = "no_parameters")]
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// Settings by the generator's name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: BTreeMap<String, Value>,
    /// Templates in a generator's own language, by the generator's name.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
}

fn no_parameters() -> Value {
    json!({ "type": "object", "additionalProperties": false })
}

impl TemplateContent {
    /// What is wrong whatever the parameters are.
    pub fn check(&self) -> Result<()> {
        if !self.model.is_object() {
            return Err(Error::invalid("model", "the model has to be a JSON object"));
        }
        let size = serde_json::to_string(self).map_err(Error::internal)?.len();
        if size > MAX_BYTES {
            return Err(Error::TooLarge { what: "template", limit: MAX_BYTES as u64 });
        }
        let known = self.declared();
        places(&self.model, "model", &mut |at, name| {
            if known.contains(&name) { Ok(()) } else { Err(unknown(at, name, &known)) }
        })
    }

    /// The parameters as they were given, and the defaults of the others.
    pub fn completed(&self, given: &Map<String, Value>) -> Map<String, Value> {
        let mut values = given.clone();
        let declared = self.parameters.get("properties").and_then(Value::as_object);
        for (name, schema) in declared.into_iter().flatten() {
            if let Some(default) = schema.get("default") {
                values.entry(name).or_insert_with(|| default.clone());
            }
        }
        values
    }

    /// The model with the values in their places.
    pub fn filled(&self, values: &Map<String, Value>) -> Result<Value> {
        fill(&self.model, "model", values)
    }

    fn declared(&self) -> Vec<&str> {
        let declared = self.parameters.get("properties").and_then(Value::as_object);
        declared.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// As people compare it.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

pub fn check_name(name: &str) -> Result<()> {
    let fits = (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits {
        return Ok(());
    }
    let message =
        format!("`{}` is no name of a template: letters, digits, `.`, `_` and `-`", name.escape_debug());
    Err(Error::invalid("name", message))
}

fn unknown(at: &str, name: &str, known: &[&str]) -> Error {
    let known =
        if known.is_empty() { "there are none".into() } else { format!("known are {}", known.join(", ")) };
    Error::invalid(
        at,
        format!("`{{{{{name}}}}}` stands for a parameter that the template does not declare; {known}"),
    )
}

/// A piece of a text: as it is, or the name of a parameter.
enum Piece<'a> {
    Text(&'a str),
    Place(&'a str),
}

/// `{{name}}`, also with spaces, is a place; every other brace is only a brace.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(open) = rest[from..].find("{{").map(|at| at + from) {
        match place(&rest[open + 2..]) {
            Some((name, after)) => {
                found.push(Piece::Text(&rest[..open]));
                found.push(Piece::Place(name));
                rest = after;
                from = 0;
            }
            None => from = open + 1,
        }
    }
    found.push(Piece::Text(rest));
    found.retain(|piece| !matches!(piece, Piece::Text("")));
    found
}

/// The name at the beginning of what follows two braces, and what comes after its own. It looks no further than the name, so
/// that a text of nothing but braces takes no longer than another one.
fn place(inside: &str) -> Option<(&str, &str)> {
    let inside = inside.trim_start();
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    let after = rest.trim_start().strip_prefix("}}")?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    is_name.then_some((name, after))
}

fn places<'a>(value: &'a Value, at: &str, tell: &mut impl FnMut(&str, &'a str) -> Result<()>) -> Result<()> {
    match value {
        Value::String(text) => pieces(text).into_iter().try_for_each(|piece| match piece {
            Piece::Place(name) => tell(at, name),
            Piece::Text(_) => Ok(()),
        }),
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(n, item)| places(item, &format!("{at}/{n}"), tell))
        }
        Value::Object(fields) => {
            fields.iter().try_for_each(|(name, field)| places(field, &format!("{at}/{name}"), tell))
        }
        _ => Ok(()),
    }
}

fn fill(value: &Value, at: &str, values: &Map<String, Value>) -> Result<Value> {
    Ok(match value {
        Value::String(text) => fill_text(text, at, values)?,
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(n, item)| fill(item, &format!("{at}/{n}"), values));
            Value::Array(items.collect::<Result<_>>()?)
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), fill(field, &format!("{at}/{name}"), values)?)));
            Value::Object(fields.collect::<Result<_>>()?)
        }
        other => other.clone(),
    })
}

/// A text whose places stand for texts.
///
/// # Errors
/// `Invalid` with the field for a place that nothing is known for.
pub fn filled_text(text: &str, field: &str, values: &Map<String, Value>) -> Result<String> {
    let known: Vec<&str> = values.keys().map(String::as_str).collect();
    places(&Value::from(text), field, &mut |at, name| {
        if known.contains(&name) { Ok(()) } else { Err(unknown(at, name, &known)) }
    })?;
    match fill_text(text, field, values)? {
        Value::String(text) => Ok(text),
        other => Ok(other.to_string()),
    }
}

/// What is put in is not looked at again.
fn fill_text(text: &str, at: &str, values: &Map<String, Value>) -> Result<Value> {
    let value = |name: &str| {
        values.get(name).ok_or_else(|| {
            Error::invalid(
                format!("parameters/{name}"),
                format!("the parameter `{name}` has no value, and no default"),
            )
        })
    };
    let pieces = pieces(text);
    if let [Piece::Place(name)] = pieces.as_slice() {
        return value(name).cloned();
    }
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Place(name) => match value(name)? {
                Value::String(text) => out.push_str(text),
                simple @ (Value::Number(_) | Value::Bool(_)) => out.push_str(&simple.to_string()),
                _ => {
                    let message = format!("the parameter `{name}` stands inside of a text, and is no text");
                    return Err(Error::invalid(at, message));
                }
            },
        }
    }
    Ok(Value::String(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(model: Value) -> TemplateContent {
        let parameters = json!({ "properties": {
            "level": { "type": "string", "default": "debug" }, "hosts": { "type": "array" }, "count": { "type": "integer" },
        } });
        TemplateContent { model, parameters, ..TemplateContent::default() }
    }

    fn filled(model: Value, values: Value) -> Result<Value> {
        let content = content(model);
        content.filled(&content.completed(values.as_object().expect("an object")))
    }

    #[test]
    fn a_place_is_filled_by_text_or_by_a_whole_value() {
        let model = json!({ "name": "a {{level}} {{ count }}", "hosts": "{{hosts}}", "n": 1 });
        let result = filled(model, json!({ "hosts": [{ "name": "x" }], "count": 3 })).expect("it is good");
        assert_eq!(result, json!({ "name": "a debug 3", "hosts": [{ "name": "x" }], "n": 1 }));
    }

    #[test]
    fn what_is_put_in_is_not_looked_at_again() {
        let result = filled(json!({ "a": "{{level}}" }), json!({ "level": "{{count}}" }));
        assert_eq!(result.expect("it is text"), json!({ "a": "{{count}}" }));
    }

    #[test]
    fn braces_that_name_nothing_stay() {
        let model = json!({ "a": "${{ github.ref }} {{{{level}}}} {{", "b": "{{ not a name }}" });
        let expected = json!({ "a": "${{ github.ref }} {{debug}} {{", "b": "{{ not a name }}" });
        assert_eq!(filled(model, json!({})).expect("it is text"), expected);
    }

    #[test]
    fn a_place_ends_where_its_name_does() {
        let model = json!({ "a": "{{ level", "b": "{{level}", "c": "{{}}{{level }}", "d": "{{level}}}" });
        let expected = json!({ "a": "{{ level", "b": "{{level}", "c": "{{}}debug", "d": "debug}" });
        assert_eq!(filled(model, json!({})).expect("it is text"), expected);
    }

    #[test]
    fn a_place_without_a_parameter_is_told_with_its_place() {
        let field = |result: Result<()>| match result {
            Err(Error::Invalid { field, .. }) => field,
            other => format!("{other:?}"),
        };
        assert_eq!(field(content(json!({ "a": ["{{levle}}"] })).check()), "model/a/0");
        assert_eq!(field(content(json!([])).check()), "model");
        assert_eq!(field(filled(json!({ "a": "{{count}}" }), json!({})).map(|_| ())), "parameters/count");
        assert_eq!(
            field(filled(json!({ "a": "x{{hosts}}" }), json!({ "hosts": [] })).map(|_| ())),
            "model/a"
        );
    }

    #[test]
    fn names_are_plain() {
        assert!(check_name("deploy-2.0").is_ok());
        assert!(["", "-a", "a/b", "a b"].into_iter().all(|name| check_name(name).is_err()));
    }
}
