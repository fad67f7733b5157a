//! `/api/v1/security`: how safely this installation is set up.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Success, ok};
use crate::app::App;
use crate::app::doctor;
use crate::domain::grade::{Finding, Graded};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(security_view))
}

#[derive(Debug, Serialize, ToSchema)]
struct SecurityView {
    /// `A` (90 points and more), `B` (75), `C` (60), `D` (40) or `F`.
    grade: &'static str,
    /// Of 100.
    points: u32,
    /// What could be safer, the worst first.
    findings: Vec<FindingView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FindingView {
    /// Always the same word for the same thing, such as `second-factor`.
    name: &'static str,
    /// `serious`, `considerable` or `slight`.
    danger: &'static str,
    /// Points that it costs.
    cost: u32,
    what: String,
    /// Why it matters.
    why: &'static str,
    /// What to do about it.
    advice: String,
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        let Finding { name, danger, what, why, advice } = finding;
        Self { name, danger: danger.as_str(), cost: danger.cost(), what, why, advice }
    }
}

impl From<Graded> for SecurityView {
    fn from(graded: Graded) -> Self {
        Self {
            grade: graded.grade.as_str(),
            points: graded.points,
            findings: graded.findings.into_iter().map(FindingView::from).collect(),
        }
    }
}

/// Grades how safely this installation is set up, and says what could be safer, why that matters and what to do.
#[utoipa::path(get, path = "/api/v1/security", tag = "server", responses((status = 200, body = Success<SecurityView>)),
    security(("token" = ["admin:server"])))]
async fn security_view(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<SecurityView>>> {
    Ok(ok(doctor::security(&app).await?.into()))
}
