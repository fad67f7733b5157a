//! Parameters declared once: the list gives the JSON Schema for the manifest, the checks and the typed values.
//!
//! ```
//! use windlass_sdk::params::{self, Param};
//!
//! const PARAMS: &[Param] = &[
//!     Param::flag("recreate", false, "Stop the old release before the new one starts"),
//!     Param::integer("settle_ms", 0, 0..=600_000, "How long the new release has to stay healthy, in ms"),
//! ];
//!
//! let values = params::read(PARAMS, r#"{"settle_ms": 5000}"#).expect("these are good");
//! assert_eq!((values.flag("recreate"), values.integer("settle_ms")), (false, 5000));
//!
//! let problems = params::read(PARAMS, r#"{"setle_ms": 5000}"#).expect_err("there is no such parameter");
//! assert_eq!(problems[0].path, "/setle_ms");
//! assert!(problems[0].message.contains("`settle_ms`"));
//! ```

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use crate::{Failure, Problem};

/// One parameter that a plugin takes.
#[derive(Clone, Debug)]
pub struct Param {
    name: &'static str,
    summary: &'static str,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Flag { default: bool },
    Integer { default: u64, min: u64, max: u64 },
    Choice { default: &'static str, choices: &'static [&'static str] },
    Text { default: &'static str, most: usize },
    List { default: &'static str, item: &'static [Param], most: usize },
}

impl Param {
    /// True or false.
    pub const fn flag(name: &'static str, default: bool, summary: &'static str) -> Self {
        Self { name, summary, shape: Shape::Flag { default } }
    }

    /// A whole number within bounds.
    pub const fn integer(
        name: &'static str,
        default: u64,
        bounds: RangeInclusive<u64>,
        summary: &'static str,
    ) -> Self {
        Self { name, summary, shape: Shape::Integer { default, min: *bounds.start(), max: *bounds.end() } }
    }

    /// One of a few words.
    pub const fn choice(
        name: &'static str,
        default: &'static str,
        choices: &'static [&'static str],
        summary: &'static str,
    ) -> Self {
        Self { name, summary, shape: Shape::Choice { default, choices } }
    }

    /// One line of text with at most so many characters, none of them a control character.
    pub const fn text(name: &'static str, default: &'static str, most: usize, summary: &'static str) -> Self {
        Self { name, summary, shape: Shape::Text { default, most } }
    }

    /// A list of at least one object with these parameters; the default is JSON.
    pub const fn list(
        name: &'static str,
        default: &'static str,
        item: &'static [Param],
        most: usize,
        summary: &'static str,
    ) -> Self {
        Self { name, summary, shape: Shape::List { default, item, most } }
    }

    fn schema(&self) -> Value {
        let mut schema = match &self.shape {
            Shape::Flag { default } => json!({ "type": "boolean", "default": default }),
            Shape::Integer { default, min, max } => {
                json!({ "type": "integer", "minimum": min, "maximum": max, "default": default })
            }
            Shape::Choice { default, choices } => {
                json!({ "type": "string", "enum": choices, "default": default })
            }
            Shape::Text { default, most } => json!({
                "type": "string", "maxLength": most, "pattern": "^[^\\x00-\\x1f\\x7f]*$", "default": default,
            }),
            Shape::List { item, most, .. } => json!({
                "type": "array", "minItems": 1, "maxItems": most, "default": self.default(), "items": object_of(item),
            }),
        };
        schema["description"] = json!(self.summary);
        schema
    }

    fn default(&self) -> Value {
        match &self.shape {
            Shape::Flag { default } => json!(default),
            Shape::Integer { default, .. } => json!(default),
            Shape::Choice { default, .. } | Shape::Text { default, .. } => json!(default),
            // A default that is no JSON is one that its own check complains about.
            Shape::List { default, .. } => serde_json::from_str(default).unwrap_or_default(),
        }
    }

    /// Everything that is wrong with a value.
    fn complaints(&self, path: &str, value: &Value) -> Vec<Problem> {
        match (&self.shape, value) {
            (Shape::List { item, most, .. }, Value::Array(items)) if (1..=*most).contains(&items.len()) => {
                let each = |(at, value): (usize, &Value)| complaints(item, &format!("{path}/{at}"), value);
                items.iter().enumerate().flat_map(each).collect()
            }
            _ => self.complaint(value).map(|text| Problem::at(path, text)).into_iter().collect(),
        }
    }

    /// What is wrong with a value as a whole, if something is.
    fn complaint(&self, value: &Value) -> Option<String> {
        let found = brief(value);
        match &self.shape {
            Shape::List { most, .. } => {
                let found = value.as_array().map_or(found, |items| format!("a list of {}", items.len()));
                Some(format!("`{}` has to be a list of 1 to {most} objects, but is {found}.", self.name))
            }
            Shape::Flag { .. } if value.is_boolean() => None,
            Shape::Flag { .. } => Some(format!("`{}` has to be true or false, but is {found}.", self.name)),
            Shape::Integer { min, max, .. } => match value.as_u64() {
                Some(number) if (*min..=*max).contains(&number) => None,
                _ => Some(format!(
                    "`{}` has to be a whole number from {min} to {max}, but is {found}.",
                    self.name
                )),
            },
            Shape::Text { most, .. } => match value.as_str() {
                Some(text) if text.chars().count() <= *most && !text.chars().any(char::is_control) => None,
                _ => Some(format!(
                    "`{}` has to be one line of at most {most} characters, but is {found}.",
                    self.name
                )),
            },
            Shape::Choice { choices, .. } => match value.as_str() {
                Some(word) if choices.contains(&word) => None,
                _ => Some(format!("`{}` has to be one of {}, but is {found}.", self.name, quoted(choices))),
            },
        }
    }
}

/// Checked values; a parameter that was not given has its default.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(Map<String, Value>);

impl Values {
    /// A parameter declared with [`Param::flag`]; false if there is none of that name.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A parameter declared with [`Param::integer`]; 0 if there is none of that name.
    pub fn integer(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    /// A parameter declared with [`Param::list`]; empty if there is none of that name.
    pub fn list(&self, name: &str) -> Vec<Values> {
        let items = self.0.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_object).cloned().map(Values).collect()
    }

    /// A parameter declared with [`Param::text`]; empty if there is none of that name.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A parameter declared with [`Param::choice`]; empty if there is none of that name.
    pub fn choice(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The JSON Schema of an object with these parameters and no others.
pub fn schema(params: &[Param]) -> String {
    let mut schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema" });
    if let (Some(schema), Value::Object(object)) = (schema.as_object_mut(), object_of(params)) {
        schema.extend(object);
    }
    schema.to_string()
}

fn object_of(params: &[Param]) -> Value {
    let properties: Map<String, Value> =
        params.iter().map(|param| (param.name.to_owned(), param.schema())).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// Checks and reads parameters. Empty text and `null` mean no parameters.
///
/// # Errors
/// All findings: unknown names with the nearest known one, wrong types, numbers out of bounds.
pub fn read(params: &[Param], json: &str) -> Result<Values, Vec<Problem>> {
    let given = Value::Object(object(json).map_err(|problem| vec![problem])?);
    let problems = complaints(params, "", &given);
    if problems.is_empty() { Ok(completed(params, &given)) } else { Err(problems) }
}

/// Like [`read`], for where problems can only be told as a failure.
///
/// # Errors
/// `permanent` with the code `invalid-parameters`.
pub fn required(params: &[Param], json: &str) -> Result<Values, Failure> {
    read(params, json).map_err(|problems| {
        let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        Failure::permanent("invalid-parameters", messages.join(" "))
    })
}

/// The findings about one object, which is at `path`.
fn complaints(params: &[Param], path: &str, given: &Value) -> Vec<Problem> {
    let Some(given) = given.as_object() else {
        return vec![Problem::at(path, format!("It has to be an object, but is {}.", brief(given)))];
    };
    let mut problems = Vec::new();
    for (name, value) in given {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        match params.iter().find(|param| param.name == name) {
            None => problems.push(Problem::at(path, unknown(name, params))),
            Some(param) => problems.extend(param.complaints(&path, value)),
        }
    }
    problems
}

/// What was given, and the defaults of what was not.
fn completed(params: &[Param], given: &Value) -> Values {
    let value = |param: &Param| {
        let value = given.get(param.name).cloned().unwrap_or_else(|| param.default());
        match (&param.shape, value) {
            (Shape::List { item, .. }, Value::Array(items)) => {
                items.iter().map(|each| Value::Object(completed(item, each).0)).collect()
            }
            (_, value) => value,
        }
    };
    Values(params.iter().map(|param| (param.name.to_owned(), value(param))).collect())
}

fn object(json: &str) -> Result<Map<String, Value>, Problem> {
    if json.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(other) => Err(Problem::at(
            "",
            format!("The parameters have to be a JSON object, but are {}.", brief(&other)),
        )),
        Err(error) => Err(Problem::at("", format!("The parameters are no JSON: {error}."))),
    }
}

fn unknown(name: &str, params: &[Param]) -> String {
    let names: Vec<&str> = params.iter().map(|param| param.name).collect();
    match nearest(name, names.iter().copied()) {
        Some(known) => format!("There is no parameter `{name}`; did you mean `{known}`?"),
        None if names.is_empty() => format!("There is no parameter `{name}`; this plugin takes none."),
        None => format!("There is no parameter `{name}`; known are {}.", quoted(&names)),
    }
}

/// The known word most like the given one, if one is like it.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| edits(&word.to_lowercase(), &other.to_lowercase());
    known
        .into_iter()
        .map(|other| (distance(other), other))
        .filter(|(edits, other)| *edits * 2 <= other.chars().count().max(2))
        .min()
        .map(|(_, other)| other)
}

/// Levenshtein's distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A value as it may stand in a message.
fn brief(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => {
            let text = other.to_string();
            if text.chars().count() > 60 { text.chars().take(60).chain(['…']).collect() } else { text }
        }
    }
}
