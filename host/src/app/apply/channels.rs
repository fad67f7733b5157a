//! Channels of a file, with their rules.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, EntryChanges, Section, Wanted, teams};
use crate::app::App;
use crate::app::access::Identity;
use crate::app::notify::channel::{
    ChannelInput, channel_check, channel_create, channel_delete, channel_list, channel_said, channel_update,
};
use crate::app::notify::rule::{rule_create, rule_delete, rule_list};
use crate::domain::Id;
use crate::domain::notify::{Channel, RulePlan};
use crate::domain::plugin::PluginKind;
use crate::domain::server_file::{ChannelEntry, changes};
use crate::error::{Error, Result};
use crate::store::stacks;

/// What is to be done about channels.
#[derive(Default)]
pub(super) struct Work {
    changed: Vec<Entry>,
    gone: Vec<(String, Id)>,
}

struct Entry {
    wanted: ChannelEntry,
    /// The channel that is there, and what a file would say of it.
    current: Option<(Id, ChannelEntry)>,
}

impl Work {
    /// Compares the file's channels with those that are there. `coming` are the stacks of the file, and its teams.
    pub(super) async fn new(
        app: &App,
        wanted: &Wanted,
        section: Option<Vec<ChannelEntry>>,
        (coming, teams): (&BTreeSet<String>, &teams::Work),
        who: &Identity,
        plan: &mut Vec<EntryChanges>,
    ) -> Result<Self> {
        let mut work = Self::default();
        let Some(entries) = section else {
            check_teams_stay(app, wanted, teams, who).await?;
            return Ok(work);
        };
        let mut there = BTreeMap::new();
        for (channel, team) in channel_list(app, who).await? {
            there.insert(format!("{}/{}", team.name, channel.name), (channel, team.name));
        }
        for (n, mut entry) in entries.into_iter().enumerate() {
            let at = Section::Channels.entry(wanted, n);
            teams.check(app, &entry.team, "channel", &entry.name).await.map_err(&at)?;
            for stack in entry.stack_rules.keys().filter(|name| !coming.contains(*name)) {
                let found = stacks::find_opt(&mut *app.db.read().await?, stack).await?;
                found.ok_or_else(|| {
                    at(Error::invalid("stackRules", format!("there is no stack `{}`", stack.escape_debug())))
                })?;
            }
            let mut current = match there.remove(&entry.full_name()) {
                Some((channel, team)) => Some((channel.id.clone(), said(app, &channel, team).await?)),
                None => None,
            };
            entry.keep_rest(current.as_ref().map(|(_, stored)| stored), wanted.prune);
            entry.put_in_order();
            current.iter_mut().for_each(|(_, stored)| stored.put_in_order());
            let stored = current.as_ref().map(|(_, stored)| stored);
            entry.resolve(&wanted.secrets, stored).map_err(&at)?;
            let is_another = stored.is_some_and(|stored| stored.plugin != entry.plugin);
            if is_another {
                return Err(at(Error::invalid(
                    "plugin",
                    "a channel stays with its plugin; give this one another name",
                )));
            }
            let is_there = app.plugins.check(&entry.plugin, PluginKind::Notifier);
            is_there.map_err(|error| at(Error::invalid("plugin", error.to_string())))?;
            channel_check(app, &input(&entry, None), who).map_err(&at)?;
            let changes = changes(&entry, stored)?;
            if stored.is_none() || !changes.is_empty() {
                let action = if stored.is_none() { Action::Create } else { Action::Change };
                plan.push(EntryChanges { name: entry.full_name(), action, changes });
                work.changed.push(Entry { wanted: entry, current });
            }
        }
        if wanted.prune {
            work.gone = there.into_iter().map(|(name, (channel, _))| (name, channel.id)).collect();
        }
        plan.extend(work.gone.iter().map(|(name, _)| EntryChanges::gone(name)));
        Ok(work)
    }

    /// Makes and changes; answers the secrets that were made for new channels.
    pub(super) async fn carry_out(&self, app: &App, who: &Identity) -> Result<Vec<(String, String)>> {
        let mut secrets = Vec::new();
        for entry in &self.changed {
            let name = entry.wanted.full_name();
            let made = carry_out(app, entry, who).await;
            let made = made.map_err(|error| Section::Channels.stopped(&name, error))?;
            secrets.extend(made.map(|secret| (name, secret)));
        }
        Ok(secrets)
    }

