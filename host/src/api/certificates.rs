//! `/api/v1/certificates`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Success, ok};
use super::view::time;
use crate::app::{App, certificate};
use crate::domain::certificate::Certificate;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(certificate_list)).routes(routes!(certificate_renew))
}

/// The certificate of one host, without its key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CertificateView {
    host: String,
    /// pending, failing, valid, renewal_failing or expired.
    state: &'static str,
    not_before: Option<String>,
    not_after: Option<String>,
    /// When it is got, renewed or tried again.
    due_at: String,
    /// Attempts in a row that failed.
    failures: u32,
    /// Why the last one did.
    error: Option<String>,
}

impl From<Certificate> for CertificateView {
    fn from(row: Certificate) -> Self {
        Self {
            state: row.state(certificate::now()).as_str(),
            host: row.host,
            not_before: row.not_before.map(time),
            not_after: row.not_after.map(time),
            due_at: time(row.due_at),
            failures: row.failures,
            error: row.error,
        }
    }
}

/// Lists the certificates that the server gets for the hosts of stacks.
#[utoipa::path(get, path = "/api/v1/certificates", tag = "certificates",
    responses((status = 200, body = Success<Vec<CertificateView>>)),
    security(("token" = ["admin:server"])))]
async fn certificate_list(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<Vec<CertificateView>>>> {
    let rows = certificate::certificate_list(&app).await?;
    Ok(ok(rows.into_iter().map(CertificateView::from).collect()))
}

/// Gets the certificate of a host now, whenever it is due. The answer comes before the ACME server's.
#[utoipa::path(post, path = "/api/v1/certificates/{host}/renew", tag = "certificates",
    responses((status = 202, body = Success<CertificateView>), (status = 404), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn certificate_renew(
    State(app): State<App>,
    _: Auth,
    Path(host): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<CertificateView>>)> {
    let row = certificate::certificate_renew(&app, &host).await?;
    Ok((StatusCode::ACCEPTED, ok(row.into())))
}
