//! Connections to providers: created, changed, shown, removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Credentials, health, manifest, secrets, target};
use crate::app::App;
use crate::app::deployment::Caller;
use crate::app::webhook_secret::fresh;
use crate::domain::Id;
use crate::domain::access::Reach;
use crate::domain::ci::CiAccount;
use crate::domain::cicd::{AuthType, CicdProvider, ProviderHealth};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::page::{Page, PageRequest};
use crate::domain::plugin::{CredentialSlot, PluginKind};
use crate::domain::server_entries::ProviderEntry;
use crate::error::{Error, Result};
use crate::store::{self, Tx, ci_builds, cicd_jobs, cicd_providers, events, stack_ci, stacks, teams};

/// What a person writes about a provider (seed 0, `CICDProviderConfig`). Unknown fields are refused.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderInput {
    /// Name of the plugin.
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub url: String,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default = "token")]
    pub auth_type: AuthType,
    /// By slot (`windlass plugin inspect` lists them), or `username` with `password` or `token`; beside a refresh token's slot
    /// `<slot>-client`, the client's secret. Left out in a change: the stored ones are kept.
    #[serde(default)]
    pub credentials: Option<BTreeMap<String, String>>,
    /// The plugin's.
    #[serde(default = "empty")]
    #[schema(value_type = Object)]
    pub settings: Value,
    /// Whose reports are believed. Left out when creating: one is made. Left out in a change: the stored one is kept.
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
    /// Name or id of the team whose stacks may be deployed by it. Left out: it is the installation's, and only its
    /// administrators use it.
    #[serde(default)]
    pub team_id: Option<String>,
    #[serde(default = "yes")]
    pub is_active: bool,
}

/// Without what is secret.
impl std::fmt::Debug for ProviderInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderInput").field("name", &self.name).finish_non_exhaustive()
    }
}

fn token() -> AuthType {
    AuthType::Token
}

fn empty() -> Value {
    json!({})
}

fn yes() -> bool {
    true
}

/// Where a provider reports to. The secret is shown this once.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReportSetup {
    pub url: String,
    pub secret: String,
}

pub async fn provider_create(
    app: &App,
    input: ProviderInput,
    caller: &Caller,
) -> Result<(CicdProvider, ReportSetup)> {
    let secret = match input.webhook_secret.clone().filter(|secret| !secret.is_empty()) {
        Some(secret) => secret,
        None => fresh(app.plugins.provider_webhook_contract(&input.kind).ok().as_ref())?,
    };
    let mut provider = blank(caller.user.clone());
    let input = ProviderInput { team_id: team_of(app, input.team_id.as_deref()).await?, ..input };
    fill(app, &mut provider, &ProviderInput { webhook_secret: Some(secret.clone()), ..input })?;
    let stored = provider.clone();
    let provider = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let provider = cicd_providers::insert(tx, stored).await?;
                events::append(tx, changed(&provider, "created")).await?;
                Ok(provider)
            })
        })
        .await?;
    tracing::info!("[@service:cicd:provider] {} at {} is connected", provider.name, provider.url);
    let url = report_url(app, &provider);
    Ok((provider, ReportSetup { url, secret }))
}

/// One that nothing is known of yet.
fn blank(creator: Option<String>) -> CicdProvider {
    let now = store::now();
    CicdProvider {
        id: store::new_id(),
        seq: 0,
        kind: String::new(),
        name: String::new(),
        url: String::new(),
        port: None,
        auth_type: AuthType::Token,
        credentials: None,
        webhook_secret: None,
        settings: Value::Null,
        private_network: false,
        certificates: None,
        tenant_id: None,
        team_id: None,
        creator_id: creator,
        is_active: true,
        health: ProviderHealth::default(),
        created_at: now,
        updated_at: now,
    }
}

/// Asks the provider as it would be with this input, of a new one or of the stored one that `key` names. Nothing is stored.
pub async fn provider_try(app: &App, key: Option<&str>, input: &ProviderInput) -> Result<CiAccount> {
    let mut provider = match key {
        Some(key) => {
            let stored = provider_view(app, key).await?;
            check_change(&stored, input)?;
            stored
        }
        None => blank(None),
    };
    fill(app, &mut provider, input)?;
    health::ask(app, &provider).await
}

pub async fn provider_update(app: &App, key: &str, input: ProviderInput) -> Result<CicdProvider> {
    let mut provider = provider_view(app, key).await?;
    check_change(&provider, &input)?;
    let input = ProviderInput { team_id: team_of(app, input.team_id.as_deref()).await?, ..input };
    fill(app, &mut provider, &input)?;
    provider.updated_at = store::now();
    let id = provider.id.clone();
    let is_given = input.credentials.is_some();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                cicd_providers::update(tx, &provider).await?;
                check_teams(tx, &provider.id).await?;
                // What was not given may have been replaced meanwhile, as refresh tokens are.
                if is_given {
                    cicd_providers::set_credentials(tx, &provider.id, provider.credentials.clone()).await?;
                }
                events::append(tx, changed(&provider, "changed")).await.map(|_| ())
            })
        })
        .await?;
    provider_view(app, id.as_str()).await
}

