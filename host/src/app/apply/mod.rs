//! `windlass apply`: makes the server what a file says. First a plan, then, if nothing has changed since, the work.

mod channels;
mod providers;
mod registries;
mod stacks;
mod teams;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::App;
use super::access::Identity;
use super::cicd::provider::ReportSetup;
use super::stack::WebhookSetup;
use crate::domain::change::Change;
use crate::domain::server_file::ServerFile;
use crate::domain::yaml;
use crate::error::{Error, Result};

/// A file with what belongs to it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What errors call the file.
    pub name: String,
    pub text: String,
    /// Values of its references.
    pub secrets: BTreeMap<String, String>,
    /// Whether what a section of the file does not mention is deleted, and schedules, protection and previews of its stacks,
    /// and rules of its channels.
    pub prune: bool,
}

/// What would be done, or was.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyPlan {
    pub teams: Vec<EntryChanges>,
    pub providers: Vec<EntryChanges>,
    pub registries: Vec<EntryChanges>,
    pub stacks: Vec<EntryChanges>,
    /// By team and name.
    pub channels: Vec<EntryChanges>,
    /// Of the plan: the same as long as neither file nor server change.
    pub hash: String,
}

/// What would become of one entry of a section.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryChanges {
    pub name: String,
    pub action: Action,
    pub changes: Vec<Change>,
}

impl EntryChanges {
    fn gone(name: impl ToString) -> Self {
        Self { name: name.to_string(), action: Action::Delete, changes: Vec::new() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    Change,
    Delete,
}

/// What was done, and what is shown this once: the webhooks of new stacks, where new providers report to, and secrets that were
/// made for new channels.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    pub plan: ApplyPlan,
    pub webhooks: BTreeMap<String, WebhookSetup>,
    /// By name of the provider.
    pub provider_reports: BTreeMap<String, ReportSetup>,
    /// By team and name of the channel, which signs with it.
    pub channel_secrets: BTreeMap<String, String>,
}

/// A part of the file.
#[derive(Debug, Clone, Copy)]
enum Section {
    Teams,
    Providers,
    Registries,
    Stacks,
    Channels,
}

impl Section {
    /// Says of errors where in the file their cause is: in the `n`th entry.
    fn entry(self, wanted: &Wanted, n: usize) -> impl Fn(Error) -> Error {
        let section = self.key();
        move |error| yaml::place(&wanted.name, &wanted.text, &format!("{section}.{n}"), error)
    }

    /// The same of what is about the section as a whole.
    fn whole(self, wanted: &Wanted) -> impl Fn(Error) -> Error {
        move |error| yaml::place(&wanted.name, &wanted.text, self.key(), error)
    }

    fn key(self) -> &'static str {
        match self {
            Self::Teams => "teams",
            Self::Providers => "providers",
            Self::Registries => "registries",
            Self::Stacks => "stacks",
            Self::Channels => "channels",
        }
    }

    /// Says of an error on the way how far the work got.
    fn stopped(self, name: &str, error: Error) -> Error {
        let what = match self {
            Self::Teams => "team",
            Self::Providers => "provider",
            Self::Registries => "registry",
            Self::Stacks => "stack",
            Self::Channels => "channel",
        };
        match error {
            Error::Conflict(why) => Error::Conflict(format!("stopped at {what} `{name}`: {why}")),
            Error::Invalid { field, message } => {
                Error::invalid(field, format!("stopped at {what} `{name}`: {message}"))
            }
            other => other,
        }
    }
}

/// A plan with what carrying it out takes.
struct Work {
    plan: ApplyPlan,
    teams: teams::Work,
    providers: providers::Work,
    registries: registries::Work,
    stacks: stacks::Work,
    channels: channels::Work,
}

/// Says what [`apply`] would do. Nothing is changed.
///
/// # Errors
/// `Invalid` with file, line and column of what is wrong.
pub async fn apply_plan(app: &App, wanted: &Wanted, who: &Identity) -> Result<ApplyPlan> {
    Ok(work(app, wanted, who).await?.plan)
}

/// Carries a plan out that somebody has seen: `hash` is the plan's.
///
/// # Errors
/// As [`apply_plan`]; `Conflict` if the plan is another one by now. An error on the way leaves what was done before it; once
/// it is mended, applying the file again does the rest.
pub async fn apply(app: &App, wanted: &Wanted, hash: &str, who: &Identity) -> Result<Applied> {
    let work = work(app, wanted, who).await?;
    if work.plan.hash != hash {
        return Err(Error::conflict(
            "the server or the file has changed since this was planned, so nothing was done; look at the plan again",
        ));
    }
    // What is a team's needs the team, stacks may need a registry, and a channel's rules may name a stack.
    work.teams.carry_out(app).await?;
    let provider_reports = work.providers.carry_out(app, who).await?.into_iter().collect();
    work.registries.carry_out(app).await?;
    let webhooks = work.stacks.carry_out(app, who).await?.into_iter().collect();
    let channel_secrets = work.channels.carry_out(app, who).await?.into_iter().collect();
    work.channels.prune(app).await?;
    work.stacks.prune(app).await?;
    work.registries.prune(app).await?;
    work.providers.prune(app).await?;
    work.teams.prune(app).await?;
    Ok(Applied { plan: work.plan, webhooks, provider_reports, channel_secrets })
}

async fn work(app: &App, wanted: &Wanted, who: &Identity) -> Result<Work> {
    let file: ServerFile = yaml::read(&wanted.name, &wanted.text)?;
    file.check().map_err(|error| yaml::place(&wanted.name, &wanted.text, "", error))?;
    let coming: BTreeSet<String> = file.stacks.iter().flatten().map(|stack| stack.name.clone()).collect();
    let mut plan = ApplyPlan::default();
    let teams = teams::Work::new(app, wanted, file.teams, who, &mut plan.teams).await?;
    let providers = providers::Work::new(app, wanted, file.providers, &teams, &mut plan.providers).await?;
    let registries = registries::Work::new(app, wanted, file.registries, &mut plan.registries).await?;
    let stacks = stacks::Work::new(app, wanted, file.stacks, &mut plan.stacks).await?;
    let channels =
        channels::Work::new(app, wanted, file.channels, (&coming, &teams), who, &mut plan.channels).await?;
    plan.hash = hash(&plan, wanted)?;
    Ok(Work { plan, teams, providers, registries, stacks, channels })
}

/// Without the secrets: it is shown.
fn hash(plan: &ApplyPlan, wanted: &Wanted) -> Result<String> {
    let text = serde_json::to_vec(&(plan, &wanted.text, wanted.prune));
    Ok(hex::encode(Sha256::digest(text.map_err(Error::internal)?)))
}
