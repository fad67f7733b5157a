//! Teams and CI/CD providers in a server's file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::cicd::AuthType;
use super::server_file::{empty_object, fill, yes};
use crate::error::Result;

/// A team. Who is in it is not said in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeamEntry {
    pub name: String,
}

/// A connection to a CI/CD provider; the fields are those of the API's `POST /api/v1/providers`.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderEntry {
    pub name: String,
    /// Name of a plugin of the kind `ci-provider`.
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default = "token")]
    pub auth_type: AuthType,
    /// References by slot, or as `password` or `token` beside a `username`, which may be written out.
    #[serde(default)]
    pub credentials: Option<BTreeMap<String, String>>,
    /// The plugin's.
    #[serde(default = "empty_object")]
    #[schema(value_type = Object)]
    pub settings: Value,
    /// A reference: whose reports are believed. One is made if there is none.
    #[serde(default)]
    pub webhook_secret: Option<String>,
    /// The URL leads into a private network, and is meant to.
    #[serde(default)]
    pub private_network: bool,
    /// In PEM; trusted beside the system's.
    #[serde(default)]
    pub certificates: Option<String>,
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// Name of the team whose stacks may be deployed by it; the installation's if left out.
    #[serde(default)]
    pub team: Option<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// Without what is secret.
impl std::fmt::Debug for ProviderEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProviderEntry({})", self.name)
    }
}

fn token() -> AuthType {
    AuthType::Token
}

impl ProviderEntry {
    /// Puts values in the places of references. `stored` is the provider as it is, for references without a value; its
    /// credentials stay with its address.
    ///
    /// # Errors
    /// `Invalid` for a secret that is written out, and for a reference that nobody has a value for.
    pub fn resolve(&mut self, given: &BTreeMap<String, String>, stored: Option<&Self>) -> Result<()> {
        self.url = self.url.trim().trim_end_matches('/').to_owned();
        self.team.take_if(|team| team.is_empty());
        let is_same = |old: &&Self| (&old.url, old.port) == (&self.url, self.port);
        let old = stored.filter(is_same).and_then(|old| old.credentials.clone());
        self.credentials.take_if(|slots| slots.is_empty());
        match &mut self.credentials {
            Some(slots) => {
                let is_open = |slot: &str, text: &str| slot == "username" && !text.starts_with("${");
                for (slot, text) in slots.iter_mut().filter(|(slot, text)| !is_open(slot, text)) {
                    let kept = old.as_ref().and_then(|old| old.get(slot)).map(String::as_str);
                    let mut value = Some(std::mem::take(text));
                    fill(&mut value, &format!("credentials.{slot}"), given, kept)?;
                    *text = value.unwrap_or_default();
                }
            }
            None => self.credentials = old,
        }
        let secret = stored.and_then(|old| old.webhook_secret.clone());
        match self.webhook_secret {
            Some(_) => fill(&mut self.webhook_secret, "webhookSecret", given, secret.as_deref()),
            None => {
                self.webhook_secret = secret;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(extra: &Value) -> ProviderEntry {
        let mut whole = json!({ "name": "ci", "type": "forge", "url": "https://ci.example/" });
        whole.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn a_providers_credentials_are_references_and_stay_with_its_address() {
        let given = BTreeMap::from([("TOKEN".to_owned(), "t-1".to_owned())]);
        let wanted = entry(&json!({ "credentials": { "username": "bot", "token": "${TOKEN}" } }));
        let mut stored = wanted.clone();
        stored.resolve(&given, None).unwrap();
        let slots = stored.credentials.clone().unwrap();
        assert_eq!((slots["username"].as_str(), slots["token"].as_str()), ("bot", "t-1"));
        let mut kept = wanted.clone();
        kept.resolve(&BTreeMap::new(), Some(&stored)).unwrap();
        assert_eq!(kept, stored);
        let mut elsewhere = ProviderEntry { url: "https://other.example".into(), ..wanted };
        assert!(elsewhere.resolve(&BTreeMap::new(), Some(&stored)).is_err());
        let mut open = entry(&json!({ "credentials": { "token": "in-the-clear" } }));
        let refused = open.resolve(&given, None).unwrap_err().to_string();
        assert!(!refused.contains("in-the-clear") && refused.contains("${NAME}"), "{refused}");
    }
}