/// Whether a new provider, or the stored one, could be what the input says. Nothing is asked, and nothing is stored.
pub fn provider_check(app: &App, stored: Option<&CicdProvider>, input: &ProviderInput) -> Result<()> {
    let mut provider = stored.cloned().unwrap_or_else(|| blank(None));
    if stored.is_some() {
        check_change(&provider, input)?;
    }
    fill(app, &mut provider, input)
}

/// A provider as a file would say it, with its secrets in the clear: to be compared, never shown.
pub async fn provider_said(app: &App, provider: &CicdProvider) -> Result<ProviderEntry> {
    let secret = webhook_secret(app, provider)?;
    let row = provider.clone();
    Ok(ProviderEntry {
        name: row.name,
        kind: row.kind,
        url: row.url,
        port: row.port,
        auth_type: row.auth_type,
        credentials: Some(credentials(app, provider)?).filter(|slots| !slots.is_empty()),
        settings: row.settings,
        webhook_secret: secret.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        private_network: row.private_network,
        certificates: row.certificates,
        tenant_id: row.tenant_id,
        team: Some(team_name(app, provider).await?).filter(|name| !name.is_empty()),
        enabled: row.is_active,
    })
}

/// The id of the team that an administrator names.
async fn team_of(app: &App, named: Option<&str>) -> Result<Option<String>> {
    let Some(key) = named.filter(|key| !key.is_empty()) else { return Ok(None) };
    let found = teams::find_opt(&mut *app.db.read().await?, key).await?;
    let unknown = || Error::invalid("team_id", format!("there is no team `{}`", key.escape_debug()));
    found.map(|team| Some(team.id.to_string())).ok_or_else(unknown)
}

/// Name of the team that a provider belongs to; empty for the installation's.
pub async fn team_name(app: &App, provider: &CicdProvider) -> Result<String> {
    let Some(id) = &provider.team_id else { return Ok(String::new()) };
    let found = teams::find_opt(&mut *app.db.read().await?, id).await?;
    Ok(found.map_or(String::new(), |team| team.name))
}

/// A provider that is a team's deploys stacks of that team only, whichever of them changes hands: nobody gets hold of the
/// credential of another team.
pub async fn check_teams(tx: &mut Tx, changed: &Id) -> Result<()> {
    match stack_ci::between_teams(tx, changed).await? {
        None => Ok(()),
        Some((stack, provider)) => Err(Error::conflict(format!(
            "stack `{stack}` would be deployed by provider `{provider}`, which is another team's; give it a provider of its \
             own team, or one of the installation's, first"
        ))),
    }
}

/// What may not become of a stored one.
fn check_change(provider: &CicdProvider, input: &ProviderInput) -> Result<()> {
    if input.kind != provider.kind {
        return Err(Error::invalid(
            "type",
            "a provider cannot become one of another type; connect a new one",
        ));
    }
    let is_elsewhere = (&input.url, input.port) != (&provider.url, provider.port);
    if is_elsewhere && input.credentials.is_none() && provider.credentials.is_some() {
        let message =
            "the stored credentials are for the stored address; give them again to send them to another one";
        return Err(Error::invalid("credentials", message));
    }
    Ok(())
}

/// Takes over what a person wrote, checked as far as it can be without asking the provider.
fn fill(app: &App, provider: &mut CicdProvider, input: &ProviderInput) -> Result<()> {
    app.plugins.check(&input.kind, PluginKind::CiProvider)?;
    let is_name = (1..=100).contains(&input.name.len())
        && !input.name.chars().any(|c| c.is_control() || c == '/')
        && !input.name.bytes().all(|b| b.is_ascii_digit());
    if !is_name {
        let message = "a provider needs a name of at most 100 bytes, without `/` and not only of digits";
        return Err(Error::invalid("name", message));
    }
    if let Some(problem) = app.plugins.settings_problems(&input.kind, &input.settings)?.first() {
        return Err(Error::invalid(
            format!("settings{}", problem.path.replace('/', ".")),
            problem.message.clone(),
        ));
    }
    provider.kind.clone_from(&input.kind);
    provider.name.clone_from(&input.name);
    input.url.trim_end_matches('/').clone_into(&mut provider.url);
    provider.port = input.port;
    provider.auth_type = input.auth_type;
    provider.settings = input.settings.clone();
    provider.private_network = input.private_network;
    provider.certificates = input.certificates.clone().filter(|pem| !pem.trim().is_empty());
    provider.tenant_id = input.tenant_id.clone();
    provider.team_id = input.team_id.clone();
    provider.is_active = input.is_active;
    if let Some(credentials) = &input.credentials {
        secrets(&manifest(app, &input.kind)?.credentials, input.auth_type, credentials)?;
        let plain = serde_json::to_vec(credentials).map_err(Error::internal)?;
        provider.credentials = Some(app.vault.seal(&context(&provider.id, "credentials"), &plain)?);
    }
    if let Some(secret) = input.webhook_secret.as_deref().filter(|secret| !secret.is_empty()) {
        let sealed = app.vault.seal(&context(&provider.id, "webhook_secret"), secret.as_bytes())?;
        provider.webhook_secret = Some(sealed);
    }
    check_variables(app, provider)?;
    // Whatever is wrong with the address or a secret shows here and not at the first build.
    target(app, provider).map(|_| ())
}

