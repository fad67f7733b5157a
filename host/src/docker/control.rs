//! Stopping, starting and removing. Each may be repeated: what is already so is a success.

use std::time::Duration;

use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;

use super::{Docker, error};
use crate::error::{Error, Result};

/// What the engine may need beyond the time that a container is granted.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a removal that somebody else has begun may take.
const REMOVAL: Duration = Duration::from_secs(30);

impl Docker {
    /// Sends SIGTERM and, after `grace`, SIGKILL; returns when the container has stopped. A stopped or missing one is fine.
    ///
    /// # Errors
    /// `Conflict` if the container is not this server's.
    pub async fn stop(&self, name: &str, grace: Duration) -> Result<()> {
        if self.is_swarm() {
            return self.stop_service(name, grace).await;
        }
        let Some(found) = self.inspect_own(name).await? else { return Ok(()) };
        self.halt(&found.id.unwrap_or_default(), grace).await
    }

    async fn halt(&self, id: &str, grace: Duration) -> Result<()> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let client = self.client().await?.with_timeout(grace + MARGIN);
        match client.stop_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if error::has_status(&error, 304) || error::is_missing(&error) => Ok(()),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Starts a container that was stopped. One that runs is fine.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name; `Failed` naming a taken port; `Conflict` if it is not this server's.
    pub async fn start(&self, name: &str) -> Result<()> {
        if self.is_swarm() {
            return self.start_service(name).await;
        }
        match self.inspect_own(name).await? {
            Some(found) => self.begin(name, &found.id.unwrap_or_default()).await,
            None => Err(Error::not_found("container", name)),
        }
    }

    /// Removes the container and its anonymous volumes, running or not; with `grace` it is stopped gracefully first.
    /// A missing one is fine.
    ///
    /// # Errors
    /// `Conflict` if the container is not this server's.
    pub async fn remove(&self, name: &str, grace: Option<Duration>) -> Result<()> {
        if self.is_swarm() {
            return self.remove_service(name, grace).await;
        }
        let Some(found) = self.inspect_own(name).await? else { return Ok(()) };
        let id = found.id.unwrap_or_default();
        let running = found.state.and_then(|state| state.running).unwrap_or_default();
        if let Some(grace) = grace.filter(|_| running) {
            self.halt(&id, grace).await?;
        }
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.client().await?.remove_container(&id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if error::is_missing(&error) => Ok(()),
            // "removal of container … is already in progress"
            Err(error) if error::has_status(&error, 409) => self.await_removal(&id).await,
            Err(error) => Err(self.explain(error)),
        }
    }

    async fn await_removal(&self, id: &str) -> Result<()> {
        let gone = async {
            while self.inspect(id).await?.is_some() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        };
        tokio::time::timeout(REMOVAL, gone)
            .await
            .unwrap_or_else(|_| Err(Error::timeout("the removal of a container", REMOVAL.as_secs())))
    }

    /// Waits until the container does not run, and returns its exit code. Without a limit of its own: bring one.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name; `Conflict` if it is not this server's.
    pub async fn wait_exit(&self, name: &str) -> Result<i64> {
        let found = self.inspect_own(name).await?.ok_or_else(|| Error::not_found("container", name))?;
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let client = self.client().await?.with_timeout(Duration::from_secs(365 * 24 * 3600));
        let mut answers = client.wait_container(&found.id.unwrap_or_default(), Some(options)).boxed();
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // bollard takes an exit code other than 0 for an error.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, error }))
                if error.is_empty() =>
            {
                Ok(code)
            }
            Some(Err(error)) => Err(self.explain(error)),
            None => Err(Error::unavailable("the engine hung up while a container was waited for")),
        }
    }
}
