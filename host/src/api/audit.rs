//! `/api/v1/audit`: the record of who did what.

use async_stream::stream;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use super::view::{PageView, time};
use crate::app::App;
use crate::app::audit::{self, AuditFilter, Verified};
use crate::domain::audit::AuditEntry;
use crate::domain::page::PageRequest;
use crate::domain::time::{from_moment, until_moment};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(audit_list))
        .routes(routes!(audit_verify))
        .routes(routes!(audit_export))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Name of a token or user.
    actor: Option<String>,
    /// An operation, such as `stack_update`, or an event, such as `deployment.status`.
    action: Option<String>,
    /// Path of the request, or id of what the server's decision was about.
    subject: Option<String>,
    /// `done`, `refused` or `failed`.
    outcome: Option<String>,
    /// Id or name of a team that the caller administers.
    team: Option<String>,
    /// Id, number or name of a project that the caller administers.
    project: Option<String>,
    /// From this moment on, itself included: an RFC 3339 time, or a date for its beginning in UTC. `from` means the same.
    #[serde(alias = "from")]
    since: Option<String>,
    /// Before this moment, itself excluded: an RFC 3339 time, or a date, all of which is included. `to` means the same.
    #[serde(alias = "to")]
    until: Option<String>,
    before: Option<i64>,
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditView {
    seq: i64,
    at: String,
    /// `token`, `server` or `nobody`.
    actor_kind: String,
    actor: String,
    /// `api`, `cli`, `dashboard`, or empty for what the server decides.
    via: String,
    address: String,
    action: String,
    subject: String,
    outcome: String,
    why: String,
    /// What was different before and after, and the events of the change.
    changes: Value,
    /// Id of the team whose things it is about; absent for the installation's.
    team: Option<String>,
    /// Id of the team's project, if it is about that one alone.
    project: Option<String>,
    hash: String,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            seq: entry.seq,
            at: time(entry.at),
            actor_kind: entry.actor_kind,
            actor: entry.actor,
            via: entry.via,
            address: entry.address,
            action: entry.action,
            subject: entry.subject,
            outcome: entry.outcome,
            why: entry.why,
            changes: serde_json::from_str(&entry.changes).unwrap_or_default(),
            team: entry.team.map(|id| id.to_string()),
            project: entry.project.map(|id| id.to_string()),
            hash: entry.hash,
        }
    }
}

/// Lists entries of the record, newest first. Administrators of a team or a project see those about what belongs to it.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = Success<PageView<AuditView>>), (status = 422)),
    security(("token" = ["admin:any"])))]
async fn audit_list(
    State(app): State<App>,
    auth: Auth,
    Params(query): Params<AuditQuery>,
) -> ApiResult<Json<Success<PageView<AuditView>>>> {
    let filter = AuditFilter {
        since: from_moment("since", query.since.as_deref())?,
        until: until_moment("until", query.until.as_deref())?,
        team: query.team.unwrap_or_default(),
        project: query.project.unwrap_or_default(),
        actor: query.actor.unwrap_or_default(),
        action: query.action.unwrap_or_default(),
        subject: query.subject.unwrap_or_default(),
        outcome: query.outcome.unwrap_or_default(),
    };
    let page =
        audit::audit_list(&app, &auth.who, filter, PageRequest::new(query.before, query.limit)).await?;
    Ok(ok(PageView::of(page, AuditView::from)))
}

/// Reads the whole record and says whether it is what was written.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", responses((status = 200, body = Success<Verified>)),
    security(("token" = ["admin:server"])))]
async fn audit_verify(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<Verified>>> {
    Ok(ok(app.auditor.verify().await?))
}

/// The whole record, one JSON document a line: first its ends, the signed checkpoints and their key, then every entry, oldest
/// first, with what is needed to check the chain.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit",
    responses((status = 200, content_type = "application/x-ndjson", body = String)),
    security(("token" = ["admin:server"])))]
async fn audit_export(State(app): State<App>, _: Auth) -> ApiResult<Response> {
    let (head, checkpoints, public_key) = app.auditor.frame().await?;
    let frame = json!({ "head": head, "checkpoints": checkpoints, "publicKey": public_key });
    let lines = stream! {
        yield line(&frame);
        let mut cursor = 0;
        while cursor < head.seq {
            match app.auditor.after(cursor).await {
                // A connection that breaks off is the only way to say so in the middle of an answer.
                Err(error) => {
                    yield Err(std::io::Error::other(error.for_log()));
                    return;
                }
                Ok(entries) => {
                    let Some(last) = entries.last() else { return };
                    cursor = last.seq;
                    for entry in entries.iter().filter(|entry| entry.seq <= head.seq) {
                        yield line(entry);
                    }
                }
            }
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

fn line(document: &impl Serialize) -> std::io::Result<Bytes> {
    let mut text = serde_json::to_vec(document)?;
    text.push(b'\n');
    Ok(Bytes::from(text))
}
