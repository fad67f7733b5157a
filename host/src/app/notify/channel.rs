//! Channels: where a team is told, through which plugin and with which credentials.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::rule;
use crate::app::App;
use crate::app::access::Identity;
use crate::app::credential::{Holder, keeper};
use crate::app::people::teams;
use crate::app::vault::random;
use crate::domain::Id;
use crate::domain::access::Owner;
use crate::domain::admission::is_granted;
use crate::domain::notify::{Channel, RulePlan};
use crate::domain::people::Team;
use crate::domain::plugin::{CredentialSlot, PluginKind};
use crate::error::{Error, Result};
use crate::plugins::{Connection, Secret, Target};
use crate::store::{self, notification_channels as channels};

/// How long the previous secret signs as well if nobody says otherwise, and at most, in seconds.
const OVERLAP_SECS: u32 = 24 * 3600;
const MAX_OVERLAP_SECS: u32 = 30 * 24 * 3600;
/// The secret of a slot that is being replaced is in the slot of that name.
const PREVIOUS: &str = "-previous";
/// The injection for which a secret can be made here.
const SIGNING: &str = "sign:standard-webhooks";

type Credentials = BTreeMap<String, String>;

/// What a person writes about a channel. Unknown fields are refused.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelInput {
    pub name: String,
    /// Name of a plugin of the kind `notifier`.
    pub plugin: String,
    /// Base URL of the receiver; of a mail server `smtps://…` or `smtp://…`.
    pub url: String,
    /// The plugin's; `windlass plugin docs` describes them.
    #[serde(default = "empty")]
    #[schema(value_type = Object)]
    pub settings: Value,
    /// By slot. Left out in a change: the stored ones are kept. Left out for a plugin that signs: a secret is made.
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// The URL leads into a private network, and is meant to. Only an administrator of the installation can say so.
    #[serde(default)]
    pub private_network: bool,
    /// In PEM; trusted beside the system's.
    #[serde(default)]
    pub certificates: Option<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When creating: rules that come with it.
    #[serde(default)]
    pub rules: Vec<RulePlan>,
}

/// Without what is secret.
impl std::fmt::Debug for ChannelInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelInput").field("name", &self.name).finish_non_exhaustive()
    }
}

fn empty() -> Value {
    json!({})
}

fn yes() -> bool {
    true
}

/// Creates it, and answers with the signing secret if one was made here.
pub async fn channel_create(
    app: &App,
    team: &str,
    mut input: ChannelInput,
    who: &Identity,
) -> Result<(Channel, Option<String>)> {
    let team = teams::team_find(app, team).await?;
    for plan in &input.rules {
        rule::check(plan, who)?;
    }
    let mut made = None;
    if input.credentials.as_ref().is_none_or(Credentials::is_empty)
        && let Some(slot) = signing_slot(&slots(app, &input.plugin)?)
    {
        let secret = fresh()?;
        input.credentials = Some(Credentials::from([(slot.name.clone(), secret.clone())]));
        made = Some(secret);
    }
    let mut channel = blank(&team.id, &input.plugin);
    fill(app, &mut channel, &input, who)?;
    let rules: Vec<_> = input.rules.into_iter().map(|plan| rule::new(&channel.id, None, plan)).collect();
    let channel = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let channel = channels::insert(tx, channel).await?;
                for rule in rules {
                    channels::rule_insert(tx, rule).await?;
                }
                Ok(channel)
            })
        })
        .await?;
    Ok((channel, made))
}

/// Finds what is wrong with it as far as it can be found without making it.
///
/// # Errors
/// As [`channel_create`].
pub fn channel_check(app: &App, input: &ChannelInput, who: &Identity) -> Result<()> {
    fill(app, &mut blank(&Id::from_text(""), &input.plugin), input, who)
}

/// What a person would write to make this channel, its credentials in the clear.
pub(in crate::app) fn channel_said(app: &App, channel: &Channel) -> Result<ChannelInput> {
    let mut credentials = open(app, channel)?;
    credentials.retain(|name, _| !name.ends_with(PREVIOUS));
    Ok(ChannelInput {
        name: channel.name.clone(),
        plugin: channel.plugin.clone(),
        url: channel.url.clone(),
        settings: channel.settings.clone(),
        credentials: Some(credentials).filter(|credentials| !credentials.is_empty()),
        private_network: channel.private_network,
        certificates: channel.certificates.clone(),
        enabled: channel.enabled,
        rules: Vec::new(),
    })
}

/// A new channel of which nothing was said yet.
fn blank(team: &Id, plugin: &str) -> Channel {
    let now = store::now();
    Channel {
        id: store::new_id(),
        seq: 0,
        team_id: team.clone(),
        name: String::new(),
        plugin: plugin.to_owned(),
        url: String::new(),
        settings: Value::Null,
        credentials: None,
        previous_until: None,
        private_network: false,
        certificates: None,
        enabled: true,
        created_at: now,
        updated_at: now,
    }
}

