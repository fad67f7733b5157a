//! `/api/v1/users`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use super::view::{time, times};
use crate::app::login::password_reset;
use crate::app::second_factor::totp_remove;
use crate::app::{App, people};
use crate::domain::access::Role;
use crate::domain::people::{Membership, User};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(user_list, user_create))
        .routes(routes!(user_change))
        .routes(routes!(user_password))
        .routes(routes!(user_second_factor))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    pub id: String,
    pub tenant_id: String,
    pub name: String,
    /// Administers the installation.
    pub admin: bool,
    pub has_password: bool,
    pub has_second_factor: bool,
    pub created_at: String,
    pub last_login_at: Option<String>,
    /// Since when they may not log in.
    pub disabled_at: Option<String>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            tenant_id: user.tenant_id.to_string(),
            name: user.name,
            admin: user.is_admin,
            has_password: user.password_hash.is_some(),
            has_second_factor: user.totp_active,
            created_at: time(user.created_at),
            last_login_at: times(user.last_login_at),
            disabled_at: times(user.disabled_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MembershipView {
    pub user_id: String,
    pub user: String,
    pub team_id: String,
    /// Absent: in all projects of the team.
    pub project_id: Option<String>,
    pub role: Role,
    pub created_at: String,
}

impl From<Membership> for MembershipView {
    fn from(row: Membership) -> Self {
        Self {
            user_id: row.user_id.to_string(),
            user: row.user_name,
            team_id: row.grant.team.to_string(),
            project_id: row.grant.project.map(|id| id.to_string()),
            role: row.grant.role,
            created_at: time(row.created_at),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserInput {
    /// 1 to 32 characters: a to z, 0 to 9, `-`, `_` and `.`.
    name: String,
    /// 12 to 256 characters. Without one, the person logs in with a token.
    #[serde(default)]
    password: Option<String>,
    /// Name of the tenant: the first one if left out; made if there is none of that name.
    #[serde(default)]
    tenant: Option<String>,
    /// Administers the installation.
    #[serde(default)]
    admin: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserChange {
    /// Whether the person is shut out, with all their tokens and sessions.
    #[serde(default)]
    disabled: Option<bool>,
    /// Whether they administer the installation.
    #[serde(default)]
    admin: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResetInput {
    /// 12 to 256 characters.
    password: String,
}

/// Lists people: those who share a team with you; an administrator of the installation sees everybody.
#[utoipa::path(get, path = "/api/v1/users", tag = "people", responses((status = 200, body = Success<Vec<UserView>>)),
    security(("token" = ["viewer:any"])))]
async fn user_list(State(app): State<App>, auth: Auth) -> ApiResult<Json<Success<Vec<UserView>>>> {
    Ok(ok(people::user_list(&app, &auth.who).await?.into_iter().map(UserView::from).collect()))
}

/// Makes an account. People are better invited: then they choose their password themselves.
#[utoipa::path(post, path = "/api/v1/users", tag = "people", request_body = UserInput,
    responses((status = 201, body = Success<UserView>), (status = 409)), security(("token" = ["admin:server"])))]
async fn user_create(
    State(app): State<App>,
    _: Auth,
    Body(input): Body<UserInput>,
) -> ApiResult<(StatusCode, Json<Success<UserView>>)> {
    let UserInput { name, password, tenant, admin } = input;
    let user = people::user_create(&app, &name, password, tenant.as_deref(), admin).await?;
    Ok((StatusCode::CREATED, ok(user.into())))
}

/// Shuts somebody out at once or lets them in again, and makes them an administrator or ends that.
#[utoipa::path(put, path = "/api/v1/users/{user}", tag = "people", request_body = UserChange,
    responses((status = 200, body = Success<UserView>), (status = 409)), security(("token" = ["admin:server"])))]
async fn user_change(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
    Body(input): Body<UserChange>,
) -> ApiResult<Json<Success<UserView>>> {
    if let Some(disabled) = input.disabled {
        people::user_set_disabled(&app, &key, disabled).await?;
    }
    if let Some(admin) = input.admin {
        people::user_set_admin(&app, &key, admin).await?;
    }
    Ok(ok(people::user_find(&app, &key).await?.into()))
}

/// Gives somebody who has forgotten theirs a new password. Their sessions end.
#[utoipa::path(put, path = "/api/v1/users/{user}/password", tag = "people", request_body = ResetInput,
    responses((status = 204)), security(("token" = ["admin:server"])))]
async fn user_password(
    State(app): State<App>,
    auth: Auth,
    Path(key): Path<String>,
    Body(input): Body<ResetInput>,
) -> ApiResult<StatusCode> {
    password_reset(&app, &auth.who, &key, input.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the second factor of somebody who has lost telephone and recovery codes.
#[utoipa::path(delete, path = "/api/v1/users/{user}/second-factor", tag = "people", responses((status = 204)),
    security(("token" = ["admin:server"])))]
async fn user_second_factor(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<StatusCode> {
    let user = people::user_find(&app, &key).await?;
    totp_remove(&app, &user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
