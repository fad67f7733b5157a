//! A whole server as a file, for `windlass apply -f`: stacks with their repositories, build configurations and schedules.
//!
//! Secrets are never in the file. Where one belongs stands a reference, `${NAME}`, whose value comes beside the file; a
//! reference without a value keeps what is stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::build_config::BuildSettings;
use super::change::Change;
use super::preview::PreviewSettings;
use super::protection::Protection;
use super::repository::RepositoryInput;
use super::schedule::SchedulePlan;
use super::stack::RunSpec;
use super::traffic::Traffic;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerFile {
    /// 1.
    #[serde(default = "first")]
    pub version: u32,
    pub stacks: Vec<StackEntry>,
}

fn first() -> u32 {
    1
}

/// A stack with everything that belongs to it; the fields are those of the API's `POST /api/v1/stacks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StackEntry {
    pub name: String,
    #[serde(default = "default_project")]
    pub project: String,
    #[serde(default)]
    pub description: String,
    /// Its secrets are references.
    #[serde(default)]
    pub repository: Option<RepositoryInput>,
    #[serde(default)]
    pub build: BuildSettings,
    #[serde(default)]
    pub run: RunSpec,
    #[serde(default)]
    pub traffic: Traffic,
    /// The server's default if left out.
    #[serde(default)]
    pub strategy: String,
    #[serde(default = "empty_object")]
    pub strategy_params: Value,
    /// Name of the target that it runs on; `local` is this server's engine.
    #[serde(default = "local")]
    pub target: String,
    #[serde(default)]
    pub schedules: Vec<SchedulePlan>,
    /// What a deployment needs before its rollout begins.
    #[serde(default)]
    pub protection: Option<Protection>,
    /// How its pull requests are shown.
    #[serde(default)]
    pub previews: Option<PreviewSettings>,
}

/// Where a stack belongs that names no project, in a file or by the API.
pub fn default_project() -> String {
    "default".into()
}

fn local() -> String {
    super::target::LOCAL.into()
}

/// A strategy's parameters where none are given.
pub fn empty_object() -> Value {
    Value::Object(Map::new())
}

/// The name in `${NAME}`, if that is all of the text.
fn reference(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_word)).then_some(name)
}

impl ServerFile {
    /// What can be said without knowing the server.
    ///
    /// # Errors
    /// `Invalid`, with the path of what is wrong.
    pub fn check(&self) -> Result<()> {
        if self.version != 1 {
            return Err(Error::invalid("version", format!("version {} is not known; write 1", self.version)));
        }
        let mut seen = BTreeSet::new();
        for (n, stack) in self.stacks.iter().enumerate() {
            if !seen.insert(stack.name.as_str()) {
                let message = format!("stack `{}` is there twice", stack.name.escape_debug());
                return Err(Error::invalid(format!("stacks.{n}.name"), message));
            }
            let mut schedules = BTreeSet::new();
            for (k, plan) in stack.schedules.iter().enumerate() {
                let at = format!("stacks.{n}.schedules.{k}");
                if !schedules.insert(plan.name.as_str()) {
                    let message = format!("schedule `{}` is there twice", plan.name.escape_debug());
                    return Err(Error::invalid(format!("{at}.name"), message));
                }
                plan.check().map_err(|error| below(&at, error))?;
            }
            if let Some(protection) = &stack.protection {
                protection.check().map_err(|error| below(&format!("stacks.{n}.protection"), error))?;
            }
            if let Some(previews) = &stack.previews {
                previews.check().map_err(|error| below(&format!("stacks.{n}.previews"), error))?;
            }
            if stack.repository.is_none() {
                let needing =
                    [("schedules", !stack.schedules.is_empty()), ("previews", stack.previews.is_some())];
                if let Some((field, _)) = needing.into_iter().find(|(_, is_there)| *is_there) {
                    let message = "without a repository there is nothing to deploy";
                    return Err(Error::invalid(format!("stacks.{n}.{field}"), message));
                }
            }
        }
        Ok(())
    }
}

/// An error of a part of the file, with the path to it.
fn below(path: &str, error: Error) -> Error {
    match error {
        Error::Invalid { field, message } => Error::invalid(format!("{path}.{field}"), message),
        other => other,
    }
}

impl StackEntry {
    /// What the file does not mention stays as it is, unless it is to be pruned. Answers the names of schedules that are.
    pub fn keep_rest(&mut self, current: Option<&Self>, prune: bool) -> Vec<String> {
        let Some(current) = current else { return Vec::new() };
        let named: Vec<String> = self.schedules.iter().map(|plan| plan.name.clone()).collect();
        let rest = current.schedules.iter().filter(|plan| !named.contains(&plan.name)).cloned();
        if prune {
            return rest.map(|plan| plan.name).collect();
        }
        self.schedules.extend(rest);
        self.previews = self.previews.take().or_else(|| current.previews.clone());
        self.protection = self.protection.take().or_else(|| current.protection.clone());
        Vec::new()
    }

