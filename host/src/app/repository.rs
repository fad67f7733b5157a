//! What the forge of a stack's repository knows of it. The repository's own address and token are the connection.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

use super::build::{auth, auth_of, credentials};
use super::credential::{Holder, keeper};
use super::stack::stack_view;
use super::{App, outgoing_policy};
use crate::domain::Id;
use crate::domain::admission::is_granted;
use crate::domain::forge::RepositoryDetails;
use crate::domain::plugin::CredentialSlot;
use crate::domain::reference;
use crate::domain::remote::{Remote, Scheme};
use crate::domain::repository::{
    GitAuthType, GitCredentials, GitRepository, RepositoryInput, check_url, redact_url,
};
use crate::error::{Error, Result};
use crate::git::{GitAuth, RepoAccess};
use crate::plugins::{Connection, Secret, Target};
use crate::store;

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
    let (target, full_name) = target(app, &row)?;
    app.plugins.forge_repository(&row.provider, &target, &full_name).await
}

/// A repository, stored or only described, and how it is logged in to.
pub(super) struct Place<'a> {
    id: &'a str,
    provider: &'a str,
    url: &'a str,
    auth_type: GitAuthType,
    credentials: GitCredentials,
}

impl<'a> Place<'a> {
    pub(super) fn of(app: &App, row: &'a GitRepository) -> Result<Self> {
        let credentials = credentials(app, row)?;
        let (id, provider, url) = (row.id.as_str(), row.provider.as_str(), row.url.as_str());
        Ok(Self { id, provider, url, auth_type: row.auth_type, credentials })
    }

    fn described(given: &'a RepositoryInput) -> Self {
        let credentials = given.credentials.clone().unwrap_or_default();
        Self { id: "", provider: &given.provider, url: &given.url, auth_type: given.auth_type, credentials }
    }

    fn is_app(&self) -> bool {
        self.auth_type == GitAuthType::HttpToken && self.credentials.is_app()
    }

    fn is_oauth(&self) -> bool {
        self.auth_type == GitAuthType::HttpToken && self.credentials.is_oauth()
    }

    /// What the recipe of the slot needs to know beside the secret.
    fn settings(&self) -> serde_json::Value {
        let known = &self.credentials;
        if self.is_app() {
            return json!({ "app_id": known.app_id, "installation_id": known.installation_id });
        }
        if self.is_oauth() {
            return json!({ "client_id": known.client_id });
        }
        json!({})
    }
}

/// How the forge of a repository is asked about it, and what the repository is called there.
///
/// # Errors
/// `Conflict` if the repository is not reached by HTTP.
pub(super) fn target(app: &App, row: &GitRepository) -> Result<(Target, String)> {
    target_at(app, &Place::of(app, row)?)
}

fn target_at(app: &App, place: &Place<'_>) -> Result<(Target, String)> {
    let remote = Remote::parse(place.url).ok();
    let Some(remote) = remote.filter(|remote| matches!(remote.scheme, Scheme::Https | Scheme::Http)) else {
        return Err(Error::conflict(format!(
            "the forge of {} cannot be asked: the repository's URL is none of https:// or http://, so it does not say \
             where the forge is",
            redact_url(place.url)
        )));
    };
    let origin = remote.origin();
    let origin =
        Url::parse(&origin).map_err(|why| Error::invalid("repository.url", format!("{origin}: {why}")))?;
    let target =
        Target { connection: Arc::new(connection(app, place, &origin)?), settings: place.settings() };
    let path = remote.path.trim_matches('/');
    Ok((target, path.strip_suffix(".git").unwrap_or(path).to_owned()))
}

/// Names the mirror of a stack's repository: all repositories of a team with this address and these credentials have one.
///
/// # Errors
/// `Conflict` or `Failed` if the stored credentials cannot be opened.
pub async fn mirror_of(app: &App, row: &GitRepository) -> Result<Id> {
    let team = {
        let mut conn = app.db.read().await?;
        let stack = store::stacks::find(&mut conn, row.stack_id.as_str()).await?;
        store::projects::find(&mut conn, stack.project_id.as_str()).await?.team_id
    };
    let mut known = credentials(app, row)?;
    if known.refresh_token.is_some() {
        // It is another one tomorrow, so it cannot say who else may read this mirror: nobody does.
        known.refresh_token = Some(row.id.to_string());
    }
    let credentials =
        Zeroizing::new(serde_json::to_vec(&(row.auth_type.as_str(), known)).map_err(Error::internal)?);
    app.git.mirror_of(&team, &row.url, &credentials)
}

/// The user beside a token that was made, where the plugin names none.
const TOKEN_USER: &str = "x-access-token";

