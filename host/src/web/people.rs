//! People: who there is, the teams, and one's own password.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::page::{Frame, PageResult, render_with};
use super::session::Session;
use super::stack::to;
use super::ui::{Badge, Tone, When};
use crate::api;
use crate::app::App;
use crate::app::login::password_change;
use crate::app::people::invitations::invitation_join;
use crate::app::people::{self as people, teams, tenants};
use crate::app::second_factor::totp_is_active;
use crate::domain::people::{Team, User};
use crate::error::{Error, Result};

struct UserRow {
    id: String,
    name: String,
    kind: &'static str,
    badge: Badge,
    is_disabled: bool,
    is_self: bool,
    second_factor: &'static str,
    last_login: Option<When>,
}

impl UserRow {
    fn new(user: User, own: &User) -> Self {
        let is_disabled = user.disabled_at.is_some();
        let (tone, word) = match (is_disabled, &user.password_hash) {
            (true, _) => (Tone::Stopped, "shut out"),
            (false, Some(_)) => (Tone::Good, "may log in"),
            (false, None) => (Tone::Waiting, "tokens only"),
        };
        Self {
            is_self: user.id == own.id,
            id: user.id.to_string(),
            name: user.name,
            kind: if user.is_admin { "administrator" } else { "person" },
            badge: Badge { tone, word },
            is_disabled,
            second_factor: if user.totp_active { "yes" } else { "no" },
            last_login: user.last_login_at.map(When::new),
        }
    }
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    frame: Frame,
    users: Vec<UserRow>,
    teams: Vec<Team>,
    /// Names of the tenants, for who may choose one for something new.
    tenants: Vec<String>,
    /// Administers the installation.
    is_admin: bool,
    has_password: bool,
    has_second_factor: bool,
    /// What was done, and what could not be.
    done: String,
    error: String,
}

async fn page(app: &App, session: &Session, done: &str, error: Option<&Error>) -> PageResult {
    let who = &session.0.who;
    let users = people::user_list(app, who).await?;
    let is_admin = who.rights.is_server_admin();
    let tenants = if is_admin { tenants::tenant_list(app).await? } else { Vec::new() };
    let status = error.map_or(StatusCode::OK, api::status);
    render_with(
        status,
        &PeoplePage {
            frame: Frame::new(session, "people", "People"),
            users: users.into_iter().map(|user| UserRow::new(user, &who.user)).collect(),
            teams: teams::team_list(app, who).await?,
            tenants: tenants.into_iter().map(|tenant| tenant.name).collect(),
            is_admin,
            has_password: who.user.password_hash.is_some(),
            has_second_factor: totp_is_active(app, &who.user.id).await?,
            done: done.to_owned(),
            error: error.map(Error::to_string).unwrap_or_default(),
        },
    )
}

/// The page again, with what was done or why it was not.
pub async fn answered<T>(app: &App, session: &Session, outcome: Result<T>, done: &str) -> PageResult {
    match outcome {
        Ok(_) => page(app, session, done, None).await,
        Err(Error::Internal(detail)) => Err(Error::Internal(detail).into()),
        Err(error) => page(app, session, "", Some(&error)).await,
    }
}

pub async fn list(State(app): State<App>, session: Session) -> PageResult {
    page(&app, &session, "", None).await
}

#[derive(Deserialize)]
pub struct UserForm {
    name: String,
    password: String,
    #[serde(default)]
    tenant: Option<String>,
}

pub async fn user_create(State(app): State<App>, session: Session, Form(form): Form<UserForm>) -> PageResult {
    let password = Some(form.password).filter(|text| !text.is_empty());
    let made = people::user_create(&app, form.name.trim(), password, form.tenant.as_deref(), false).await;
    answered(&app, &session, made, "The account is made. Give it a role on the page of a team.").await
}

pub async fn user_disable(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let done = people::user_set_disabled(&app, &id, true).await;
    answered(&app, &session, done, "The account is shut out, with its tokens and sessions.").await
}

pub async fn user_enable(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let done = people::user_set_disabled(&app, &id, false).await;
    answered(&app, &session, done, "The account may log in again.").await
}

#[derive(Deserialize)]
pub struct TeamForm {
    name: String,
    #[serde(default)]
    tenant: Option<String>,
}

pub async fn team_create(State(app): State<App>, session: Session, Form(form): Form<TeamForm>) -> PageResult {
    match teams::team_create(&app, form.name.trim(), form.tenant.as_deref()).await {
        Ok(team) => Ok(to_team(&team.name)),
        Err(error) => answered::<()>(&app, &session, Err(error), "").await,
    }
}

pub fn to_team(name: &str) -> Response {
    to(&format!("/people/teams/{name}"))
}

#[derive(Deserialize)]
pub struct PasswordForm {
    #[serde(default)]
    current: String,
    new: String,
}

pub async fn password(
    State(app): State<App>,
    session: Session,
    Form(form): Form<PasswordForm>,
) -> PageResult {
    let changed = password_change(&app, &session.0.who, form.current, form.new).await;
    answered(&app, &session, changed, "Your password is changed. Your other sessions have ended.").await
}

#[derive(Deserialize)]
pub struct JoinForm {
    invitation: String,
}

pub async fn join(State(app): State<App>, session: Session, Form(form): Form<JoinForm>) -> PageResult {
    let joined = invitation_join(&app, &session.0.who, form.invitation.trim()).await;
    answered(&app, &session, joined, "You are a member now.").await
}
