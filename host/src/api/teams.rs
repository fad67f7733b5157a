//! `/api/v1/teams`, with members and invitations, and `/api/v1/projects`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, PageQuery, Params, Success, ok};
use super::people::MembershipView;
use super::view::{PageView, time, times};
use crate::app::App;
use crate::app::people::invitations::{
    NewInvitation, invitation_create, invitation_list, invitation_withdraw,
};
use crate::app::people::teams;
use crate::domain::access::Role;
use crate::domain::people::{Invitation, Team};
use crate::domain::project::Project;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(team_list, team_create))
        .routes(routes!(team_view, team_delete))
        .routes(routes!(member_list))
        .routes(routes!(member_put, member_remove))
        .routes(routes!(invitations, invite))
        .routes(routes!(withdraw))
        .routes(routes!(project_list, project_create))
        .routes(routes!(project_view))
        .routes(routes!(project_move))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TeamView {
    id: String,
    tenant_id: String,
    name: String,
    created_at: String,
}

impl From<Team> for TeamView {
    fn from(team: Team) -> Self {
        Self {
            id: team.id.to_string(),
            tenant_id: team.tenant_id.to_string(),
            name: team.name,
            created_at: time(team.created_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProjectView {
    id: String,
    seq: i64,
    name: String,
    team_id: String,
    created_at: String,
}

impl From<Project> for ProjectView {
    fn from(row: Project) -> Self {
        Self {
            id: row.id.to_string(),
            seq: row.seq,
            name: row.name,
            team_id: row.team_id.to_string(),
            created_at: time(row.created_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InvitationView {
    id: String,
    /// Who is invited.
    name: String,
    role: Role,
    project_id: Option<String>,
    created_by: String,
    created_at: String,
    expires_at: String,
    used_at: Option<String>,
    /// For the one who is invited; only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<Invitation> for InvitationView {
    fn from(row: Invitation) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.user_name,
            role: row.role,
            project_id: row.project_id.map(|id| id.to_string()),
            created_by: row.created_by,
            created_at: time(row.created_at),
            expires_at: time(row.expires_at),
            used_at: times(row.used_at),
            secret: None,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TeamInput {
    /// 1 to 32 characters: a to z, 0 to 9, `-`, `_` and `.`.
    name: String,
    /// Name of the tenant: the first one if left out; made if there is none of that name.
    #[serde(default)]
    tenant: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MemberInput {
    role: Role,
    /// Id, number or name of a project of the team; all of them if left out.
    #[serde(default)]
    project: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MemberQuery {
    /// Ends the role in this project; the one in the whole team if left out.
    project: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvitationInput {
    /// Of the account that will be made, or that exists: nobody else can use the invitation.
    name: String,
    role: Role,
    /// Id, number or name of a project of the team; all of them if left out.
    #[serde(default)]
    project: Option<String>,
    /// How long it counts, 1 to 720; 72 if left out.
    #[serde(default)]
    hours: Option<u32>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProjectInput {
    name: String,
    /// Id or name; the only team that you are a developer of if left out.
    #[serde(default)]
    team: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProjectMove {
    /// Id or name.
    team: String,
}

/// Lists your teams; an administrator of the installation sees all.
#[utoipa::path(get, path = "/api/v1/teams", tag = "people", responses((status = 200, body = Success<Vec<TeamView>>)),
    security(("token" = ["viewer:any"])))]
async fn team_list(State(app): State<App>, auth: Auth) -> ApiResult<Json<Success<Vec<TeamView>>>> {
    Ok(ok(teams::team_list(&app, &auth.who).await?.into_iter().map(TeamView::from).collect()))
}

/// Makes a team.
#[utoipa::path(post, path = "/api/v1/teams", tag = "people", request_body = TeamInput,
    responses((status = 201, body = Success<TeamView>), (status = 409)), security(("token" = ["admin:server"])))]
async fn team_create(
    State(app): State<App>,
    _: Auth,
    Body(input): Body<TeamInput>,
) -> ApiResult<(StatusCode, Json<Success<TeamView>>)> {
    let team = teams::team_create(&app, &input.name, input.tenant.as_deref()).await?;
    Ok((StatusCode::CREATED, ok(team.into())))
}

/// Shows a team.
#[utoipa::path(get, path = "/api/v1/teams/{team}", tag = "people", responses((status = 200, body = Success<TeamView>)),
    security(("token" = ["viewer:team"])))]
async fn team_view(
    State(app): State<App>,
    _: Auth,
    Path(team): Path<String>,
) -> ApiResult<Json<Success<TeamView>>> {
    Ok(ok(teams::team_find(&app, &team).await?.into()))
}

/// Removes a team that has no projects, with its memberships and invitations.
#[utoipa::path(delete, path = "/api/v1/teams/{team}", tag = "people", responses((status = 204), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn team_delete(State(app): State<App>, _: Auth, Path(team): Path<String>) -> ApiResult<StatusCode> {
    teams::team_delete(&app, &team).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists who is in a team, and in what role.
#[utoipa::path(get, path = "/api/v1/teams/{team}/members", tag = "people",
    responses((status = 200, body = Success<Vec<MembershipView>>)), security(("token" = ["viewer:team"])))]
async fn member_list(
    State(app): State<App>,
    _: Auth,
    Path(team): Path<String>,
) -> ApiResult<Json<Success<Vec<MembershipView>>>> {
    Ok(ok(teams::member_list(&app, &team).await?.into_iter().map(MembershipView::from).collect()))
}

/// Gives a person of the tenant a role in the team, or in one of its projects.
#[utoipa::path(put, path = "/api/v1/teams/{team}/members/{member}", tag = "people", request_body = MemberInput,
    responses((status = 200, body = Success<MembershipView>)), security(("token" = ["admin:team"])))]
async fn member_put(
    State(app): State<App>,
    _: Auth,
    Path((team, member)): Path<(String, String)>,
    Body(input): Body<MemberInput>,
) -> ApiResult<Json<Success<MembershipView>>> {
    let row = teams::member_put(&app, &team, &member, input.role, input.project.as_deref()).await?;
    Ok(ok(row.into()))
}

/// Ends a person's role.
#[utoipa::path(delete, path = "/api/v1/teams/{team}/members/{member}", tag = "people", params(MemberQuery),
    responses((status = 204)), security(("token" = ["admin:team"])))]
async fn member_remove(
    State(app): State<App>,
    _: Auth,
    Path((team, member)): Path<(String, String)>,
    Params(query): Params<MemberQuery>,
) -> ApiResult<StatusCode> {
    teams::member_remove(&app, &team, &member, query.project.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists a team's invitations, newest first; never the secrets.
#[utoipa::path(get, path = "/api/v1/teams/{team}/invitations", tag = "people",
    responses((status = 200, body = Success<Vec<InvitationView>>)), security(("token" = ["admin:team"])))]
async fn invitations(
    State(app): State<App>,
    _: Auth,
    Path(team): Path<String>,
) -> ApiResult<Json<Success<Vec<InvitationView>>>> {
    Ok(ok(invitation_list(&app, &team).await?.into_iter().map(InvitationView::from).collect()))
}

/// Invites a person. The secret is in this answer and nowhere else; it works once.
#[utoipa::path(post, path = "/api/v1/teams/{team}/invitations", tag = "people", request_body = InvitationInput,
    responses((status = 201, body = Success<InvitationView>)), security(("token" = ["admin:team"])))]
