//! Teams, who is in them, and what belongs to them.

use super::tenants::tenant_for;
use super::{check_name, membership};
use crate::app::access::{Identity, only_team, require};
use crate::app::cicd::provider::check_teams;
use crate::app::{App, audit};
use crate::domain::Id;
use crate::domain::access::{Grant, Owner, Role, Subject};
use crate::domain::page::{Page, PageRequest};
use crate::domain::people::{DEFAULT_ID, Membership, Team};
use crate::domain::project::Project;
use crate::error::{Error, Result};
use crate::store::{self, Tx, cicd_providers, memberships, notification_channels, projects, teams, users};

/// One's own teams; an administrator sees all.
pub async fn team_list(app: &App, who: &Identity) -> Result<Vec<Team>> {
    let of = if who.rights.is_server_admin() { None } else { Some(&who.user.id) };
    let mut found = teams::list(&mut *app.db.read().await?, of).await?;
    found.retain(|team| who.rights.limit.team.as_ref().is_none_or(|only| *only == team.id));
    Ok(found)
}

pub async fn team_find(app: &App, key: &str) -> Result<Team> {
    teams::find(&mut *app.db.read().await?, key).await
}

/// # Errors
/// `Invalid` for a name that will not do, `Conflict` for one that is taken.
pub async fn team_create(app: &App, name: &str, tenant: Option<&str>) -> Result<Team> {
    check_name("team", name)?;
    let (name, tenant) = (name.to_owned(), tenant.map(str::to_owned));
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let tenant_id = tenant_for(tx, tenant.as_deref()).await?;
                let team = Team { id: store::new_id(), tenant_id, name, created_at: store::now() };
                teams::insert(tx, &team).await?;
                Ok(team)
            })
        })
        .await
}

/// # Errors
/// `Conflict` while it has projects, providers or channels, and for the team that everything falls to.
pub async fn team_delete(app: &App, key: &str) -> Result<()> {
    let key = key.to_owned();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let team = teams::find(tx, &key).await?;
                if team.id.as_str() == DEFAULT_ID {
                    return Err(Error::conflict("the first team stays: what has no other owner is its"));
                }
                let count = projects::count_by_team(tx, &team.id).await?;
                if count > 0 {
                    let text =
                        format!("team `{}` has {count} projects; give them to another team first", team.name);
                    return Err(Error::conflict(text));
                }
                let providers = cicd_providers::list_by_team(tx, &team.id).await?;
                refuse_with(&team, "provider", providers.iter().map(|row| row.name.as_str()))?;
                let channels = notification_channels::list_by_team(tx, &team.id).await?;
                refuse_with(&team, "channel", channels.iter().map(|row| row.name.as_str()))?;
                teams::delete(tx, &team.id).await
            })
        })
        .await
}

/// Refuses to delete a team to which these belong: they would be gone unasked, or nobody's.
fn refuse_with<'a>(team: &Team, what: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let named: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if named.is_empty() {
        return Ok(());
    }
    let (team, named) = (&team.name, named.join(", "));
    Err(Error::conflict(format!(
        "team `{team}` has the {what} {named}; delete what is not needed any more, or give it to another team, first"
    )))
}

/// By name.
pub async fn member_list(app: &App, team: &str) -> Result<Vec<Membership>> {
    let mut conn = app.db.read().await?;
    let team = teams::find(&mut conn, team).await?;
    let mut members = memberships::of_team(&mut conn, &team.id).await?;
    members.sort_by(|one, other| one.user_name.cmp(&other.user_name));
    Ok(members)
}

/// Gives a person a role in the team, or in one project of it.
///
/// # Errors
/// `NotFound` for a person of another tenant and for a project of another team.
pub async fn member_put(
    app: &App,
    team: &str,
    user: &str,
    role: Role,
    project: Option<&str>,
) -> Result<Membership> {
    let (team, user) = (team.to_owned(), user.to_owned());
    let project = project.map(str::to_owned);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let team = teams::find(tx, &team).await?;
                let person = users::find(tx, &user).await?;
                if person.tenant_id != team.tenant_id {
                    return Err(Error::not_found("user", user));
                }
                let project = project_of(tx, &team.id, project.as_deref()).await?;
                let new = membership(&person, Grant { team: team.id, project, role });
                memberships::put(tx, &new).await?;
                Ok(new)
            })
        })
        .await
}

/// # Errors
/// `NotFound` if the person has no role there.
pub async fn member_remove(app: &App, team: &str, user: &str, project: Option<&str>) -> Result<()> {
    let (team, user) = (team.to_owned(), user.to_owned());
    let project = project.map(str::to_owned);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let team = teams::find(tx, &team).await?;
                let person = users::find(tx, &user).await?;
                let project = project_of(tx, &team.id, project.as_deref()).await?;
                if memberships::remove(tx, &person.id, &team.id, project.as_ref()).await? {
                    return Ok(());
                }
                Err(Error::not_found("member", user))
            })
        })
        .await
}

/// A project that a membership or an invitation is narrowed to; it has to be the team's.
pub(super) async fn project_of(tx: &mut Tx, team: &Id, key: Option<&str>) -> Result<Option<Id>> {
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
    let project = projects::find(tx, key).await?;
    if project.team_id == *team { Ok(Some(project.id)) } else { Err(Error::not_found("project", key)) }
}

pub async fn project_list(app: &App, page: PageRequest, who: &Identity) -> Result<Page<Project>> {
    projects::list(&mut *app.db.read().await?, page, &who.reach()).await
}

/// The team that a new project is for: the named one, or the only one in which the caller is a developer.
///
/// # Errors
/// As [`require`] and [`only_team`].
pub async fn team_for(app: &App, who: &Identity, team: Option<&str>) -> Result<Id> {
    match team.filter(|key| !key.is_empty()) {
        Some(key) => {
            require(app, &who.rights, Role::Developer, Subject::Team, key).await?;
            Ok(team_find(app, key).await?.id)
        }
        None => {
            let team = only_team(&who.rights, Role::Developer, DEFAULT_ID)?;
            audit::concerns(&Owner::Team { team: team.clone(), project: None });
            Ok(team)
        }
    }
}

/// # Errors
/// `Conflict` for a name that is taken, be it by a project that the caller does not see: names are the installation's.
pub async fn project_create(app: &App, who: &Identity, name: &str, team: Option<&str>) -> Result<Project> {
    crate::domain::stack::check_name("name", name)?;
    let team_id = team_for(app, who, team).await?;
    let name = name.to_owned();
    app.db.write(move |tx| Box::pin(async move { project_insert(tx, &name, team_id).await })).await
}

pub async fn project_insert(tx: &mut Tx, name: &str, team_id: Id) -> Result<Project> {
    let (id, now) = (store::new_id(), store::now());
    let name = name.to_owned();
    projects::insert(tx, Project { id, seq: 0, name, team_id, created_at: now, updated_at: now }).await
}

/// Gives a project with all that belongs to it to another team. Roles in the project alone end.
pub async fn project_move(app: &App, project: &str, team: &str) -> Result<Project> {
    let (project, team) = (project.to_owned(), team.to_owned());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let row = projects::find(tx, &project).await?;
                let team = teams::find(tx, &team).await?;
                memberships::remove_of_project(tx, &row.id).await?;
                projects::set_team(tx, &row.id, &team.id, store::now()).await?;
                check_teams(tx, &row.id).await?;
                projects::find(tx, row.id.as_str()).await
            })
        })
        .await
}

pub async fn project_find(app: &App, key: &str) -> Result<Project> {
    projects::find(&mut *app.db.read().await?, key).await
}
