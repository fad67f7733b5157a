//! Logging in and out, and what people do with their own account.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use super::people::{MembershipView, UserView};
use super::view::times;
use crate::app::login::{Credentials, password_change, session_close, session_open};
use crate::app::people::invitations::{invitation_accept, invitation_join};
use crate::app::people::user_memberships;
use crate::app::second_factor::{totp_begin, totp_confirm, totp_remove};
use crate::app::{App, login};
use crate::domain::client_address;
use crate::error::Error;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(session_create))
        .routes(routes!(session_end))
        .routes(routes!(me))
        .routes(routes!(my_password))
        .routes(routes!(second_factor_begin))
        .routes(routes!(second_factor_remove))
        .routes(routes!(second_factor_confirm))
        .routes(routes!(accept))
        .routes(routes!(join))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LoginInput {
    name: String,
    password: String,
    /// Of the authenticator app, or a recovery code; for those who have set it up.
    #[serde(default)]
    code: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionView {
    /// To be passed as `Authorization: Bearer <secret>`. Shown this once.
    secret: String,
    expires_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MeView {
    user: UserView,
    memberships: Vec<MembershipView>,
    /// Name of the token that this was asked with.
    token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordInput {
    /// Left out by those who never had one.
    #[serde(default)]
    current: String,
    /// 12 to 256 characters.
    new: String,
}

#[derive(Serialize, ToSchema)]
struct EnrolmentView {
    /// In base32, for typing. Shown this once.
    secret: String,
    /// The same as an `otpauth://` address, for a QR code.
    url: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CodeInput {
    /// Of the authenticator app.
    code: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RecoveryView {
    /// Each is good for one log-in without the app. Shown this once.
    recovery_codes: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcceptInput {
    /// The secret of the invitation.
    invitation: String,
    /// The name that was invited.
    name: String,
    /// 12 to 256 characters.
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct JoinInput {
    /// The secret of the invitation.
    invitation: String,
}

/// Where a request comes from: what a configured proxy says, or else who is connected.
pub fn client_address(app: &App, headers: &HeaderMap, peer: Option<&SocketAddr>) -> String {
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), SocketAddr::ip);
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let forwarded: Vec<&str> = forwarded.collect();
    client_address::client_address(peer, &forwarded, &app.config.server.trusted_proxies).to_string()
}

type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

/// Logs in by name and password.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "people", request_body = LoginInput,
    responses((status = 201, body = Success<SessionView>), (status = 401), (status = 429), (status = 503)), security(()))]
async fn session_create(
    State(app): State<App>,
    peer: Peer,
    headers: HeaderMap,
    Body(input): Body<LoginInput>,
) -> ApiResult<(StatusCode, Json<Success<SessionView>>)> {
    let address = client_address(&app, &headers, peer.as_ref().map(|Extension(ConnectInfo(peer))| peer));
    let LoginInput { name, password, code } = input;
    let session = session_open(&app, Credentials { name, password, code }, &address).await?;
    let view = SessionView { secret: session.secret, expires_at: times(session.token.expires_at) };
    Ok((StatusCode::CREATED, ok(view)))
}

/// Logs out. An API token goes on; it is revoked under `/api/v1/tokens`.
#[utoipa::path(delete, path = "/api/v1/sessions/current", tag = "people", responses((status = 204)),
    security(("token" = ["viewer:any"])))]
async fn session_end(State(app): State<App>, auth: Auth) -> ApiResult<StatusCode> {
    session_close(&app, &auth.who).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who the caller is, and what they were given.
#[utoipa::path(get, path = "/api/v1/me", tag = "people", responses((status = 200, body = Success<MeView>)),
    security(("token" = ["viewer:any"])))]
async fn me(State(app): State<App>, auth: Auth) -> ApiResult<Json<Success<MeView>>> {
    let memberships = user_memberships(&app, &auth.who.user.id).await?;
    Ok(ok(MeView {
        user: auth.who.user.into(),
        memberships: memberships.into_iter().map(MembershipView::from).collect(),
        token: auth.token.name,
    }))
}

/// Gives oneself a new password. All other sessions end.
#[utoipa::path(put, path = "/api/v1/me/password", tag = "people", request_body = PasswordInput,
    responses((status = 204), (status = 403), (status = 429)), security(("token" = ["viewer:any"])))]
async fn my_password(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<PasswordInput>,
) -> ApiResult<StatusCode> {
    password_change(&app, &auth.who, input.current, input.new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins to set up a second factor. It counts once a code has confirmed it.
#[utoipa::path(post, path = "/api/v1/me/second-factor", tag = "people",
    responses((status = 201, body = Success<EnrolmentView>), (status = 409)), security(("token" = ["viewer:any"])))]
async fn second_factor_begin(
    State(app): State<App>,
    auth: Auth,
) -> ApiResult<(StatusCode, Json<Success<EnrolmentView>>)> {
    auth.who.unlimited()?;
    let made = totp_begin(&app, &auth.who.user).await?;
    Ok((StatusCode::CREATED, ok(EnrolmentView { secret: made.secret, url: made.url })))
}

/// Confirms the second factor by a code of it.
#[utoipa::path(post, path = "/api/v1/me/second-factor/confirm", tag = "people", request_body = CodeInput,
    responses((status = 200, body = Success<RecoveryView>), (status = 409)), security(("token" = ["viewer:any"])))]
async fn second_factor_confirm(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<CodeInput>,
) -> ApiResult<Json<Success<RecoveryView>>> {
    auth.who.unlimited()?;
    Ok(ok(RecoveryView { recovery_codes: totp_confirm(&app, &auth.who.user, &input.code).await? }))
}

/// Removes the second factor. Takes a code, so that a session that was left open does not suffice.
#[utoipa::path(post, path = "/api/v1/me/second-factor/remove", tag = "people", request_body = CodeInput,
    responses((status = 204), (status = 429)), security(("token" = ["viewer:any"])))]
async fn second_factor_remove(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<CodeInput>,
) -> ApiResult<StatusCode> {
    auth.who.unlimited()?;
    login::code_check(&app, &auth.who.user, &input.code).await?;
    totp_remove(&app, &auth.who.user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes the account that was invited.
#[utoipa::path(post, path = "/api/v1/invitations/accept", tag = "people", request_body = AcceptInput,
    responses((status = 201, body = Success<UserView>), (status = 404), (status = 409), (status = 429)), security(()))]
async fn accept(
    State(app): State<App>,
    peer: Peer,
    headers: HeaderMap,
    Body(input): Body<AcceptInput>,
) -> ApiResult<(StatusCode, Json<Success<UserView>>)> {
    let address = client_address(&app, &headers, peer.as_ref().map(|Extension(ConnectInfo(peer))| peer));
    app.login_limits.check("", &address, now())?;
    let made = invitation_accept(&app, &input.invitation, &input.name, input.password).await;
    if let Err(Error::NotFound { .. }) = &made {
        app.login_limits.failed("", &address, now());
    }
    Ok((StatusCode::CREATED, ok(made?.into())))
}

/// Makes the caller a member of the team that invited them.
#[utoipa::path(post, path = "/api/v1/invitations/join", tag = "people", request_body = JoinInput,
    responses((status = 204), (status = 404)), security(("token" = ["viewer:any"])))]
async fn join(State(app): State<App>, auth: Auth, Body(input): Body<JoinInput>) -> ApiResult<StatusCode> {
    invitation_join(&app, &auth.who, &input.invitation).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
