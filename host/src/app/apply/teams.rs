//! Teams of a file. Who is in them is said elsewhere.

use super::{Action, EntryChanges, Section, Wanted};
use crate::app::App;
use crate::app::access::Identity;
use crate::app::people::check_name;
use crate::app::people::teams::{team_create, team_delete, team_find, team_list};
use crate::domain::people::{DEFAULT_NAME, Team};
use crate::domain::server_entries::TeamEntry;
use crate::domain::server_file::changes;
use crate::error::{Error, Result};

/// What is to be done about teams.
#[derive(Default)]
pub(super) struct Work {
    new: Vec<String>,
    gone: Vec<Team>,
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
        let there = team_list(app, who).await?;
        for (n, entry) in entries.iter().enumerate() {
            if there.iter().any(|team| team.name == entry.name) {
                continue;
            }
            check_name("team", &entry.name).map_err(Section::Teams.entry(wanted, n))?;
            let changes = changes(entry, None)?;
            plan.push(EntryChanges { name: entry.name.clone(), action: Action::Create, changes });
            work.new.push(entry.name.clone());
        }
        if wanted.prune {
            // What has no other owner is the first team's, so that one stays.
            let is_named =
                |name: &str| name == DEFAULT_NAME || entries.iter().any(|entry| entry.name == name);
            work.gone = there.into_iter().filter(|team| !is_named(&team.name)).collect();
        }
        plan.extend(work.gone.iter().map(|team| EntryChanges::gone(&team.name)));
        Ok(work)
    }

    /// Whether any is to be deleted.
    pub(super) fn any_goes(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Refuses for an entry a team that there is not and that the file does not make, and one that is to be deleted.
    ///
    /// # Errors
    /// `Invalid`, with the field that names it.
    pub(super) async fn check(&self, app: &App, key: &str, what: &str, name: &str) -> Result<()> {
        self.check_stays(key, what, name)?;
        if self.new.iter().any(|new| new == key) {
            return Ok(());
        }
        let there = team_find(app, key).await;
        there
            .map(|_| ())
            .map_err(|_| Error::invalid("team", format!("there is no team `{}`", key.escape_debug())))
    }

    /// Refuses a team that is to be deleted: what is its stays.
    ///
    /// # Errors
    /// `Invalid`, with the field that names it.
    pub(super) fn check_stays(&self, key: &str, what: &str, name: &str) -> Result<()> {
        match self.gone.iter().find(|team| team.name == key || team.id.as_str() == key) {
            None => Ok(()),
            Some(team) => Err(Error::invalid(
                "team",
                format!(
                    "team `{}` is not among the file's teams and would be deleted, but {what} `{}` is its; name the team, give \
                     the {what} to another one, or have it deleted as well",
                    team.name,
                    name.escape_debug()
                ),
            )),
        }
    }

    pub(super) async fn carry_out(&self, app: &App) -> Result<()> {
        for name in &self.new {
            let made = team_create(app, name, None).await;
            made.map_err(|error| Section::Teams.stopped(name, error))?;
        }
        Ok(())
    }

    pub(super) async fn prune(&self, app: &App) -> Result<()> {
        for team in &self.gone {
            let gone = team_delete(app, team.id.as_str()).await;
            gone.map_err(|error| Section::Teams.stopped(&team.name, error))?;
        }
        Ok(())
    }
}
