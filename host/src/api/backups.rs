//! `/api/v1/backups`: what there is, and one more now. Nothing of a backup's inside leaves by the API.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Success, ok};
use super::view::{time, times};
use crate::app::App;
use crate::app::backup::{Overview, backup_create as create, backup_list as list};
use crate::domain::backup::Backup;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(backup_list, backup_create))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BackupView {
    id: String,
    /// Of its file in the server's folder.
    name: String,
    /// `running`, `successful` or `failed`.
    status: &'static str,
    /// The schedule made it, and nobody asked.
    scheduled: bool,
    /// How many keys open it.
    recipients: i64,
    bytes: Option<i64>,
    /// Of all tables.
    rows: Option<i64>,
    error: Option<String>,
    started_at: String,
    finished_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BackupsView {
    /// Whether this server makes backups: its configuration names recipients.
    enabled: bool,
    folder: String,
    /// How many files stay.
    keep: usize,
    /// When the next one of the schedule comes.
    next_at: Option<String>,
    /// The newest 100, newest first. The files of old ones are gone.
    items: Vec<BackupView>,
}

impl From<Backup> for BackupView {
    fn from(row: Backup) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            status: row.status.as_str(),
            scheduled: row.due_at.is_some(),
            recipients: row.recipients,
            bytes: row.bytes,
            rows: row.rows,
            error: row.error,
            started_at: time(row.started_at),
            finished_at: times(row.finished_at),
        }
    }
}

impl From<Overview> for BackupsView {
    fn from(all: Overview) -> Self {
        Self {
            enabled: all.is_on,
            folder: all.folder.display().to_string(),
            keep: all.keep,
            next_at: times(all.next_at),
            items: all.backups.into_iter().map(BackupView::from).collect(),
        }
    }
}

/// Lists backups: when, how large, for how many keys, and how they ended.
#[utoipa::path(get, path = "/api/v1/backups", tag = "server", responses((status = 200, body = Success<BackupsView>)),
    security(("token" = ["admin:server"])))]
async fn backup_list(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<BackupsView>>> {
    Ok(ok(list(&app).await?.into()))
}

/// Has a backup made now, into the server's folder and for the recipients of its configuration.
#[utoipa::path(post, path = "/api/v1/backups", tag = "server", responses((status = 202, body = Success<BackupView>)),
    security(("token" = ["admin:server"])))]
async fn backup_create(
    State(app): State<App>,
    _: Auth,
) -> ApiResult<(StatusCode, Json<Success<BackupView>>)> {
    Ok((StatusCode::ACCEPTED, ok(create(&app).await?.into())))
}
