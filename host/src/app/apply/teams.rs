//! Teams of a file. Who is in them is said elsewhere.

use super::{Action, EntryChanges, Section, Wanted};
use crate::app::App;
use crate::app::access::Identity;
use crate::app::people::teams::{team_create, team_delete, team_list};
use crate::domain::people::DEFAULT_NAME;
use crate::domain::server_entries::TeamEntry;
use crate::domain::server_file::changes;
use crate::error::Result;

/// What is to be done about teams.
#[derive(Default)]
pub(super) struct Work {
    new: Vec<String>,
    gone: Vec<String>,
}

impl Work {
    pub(super) async fn new(
        app: &App,
        wanted: &Wanted,
        section: Option<Vec<TeamEntry>>,
        who: &Identity,
        plan: &mut Vec<EntryChanges>,
    ) -> Result<Self> {
        let mut work = Self::default();
        let Some(entries) = section else { return Ok(work) };
        let there: Vec<String> = team_list(app, who).await?.into_iter().map(|team| team.name).collect();
        for entry in entries.iter().filter(|entry| !there.contains(&entry.name)) {
            let changes = changes(entry, None)?;
            plan.push(EntryChanges { name: entry.name.clone(), action: Action::Create, changes });
            work.new.push(entry.name.clone());
        }
        if wanted.prune {
            // What has no other owner is the first team's, so that one stays.
            let is_named =
                |name: &&String| *name == DEFAULT_NAME || entries.iter().any(|entry| entry.name == **name);
            work.gone = there.iter().filter(|name| !is_named(name)).cloned().collect();
        }
        plan.extend(work.gone.iter().map(EntryChanges::gone));
        Ok(work)
    }

    /// Whether the file makes this team.
    pub(super) fn is_coming(&self, name: &str) -> bool {
        self.new.iter().any(|new| new == name)
    }

    pub(super) async fn carry_out(&self, app: &App) -> Result<()> {
        for name in &self.new {
            let made = team_create(app, name, None).await;
            made.map_err(|error| Section::Teams.stopped(name, error))?;
        }
        Ok(())
    }

    pub(super) async fn prune(&self, app: &App) -> Result<()> {
        for name in &self.gone {
            team_delete(app, name).await.map_err(|error| Section::Teams.stopped(name, error))?;
        }
        Ok(())
    }
}