/// # Errors
/// `Invalid` for another plugin, and for another address without the credentials: they are for the stored address.
pub async fn channel_update(app: &App, key: &str, input: ChannelInput, who: &Identity) -> Result<Channel> {
    let mut channel = channel_view(app, key).await?;
    if input.plugin != channel.plugin {
        return Err(Error::invalid("plugin", "a channel stays with its plugin; add a new one"));
    }
    if !input.rules.is_empty() {
        return Err(Error::invalid("rules", "a channel's rules are changed on their own"));
    }
    if input.url.trim_end_matches('/') != channel.url
        && input.credentials.is_none()
        && channel.credentials.is_some()
    {
        let message =
            "the stored credentials are for the stored address; give them again to send them to another one";
        return Err(Error::invalid("credentials", message));
    }
    fill(app, &mut channel, &input, who)?;
    channel.updated_at = store::now();
    save(app, &channel, input.credentials.is_some()).await?;
    Ok(channel)
}

/// What was not given may have been replaced meanwhile, as refresh tokens are.
async fn save(app: &App, channel: &Channel, with_credentials: bool) -> Result<()> {
    let channel = channel.clone();
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            channels::update(tx, &channel).await?;
            match with_credentials {
                true => channels::set_credentials(tx, &channel.id, channel.credentials.clone()).await,
                false => Ok(()),
            }
        })
    });
    write.await
}

/// Takes over what a person wrote, checked as far as it can be without asking the receiver.
fn fill(app: &App, channel: &mut Channel, input: &ChannelInput, who: &Identity) -> Result<()> {
    app.plugins.check(&input.plugin, PluginKind::Notifier)?;
    if !(1..=100).contains(&input.name.trim().len()) || input.name.chars().any(char::is_control) {
        return Err(Error::invalid("name", "a channel needs a name of at most 100 bytes"));
    }
    if let Some(problem) = app.plugins.settings_problems(&input.plugin, &input.settings)?.first() {
        let field = format!("settings{}", problem.path.replace('/', "."));
        return Err(Error::invalid(field, problem.message.clone()));
    }
    let url = input.url.trim().trim_end_matches('/');
    let is_known = channel.private_network && channel.url == url;
    if input.private_network && !is_known && !who.rights.is_server_admin() {
        let text = "only an administrator of the installation can say that a channel may lead into a private network";
        return Err(Error::Forbidden(text.into()));
    }
    input.name.trim().clone_into(&mut channel.name);
    url.clone_into(&mut channel.url);
    channel.settings = input.settings.clone();
    channel.private_network = input.private_network;
    channel.certificates = input.certificates.clone().filter(|pem| !pem.trim().is_empty());
    channel.enabled = input.enabled;
    if let Some(credentials) = &input.credentials {
        check_credentials(&slots(app, &input.plugin)?, credentials)?;
        seal(app, channel, credentials)?;
        channel.previous_until = None;
    }
    // Whatever is wrong with the address or a secret shows here and not with the first message.
    target(app, channel).map(|_| ())
}

fn check_credentials(slots: &[CredentialSlot], given: &Credentials) -> Result<()> {
    let known: Vec<String> = slots.iter().map(|slot| format!("`{}` ({})", slot.name, slot.summary)).collect();
    let message = |what: String| {
        Error::invalid("credentials", format!("{what}; the plugin takes {}", known.join(", ")))
    };
    let is_known = |name: &String| {
        slots.iter().any(|slot| slot.name == *name || slot.companion().as_ref() == Some(name))
    };
    if let Some(unknown) = given.keys().find(|name| !is_known(name)) {
        return Err(message(format!("there is no `{}`", unknown.escape_debug())));
    }
    match slots.iter().find(|slot| slot.required && !given.contains_key(&slot.name)) {
        Some(missing) => Err(message(format!("`{}` is missing", missing.name))),
        None => Ok(()),
    }
}

fn slots(app: &App, plugin: &str) -> Result<Vec<CredentialSlot>> {
    app.plugins.check(plugin, PluginKind::Notifier)?;
    Ok(app.plugins.inspect(plugin)?.info.map(|info| info.manifest.credentials).unwrap_or_default())
}

fn signing_slot(slots: &[CredentialSlot]) -> Option<&CredentialSlot> {
    slots.iter().find(|slot| slot.injection == SIGNING)
}

/// As Standard Webhooks 1.0.0 has it: 24 to 64 random bytes.
fn fresh() -> Result<String> {
    Ok(format!("whsec_{}", STANDARD.encode(random::<32>()?)))
}

pub(in crate::app) fn context(id: &Id) -> String {
    format!("notification_channels/{id}/credentials")
}

fn seal(app: &App, channel: &mut Channel, credentials: &Credentials) -> Result<()> {
    let plain = serde_json::to_vec(credentials).map_err(Error::internal)?;
    channel.credentials = Some(app.vault.seal(&context(&channel.id), &plain)?);
    Ok(())
}

fn open(app: &App, channel: &Channel) -> Result<Credentials> {
    let Some(sealed) = &channel.credentials else { return Ok(Credentials::new()) };
    let plain = app.vault.open_sealed(&context(&channel.id), sealed)?;
    serde_json::from_slice(&plain).map_err(Error::internal)
}

