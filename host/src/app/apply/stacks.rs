//! Stacks of a file, with what belongs to them.

use super::{Action, EntryChanges, Section, Wanted};
use crate::app::App;
use crate::app::access::Identity;
use crate::app::build::credentials;
use crate::app::preview::{preview_disable, preview_enable, preview_settings};
use crate::app::protection::{protection_put, protection_view};
use crate::app::schedule::{schedule_create, schedule_delete, schedule_list, schedule_update};
use crate::app::stack::{
    StackInput, WebhookSetup, project_name, stack_check, stack_create, stack_delete, stack_list,
    stack_update, stack_view,
};
use crate::app::webhook_secret;
use crate::domain::access::Reach;
use crate::domain::page::PageRequest;
use crate::domain::protection::Protection;
use crate::domain::repository::RepositoryInput;
use crate::domain::schedule::Schedule;
use crate::domain::server_file::{StackEntry, changes};
use crate::domain::target::LOCAL;
use crate::error::{Error, Result};
use crate::store::previews;

/// What is to be done about stacks.
pub(super) struct Work {
    entries: Vec<Entry>,
    gone: Vec<String>,
}

struct Entry {
    wanted: StackEntry,
    current: Option<StackEntry>,
    /// Schedules by name, of a stack that is there.
    schedules: Option<Vec<Schedule>>,
    /// Names of schedules to be deleted.
    gone: Vec<String>,
    is_changed: bool,
}

impl Work {
    /// Compares the file's stacks with those that are there.
    pub(super) async fn new(
        app: &App,
        wanted: &Wanted,
        section: Option<Vec<StackEntry>>,
        plan: &mut Vec<EntryChanges>,
    ) -> Result<Self> {
        let mut work = Self { entries: Vec::new(), gone: Vec::new() };
        let Some(stacks) = section else { return Ok(work) };
        let there = names(app).await?;
        for (n, mut entry) in stacks.into_iter().enumerate() {
            let at = Section::Stacks.entry(wanted, n);
            let (current, schedules) = match there.contains(&entry.name) {
                true => {
                    let (current, schedules) = current(app, &entry.name).await?;
                    (Some(current), Some(schedules))
                }
                false => (None, None),
            };
            let gone = entry.keep_rest(current.as_ref(), wanted.prune);
            // What asks for nothing is no protection.
            entry.protection.take_if(|protection| *protection == Protection::default());
            entry.resolve(&wanted.secrets, current.as_ref()).map_err(&at)?;
            stack_check(app, &input(&entry)).await.map_err(&at)?;
            if current.as_ref().is_some_and(|current| current.project != entry.project) {
                let message = "a stack cannot be moved to another project; delete it there first";
                return Err(at(Error::invalid("project", message)));
            }
            let changes = changes(&entry, current.as_ref())?;
            let is_changed = current.is_none() || !changes.is_empty();
            if is_changed {
                let action = if current.is_none() { Action::Create } else { Action::Change };
                plan.push(EntryChanges { name: entry.name.clone(), action, changes });
            }
            work.entries.push(Entry { wanted: entry, current, schedules, gone, is_changed });
        }
        let is_named = |name: &String| work.entries.iter().any(|entry| entry.wanted.name == *name);
        work.gone = there.iter().filter(|name| wanted.prune && !is_named(name)).cloned().collect();
        plan.extend(work.gone.iter().map(EntryChanges::gone));
        Ok(work)
    }

    /// Makes and changes; answers the webhooks of new stacks.
    pub(super) async fn carry_out(&self, app: &App, who: &Identity) -> Result<Vec<(String, WebhookSetup)>> {
        let mut webhooks = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.is_changed) {
            let name = &entry.wanted.name;
            let made =
                carry_out(app, entry, who).await.map_err(|error| Section::Stacks.stopped(name, error))?;
            webhooks.extend(made.map(|webhook| (name.clone(), webhook)));
        }
        Ok(webhooks)
    }

    pub(super) async fn prune(&self, app: &App) -> Result<()> {
        for name in &self.gone {
            stack_delete(app, name).await.map_err(|error| Section::Stacks.stopped(name, error))?;
        }
        Ok(())
    }
}

