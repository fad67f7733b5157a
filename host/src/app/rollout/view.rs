//! A rollout as people watch it: who gets the requests, what runs, and how it answers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Fleet;
use crate::app::{App, traffic};
use crate::domain::Id;
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::release::Release;
use crate::domain::rollout::{Instance, Sample, share_of};
use crate::error::Result;
use crate::store::{releases, routes, stacks};

/// What the rollouts of this process saw when they last looked, by deployment.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<Id, Sight>>);

#[derive(Debug, Clone, Default)]
struct Sight {
    instances: Vec<Instance>,
    waits: bool,
}

impl Seen {
    pub(super) fn note(&self, deployment: &Id, fleet: &Fleet) {
        self.all().entry(deployment.clone()).or_default().instances.clone_from(&fleet.instances);
    }

    pub(super) fn note_wait(&self, deployment: &Id, waits: bool) {
        self.all().entry(deployment.clone()).or_default().waits = waits;
    }

    pub(super) fn forget(&self, deployment: &Id) {
        self.all().remove(deployment);
    }

    /// Whether the rollout waits for time to pass, and would go on if somebody said so. `None` if it does not run in this
    /// process.
    pub(in crate::app) fn waits(&self, deployment: &Id) -> Option<bool> {
        self.of(deployment).map(|sight| sight.waits)
    }

    fn of(&self, deployment: &Id) -> Option<Sight> {
        self.all().get(deployment).cloned()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Id, Sight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The releases that take part, the new one first.
#[derive(Debug, Clone)]
pub struct RolloutView {
    pub sides: Vec<Side>,
    /// The router carries the requests, so shares are exact and answers are counted.
    pub is_routed: bool,
    /// It waits for time to pass, and would go on if somebody said so.
    pub waits: bool,
}

impl RolloutView {
    /// The new release's share of the requests, in percent.
    pub fn share(&self) -> u32 {
        self.sides.iter().filter(|side| side.is_new).map(|side| side.percent).sum()
    }
}

#[derive(Debug, Clone)]
pub struct Side {
    pub release: Release,
    pub is_new: bool,
    /// Of the requests.
    pub percent: u32,
    pub instances: Vec<Instance>,
    /// Since the shares last changed; absent as long as nothing was counted.
    pub sample: Option<Sample>,
}

/// What a rollout that runs is about now. `None` if it does not, or not in this process.
pub async fn rollout_view(app: &App, deployment: &Deployment) -> Result<Option<RolloutView>> {
    let (DeploymentStatus::Deploying, Some(target)) = (deployment.status, &deployment.release_id) else {
        return Ok(None);
    };
    let Some(Sight { instances, waits }) = app.seen.of(&deployment.id) else { return Ok(None) };
    let mut conn = app.db.read().await?;
    let stack = stacks::find(&mut conn, deployment.stack_id.as_str()).await?;
    let route = routes::get(&mut conn, &deployment.stack_id).await?;
    let mut taking_part = vec![releases::find(&mut conn, target.as_str()).await?];
    if let Some(stable) = deployment.stable_release_id.as_ref().filter(|stable| *stable != target) {
        taking_part.push(releases::find(&mut conn, stable.as_str()).await?);
    }
    drop(conn);
    let is_routed = traffic::is_routed(app, &stack);
    let samples = match &route {
        Some(route) if is_routed => traffic::samples(app, &stack, route).await,
        _ => Vec::new(),
    };
    let weights = route.map(|route| route.weights).unwrap_or_default();
    let sides = taking_part.into_iter().map(|release| Side {
        is_new: release.id == *target,
        percent: share_of(&weights, &release.id),
        instances: instances.iter().filter(|instance| instance.release == release.id).cloned().collect(),
        sample: samples.iter().find(|sample| sample.release == release.id).cloned(),
        release,
    });
    Ok(Some(RolloutView { sides: sides.collect(), is_routed, waits }))
}