/// Where a channel leads and what it is told with. Into a private network only where an administrator said so, even if the
/// URL itself names an address there: who may add a channel need not be who may look at what is inside.
pub(super) fn target(app: &App, channel: &Channel) -> Result<Target> {
    let granted = app.plugins.granted(&channel.plugin);
    let words: Vec<&str> = granted.iter().map(String::as_str).collect();
    let connection = Connection::new(format!("channel {}", channel.id), &channel.url)?.grant(&words);
    let mut connection = match channel.private_network {
        true => connection.on_private_network(),
        false => connection.on_public_network(),
    };
    if let Some(pem) = &channel.certificates {
        connection = connection.certificates(pem);
    }
    connection = connection.on_rotated(keeper(app, Holder::Channel, &channel.id));
    let info = app.plugins.inspect(&channel.plugin).ok().and_then(|status| status.info);
    let slots = info.map(|info| info.manifest.credentials).unwrap_or_default();
    let previous_counts = channel.previous_until.is_some_and(|until| store::now() < until);
    for (name, secret) in open(app, channel)? {
        let slot = match name.strip_suffix(PREVIOUS) {
            Some(_) if !previous_counts => continue,
            Some(slot) => slot,
            None => owner(&slots, &name),
        };
        if is_granted(&granted, &format!("credential:{slot}")) {
            connection = connection.secret(&name, Secret::new(secret))?;
        }
    }
    Ok(Target { connection: Arc::new(connection), settings: channel.settings.clone() })
}

/// The slot that a secret is for or goes with.
fn owner<'a>(slots: &'a [CredentialSlot], name: &'a str) -> &'a str {
    let is_slot = slots.iter().any(|slot| slot.name == name);
    let owner = slots.iter().find(|slot| !is_slot && slot.companion().as_deref() == Some(name));
    owner.map_or(name, |slot| &slot.name)
}

/// A channel after its secret was replaced.
#[derive(Debug, Clone)]
pub struct Rotated {
    pub channel: Channel,
    /// Shown this once.
    pub secret: String,
}

/// Makes a new signing secret. For `overlap_secs`, a day if absent, the one before signs as well, so that the receiver can take it
/// over in its own time.
///
/// # Errors
/// `Conflict` if the channel's plugin does not sign.
pub async fn channel_rotate(app: &App, key: &str, overlap_secs: Option<u32>) -> Result<Rotated> {
    let mut channel = channel_view(app, key).await?;
    let overlap = overlap_secs.unwrap_or(OVERLAP_SECS);
    if overlap > MAX_OVERLAP_SECS {
        return Err(Error::invalid("overlapSecs", format!("it can be at most {MAX_OVERLAP_SECS} seconds")));
    }
    let slots = slots(app, &channel.plugin)?;
    let slot = signing_slot(&slots).ok_or_else(|| {
        Error::conflict(format!(
            "`{}` does not sign; give channel `{}` its new credentials with a change",
            channel.plugin, channel.name
        ))
    })?;
    let mut credentials = open(app, &channel)?;
    let secret = fresh()?;
    if let Some(before) = credentials.insert(slot.name.clone(), secret.clone()) {
        credentials.insert(format!("{}{PREVIOUS}", slot.name), before);
    }
    seal(app, &mut channel, &credentials)?;
    channel.updated_at = store::now();
    channel.previous_until = Some(channel.updated_at + i64::from(overlap) * 1000);
    save(app, &channel, true).await?;
    Ok(Rotated { channel, secret })
}

/// `key` is an id or a number.
pub async fn channel_view(app: &App, key: &str) -> Result<Channel> {
    channels::find(&mut *app.db.read().await?, key).await
}

/// Those of the teams that the caller is in; an administrator sees all. With the team of each.
pub async fn channel_list(app: &App, who: &Identity) -> Result<Vec<(Channel, Team)>> {
    let mut found = Vec::new();
    for team in teams::team_list(app, who).await? {
        let whole = Owner::Team { team: team.id.clone(), project: None };
        if who.rights.role_on(&whole).is_none() {
            continue;
        }
        let channels = channels::list_by_team(&mut *app.db.read().await?, &team.id).await?;
        found.extend(channels.into_iter().map(|channel| (channel, team.clone())));
    }
    Ok(found)
}

pub async fn channel_list_of(app: &App, team: &str) -> Result<Vec<Channel>> {
    let team = teams::team_find(app, team).await?;
    channels::list_by_team(&mut *app.db.read().await?, &team.id).await
}

/// Switches it off, or on again. What is due meanwhile is given up.
pub async fn channel_switch(app: &App, key: &str) -> Result<Channel> {
    let row = channel_view(app, key).await?;
    let channel = Channel { enabled: !row.enabled, updated_at: store::now(), ..row };
    save(app, &channel, false).await?;
    Ok(channel)
}

pub async fn channel_delete(app: &App, key: &str) -> Result<()> {
    let id = channel_view(app, key).await?.id;
    app.db.write(move |tx| Box::pin(async move { channels::delete(tx, &id).await })).await
}