async fn carry_out(app: &App, entry: &Entry, who: &Identity) -> Result<Option<WebhookSetup>> {
    let wanted = &entry.wanted;
    let mut input = input(wanted);
    if let (Some(new), Some(old)) =
        (&mut input.repository, entry.current.as_ref().and_then(|current| current.repository.as_ref()))
    {
        // What is left out is kept as it is sealed, and so a rotation that is under way goes on.
        new.credentials.take_if(|given| Some(&*given) == old.credentials.as_ref());
        new.webhook_secret.take_if(|given| Some(&*given) == old.webhook_secret.as_ref());
    }
    let made = match &entry.schedules {
        Some(_) => {
            stack_update(app, &wanted.name, input).await?;
            None
        }
        None => stack_create(app, input, who).await?.1,
    };
    let there: &[Schedule] = entry.schedules.as_deref().unwrap_or_default();
    for plan in &wanted.schedules {
        match there.iter().find(|row| row.plan.name == plan.name) {
            Some(row) if row.plan == *plan => {}
            Some(row) => {
                schedule_update(app, row.id.as_str(), plan.clone()).await?;
            }
            None => {
                schedule_create(app, &wanted.name, plan.clone()).await?;
            }
        }
    }
    for row in there.iter().filter(|row| entry.gone.contains(&row.plan.name)) {
        schedule_delete(app, row.id.as_str()).await?;
    }
    let current = entry.current.as_ref();
    if wanted.protection.as_ref() != current.and_then(|current| current.protection.as_ref()) {
        let protection = wanted.protection.clone().unwrap_or_default();
        protection_put(app, &wanted.name, protection, who).await?;
    }
    match &wanted.previews {
        same if same.as_ref() == current.and_then(|current| current.previews.as_ref()) => {}
        Some(settings) => drop(preview_enable(app, &wanted.name, settings.clone()).await?),
        None => preview_disable(app, &wanted.name).await?,
    }
    Ok(made)
}

/// All stacks but previews, which come and go with their pull requests.
async fn names(app: &App) -> Result<Vec<String>> {
    let (mut names, mut before) = (Vec::new(), None);
    loop {
        let page = stack_list(app, PageRequest::new(before, Some(200)), &Reach::EVERYTHING).await?;
        let mut conn = app.db.read().await?;
        for stack in page.items {
            if previews::by_stack(&mut conn, &stack.id).await?.is_none() {
                names.push(stack.name);
            }
        }
        before = page.next;
        if before.is_none() {
            names.sort();
            return Ok(names);
        }
    }
}

/// A stack as a file would say it, with its secrets in the clear: to be compared, never shown.
async fn current(app: &App, name: &str) -> Result<(StackEntry, Vec<Schedule>)> {
    let view = stack_view(app, name).await?;
    let schedules = schedule_list(app, Some(name)).await?;
    let protection = protection_view(app, name).await?;
    let previews = preview_settings(app, &view.stack.id).await?;
    let repository = match &view.repository {
        Some(row) => Some(RepositoryInput {
            url: row.url.clone(),
            branch: row.branch.clone(),
            provider: row.provider.clone(),
            auth_type: row.auth_type,
            credentials: match row.credentials {
                Some(_) => Some(credentials(app, row)?),
                None => None,
            },
            webhook_secret: webhook_secret::current(app, row)?,
            auto_sync: row.auto_sync,
            commit_status: row.commit_status,
        }),
        None => None,
    };
    let entry = StackEntry {
        project: project_name(app, &view.stack.project_id).await?,
        name: view.stack.name,
        description: view.stack.description,
        repository,
        build: view.build.settings,
        run: view.stack.run,
        traffic: view.stack.traffic,
        strategy: view.stack.strategy,
        strategy_params: view.stack.strategy_params,
        target: view.stack.target.unwrap_or_else(|| LOCAL.into()),
        schedules: schedules.iter().map(|row| row.plan.clone()).collect(),
        protection: Some(protection).filter(|protection| *protection != Protection::default()),
        previews,
    };
    Ok((entry, schedules))
}

fn input(entry: &StackEntry) -> StackInput {
    StackInput {
        name: entry.name.clone(),
        project: entry.project.clone(),
        team: None,
        description: entry.description.clone(),
        repository: entry.repository.clone(),
        build: entry.build.clone(),
        run: entry.run.clone(),
        traffic: entry.traffic.clone(),
        strategy: entry.strategy.clone(),
        strategy_params: entry.strategy_params.clone(),
        target: Some(entry.target.clone()),
    }
}
