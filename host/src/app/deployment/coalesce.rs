//! A newer push of a branch takes the place of an older one that still waits to be built.

use super::rows::{self, Prepared};
use crate::app::build::build_event;
use crate::app::forge::announce;
use crate::domain::build::{Build, BuildStatus};
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::error::{Error, Result};
use crate::queue;
use crate::store::{self, Tx, builds, deployments, events, stacks};

/// What became of a push's deployment. Numbers are those of deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It has begun; so many that waited for older pushes of the branch were ended.
    Started { superseded: usize },
    /// One of the same commit waits or is being built.
    Waiting { deployment: i64 },
    /// A newer push came first, because deliveries overtake each other.
    Outrun { deployment: i64 },
}

/// Inserts what a push asks for, in the caller's transaction. `event` is the number of its webhook event: of two pushes
/// the one with the greater number is newer.
pub async fn enter(tx: &mut Tx, prepared: &Prepared, event: i64) -> Result<Entered> {
    let wanted = &prepared.deployment;
    stacks::hold(tx, &wanted.stack_id).await?;
    if let Some((newest, push)) = deployments::latest_push(tx, &wanted.stack_id, &wanted.branch).await?
        && push > event
    {
        return Ok(Entered::Outrun { deployment: newest.seq });
    }
    let mut older = Vec::new();
    for build in builds::list_open(tx, &wanted.stack_id, &wanted.branch).await? {
        // What a person asked for is not ended by a push.
        let Some(deployment) = of_a_push(tx, &build).await? else { continue };
        if build.commit_sha == wanted.commit_sha {
            return Ok(Entered::Waiting { deployment: deployment.seq });
        }
        if build.status == BuildStatus::Queued && deployment.status == DeploymentStatus::Pending {
            older.push((build, deployment));
        }
    }
    let entered = rows::insert(tx, prepared).await?;
    deployments::set_push(tx, &entered.id, event).await?;
    let mut superseded = 0;
    for (build, deployment) in older {
        superseded += usize::from(supersede(tx, &build, &deployment, &entered).await?);
    }
    Ok(Entered::Started { superseded })
}

async fn of_a_push(tx: &mut Tx, build: &Build) -> Result<Option<Deployment>> {
    let Some(id) = &build.deployment_id else { return Ok(None) };
    match deployments::push_of(tx, id).await? {
        Some(_) => deployments::find_opt(tx, id.as_str()).await,
        None => Ok(None),
    }
}

/// Ends a build that has not begun, and its deployment; false if it has begun meanwhile.
async fn supersede(tx: &mut Tx, build: &Build, deployment: &Deployment, by: &Deployment) -> Result<bool> {
    let text = format!("superseded by deployment {}, a newer push of `{}`", by.seq, by.branch);
    let now = store::now();
    match builds::set_status(tx, &build.id, build.status, BuildStatus::Cancelled, Some(&text), now).await {
        Ok(_) => {}
        Err(Error::Conflict(_)) => return Ok(false),
        Err(error) => return Err(error),
    }
    let cancelled = DeploymentStatus::Cancelled;
    deployments::transition(tx, &deployment.id, deployment.status, cancelled, Some(&text), now).await?;
    events::append(tx, build_event(build, BuildStatus::Cancelled)).await?;
    announce(tx, deployment, cancelled).await?;
    queue::cancel_subject(tx, &build.id).await?;
    Ok(true)
}
