//! Health on demand, on the page of a deployment.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Path, State};

use super::deployment::page;
use super::page::PageResult;
use super::session::Session;
use super::ui::{Badge, Tone, When, duration};
use crate::app::App;
use crate::app::deployment::{CheckedInstance, HealthReport, deployment_check_health};
use crate::error::Error;

/// What the instances said just now.
#[derive(Template)]
#[template(path = "parts/health.html")]
pub struct HealthCard {
    is_healthy: bool,
    at: When,
    path: Option<String>,
    instances: Vec<CheckedRow>,
}

impl HtmlSafe for HealthCard {}

struct CheckedRow {
    badge: Badge,
    name: String,
    took: String,
    restarts: u32,
    problem: String,
}

impl From<HealthReport> for HealthCard {
    fn from(report: HealthReport) -> Self {
        Self {
            is_healthy: report.is_healthy(),
            at: When::new(report.checked_at),
            path: report.path,
            instances: report.instances.into_iter().map(CheckedRow::from).collect(),
        }
    }
}

impl From<CheckedInstance> for CheckedRow {
    fn from(instance: CheckedInstance) -> Self {
        let (tone, word) =
            if instance.is_healthy() { (Tone::Good, "healthy") } else { (Tone::Bad, "unhealthy") };
        Self {
            badge: Badge { tone, word },
            name: instance.name,
            took: duration(i64::try_from(instance.took_ms).unwrap_or(i64::MAX)),
            restarts: instance.restarts,
            problem: instance.problem.unwrap_or_default(),
        }
    }
}

/// Asks now, and shows what was said above everything else.
pub async fn check(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    match deployment_check_health(&app, &id).await {
        Ok(report) => page(&app, &session, &id, "", None, Some(report.into())).await,
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => page(&app, &session, &id, "", Some(error), None).await,
    }
}
