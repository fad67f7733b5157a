//! `/api/v1/providers`: connections to CI/CD providers, in seed 0's words; and what they report (seed 1).

use axum::Json;
use axum::body::Body as RawBody;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, PageQuery, Params, Success, ok};
use super::view::{PageView, time, times};
use super::webhooks::{lower_headers, read_body};
use crate::app::App;
use crate::app::cicd::provider::{ProviderInput, ReportSetup};
use crate::app::cicd::{health, notice, provider};
use crate::domain::UnixMs;
use crate::domain::cicd::{AuthType, CicdProvider};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(provider_list, provider_create))
        .routes(routes!(provider_view, provider_update, provider_delete))
        .routes(routes!(provider_test))
        .routes(routes!(report))
}

/// Seed 0, `CICDProvider`. Credentials are never shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProviderView {
    id: String,
    seq: i64,
    /// Name of the plugin.
    #[serde(rename = "type")]
    kind: String,
    name: String,
    url: String,
    port: Option<u16>,
    auth_type: AuthType,
    has_credentials: bool,
    #[schema(value_type = Object)]
    settings: Value,
    private_network: bool,
    /// In PEM.
    certificates: Option<String>,
    tenant_id: Option<String>,
    /// Whose it is; absent where it is the installation's.
    team_id: Option<String>,
    creator_id: Option<String>,
    is_active: bool,
    health: HealthView,
    created_at: String,
    updated_at: String,
}

/// How it answered lately.
#[derive(Debug, Serialize, ToSchema)]
struct HealthView {
    /// unknown, healthy, degraded, unauthorized or limited.
    state: &'static str,
    checked_at: Option<String>,
    response_ms: Option<i64>,
    /// Of the last 20 checks.
    error_percent: u32,
    /// Whom the credential belongs to.
    account: String,
    server_version: String,
    error: Option<String>,
    failing_since: Option<String>,
    /// The provider asked for silence until then.
    limited_until: Option<String>,
    /// How many requests it still takes; absent where it does not say.
    rate_limit: Option<RateLimitView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RateLimitView {
    /// Requests in one window.
    limit: i64,
    remaining: i64,
    /// Builds are looked at less often, so that it lasts.
    low: bool,
    /// When the window ends.
    resets_at: Option<String>,
}

impl ProviderView {
    pub(super) fn of(provider: CicdProvider, now: UnixMs) -> Self {
        let health = provider.health;
        Self {
            id: provider.id.to_string(),
            seq: provider.seq,
            kind: provider.kind,
            name: provider.name,
            url: provider.url,
            port: provider.port,
            auth_type: provider.auth_type,
            has_credentials: provider.credentials.is_some(),
            settings: provider.settings,
            private_network: provider.private_network,
            certificates: provider.certificates,
            tenant_id: provider.tenant_id,
            team_id: provider.team_id,
            creator_id: provider.creator_id,
            is_active: provider.is_active,
            created_at: time(provider.created_at),
            updated_at: time(provider.updated_at),
            health: HealthView {
                state: health.state(now).as_str(),
                error_percent: health.error_percent(),
                checked_at: times(health.checked_at),
                response_ms: health.response_ms,
                account: health.account,
                server_version: health.server_version,
                error: health.error,
                failing_since: times(health.failing_since),
                limited_until: times(health.limited_until),
                rate_limit: health.budget.map(|budget| RateLimitView {
                    limit: budget.limit,
                    remaining: budget.remaining,
                    low: budget.is_low(now),
                    resets_at: times(budget.resets_at),
                }),
            },
        }
    }

