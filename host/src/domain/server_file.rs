//! A whole server as a file, for `windlass apply -f`: teams, registries, CI/CD providers, stacks with everything that belongs to
//! them, and channels.
//!
//! Secrets are never in the file. Where one belongs stands a reference, `${NAME}`, whose value comes beside the file; a
//! reference without a value keeps what is stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::build_config::BuildSettings;
use super::change::Change;
use super::notify::RulePlan;
use super::people::DEFAULT_NAME;
use super::preview::PreviewSettings;
use super::protection::Protection;
use super::registry::RegistryInput;
use super::repository::RepositoryInput;
use super::schedule::SchedulePlan;
use super::server_entries::{ProviderEntry, TeamEntry};
use super::stack::RunSpec;
use super::traffic::Traffic;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerFile {
    /// 1.
    #[serde(default = "first")]
    pub version: u32,
    #[serde(default)]
    pub teams: Option<Vec<TeamEntry>>,
    /// Connections to CI/CD providers.
    #[serde(default)]
    pub providers: Option<Vec<ProviderEntry>>,
    /// Log-ins for registries of images.
    #[serde(default)]
    pub registries: Option<Vec<RegistryInput>>,
    #[serde(default)]
    pub stacks: Option<Vec<StackEntry>>,
    /// Where teams are told what happens.
    #[serde(default)]
    pub channels: Option<Vec<ChannelEntry>>,
}

fn first() -> u32 {
    1
}

/// A channel with its rules; the fields are those of the API's `POST /api/v1/teams/{team}/channels`.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelEntry {
    /// Unique in its team.
    pub name: String,
    /// Name of the team that it belongs to.
    #[serde(default = "default_team")]
    pub team: String,
    /// Name of a plugin of the kind `notifier`.
    pub plugin: String,
    /// Base URL of the receiver; of a mail server `smtps://…` or `smtp://…`.
    pub url: String,
    /// The plugin's.
    #[serde(default = "empty_object")]
    #[schema(value_type = Object)]
    pub settings: Value,
    /// References by slot. A plugin that signs gets a secret that is made here, if there are none.
    #[serde(default)]
    pub credentials: Option<BTreeMap<String, String>>,
    /// The URL leads into a private network, and is meant to.
    #[serde(default)]
    pub private_network: bool,
    /// In PEM; trusted beside the system's.
    #[serde(default)]
    pub certificates: Option<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What it is told of all stacks of its team.
    #[serde(default)]
    pub rules: Vec<RulePlan>,
    /// What it is told of single stacks, by their names.
    #[serde(default)]
    pub stack_rules: BTreeMap<String, Vec<RulePlan>>,
}

/// Without what is secret.
impl std::fmt::Debug for ChannelEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChannelEntry({} of {})", self.name, self.team)
    }
}

fn default_team() -> String {
    DEFAULT_NAME.into()
}

pub(super) fn yes() -> bool {
    true
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
        for (n, stack) in self.stacks.iter().flatten().enumerate() {
            stack.check().map_err(|error| below(&format!("stacks.{n}"), error))?;
        }
        for (n, channel) in self.channels.iter().flatten().enumerate() {
            let plans = channel.rules.iter().chain(channel.stack_rules.values().flatten());
            for plan in plans {
                plan.check().map_err(|error| below(&format!("channels.{n}.rules"), error))?;
            }
        }
        once("teams", "team", self.teams.iter().flatten().map(|team| team.name.clone()))?;
        once("providers", "provider", self.providers.iter().flatten().map(|row| row.name.clone()))?;
        once("stacks", "stack", self.stacks.iter().flatten().map(|stack| stack.name.clone()))?;
        once("registries", "registry", self.registries.iter().flatten().map(|row| row.name.clone()))?;
        once("channels", "channel", self.channels.iter().flatten().map(ChannelEntry::full_name))
    }
}

/// # Errors
/// `Invalid` if two entries of a section have one name.
fn once(section: &str, what: &str, names: impl Iterator<Item = String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (n, name) in names.enumerate() {
        let message = format!("{what} `{}` is there twice", name.escape_debug());
        if !seen.insert(name) {
            return Err(Error::invalid(format!("{section}.{n}.name"), message));
        }
    }
    Ok(())
}

/// An error of a part of the file, with the path to it.
fn below(path: &str, error: Error) -> Error {
    match error {
        Error::Invalid { field, message } => Error::invalid(format!("{path}.{field}"), message),
        other => other,
    }
}

