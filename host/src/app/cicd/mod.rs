//! CI/CD providers (seeds 0 and 1): connections to them, jobs, builds, and stacks that are deployed by them.
//!
//! A build is one row that one task takes from step to step: make the job, start the build, ask how it is, read its log. What
//! is about to be sent is written down before, so whatever dies, the next attempt knows where it was. A provider's reports
//! only make that faster.

mod apply;
pub mod build;
pub mod change;
pub mod deployment;
pub mod health;
pub mod job;
mod log;
pub mod notice;
pub mod provider;
mod run;
pub mod stack;
mod successor;
pub mod watch;

pub use health::Budgets;
pub use log::Live;
pub use run::ci_build_run;
pub use successor::successor;
pub use watch::ci_job_run;

use std::sync::Arc;

use url::Url;

use super::App;
use super::credential::{Holder, keeper};
use crate::domain::admission::is_granted;
use crate::domain::cicd::{AuthType, CicdProvider};
use crate::domain::plugin::{CredentialSlot, Manifest};
use crate::error::{Error, Result};
use crate::plugins::{Connection, Secret, Target};

/// Where a provider is and how it is talked to.
fn target(app: &App, provider: &CicdProvider) -> Result<Target> {
    let granted = app.plugins.granted(&provider.kind);
    let words: Vec<&str> = granted.iter().map(String::as_str).collect();
    let mut connection =
        Connection::new(format!("provider {}", provider.id), &base_url(provider)?)?.grant(&words);
    if provider.private_network {
        connection = connection.on_private_network();
    }
    if let Some(pem) = &provider.certificates {
        connection = connection.certificates(pem);
    }
    let slots = manifest(app, &provider.kind)?.credentials;
    let (budgets, id) = (app.ci_budgets.clone(), provider.id.clone());
    connection = connection.on_budget(Arc::new(move |budget| budgets.set(&id, budget)));
    connection = connection.on_rotated(keeper(app, Holder::Provider, &provider.id));
    let credentials = provider::credentials(app, provider)?;
    for (slot, secret) in secrets(&slots, provider.auth_type, &credentials)? {
        if is_granted(&granted, &format!("credential:{slot}")) {
            connection = connection.secret(&slot, Secret::new(secret))?;
            if let Some((name, secret)) = companion(&slots, &slot, &credentials) {
                connection = connection.secret(&name, Secret::new(secret))?;
            }
        }
    }
    Ok(Target { connection: Arc::new(connection), settings: provider.settings.clone() })
}

/// The secret that goes with a slot's own, unless it is for a slot itself: that of the client which trades a refresh token.
fn companion(slots: &[CredentialSlot], slot: &str, credentials: &Credentials) -> Option<(String, String)> {
    let name = slots.iter().find(|known| known.name == slot)?.companion()?;
    let secret = credentials.get(&name).filter(|_| slots.iter().all(|known| known.name != name))?;
    Some((name, secret.clone()))
}

/// The URL with the port, which seed 0 keeps apart.
fn base_url(provider: &CicdProvider) -> Result<String> {
    let Some(port) = provider.port else { return Ok(provider.url.clone()) };
    let unusable = || Error::invalid("url", format!("`{}` cannot have a port", provider.url.escape_debug()));
    let mut url = Url::parse(&provider.url).map_err(|_| unusable())?;
    url.set_port(Some(port)).map_err(|()| unusable())?;
    Ok(url.to_string())
}

fn manifest(app: &App, plugin: &str) -> Result<Manifest> {
    let status = app.plugins.inspect(plugin)?;
    let missing =
        || Error::conflict(format!("the plugin `{plugin}` is not loaded; `windlass plugin list` says why"));
    status.info.map(|info| info.manifest).ok_or_else(missing)
}

type Credentials = std::collections::BTreeMap<String, String>;

/// What goes into which slot. A credential named like a slot is for that slot; `username` and `password` are for the one that
/// takes both.
fn secrets(
    slots: &[CredentialSlot],
    auth_type: AuthType,
    credentials: &Credentials,
) -> Result<Vec<(String, String)>> {
    let takes_pair = |slot: &CredentialSlot| matches!(slot.injection.as_str(), "basic" | "crumb");
    // An app's key and a refresh token are no passwords, so they do not count beside a slot that is for one.
    let is_direct = |slot: &CredentialSlot| !slot.is_app() && slot.companion().is_none();
    let has_one = slots.iter().filter(|slot| is_direct(slot)).count() == 1;
    let username = credentials.get("username");
    let mut found = Vec::new();
    for slot in slots {
        let value = match (credentials.get(&slot.name), auth_type) {
            (Some(value), _) => value,
            (None, AuthType::Basic) if slot.name == "basic" || (has_one && is_direct(slot)) => {
                match credentials.get("password") {
                    Some(password) => password,
                    None => continue,
                }
            }
            (None, _) => continue,
        };
        let value = match username.filter(|_| takes_pair(slot)) {
            Some(username) => format!("{username}:{value}"),
            None => value.clone(),
        };
        found.push((slot.name.clone(), value));
    }
    if found.is_empty() && slots.iter().any(|slot| slot.required)
        || found.is_empty() && !credentials.is_empty()
    {
        let names: Vec<String> =
            slots.iter().map(|slot| format!("`{}` ({})", slot.name, slot.summary)).collect();
        let message = format!("none of the credentials is one that the plugin takes: {}", names.join("; "));
        return Err(Error::invalid("credentials", message));
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    fn slot(name: &str, injection: &str) -> CredentialSlot {
        CredentialSlot {
            name: name.into(),
            summary: String::new(),
            injection: injection.into(),
            required: false,
            extras: Vec::new(),
        }
    }

    fn put(auth: AuthType, given: &[(&str, &str)], slots: &[CredentialSlot]) -> Vec<(String, String)> {
        let given = given.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        secrets(slots, auth, &given).unwrap_or_default()
    }

    #[test]
    fn credentials_find_their_slots() {
        let two = [slot("token", "basic"), slot("basic", "crumb")];
        let one = [slot("token", "bearer")];
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let of = AuthType::Token;
        assert_eq!(put(of, &[("token", "u:t")], &two), pair("token", "u:t"));
        assert_eq!(put(of, &[("username", "u"), ("token", "t")], &two), pair("token", "u:t"));
        assert_eq!(put(of, &[("username", "u"), ("token", "t")], &one), pair("token", "t"));
        let basic = [("username", "u"), ("password", "p")];
        assert_eq!(put(AuthType::Basic, &basic, &two), pair("basic", "u:p"));
        assert!(put(of, &[("key", "k")], &two).is_empty());
        let forge = [slot("token", "bearer"), slot("app", "app-jwt")];
        assert_eq!(put(AuthType::Basic, &basic, &forge), pair("token", "p"));
        assert_eq!(put(of, &[("app", "k")], &forge), pair("app", "k"));
        let refresh = [slot("login", "oauth2")];
        let given = [("login", "r"), ("login-client", "c")].map(|(name, value)| (name.into(), value.into()));
        let found = companion(&refresh, "login", &given.into());
        assert_eq!(found, Some(("login-client".to_owned(), "c".to_owned())));
    }
}
