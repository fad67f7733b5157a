//! `/api/v1/secrets`: the keys that secrets are sealed with. The secrets themselves are written where they belong, and
//! never read.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use super::view::{time, times};
use crate::app::App;
use crate::app::vault::rotate::{SecretsStatus, secrets_rotate as rotate, secrets_status as status};
use crate::domain::sealed::KeyRotation;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(secrets_status)).routes(routes!(secrets_rotate))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotateKeysInput {
    /// Every secret gets a new data key as well, not only its data key a new master key.
    #[serde(default)]
    data_keys: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyView {
    version: u32,
    /// New secrets are sealed with it.
    newest: bool,
    /// This server has it; without it its secrets cannot be opened.
    known: bool,
    /// How many secrets are under it.
    secrets: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyRotationView {
    id: String,
    version: u32,
    data_keys: bool,
    /// `running` or `finished`.
    status: &'static str,
    moved: u64,
    /// Secrets that no key opens; they stay as they are.
    failed: u64,
    error: Option<String>,
    started_at: String,
    finished_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SecretsView {
    /// Where the master keys come from.
    source: String,
    keys: Vec<KeyView>,
    /// The rotation that was started last.
    rotation: Option<KeyRotationView>,
}

impl From<KeyRotation> for KeyRotationView {
    fn from(row: KeyRotation) -> Self {
        Self {
            id: row.id.to_string(),
            version: row.version,
            data_keys: row.data_keys,
            status: if row.finished_at.is_some() { "finished" } else { "running" },
            moved: row.moved,
            failed: row.failed,
            error: row.error,
            started_at: time(row.started_at),
            finished_at: times(row.finished_at),
        }
    }
}

impl From<SecretsStatus> for SecretsView {
    fn from(status: SecretsStatus) -> Self {
        let keys = status.keys.into_iter().map(|key| KeyView {
            version: key.version,
            newest: key.is_newest,
            known: key.is_known,
            secrets: key.secrets,
        });
        Self { source: status.source, keys: keys.collect(), rotation: status.rotation.map(Into::into) }
    }
}

/// Shows the versions of the master key, how many secrets are under each, and the last rotation.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets", responses((status = 200, body = Success<SecretsView>)),
    security(("token" = ["admin:server"])))]
async fn secrets_status(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<SecretsView>>> {
    Ok(ok(status(&app).await?.into()))
}

/// Starts moving every secret to the newest master key, while everything goes on. A new key is made first where all secrets
/// are under the newest one already and this server keeps the keys itself.
#[utoipa::path(post, path = "/api/v1/secrets/rotate", tag = "secrets", request_body = RotateKeysInput,
    responses((status = 202, body = Success<KeyRotationView>)),
    security(("token" = ["admin:server"])))]
async fn secrets_rotate(
    State(app): State<App>,
    _: Auth,
    Body(input): Body<RotateKeysInput>,
) -> ApiResult<(StatusCode, Json<Success<KeyRotationView>>)> {
    Ok((StatusCode::ACCEPTED, ok(rotate(&app, input.data_keys).await?.into())))
}