    fn now(provider: CicdProvider) -> Self {
        Self::of(provider, chrono::Utc::now().timestamp_millis())
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ProviderCreated {
    provider: ProviderView,
    /// Where it can report to. The secret is shown this once.
    webhook: ReportSetup,
}

#[derive(Debug, Serialize, ToSchema)]
struct Tested {
    /// Whether it answered and takes the credential.
    connected: bool,
    provider: ProviderView,
}

#[derive(Debug, Serialize, ToSchema)]
struct Reported {
    /// Id of the stored report.
    event_id: String,
    /// Whether it was signed, and so believed; if not, the provider was asked.
    verified: bool,
    /// Builds and jobs here that it is about.
    known: usize,
}

/// Lists the providers of the caller's teams, newest first; for administrators of the installation all of them.
#[utoipa::path(get, path = "/api/v1/providers", tag = "providers", params(PageQuery),
    responses((status = 200, body = Success<PageView<ProviderView>>)),
    security(("token" = ["viewer:any"])))]
async fn provider_list(
    State(app): State<App>,
    auth: Auth,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<ProviderView>>>> {
    let page = provider::provider_list(&app, page.request(), &auth.reach()).await?;
    Ok(ok(PageView::of(page, ProviderView::now)))
}

/// Connects a provider. Its credentials are stored sealed and go to its address only.
#[utoipa::path(post, path = "/api/v1/providers", tag = "providers", request_body = ProviderInput,
    responses((status = 201, body = Success<ProviderCreated>), (status = 409), (status = 422)),
    security(("token" = ["admin:server"])))]
async fn provider_create(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<ProviderInput>,
) -> ApiResult<(StatusCode, Json<Success<ProviderCreated>>)> {
    let (provider, webhook) = provider::provider_create(&app, input, &auth.caller()).await?;
    Ok((StatusCode::CREATED, ok(ProviderCreated { provider: ProviderView::now(provider), webhook })))
}

/// Shows a provider and its health.
#[utoipa::path(get, path = "/api/v1/providers/{provider}", tag = "providers",
    responses((status = 200, body = Success<ProviderView>), (status = 404)),
    security(("token" = ["viewer:provider"])))]
async fn provider_view(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<ProviderView>>> {
    Ok(ok(ProviderView::now(provider::provider_view(&app, &key).await?)))
}

/// Changes a provider. Credentials and webhook secret stay as they are if they are left out.
#[utoipa::path(put, path = "/api/v1/providers/{provider}", tag = "providers", request_body = ProviderInput,
    responses((status = 200, body = Success<ProviderView>), (status = 404), (status = 422)),
    security(("token" = ["admin:server"])))]
async fn provider_update(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
    Body(input): Body<ProviderInput>,
) -> ApiResult<Json<Success<ProviderView>>> {
    Ok(ok(ProviderView::now(provider::provider_update(&app, &key, input).await?)))
}

/// Removes the connection with what is known of its jobs and builds. At the provider everything stays.
#[utoipa::path(delete, path = "/api/v1/providers/{provider}", tag = "providers",
    responses((status = 204), (status = 404), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn provider_delete(State(app): State<App>, _: Auth, Path(key): Path<String>) -> ApiResult<StatusCode> {
    provider::provider_delete(&app, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the provider whether it answers and takes the credential.
#[utoipa::path(post, path = "/api/v1/providers/{provider}/test", tag = "providers",
    responses((status = 200, body = Success<Tested>), (status = 404)),
    security(("token" = ["developer:provider"])))]
async fn provider_test(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<Tested>>> {
    let provider = health::provider_test(&app, &key).await?;
    let connected = provider.health.error.is_none();
    Ok(ok(Tested { connected, provider: ProviderView::now(provider) }))
}

/// Takes what a provider reports of its builds (seed 1). The last part of the address is the provider's type, the second one
/// the tenant's name; the first one is of no consequence. A report that is signed with the connection's webhook secret is
/// believed; one that is not makes the server ask the provider.
#[utoipa::path(post, path = "/{locale}/{tenant}/deployment/webhooks/{provider}", tag = "providers",
    request_body(content = String),
    responses((status = 202, body = Success<Reported>), (status = 401), (status = 404), (status = 422), (status = 429)),
    security(()))]
async fn report(
    State(app): State<App>,
    Path((_, tenant, kind)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: RawBody,
) -> ApiResult<(StatusCode, Json<Success<Reported>>)> {
    let (body, _room) = read_body(&app, &headers, body).await?;
    let incoming = notice::Incoming { kind, tenant, headers: lower_headers(&headers), body };
    let noticed = notice::notice(&app, incoming).await?;
    let notice::Noticed { event_id, verified, known } = noticed;
    Ok((StatusCode::ACCEPTED, ok(Reported { event_id: event_id.to_string(), verified, known })))
}
