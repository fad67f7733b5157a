//! What an instance of a release is: a container of its own, or one in the compose project of its release. Everything else
//! of a rollout sees containers only.

use super::Rollout;
use crate::app::compose;
use crate::app::registry::{release_at_registry, release_image_ensure};
use crate::docker::Reach;
use crate::domain::Id;
use crate::error::Result;

impl Rollout<'_> {
    /// Creates the instance if it is not there, and starts it if `start`.
    pub(super) async fn bring_up(
        &self,
        release: &Id,
        name: &str,
        published: bool,
        start: bool,
    ) -> Result<()> {
        let mut spec = self.launch_spec(release, name, published)?;
        let release = self.release(release)?;
        if let Some(part) = &release.spec.compose {
            return compose::bring_up(self.app, &self.view.stack, release, part, (&spec, start), &self.log)
                .await;
        }
        let docker = &self.docker;
        let say = |line: &str| self.log.line(line);
        release_image_ensure(self.app, docker, release, &say, &self.task.cancel).await?;
        // What is there already is only started, whatever has become of its registry.
        if docker.reach() == Reach::Nodes && docker.get(name).await?.is_none() {
            spec.registry = release_at_registry(self.app, docker, release).await?;
        }
        if start { docker.launch(&spec).await.map(|_| ()) } else { docker.create(&spec).await.map(|_| ()) }
    }

    pub(super) async fn bring_up_companions(&self, release: &Id) -> Result<()> {
        compose::bring_up_companions(self.app, &self.view.stack, self.release(release)?, |line| {
            self.log.line(&line.text);
        })
        .await
    }

    /// The releases of this rollout whose companions are not as they say.
    pub(super) async fn stale(&self) -> Result<Vec<Id>> {
        let mut stale = Vec::new();
        for release in [Some(&self.target), self.stable.as_ref()].into_iter().flatten() {
            if compose::companions_stale(self.app, &self.view.stack, release).await? {
                stale.push(release.id.clone());
            }
        }
        Ok(stale)
    }
}