/// How git logs in: with what is stored, or with a token that was made from an app's key or a refresh token.
pub(super) async fn git_auth(app: &App, place: Place<'_>) -> Result<GitAuth> {
    if !place.is_app() && !place.is_oauth() {
        return auth_of(place.auth_type, place.credentials);
    }
    let (target, _) = target_at(app, &place)?;
    let slots = slots(app, place.provider)?;
    let slot = minting_slot(&slots, &place)?;
    let token = app.plugins.forge_token(place.provider, &target, &slot.name).await?;
    let token = String::from_utf8_lossy(token.expose()).into_owned();
    let usual = || slot.git_user().unwrap_or(TOKEN_USER).to_owned();
    let username = place.credentials.username.unwrap_or_else(usual);
    Ok(GitAuth::HttpToken { username: Some(username), token })
}

/// Has the newest refresh token take the place of one that was just stored: whoever tried that before had nowhere to keep what it
/// was traded for. The stack is stored in any case.
pub(super) async fn keep_newest(app: &App, row: &GitRepository) {
    let (asked, stored) = (app.clone(), row.clone());
    // In a task of its own: half of it would leave nobody knowing what is stored.
    let kept = tokio::spawn(async move { keep_newest_of(&asked, &Place::of(&asked, &stored)?).await });
    let why = match tokio::time::timeout(PATIENCE, kept).await {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(error))) => error.for_log(),
        Ok(Err(broken)) => broken.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    tracing::warn!(repository = %row.id, why, "[@access:credentials] a refresh token that may be used up is stored");
}

async fn keep_newest_of(app: &App, place: &Place<'_>) -> Result<()> {
    if !place.is_oauth() {
        return Ok(());
    }
    let (target, _) = target_at(app, place)?;
    let slots = slots(app, place.provider)?;
    let slot = minting_slot(&slots, place)?;
    app.plugins.forge_keep_newest(place.provider, &target, &slot.name).await
}

/// What is wrong with a repository that an app or an OAuth application is to log in to, as far as it can be said without asking
/// the forge.
pub(super) fn minting_check(app: &App, given: &RepositoryInput) -> Result<()> {
    let place = Place::described(given);
    let (target, _) = target_at(app, &place)?;
    match app.plugins.settings_problems(place.provider, &target.settings)?.first() {
        Some(problem) => {
            Err(Error::conflict(format!("{}: {}", problem.path.trim_matches('/'), problem.message)))
        }
        None => Ok(()),
    }
}

fn slots(app: &App, plugin: &str) -> Result<Vec<CredentialSlot>> {
    Ok(app.plugins.inspect(plugin)?.info.map(|info| info.manifest.credentials).unwrap_or_default())
}

/// The slot for an app's key, or for a refresh token.
fn minting_slot<'a>(slots: &'a [CredentialSlot], place: &Place<'_>) -> Result<&'a CredentialSlot> {
    let is_app = place.is_app();
    let fits = |slot: &&CredentialSlot| if is_app { slot.is_app() } else { slot.is_refresh() };
    slots.iter().find(fits).ok_or_else(|| {
        let what = if is_app { "an app's key" } else { "a refresh token" };
        Error::conflict(format!(
            "the forge plugin `{}` makes no tokens from {what}; give it a token instead",
            place.provider
        ))
    })
}

/// What a connection test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The branch that is to be deployed.
    pub branch: String,
    pub has_branch: bool,
    /// None for an empty repository.
    pub default_branch: Option<String>,
}

impl Reached {
    /// For people.
    pub fn words(&self) -> String {
        match &self.default_branch {
            _ if self.has_branch => format!("Connected. The branch `{}` is there.", self.branch),
            Some(other) => {
                format!("Connected, but there is no branch `{}`; the default one is `{other}`.", self.branch)
            }
            None => "Connected. The repository is empty: push a commit first.".into(),
        }
    }
}

/// What a git server gets to say which branch is its default one, while a person waits for their stack.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where the git server does not say.
const USUAL_BRANCH: &str = "main";

/// Fills in the branch that a person left out: that of `old`, if it is of the same repository; else the one that a clone
/// checks out. Git itself is asked, which every server answers, whatever its forge is.
pub(super) async fn branch_fill(app: &App, given: Option<&mut RepositoryInput>, old: Option<&GitRepository>) {
    let Some(given) = given.filter(|given| given.branch.is_empty()) else { return };
    given.branch = match same(given, old) {
        Some(row) => row.branch.clone(),
        None => default_branch(app, given).await.unwrap_or_else(|| USUAL_BRANCH.to_owned()),
    };
}

async fn default_branch(app: &App, given: &RepositoryInput) -> Option<String> {
    let auth = tokio::time::timeout(PATIENCE, git_auth(app, Place::described(given))).await.ok()?.ok()?;
    let access = RepoAccess { id: store::new_id(), url: given.url.clone(), auth };
    let stop = CancellationToken::new();
    // The conversation ends with this function, also where that is not waited for.
    let _stopped = stop.clone().drop_guard();
    let refs = tokio::time::timeout(PATIENCE, app.git.ls_remote(&access, &stop)).await.ok()?.ok()?;
    refs.default_branch.filter(|name| reference::check_name(name).is_ok())
}