    pub(super) async fn prune(&self, app: &App) -> Result<()> {
        for (name, id) in &self.gone {
            let done = channel_delete(app, id.as_str()).await;
            done.map_err(|error| Section::Channels.stopped(name, error))?;
        }
        Ok(())
    }
}

/// What the file says nothing of stays as it is, and its team has to stay as well.
async fn check_teams_stay(app: &App, wanted: &Wanted, teams: &teams::Work, who: &Identity) -> Result<()> {
    if !teams.any_goes() {
        return Ok(());
    }
    for (channel, team) in channel_list(app, who).await? {
        let checked = teams.check_stays(team.id.as_str(), "channel", &channel.name);
        checked.map_err(Section::Teams.whole(wanted))?;
    }
    Ok(())
}

async fn carry_out(app: &App, entry: &Entry, who: &Identity) -> Result<Option<String>> {
    let Entry { wanted, current } = entry;
    let (id, made) = match current {
        Some((id, stored)) => {
            channel_update(app, id.as_str(), input(wanted, Some(stored)), who).await?;
            (id.clone(), None)
        }
        None => {
            let (channel, made) = channel_create(app, &wanted.team, input(wanted, None), who).await?;
            (channel.id, made)
        }
    };
    let id = id.as_str();
    // A rule has no name: one that is not among the wanted goes, one that is not there comes.
    let mut missing: Vec<(Option<&String>, &RulePlan)> =
        wanted.rules.iter().map(|plan| (None, plan)).collect();
    for (stack, plans) in &wanted.stack_rules {
        missing.extend(plans.iter().map(|plan| (Some(stack), plan)));
    }
    for (rule, stack, plan) in rules(app, &Id::from_text(id)).await? {
        match missing.iter().position(|(name, wanted)| *name == stack.as_ref() && **wanted == plan) {
            Some(found) => drop(missing.remove(found)),
            None => rule_delete(app, id, rule.as_str()).await?,
        }
    }
    for (stack, plan) in missing {
        rule_create(app, id, stack.map(String::as_str), plan.clone(), who).await?;
    }
    Ok(made)
}

/// The rules of a channel: id, name of the stack that they are about, and what they say.
async fn rules(app: &App, channel: &Id) -> Result<Vec<(Id, Option<String>, RulePlan)>> {
    let mut found = Vec::new();
    for rule in rule_list(app, channel).await? {
        let stack = match &rule.stack_id {
            Some(id) => Some(stacks::find(&mut *app.db.read().await?, id.as_str()).await?.name),
            None => None,
        };
        found.push((rule.id, stack, rule.plan));
    }
    Ok(found)
}

/// A channel as a file would say it, with its credentials in the clear: to be compared, never shown.
async fn said(app: &App, channel: &Channel, team: String) -> Result<ChannelEntry> {
    let said = channel_said(app, channel)?;
    let mut entry = ChannelEntry {
        name: said.name,
        team,
        plugin: said.plugin,
        url: said.url,
        settings: said.settings,
        credentials: said.credentials,
        private_network: said.private_network,
        certificates: said.certificates,
        enabled: said.enabled,
        rules: Vec::new(),
        stack_rules: BTreeMap::new(),
    };
    for (_, stack, plan) in rules(app, &channel.id).await? {
        match stack {
            Some(stack) => entry.stack_rules.entry(stack).or_default().push(plan),
            None => entry.rules.push(plan),
        }
    }
    Ok(entry)
}

/// Without rules. Credentials that are stored already are left out, so that they stay as they are sealed.
fn input(entry: &ChannelEntry, stored: Option<&ChannelEntry>) -> ChannelInput {
    let entry = entry.clone();
    let is_same =
        stored.is_some_and(|stored| stored.credentials == entry.credentials && stored.url == entry.url);
    ChannelInput {
        name: entry.name,
        plugin: entry.plugin,
        url: entry.url,
        settings: entry.settings,
        credentials: entry.credentials.filter(|_| !is_same),
        private_network: entry.private_network,
        certificates: entry.certificates,
        enabled: entry.enabled,
        rules: Vec::new(),
    }
}
