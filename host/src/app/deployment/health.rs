//! Health on demand: the instances of a release, asked now, as its health gate asks them.

use std::time::Instant;

use futures_util::future::join_all;

use super::{deployment_serving, deployment_view};
use crate::app::App;
use crate::app::stack::stack_view;
use crate::app::target::{engine, stack_views};
use crate::domain::UnixMs;
use crate::domain::deployment::Deployment;
use crate::domain::health::Probe;
use crate::error::{Error, Result};
use crate::store::{self, releases, stacks};

/// What the instances of a deployment's release said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    /// The deployment's number.
    pub deployment: i64,
    /// The path that was asked for; without one the image's own check or an open port decides.
    pub path: Option<String>,
    pub checked_at: UnixMs,
    /// Of a release that does not run: none.
    pub instances: Vec<CheckedInstance>,
}

impl HealthReport {
    /// Something runs, and all of it is well.
    pub fn is_healthy(&self) -> bool {
        !self.instances.is_empty() && self.instances.iter().all(CheckedInstance::is_healthy)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedInstance {
    /// The container's name.
    pub name: String,
    /// Why it is not well.
    pub problem: Option<String>,
    pub took_ms: u64,
    /// How often the engine has restarted it by itself.
    pub restarts: u32,
}

impl CheckedInstance {
    pub fn is_healthy(&self) -> bool {
        self.problem.is_none()
    }
}

/// Asks the instances of the release that a deployment brought into service, once each.
///
/// # Errors
/// `Conflict` for one that made no release here; those of the engine.
pub async fn deployment_check_health(app: &App, reference: &str) -> Result<HealthReport> {
    check(app, &deployment_view(app, reference).await?).await
}

/// The same for what serves a stack now.
///
/// # Errors
/// `Conflict` if nothing does.
pub async fn stack_check_health(app: &App, stack: &str) -> Result<HealthReport> {
    let view = stack_view(app, stack).await?;
    let serving = deployment_serving(app, &view).await?.ok_or_else(|| {
        Error::conflict(format!(
            "nothing serves stack `{}`, so there is nothing to check; deploy it first",
            view.stack.name
        ))
    })?;
    check(app, &serving).await
}

async fn check(app: &App, row: &Deployment) -> Result<HealthReport> {
    let Some(release_id) = &row.release_id else {
        return Err(Error::conflict(format!(
            "deployment {} has no release on this server that could be checked",
            row.seq
        )));
    };
    let mut conn = app.db.read().await?;
    let release = releases::find(&mut conn, release_id.as_str()).await?;
    let stack = stacks::find(&mut conn, row.stack_id.as_str()).await?;
    drop(conn);
    let mut views = stack_views(app, &stack).await?;
    views.retain(|view| view.container.release == release.id);
    let (docker, gate) = (engine(app, &stack).await?, &release.spec.health);
    let checked_at = store::now();
    let asked = views.iter().map(async |view| {
        let begun = Instant::now();
        let problem = match docker.probe(view, gate, checked_at).await {
            Probe::Success => None,
            Probe::Failure(reason) => Some(reason),
        };
        CheckedInstance {
            name: view.container.name.clone(),
            problem,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            restarts: view.restarts,
        }
    });
    let mut instances = join_all(asked).await;
    instances.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(HealthReport { deployment: row.seq, path: gate.path.clone(), checked_at, instances })
}