/// The stored repository, if it is the one that is described.
fn same<'a>(given: &RepositoryInput, stored: Option<&'a GitRepository>) -> Option<&'a GitRepository> {
    stored.filter(|row| row.url == given.url || redact_url(&row.url) == given.url)
}

/// Connects to a repository as a build would: to the one that is described, or else to the stack's. Credentials that are left
/// out are those of the stack's repository, if that has the same URL; they are sent nowhere else.
///
/// # Errors
/// `Invalid` for a URL or branch that is none, or if neither says what to test; otherwise what the server of the repository
/// said.
pub async fn repository_test(
    app: &App,
    stack: Option<&str>,
    given: Option<&RepositoryInput>,
) -> Result<Reached> {
    let stored = match stack {
        Some(reference) => stack_view(app, reference).await?.repository,
        None => None,
    };
    let (url, branch, auth) = match (given, stored) {
        (None, None) => {
            let text = "there is nothing to test: describe a repository, or name a stack that has one";
            return Err(Error::invalid("repository", text));
        }
        (None, Some(row)) => (row.url.clone(), row.branch.clone(), auth(app, &row).await?),
        (Some(given), stored) => {
            let same = same(given, stored.as_ref());
            let url = same.map_or(&given.url, |row| &row.url).clone();
            let auth = match (&given.credentials, same) {
                (None, Some(row)) => auth(app, row).await?,
                _ => git_auth(app, Place::described(given)).await?,
            };
            (url, given.branch.clone(), auth)
        }
    };
    check_url(&url)?;
    if !branch.is_empty() {
        reference::check_name(&branch)?;
    }
    let access = RepoAccess { id: store::new_id(), url, auth };
    let refs = app.git.ls_remote(&access, &CancellationToken::new()).await?;
    // Who names none means the default one.
    let usual = || refs.default_branch.clone().unwrap_or_else(|| USUAL_BRANCH.to_owned());
    let branch = if branch.is_empty() { usual() } else { branch };
    Ok(Reached { has_branch: refs.commit(&branch).is_some(), branch, default_branch: refs.default_branch })
}

/// A connection to where the repository lives, with what the operator granted the plugin there.
fn connection(app: &App, place: &Place<'_>, url: &Url) -> Result<Connection> {
    let granted = app.plugins.granted(place.provider);
    let words: Vec<&str> = granted.iter().map(String::as_str).collect();
    let manifest = app.plugins.inspect(place.provider)?.info.map(|info| info.manifest);
    let (slots, bases) =
        manifest.map(|manifest| (manifest.credentials, manifest.api_bases)).unwrap_or_default();
    let id = format!("repository {}", place.id);
    let connection = Connection::new(id, &api_base(url, &bases)?)?.grant(&words);
    // A person of a team wrote the URL, as that of any repository.
    let mut connection = connection.within(outgoing_policy(&app.config));
    if !place.id.is_empty() {
        connection = connection.on_rotated(keeper(app, Holder::Repository, &Id::from_text(place.id)));
    }
    let Some((slot, secret)) = secret(&slots, place)? else { return Ok(connection) };
    if !is_granted(&granted, &format!("credential:{}", slot.name)) {
        return Ok(connection);
    }
    let connection = connection.secret(&slot.name, Secret::new(secret))?;
    match (slot.companion(), &place.credentials.client_secret) {
        (Some(name), Some(secret)) => connection.secret(&name, Secret::new(secret.clone())),
        _ => Ok(connection),
    }
}

/// What the forge is shown, and the slot that it is for.
fn secret<'a>(
    slots: &'a [CredentialSlot],
    place: &Place<'_>,
) -> Result<Option<(&'a CredentialSlot, String)>> {
    let minted_from = match (place.is_app(), place.is_oauth()) {
        (true, _) => Some(&place.credentials.private_key),
        (_, true) => Some(&place.credentials.refresh_token),
        _ => None,
    };
    if let Some(secret) = minted_from {
        return Ok(Some((minting_slot(slots, place)?, secret.clone().unwrap_or_default())));
    }
    let GitAuth::HttpToken { username, token } = auth_of(place.auth_type, place.credentials.clone())? else {
        return Ok(None);
    };
    Ok(only(slots).map(|slot| match slot.injection.as_str() {
        "basic" => (slot, format!("{}:{token}", username.unwrap_or_default())),
        _ => (slot, token),
    }))
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

/// The slot that the repository's one token is for: the only one that takes it as it is, or the only one of these that has to be
/// filled.
fn only(slots: &[CredentialSlot]) -> Option<&CredentialSlot> {
    let plain: Vec<&CredentialSlot> = slots.iter().filter(|slot| slot.is_plain()).collect();
    let mut required = plain.iter().filter(|slot| slot.required);
    match (plain.as_slice(), required.next(), required.next()) {
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
