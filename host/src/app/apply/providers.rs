//! CI/CD providers of a file.

use super::{Action, EntryChanges, Section, Wanted, teams};
use crate::app::App;
use crate::app::access::Identity;
use crate::app::cicd::provider::{
    ProviderInput, ReportSetup, provider_all, provider_check, provider_create, provider_delete,
    provider_said, provider_update,
};
use crate::app::deployment::Caller;
use crate::domain::cicd::CicdProvider;
use crate::domain::deployment::TriggerType;
use crate::domain::server_entries::ProviderEntry;
use crate::domain::server_file::changes;
use crate::error::Result;

/// What is to be done about providers.
#[derive(Default)]
pub(super) struct Work {
    /// Each with what a file would say of the one that is there.
    changed: Vec<(ProviderEntry, Option<ProviderEntry>)>,
    gone: Vec<String>,
}

impl Work {
    /// Compares the file's providers with those that are there.
    pub(super) async fn new(
        app: &App,
        wanted: &Wanted,
        section: Option<Vec<ProviderEntry>>,
        teams: &teams::Work,
        plan: &mut Vec<EntryChanges>,
    ) -> Result<Self> {
        let mut work = Self::default();
        let Some(entries) = section else {
            check_teams_stay(app, wanted, teams).await?;
            return Ok(work);
        };
        let there = provider_all(app).await?;
        if wanted.prune {
            let is_named = |row: &&CicdProvider| entries.iter().any(|entry| entry.name == row.name);
            work.gone = there.iter().filter(|row| !is_named(row)).map(|row| row.name.clone()).collect();
        }
        for (n, mut entry) in entries.into_iter().enumerate() {
            let at = Section::Providers.entry(wanted, n);
            let row = there.iter().find(|row| row.name == entry.name);
            let current = match row {
                Some(row) => Some(provider_said(app, row).await?),
                None => None,
            };
            // Whether there is such a plugin is checked below.
            let manifest = app.plugins.inspect(&entry.kind).ok().and_then(|status| status.info);
            let slots = manifest.map(|info| info.manifest.credentials).unwrap_or_default();
            entry.resolve(&wanted.secrets, current.as_ref(), &slots).map_err(&at)?;
            if let Some(team) = &entry.team {
                teams.check(app, team, "provider", &entry.name).await.map_err(&at)?;
            }
            provider_check(app, row, &input(&entry, current.as_ref())).map_err(&at)?;
            let changes = changes(&entry, current.as_ref())?;
            if current.is_none() || !changes.is_empty() {
                let action = if current.is_none() { Action::Create } else { Action::Change };
                plan.push(EntryChanges { name: entry.name.clone(), action, changes });
                work.changed.push((entry, current));
            }
        }
        plan.extend(work.gone.iter().map(EntryChanges::gone));
        Ok(work)
    }

    /// Makes and changes; answers where new ones can report to.
    pub(super) async fn carry_out(&self, app: &App, who: &Identity) -> Result<Vec<(String, ReportSetup)>> {
        let mut reports = Vec::new();
        for (entry, current) in &self.changed {
            let stopped = |error| Section::Providers.stopped(&entry.name, error);
            let input = input(entry, current.as_ref());
            if current.is_some() {
                provider_update(app, &entry.name, input).await.map_err(stopped)?;
                continue;
            }
            let (user, user_id) = (Some(who.user.name.clone()), Some(who.user.id.clone()));
            let caller = Caller { trigger: TriggerType::Api, user, user_id };
            let (_, report) = provider_create(app, input, &caller).await.map_err(stopped)?;
            reports.push((entry.name.clone(), report));
        }
        Ok(reports)
    }

    pub(super) async fn prune(&self, app: &App) -> Result<()> {
        for name in &self.gone {
            provider_delete(app, name).await.map_err(|error| Section::Providers.stopped(name, error))?;
        }
        Ok(())
    }
}

/// What the file says nothing of stays as it is, and its team has to stay as well.
async fn check_teams_stay(app: &App, wanted: &Wanted, teams: &teams::Work) -> Result<()> {
    if !teams.any_goes() {
        return Ok(());
    }
    for row in provider_all(app).await? {
        let checked = teams.check_stays(row.team_id.as_deref().unwrap_or_default(), "provider", &row.name);
        checked.map_err(Section::Teams.whole(wanted))?;
    }
    Ok(())
}

/// What is secret and stored already is left out, so that it stays as it is sealed.
fn input(entry: &ProviderEntry, stored: Option<&ProviderEntry>) -> ProviderInput {
    let entry = entry.clone();
    let has_same = stored.is_some_and(|old| {
        (&old.credentials, &old.url, old.port) == (&entry.credentials, &entry.url, entry.port)
    });
    let signs_same = stored.is_some_and(|old| old.webhook_secret == entry.webhook_secret);
    ProviderInput {
        kind: entry.kind,
        name: entry.name,
        url: entry.url,
        port: entry.port,
        auth_type: entry.auth_type,
        credentials: entry.credentials.filter(|_| !has_same),
        settings: entry.settings,
        webhook_secret: entry.webhook_secret.filter(|_| !signs_same),
        private_network: entry.private_network,
        certificates: entry.certificates,
        tenant_id: entry.tenant_id,
        team_id: entry.team,
        is_active: entry.enabled,
    }
}