    /// Puts values in the places of references. `stored` is the stack as it is, for references without a value.
    ///
    /// # Errors
    /// `Invalid` for a secret that is written out, and for a reference that nobody has a value for.
    pub fn resolve(&mut self, given: &BTreeMap<String, String>, stored: Option<&Self>) -> Result<()> {
        let own = stored.and_then(|stored| stored.repository.as_ref());
        if let Some(row) = &mut self.repository {
            if let Some(own) = own.filter(|own| own.url == row.url && row.branch.is_empty()) {
                row.branch.clone_from(&own.branch);
            }
            let old = own.and_then(|own| own.credentials.clone()).unwrap_or_default();
            match &mut row.credentials {
                Some(new) => {
                    let at = "repository.credentials";
                    fill(&mut new.token, &format!("{at}.token"), given, old.token.as_deref())?;
                    fill(
                        &mut new.private_key,
                        &format!("{at}.privateKey"),
                        given,
                        old.private_key.as_deref(),
                    )?;
                    fill(&mut new.passphrase, &format!("{at}.passphrase"), given, old.passphrase.as_deref())?;
                }
                // What is left out is kept, as long as it is of the same kind.
                None => {
                    row.credentials = own
                        .filter(|own| own.auth_type == row.auth_type)
                        .and_then(|own| own.credentials.clone());
                }
            }
            let old = own.and_then(|own| own.webhook_secret.clone());
            match row.webhook_secret {
                Some(_) => fill(&mut row.webhook_secret, "repository.webhookSecret", given, old.as_deref())?,
                None => row.webhook_secret = old,
            }
        } else {
            // A repository can be changed, but not taken away.
            self.repository = own.cloned();
        }
        let variables = stored.map(|stored| &stored.build.environment_variables);
        for (n, new) in self.build.environment_variables.iter_mut().enumerate().filter(|(_, new)| new.secret)
        {
            let same = variables.into_iter().flatten().find(|old| old.name == new.name && old.secret);
            let mut value = Some(std::mem::take(&mut new.value));
            let at = format!("build.environmentVariables.{n}.value");
            fill(&mut value, &at, given, same.map(|old| old.value.as_str()))?;
            new.value = value.unwrap_or_default();
        }
        Ok(())
    }

    /// What differs from `old`, in the order of the file; everything if there is nothing yet. Secrets are never part of it.
    pub fn changes_from(&self, old: Option<&Self>) -> Result<Vec<Change>> {
        let (new, old) = (self.facts()?, old.map(Self::facts).transpose()?.unwrap_or_default());
        let mut keys: Vec<&String> = new.keys().collect();
        keys.extend(old.keys().filter(|key| !new.contains_key(*key)));
        let differs = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
        let shown = |fact: Option<&Fact>| {
            fact.filter(|fact| fact.text != "null")
                .map(|fact| if fact.secret { "(secret)".to_owned() } else { fact.text.clone() })
        };
        let changes = differs.map(|key| Change {
            what: key.clone(),
            from: shown(old.get(key)),
            to: match (shown(old.get(key)), shown(new.get(key))) {
                (Some(old), Some(new)) if old == new => Some("(another secret)".to_owned()),
                (_, new) => new,
            },
        });
        Ok(changes.filter(|change| change.from.is_some() || change.to.is_some()).collect())
    }

    fn facts(&self) -> Result<Facts> {
        let mut facts = Facts::new();
        gather(&serde_json::to_value(self).map_err(Error::internal)?, "", false, &mut facts);
        Ok(facts)
    }
}

fn fill(
    place: &mut Option<String>,
    field: &str,
    given: &BTreeMap<String, String>,
    stored: Option<&str>,
) -> Result<()> {
    let Some(text) = place.as_deref().filter(|text| !text.is_empty()) else { return Ok(()) };
    let Some(name) = reference(text) else {
        return Err(Error::invalid(
            field,
            "a secret does not belong into this file: write a reference like ${NAME}, and give its value in the \
             environment variable of that name",
        ));
    };
    match given.get(name).map(String::as_str).or(stored) {
        Some(value) => {
            *place = Some(value.to_owned());
            Ok(())
        }
        None => Err(Error::invalid(
            field,
            format!(
                "there is no value for ${{{name}}}, and none is stored; set the environment variable {name}"
            ),
        )),
    }
}

#[derive(PartialEq)]
struct Fact {
    text: String,
    secret: bool,
}

type Facts = BTreeMap<String, Fact>;

/// One fact for each value; entries of a list go by their names, where they have some.
fn gather(value: &Value, path: &str, secret: bool, facts: &mut Facts) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let marked = map.get("secret") == Some(&Value::Bool(true));
            for (key, value) in map {
                let secret = secret
                    || (marked && key == "value")
                    || matches!(key.as_str(), "token" | "privateKey" | "passphrase" | "webhookSecret");
                gather(value, &below(key), secret, facts);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (n, value) in list.iter().enumerate() {
                let name = value.get("name").and_then(Value::as_str);
                gather(value, &below(name.unwrap_or(&n.to_string())), secret, facts);
            }
        }
        Value::String(text) => {
            facts.insert(path.to_owned(), Fact { text: text.clone(), secret });
        }
        // What is empty says as much as what is not there.
        Value::Null => {}
        Value::Array(list) if list.is_empty() => {}
        Value::Object(_) => {}
        other => {
            facts.insert(path.to_owned(), Fact { text: other.to_string(), secret });
        }
    }
}

#[cfg(test)]
#[path = "server_file_tests.rs"]
mod tests;