async fn invite(
    State(app): State<App>,
    auth: Auth,
    Path(team): Path<String>,
    Body(input): Body<InvitationInput>,
) -> ApiResult<(StatusCode, Json<Success<InvitationView>>)> {
    let InvitationInput { name, role, project, hours } = input;
    let new = NewInvitation { team: &team, name: &name, role, project: project.as_deref(), hours };
    let (row, secret) = invitation_create(&app, &auth.who, new).await?;
    Ok((StatusCode::CREATED, ok(InvitationView { secret: Some(secret), ..row.into() })))
}

/// Takes an invitation back.
#[utoipa::path(delete, path = "/api/v1/teams/{team}/invitations/{invitation}", tag = "people",
    responses((status = 204)), security(("token" = ["admin:team"])))]
async fn withdraw(
    State(app): State<App>,
    _: Auth,
    Path((team, invitation)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    invitation_withdraw(&app, &team, &invitation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists projects, newest first.
#[utoipa::path(get, path = "/api/v1/projects", tag = "people", params(PageQuery),
    responses((status = 200, body = Success<PageView<ProjectView>>)), security(("token" = ["viewer:any"])))]
async fn project_list(
    State(app): State<App>,
    auth: Auth,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<ProjectView>>>> {
    let page = teams::project_list(&app, page.request(), &auth.who).await?;
    Ok(ok(PageView::of(page, ProjectView::from)))
}

/// Makes a project. A stack makes the one that it names by itself.
#[utoipa::path(post, path = "/api/v1/projects", tag = "people", request_body = ProjectInput,
    responses((status = 201, body = Success<ProjectView>), (status = 409)), security(("token" = ["developer:any"])))]
async fn project_create(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<ProjectInput>,
) -> ApiResult<(StatusCode, Json<Success<ProjectView>>)> {
    let row = teams::project_create(&app, &auth.who, &input.name, input.team.as_deref()).await?;
    Ok((StatusCode::CREATED, ok(row.into())))
}

/// Shows a project by id, number or name.
#[utoipa::path(get, path = "/api/v1/projects/{project}", tag = "people",
    responses((status = 200, body = Success<ProjectView>)), security(("token" = ["viewer:project"])))]
async fn project_view(
    State(app): State<App>,
    _: Auth,
    Path(project): Path<String>,
) -> ApiResult<Json<Success<ProjectView>>> {
    Ok(ok(teams::project_find(&app, &project).await?.into()))
}

/// Gives a project, with all that belongs to it, to another team.
#[utoipa::path(put, path = "/api/v1/projects/{project}/team", tag = "people", request_body = ProjectMove,
    responses((status = 200, body = Success<ProjectView>)), security(("token" = ["admin:server"])))]
async fn project_move(
    State(app): State<App>,
    _: Auth,
    Path(project): Path<String>,
    Body(input): Body<ProjectMove>,
) -> ApiResult<Json<Success<ProjectView>>> {
    Ok(ok(teams::project_move(&app, &project, &input.team).await?.into()))
}
