//! `/api/v1/overview`: whether everything is all right.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Success, ok};
use super::view::time;
use crate::app::App;
use crate::app::doctor::{Check, Verdict};
use crate::app::overview::{self, Overview};
use crate::domain::overview::DAYS;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(overview_view))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OverviewView {
    /// The worst of the checks: `ok`, `warn` or `fail`.
    verdict: &'static str,
    checks: Vec<CheckView>,
    /// Stacks whose newest deployment went wrong, the newest failure first.
    troubled: Vec<TroubledView>,
    queue: QueueView,
    figures: FiguresView,
}

#[derive(Debug, Serialize, ToSchema)]
struct CheckView {
    /// stacks, queue, database, docker, plugins; for administrators providers, certificates, backup, disk and security as well.
    name: &'static str,
    /// `ok`, `warn` or `fail`.
    verdict: &'static str,
    detail: String,
    /// What to do about it.
    advice: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TroubledView {
    stack: String,
    /// Number of the deployment.
    deployment: i64,
    /// `failed` or `rolled_back`.
    status: &'static str,
    at: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QueueView {
    queued: i64,
    running: i64,
    /// How long the longest waiting task could have run, in ms.
    oldest_due_ms: Option<i64>,
    /// Age of the oldest task that has not ended, in ms.
    oldest_ms: Option<i64>,
}

/// Of the last 30 days, in UTC, the present one included.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FiguresView {
    days: Vec<DayView>,
    successful: i64,
    /// Failed or rolled back. What was cancelled counts nowhere.
    unsuccessful: i64,
    /// Successful deployments a day.
    deployments_per_day: f64,
    /// Of those that ended; absent before the first one has.
    success_percent: Option<f64>,
    /// Median in ms from the push, or whatever asked for a deployment, until it was in service.
    lead_time_ms: Option<i64>,
    /// Median in ms from the deployment that went wrong until the stack's next successful one.
    time_to_restore_ms: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DayView {
    /// `YYYY-MM-DD`.
    day: String,
    successful: i64,
    unsuccessful: i64,
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
    }
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        let Check { name, verdict, detail, advice } = check;
        Self { name, verdict: word(verdict), detail, advice }
    }
}

impl From<Overview> for OverviewView {
    fn from(overview: Overview) -> Self {
        let verdict = word(overview.verdict());
        let figures = overview.figures;
        let day = |at| time(at).chars().take("YYYY-MM-DD".len()).collect();
        let days = figures.days.iter().map(|one| DayView {
            day: day(one.begins_at),
            successful: one.successful,
            unsuccessful: one.unsuccessful,
        });
        let troubled = overview.troubled.into_iter().map(|row| TroubledView {
            stack: row.stack,
            deployment: row.deployment,
            status: row.status.as_str(),
            at: time(row.at),
        });
        let queue = overview.queue;
        Self {
            verdict,
            checks: overview.checks.into_iter().map(CheckView::from).collect(),
            troubled: troubled.collect(),
            queue: QueueView {
                queued: queue.queued,
                running: queue.running,
                oldest_due_ms: queue.oldest_due_ms,
                oldest_ms: queue.oldest_ms,
            },
            figures: FiguresView {
                days: days.collect(),
                successful: figures.successful,
                unsuccessful: figures.unsuccessful,
                deployments_per_day: figures.per_day,
                success_percent: figures.success_percent,
                lead_time_ms: figures.lead_ms,
                time_to_restore_ms: figures.restore_ms,
            },
        }
    }
}

/// Whether everything is all right: what needs attention, the queue, and the four figures of delivery of the last 30 days,
/// of the stacks that the caller sees.
#[utoipa::path(get, path = "/api/v1/overview", tag = "server", responses((status = 200, body = Success<OverviewView>)),
    security(("token" = ["viewer:any"])))]
async fn overview_view(State(app): State<App>, auth: Auth) -> ApiResult<Json<Success<OverviewView>>> {
    const { assert!(DAYS == 30, "the descriptions above say 30") };
    Ok(ok(overview::overview(&app, &auth.who).await?.into()))
}
