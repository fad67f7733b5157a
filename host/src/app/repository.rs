//! What the forge of a stack's repository knows of it. The repository's own address and token are the connection.

use std::sync::Arc;

use serde_json::json;
use url::Url;

use super::App;
use super::build::auth;
use super::stack::stack_view;
use crate::domain::admission::is_granted;
use crate::domain::forge::RepositoryDetails;
use crate::domain::plugin::CredentialSlot;
use crate::domain::repository::{GitRepository, redact_url};
use crate::error::{Error, Result};
use crate::git::GitAuth;
use crate::plugins::{Connection, Secret, Target};

/// Asks the forge about the stack's repository.
///
/// # Errors
/// `Conflict` for a stack without a repository, or with one that is not reached by HTTP; a plugin error if the forge's
/// plugin cannot ask, or the forge does not answer.
pub async fn repository_details(app: &App, reference: &str) -> Result<RepositoryDetails> {
    let view = stack_view(app, reference).await?;
    let Some(row) = view.repository else {
        return Err(Error::conflict(format!("stack `{}` has no repository", view.stack.name)));
    };
    let url = Url::parse(&row.url).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let Some(url) = url else {
        return Err(Error::conflict(format!(
            "the forge of {} cannot be asked: the repository's URL is none of https:// or http://, so it does not say \
             where the forge is",
            redact_url(&row.url)
        )));
    };
    let target = Target { connection: Arc::new(connection(app, &row, &url)?), settings: json!({}) };
    let path = url.path().trim_matches('/');
    let full_name = path.strip_suffix(".git").unwrap_or(path);
    app.plugins.forge_repository(&row.provider, &target, full_name).await
}

/// A connection to where the repository lives, with what the operator granted the plugin there.
fn connection(app: &App, row: &GitRepository, url: &Url) -> Result<Connection> {
    let granted = app.plugins.granted(&row.provider);
    let id = format!("repository {}", row.id);
    let words: Vec<&str> = granted.iter().map(String::as_str).collect();
    let manifest = app.plugins.inspect(&row.provider)?.info.map(|info| info.manifest.clone());
    let (slots, bases) =
        manifest.map(|manifest| (manifest.credentials, manifest.api_bases)).unwrap_or_default();
    let connection = Connection::new(id, &api_base(url, &bases)?)?.grant(&words);
    match (only(&slots), auth(app, row)?) {
        (Some(slot), GitAuth::HttpToken { username, token })
            if is_granted(&granted, &format!("credential:{}", slot.name)) =>
        {
            let secret = match slot.injection.as_str() {
                "basic" => format!("{}:{token}", username.unwrap_or_default()),
                _ => token,
            };
            connection.secret(&slot.name, Secret::new(secret))
        }
        _ => Ok(connection),
    }
}

/// Where the forge's API is for a repository at this URL. The repository's token goes there, so a plugin may only name the
/// repository's own host, or one below it.
fn api_base(url: &Url, bases: &[(String, String)]) -> Result<String> {
    let (host, origin) = (url.host_str().unwrap_or_default(), url.origin().ascii_serialization());
    let Some((_, base)) = bases.iter().find(|(at, _)| at == "*" || at == host) else {
        return Ok(origin);
    };
    let base = base.replace("{origin}", &origin);
    let is_near = Url::parse(&base).is_ok_and(|base| {
        let there = base.host_str().unwrap_or_default();
        base.scheme() == url.scheme() && (there == host || there.ends_with(&format!(".{host}")))
    });
    if is_near {
        return Ok(base);
    }
    Err(Error::conflict(format!(
        "the plugin wants to ask {base} about repositories at {origin}, and would take their token there. Only {host} and \
         names below it are allowed"
    )))
}

/// The slot that the repository's one token is for: the only one, or the only one that has to be filled.
fn only(slots: &[CredentialSlot]) -> Option<&CredentialSlot> {
    let mut required = slots.iter().filter(|slot| slot.required);
    match (slots, required.next(), required.next()) {
        ([slot], ..) | (_, Some(slot), None) => Some(slot),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stays_on_the_repositorys_host_or_below() {
        let of = |url: &str, bases: &[(&str, &str)]| {
            let bases: Vec<_> = bases.iter().map(|&(at, base)| (at.to_owned(), base.to_owned())).collect();
            api_base(&Url::parse(url).expect("a URL"), &bases).ok()
        };
        let usual = [("forge.example", "https://api.forge.example"), ("*", "{origin}/api/v3")];
        for (url, bases, wanted) in [
            ("https://forge.example/a/b.git", &usual[..], Some("https://api.forge.example")),
            ("https://own.example:8443/a/b.git", &usual[..], Some("https://own.example:8443/api/v3")),
            ("https://own.example/a/b.git", &[], Some("https://own.example")),
            ("https://own.example/a/b.git", &[("*", "https://evil.example")], None),
            ("https://own.example/a/b.git", &[("*", "https://evilown.example")], None),
            ("https://own.example/a/b.git", &[("*", "http://own.example")], None),
            ("https://own.example/a/b.git", &[("*", "no URL")], None),
        ] {
            assert_eq!(of(url, bases).as_deref(), wanted, "{url} {bases:?}");
        }
    }
}
