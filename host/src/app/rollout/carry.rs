//! What a rollout has to do with the router: which instances may get requests, what the traffic says, and that nothing is cut
//! off while it is answered.

use std::collections::HashSet;
use std::time::Duration;

use super::Rollout;
use super::observe::Fleet;
use crate::app::traffic;
use crate::docker::Docker;
use crate::domain::Id;
use crate::domain::rollout::{InstanceState, Route, Sample};
use crate::error::Result;

impl Rollout<'_> {
    /// Only what passed its gate gets requests.
    pub(super) async fn prove(&self, fleet: &Fleet) -> Result<()> {
        let healthy = fleet.instances.iter().filter(|instance| instance.state == InstanceState::Healthy);
        let proven: HashSet<String> = healthy.map(|instance| instance.id.clone()).collect();
        traffic::prove(self.app, &self.view.stack, proven).await
    }

    /// Nothing without a router: then a strategy knows as much as one whose stack nobody visits.
    pub(super) async fn samples(&self, route: Option<&Route>) -> Vec<Sample> {
        match route.filter(|_| self.facts.can_split) {
            Some(route) => traffic::samples(self.app, &self.view.stack, route).await,
            None => Vec::new(),
        }
    }

    /// Whether nothing of the stack runs but this container.
    pub(super) async fn runs_alone(&self, name: &str) -> Result<bool> {
        let running = self.docker.list(&self.view.stack.name).await?;
        let mut running = running.iter().map(|view| &view.container).filter(|container| container.running);
        Ok(running.all(|container| container.name == name))
    }

    /// Stops or removes a container after it has answered what it has begun, for as long as it may take to stop.
    pub(super) async fn stop_gently(
        &mut self,
        release: &Id,
        name: &str,
        stop: impl AsyncFnOnce(&Docker, Duration) -> Result<()>,
    ) -> Result<()> {
        let grace = self.release(release)?.spec.run.stop_timeout();
        if !traffic::is_routed(self.app, &self.view.stack) {
            return stop(&self.docker, grace).await;
        }
        let stopped = match traffic::leave(self.app, &self.view.stack, name, grace).await {
            Ok(has_answered) => {
                if !has_answered {
                    self.log.line(&format!(
                        "{name} still answers requests after {} s; it is stopped all the same.",
                        grace.as_secs()
                    ));
                }
                stop(&self.docker, grace).await
            }
            Err(error) => Err(error),
        };
        // Also where it could not be stopped: then it goes on serving.
        traffic::left(self.app, name).await;
        stopped
    }
}