impl StackEntry {
    fn check(&self) -> Result<()> {
        let mut schedules = BTreeSet::new();
        for (k, plan) in self.schedules.iter().enumerate() {
            let at = format!("schedules.{k}");
            if !schedules.insert(plan.name.as_str()) {
                let message = format!("schedule `{}` is there twice", plan.name.escape_debug());
                return Err(Error::invalid(format!("{at}.name"), message));
            }
            plan.check().map_err(|error| below(&at, error))?;
        }
        if let Some(protection) = &self.protection {
            protection.check().map_err(|error| below("protection", error))?;
        }
        if let Some(previews) = &self.previews {
            previews.check().map_err(|error| below("previews", error))?;
        }
        let needing = [("schedules", !self.schedules.is_empty()), ("previews", self.previews.is_some())];
        match needing.into_iter().find(|(_, is_there)| *is_there && self.repository.is_none()) {
            Some((field, _)) => Err(Error::invalid(field, "without a repository there is nothing to deploy")),
            None => Ok(()),
        }
    }

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
                    let secret = old.client_secret.as_deref();
                    fill(&mut new.client_secret, &format!("{at}.clientSecret"), given, secret)?;
                    // The stored one may have taken the place of the one that is given, which is worth nothing then.
                    let is_newer = old.refresh_token.is_some() && old.client_id == new.client_id;
                    let (nothing, stored) = (BTreeMap::new(), old.refresh_token.as_deref());
                    let given = if is_newer { &nothing } else { given };
                    fill(&mut new.refresh_token, &format!("{at}.refreshToken"), given, stored)?;
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
}

/// As [`StackEntry::resolve`], for the password of a registry. It stays with its address.
///
/// # Errors
/// As there.
pub fn fill_password(
    registry: &mut RegistryInput,
    given: &BTreeMap<String, String>,
    stored: Option<&RegistryInput>,
) -> Result<()> {
    let is_same = |old: &&RegistryInput| old.address == registry.address;
    let old = stored.filter(is_same).and_then(|old| old.password.clone());
    match registry.password {
        Some(_) => fill(&mut registry.password, "password", given, old.as_deref()),
        None => {
            registry.password = old.filter(|_| !registry.username.is_empty());
            Ok(())
        }
    }
}

impl ChannelEntry {
    /// Its name with its team's, which together are unique.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.team, self.name)
    }

    /// What the file does not mention stays as it is, unless it is to be pruned.
    pub fn keep_rest(&mut self, current: Option<&Self>, prune: bool) {
        let Some(current) = current.filter(|_| !prune) else { return };
        let add = |own: &mut Vec<RulePlan>, stored: &[RulePlan]| {
            let rest: Vec<_> = stored.iter().filter(|plan| !own.contains(plan)).cloned().collect();
            own.extend(rest);
        };
        add(&mut self.rules, &current.rules);
        for (stack, plans) in &current.stack_rules {
            add(self.stack_rules.entry(stack.clone()).or_default(), plans);
        }
    }

    /// As it is stored, and with its rules in an order that depends on nothing but them: they have no names.
    pub fn put_in_order(&mut self) {
        self.url = self.url.trim().trim_end_matches('/').to_owned();
        let text = |plan: &RulePlan| serde_json::to_string(plan).unwrap_or_default();
        for plans in self.stack_rules.values_mut().chain([&mut self.rules]) {
            plans.sort_by_cached_key(text);
        }
        self.stack_rules.retain(|_, plans| !plans.is_empty());
    }

    /// As [`StackEntry::resolve`].
    ///
    /// # Errors
    /// As there.
    pub fn resolve(&mut self, given: &BTreeMap<String, String>, stored: Option<&Self>) -> Result<()> {
        let old = stored.and_then(|old| old.credentials.clone());
        self.credentials.take_if(|slots| slots.is_empty());
        match &mut self.credentials {
            Some(slots) => {
                for (slot, text) in slots {
                    let mut value = Some(std::mem::take(text));
                    let kept = old.as_ref().and_then(|old| old.get(slot)).map(String::as_str);
                    fill(&mut value, &format!("credentials.{slot}"), given, kept)?;
                    *text = value.unwrap_or_default();
                }
            }
            None => self.credentials = old,
        }
        Ok(())
    }
}

/// What differs between an entry and what is there, in the order of the alphabet; everything if there is nothing yet. Secrets
/// are never part of it.
pub fn changes<T: Serialize>(new: &T, old: Option<&T>) -> Result<Vec<Change>> {
    let (new, old) = (facts(new)?, old.map(facts).transpose()?.unwrap_or_default());
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

fn facts<T: Serialize>(entry: &T) -> Result<Facts> {
    let mut facts = Facts::new();
    gather(&serde_json::to_value(entry).map_err(Error::internal)?, "", false, &mut facts);
    Ok(facts)
}

pub(super) fn fill(
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
                    || matches!(key.as_str(), "credentials" | "password" | "webhookSecret");
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
