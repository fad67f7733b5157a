//! Registries of a file.

use super::{Action, EntryChanges, Section, Wanted};
use crate::app::App;
use crate::app::registry::{login, registry_create, registry_delete, registry_update};
use crate::domain::registry::{Registry, RegistryInput};
use crate::domain::server_file::{changes, fill_password};
use crate::error::Result;
use crate::store::registries;

/// What is to be done about registries.
#[derive(Default)]
pub(super) struct Work {
    changed: Vec<(RegistryInput, Action)>,
    gone: Vec<String>,
}

impl Work {
    /// Compares the file's registries with those that are there.
    pub(super) async fn new(
        app: &App,
        wanted: &Wanted,
        section: Option<Vec<RegistryInput>>,
        plan: &mut Vec<EntryChanges>,
    ) -> Result<Self> {
        let mut work = Self::default();
        let Some(entries) = section else { return Ok(work) };
        let there = registries::all(&mut *app.db.read().await?).await?;
        if wanted.prune {
            let is_named = |row: &&Registry| entries.iter().any(|entry| entry.name == row.name);
            work.gone = there.iter().filter(|row| !is_named(row)).map(|row| row.name.clone()).collect();
        }
        for (n, mut entry) in entries.into_iter().enumerate() {
            let at = Section::Registries.entry(wanted, n);
            let current = there.iter().find(|row| row.name == entry.name);
            let current = current.map(|row| said(app, row)).transpose()?;
            fill_password(&mut entry, &wanted.secrets, current.as_ref()).map_err(&at)?;
            entry.check().map_err(&at)?;
            let changes = changes(&entry, current.as_ref())?;
            let action = if current.is_none() { Action::Create } else { Action::Change };
            if current.is_none() || !changes.is_empty() {
                plan.push(EntryChanges { name: entry.name.clone(), action, changes });
                work.changed.push((entry, action));
            }
        }
        plan.extend(work.gone.iter().map(EntryChanges::gone));
        Ok(work)
    }

    pub(super) async fn carry_out(&self, app: &App) -> Result<()> {
        for (entry, action) in &self.changed {
            let done = match action {
                Action::Create => registry_create(app, entry.clone()).await,
                Action::Change | Action::Delete => registry_update(app, &entry.name, entry.clone()).await,
            };
            done.map_err(|error| Section::Registries.stopped(&entry.name, error))?;
        }
        Ok(())
    }

    pub(super) async fn prune(&self, app: &App) -> Result<()> {
        for name in &self.gone {
            registry_delete(app, name).await.map_err(|error| Section::Registries.stopped(name, error))?;
        }
        Ok(())
    }
}

/// A registry as a file would say it, with its password in the clear: to be compared, never shown.
fn said(app: &App, row: &Registry) -> Result<RegistryInput> {
    let password = login(app, row)?.map(|login| login.password);
    let (name, address, username) = (row.name.clone(), row.address.clone(), row.username.clone());
    Ok(RegistryInput { name, address, username, password })
}
