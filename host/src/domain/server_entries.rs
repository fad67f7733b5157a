//! Teams and CI/CD providers in a server's file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::cicd::AuthType;
use super::plugin::{CredentialSlot, variable};
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
    /// credentials stay with its address. `slots` are those of its plugin: a refresh token of the same client that is stored may
    /// have taken the place of the one that is given, which is worth nothing then.
    ///
    /// # Errors
    /// `Invalid` for a secret that is written out, and for a reference that nobody has a value for.
    pub fn resolve(
        &mut self,
        given: &BTreeMap<String, String>,
        stored: Option<&Self>,
        slots: &[CredentialSlot],
    ) -> Result<()> {
        self.url = self.url.trim().trim_end_matches('/').to_owned();
        self.team.take_if(|team| team.is_empty());
        let is_same = |old: &&Self| (&old.url, old.port) == (&self.url, self.port);
        let old = stored.filter(is_same).and_then(|old| old.credentials.clone());
        let of_client = |entry: &Self| variable(&entry.settings, "client_id").map(str::to_owned);
        let is_same_client = stored.is_some_and(|old| of_client(old) == of_client(self));
        let is_refresh = |name: &str| slots.iter().any(|slot| slot.name == name && slot.is_refresh());
        self.credentials.take_if(|given| given.is_empty());
        match &mut self.credentials {
            Some(wanted) => {
                let is_open = |slot: &str, text: &str| slot == "username" && !text.starts_with("${");
                let nothing = BTreeMap::new();
                for (slot, text) in wanted.iter_mut().filter(|(slot, text)| !is_open(slot, text)) {
                    let kept = old.as_ref().and_then(|old| old.get(slot)).map(String::as_str);
                    let is_newer = kept.is_some() && is_same_client && is_refresh(slot);
                    let given = if is_newer { &nothing } else { given };
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
        stored.resolve(&given, None, &[]).unwrap();
        let slots = stored.credentials.clone().unwrap();
        assert_eq!((slots["username"].as_str(), slots["token"].as_str()), ("bot", "t-1"));
        let mut kept = wanted.clone();
        kept.resolve(&BTreeMap::new(), Some(&stored), &[]).unwrap();
        assert_eq!(kept, stored);
        let mut elsewhere = ProviderEntry { url: "https://other.example".into(), ..wanted };
        assert!(elsewhere.resolve(&BTreeMap::new(), Some(&stored), &[]).is_err());
        let mut open = entry(&json!({ "credentials": { "token": "in-the-clear" } }));
        let refused = open.resolve(&given, None, &[]).unwrap_err().to_string();
        assert!(!refused.contains("in-the-clear") && refused.contains("${NAME}"), "{refused}");
    }

    #[test]
    fn a_refresh_token_is_given_once_and_counts_until_the_client_is_another_one() {
        let slot = CredentialSlot {
            name: "oauth".into(),
            summary: String::new(),
            injection: "oauth2".into(),
            required: false,
            extras: Vec::new(),
        };
        let slots = [slot];
        let given =
            BTreeMap::from(["FIRST", "SECRET"].map(|name| (name.to_owned(), format!("{name}-given"))));
        let wanted = |client: &str| {
            entry(&json!({
                "credentials": { "oauth": "${FIRST}", "oauth-client": "${SECRET}" },
                "settings": { "client_id": client },
            }))
        };
        let of = |entry: &ProviderEntry, slot: &str| entry.credentials.as_ref().unwrap()[slot].clone();
        let mut stored = wanted("mine");
        stored.resolve(&given, None, &slots).unwrap();
        assert_eq!(of(&stored, "oauth"), "FIRST-given");
        // It was traded, and the client's secret changed as well.
        let traded = ["oauth", "oauth-client"].map(|slot| (slot.to_owned(), "stored".to_owned()));
        stored.credentials = Some(traded.into());
        let mut again = wanted("mine");
        again.resolve(&given, Some(&stored), &slots).unwrap();
        assert_eq!(
            (of(&again, "oauth"), of(&again, "oauth-client")),
            ("stored".into(), "SECRET-given".into())
        );
        let mut other = wanted("other");
        other.resolve(&given, Some(&stored), &slots).unwrap();
        assert_eq!(of(&other, "oauth"), "FIRST-given");
    }
}
