//! One team: who is in it, and who is invited.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::page::{Frame, PageResult, render_with};
use super::people::to_team;
use super::session::Session;
use super::ui::{When, now};
use crate::api;
use crate::app::App;
use crate::app::people::invitations::{
    NewInvitation, invitation_create, invitation_list, invitation_withdraw,
};
use crate::app::people::teams;
use crate::domain::Id;
use crate::domain::access::{Owner, Role};
use crate::domain::page::PageRequest;
use crate::domain::people::{Invitation, Membership};
use crate::error::{Error, Result};

struct MemberRow {
    id: String,
    name: String,
    role: &'static str,
    /// Name of the only project that it is for; empty for all.
    project: String,
    project_id: String,
    since: When,
}

struct InvitationRow {
    id: String,
    name: String,
    role: &'static str,
    by: String,
    ends: When,
}

#[derive(Template)]
#[template(path = "team.html")]
struct TeamPage {
    frame: Frame,
    name: String,
    members: Vec<MemberRow>,
    invitations: Vec<InvitationRow>,
    /// Names of the team's projects.
    projects: Vec<String>,
    roles: [Role; 4],
    /// The viewer decides who is in the team.
    is_admin: bool,
    /// Of the invitation that was just made: whom it is for, and what they need.
    invited: String,
    secret: String,
    error: String,
}

async fn page(app: &App, session: &Session, key: &str) -> Result<TeamPage> {
    let team = teams::team_find(app, key).await?;
    let who = &session.0.who;
    let owner = Owner::Team { team: team.id.clone(), project: None };
    let is_admin = who.rights.role_on(&owner) == Some(Role::Admin);
    let all = teams::project_list(app, PageRequest::first(200), who).await?.items;
    let own = all.into_iter().filter(|project| project.team_id == team.id);
    let projects: HashMap<Id, String> = own.map(|project| (project.id, project.name)).collect();
    let member = |row: Membership| MemberRow {
        id: row.user_id.to_string(),
        name: row.user_name,
        role: row.grant.role.as_str(),
        project: row.grant.project.as_ref().and_then(|id| projects.get(id)).cloned().unwrap_or_default(),
        project_id: row.grant.project.map(|id| id.to_string()).unwrap_or_default(),
        since: When::new(row.created_at),
    };
    let members = teams::member_list(app, key).await?.into_iter().map(member).collect();
    // Who was invited to what is for those who invite.
    let invitations = if is_admin { invitation_list(app, key).await? } else { Vec::new() };
    let open = invitations.into_iter().filter(|row| row.is_open(now()));
    let mut names: Vec<String> = projects.into_values().collect();
    names.sort();
    Ok(TeamPage {
        frame: Frame::new(session, "people", format!("Team {}", team.name)).crumb("/people", "People"),
        name: team.name,
        members,
        invitations: open.map(invitation_row).collect(),
        projects: names,
        roles: Role::ALL,
        is_admin,
        invited: String::new(),
        secret: String::new(),
        error: String::new(),
    })
}

fn invitation_row(row: Invitation) -> InvitationRow {
    InvitationRow {
        id: row.id.to_string(),
        name: row.user_name,
        role: row.role.as_str(),
        by: row.created_by,
        ends: When::new(row.expires_at),
    }
}

pub async fn show(State(app): State<App>, session: Session, Path(team): Path<String>) -> PageResult {
    render_with(StatusCode::OK, &page(&app, &session, &team).await?)
}

/// Back to the page, or the page with what went wrong.
async fn answered<T>(app: &App, session: &Session, team: &str, outcome: Result<T>) -> PageResult {
    match outcome {
        Ok(_) => Ok(to_team(team)),
        Err(Error::Internal(detail)) => Err(Error::Internal(detail).into()),
        Err(error) => {
            let page = TeamPage { error: error.to_string(), ..page(app, session, team).await? };
            render_with(api::status(&error), &page)
        }
    }
}

#[derive(Deserialize)]
pub struct MemberForm {
    user: String,
    role: String,
    #[serde(default)]
    project: String,
}

fn role(text: &str) -> Result<Role> {
    Role::parse(text).ok_or_else(|| Error::invalid("role", "choose one of the roles"))
}

pub async fn member_put(
    State(app): State<App>,
    session: Session,
    Path(team): Path<String>,
    Form(form): Form<MemberForm>,
) -> PageResult {
    let done = async {
        let role = role(&form.role)?;
        teams::member_put(&app, &team, form.user.trim(), role, Some(form.project.as_str())).await
    };
    answered(&app, &session, &team, done.await).await
}

#[derive(Deserialize)]
pub struct RemoveForm {
    user: String,
    #[serde(default)]
    project: String,
}

pub async fn member_remove(
    State(app): State<App>,
    session: Session,
    Path(team): Path<String>,
    Form(form): Form<RemoveForm>,
) -> PageResult {
    let done = teams::member_remove(&app, &team, &form.user, Some(form.project.as_str())).await;
    answered(&app, &session, &team, done).await
}

#[derive(Deserialize)]
pub struct InvitationForm {
    name: String,
    role: String,
    #[serde(default)]
    project: String,
}

/// The answer itself shows the secret: it is nowhere else to be read.
pub async fn invite(
    State(app): State<App>,
    session: Session,
    Path(team): Path<String>,
    Form(form): Form<InvitationForm>,
) -> PageResult {
    let made = async {
        let (role, project) = (role(&form.role)?, Some(form.project.as_str()));
        let new = NewInvitation { team: &team, name: form.name.trim(), role, project, hours: None };
        invitation_create(&app, &session.0.who, new).await
    };
    match made.await {
        Ok((invitation, secret)) => {
            let page = page(&app, &session, &team).await?;
            render_with(StatusCode::CREATED, &TeamPage { secret, invited: invitation.user_name, ..page })
        }
        Err(error) => answered::<()>(&app, &session, &team, Err(error)).await,
    }
}

#[derive(Deserialize)]
pub struct WithdrawForm {
    invitation: String,
}

pub async fn withdraw(
    State(app): State<App>,
    session: Session,
    Path(team): Path<String>,
    Form(form): Form<WithdrawForm>,
) -> PageResult {
    let done = invitation_withdraw(&app, &team, &form.invitation).await;
    answered(&app, &session, &team, done).await
}