/// What is minted from a credential may need more than that, such as an app's id.
fn check_variables(app: &App, provider: &CicdProvider) -> Result<()> {
    let slots = manifest(app, &provider.kind)?.credentials;
    let filled = secrets(&slots, provider.auth_type, &credentials(app, provider)?)?;
    let filled = |slot: &&CredentialSlot| filled.iter().any(|(name, _)| *name == slot.name);
    for slot in slots.iter().filter(filled) {
        if let Some(name) = slot.unfilled(&provider.settings) {
            let message = format!("the credential `{}` needs the setting `{name}`", slot.name);
            return Err(Error::invalid(format!("settings.{name}"), message));
        }
    }
    Ok(())
}

pub(in crate::app) fn context(id: &Id, column: &str) -> String {
    format!("cicd_providers/{id}/{column}")
}

pub(super) fn credentials(app: &App, provider: &CicdProvider) -> Result<Credentials> {
    let Some(sealed) = &provider.credentials else { return Ok(Credentials::new()) };
    let plain = app.vault.open_sealed(&context(&provider.id, "credentials"), sealed)?;
    serde_json::from_slice(&plain).map_err(Error::internal)
}

pub(super) fn webhook_secret(app: &App, provider: &CicdProvider) -> Result<Option<Vec<u8>>> {
    let open = |sealed: &String| app.vault.open_sealed(&context(&provider.id, "webhook_secret"), sealed);
    Ok(provider.webhook_secret.as_ref().map(open).transpose()?.map(|plain| plain.to_vec()))
}

/// The slots of a plugin's credentials; none if it is not loaded.
pub fn credential_slots(app: &App, plugin: &str) -> Vec<CredentialSlot> {
    manifest(app, plugin).map(|manifest| manifest.credentials).unwrap_or_default()
}

/// Where this provider reports to (seed 1).
pub fn report_url(app: &App, provider: &CicdProvider) -> String {
    let tenant = provider.tenant_id.as_deref().unwrap_or("default");
    format!("{}/en/{tenant}/deployment/webhooks/{}", app.config.public_url(), provider.kind)
}

/// `key` is an id, a number or a name.
pub async fn provider_view(app: &App, key: &str) -> Result<CicdProvider> {
    let mut conn = app.db.read().await?;
    cicd_providers::find(&mut conn, key).await
}

pub async fn provider_list(app: &App, page: PageRequest, reach: &Reach) -> Result<Page<CicdProvider>> {
    let mut conn = app.db.read().await?;
    cicd_providers::list(&mut conn, page, reach).await
}

pub async fn provider_all(app: &App) -> Result<Vec<CicdProvider>> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = provider_list(app, PageRequest::new(before, Some(200)), &Reach::EVERYTHING).await?;
        all.extend(page.items);
        before = page.next;
        if before.is_none() {
            return Ok(all);
        }
    }
}

/// Removes the connection with what is known of its jobs and builds; at the provider everything stays.
///
/// # Errors
/// `Conflict` while a stack is deployed by it, or a build is followed.
pub async fn provider_delete(app: &App, key: &str) -> Result<()> {
    let provider = provider_view(app, key).await?;
    let mut conn = app.db.read().await?;
    if let Some(row) = stack_ci::by_provider(&mut conn, &provider.id).await? {
        let stack = stacks::find(&mut conn, row.stack_id.as_str()).await?;
        return Err(Error::conflict(format!(
            "stack `{}` is deployed by provider `{}`; give it another one first, or none",
            stack.name, provider.name
        )));
    }
    for build in ci_builds::list_open(&mut conn).await? {
        let job = cicd_jobs::find(&mut conn, build.job_id.as_str()).await?;
        if job.provider_id == provider.id {
            return Err(Error::conflict(format!(
                "build {} of job `{}` at provider `{}` has not ended; cancel it first",
                build.seq, job.name, provider.name
            )));
        }
    }
    drop(conn);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                cicd_providers::delete(tx, &provider.id).await?;
                events::append(tx, changed(&provider, "deleted")).await.map(|_| ())
            })
        })
        .await
}

pub(super) fn changed(provider: &CicdProvider, what: &str) -> NewEvent {
    NewEvent {
        kind: EventKind::ProviderChanged,
        stack_id: None,
        subject_id: Some(provider.id.clone()),
        data: json!({ "provider": provider.name, "change": what }),
    }
}
