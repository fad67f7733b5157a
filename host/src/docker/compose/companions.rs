//! The companions of a stack as the engine shows them.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;
use futures_util::future::try_join_all;

use super::super::{Docker, container, label};
use super::{PROJECT, SERVICE};
use crate::domain::compose::parts::Condition;
use crate::error::{Error, Result};

/// How long a companion may take to become what the routed service waits for.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);

/// One container of a companion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    pub container: String,
    pub service: String,
    /// Of its definition.
    pub hash: String,
    /// The engine's word.
    pub state: String,
    pub exit_code: Option<i64>,
    /// Where it has a health check.
    pub health: Option<String>,
}

impl Docker {
    /// All companions of a stack, of whatever release.
    ///
    /// # Errors
    /// `Unavailable` if the engine does not answer.
    pub async fn companions(&self, stack: &str, project: &str) -> Result<Vec<Companion>> {
        let client = self.client().await?;
        let wanted = [(label::SERVER, self.server()), (label::STACK, stack), (PROJECT, project)];
        let wanted = wanted.map(|(key, value)| format!("{key}={value}")).to_vec();
        let filters = HashMap::from([("label".to_string(), wanted)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = client.list_containers(Some(options)).await.map_err(|error| self.explain(error))?;
        let inspections =
            found.into_iter().filter_map(|one| one.id).map(|id| async move { self.inspect(&id).await });
        let inspected = try_join_all(inspections).await?;
        Ok(inspected
            .into_iter()
            .flatten()
            .filter_map(|found| {
                let labels = container::labels(&found);
                let state = found.state.unwrap_or_default();
                let (health, _) = container::health(&state);
                Some(Companion {
                    container: found.name?.trim_start_matches('/').to_string(),
                    service: labels.get(SERVICE)?.clone(),
                    hash: labels.get(label::CONFIG_HASH).cloned().unwrap_or_default(),
                    state: container::state_word(&state),
                    exit_code: state.exit_code,
                    health,
                })
            })
            .collect())
    }

    /// Waits until the companions are what the routed service's `depends_on` asks for.
    ///
    /// # Errors
    /// `Failed` that names the companion; `Timeout`.
    pub async fn await_companions(
        &self,
        stack: &str,
        project: &str,
        wanted: &[(String, Condition)],
    ) -> Result<()> {
        let met = async {
            loop {
                let all = self.companions(stack, project).await?;
                let mut waits = false;
                for (service, condition) in wanted {
                    let Some(found) = all.iter().find(|one| one.service == *service) else { continue };
                    waits |= !is_met(found, *condition)?;
                }
                if !waits {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, met).await.unwrap_or_else(|_| {
            Err(Error::timeout("waiting for the services that it depends on", PATIENCE.as_secs()))
        })
    }
}

fn is_met(found: &Companion, condition: Condition) -> Result<bool> {
    let failed = |why: &str| {
        Err(Error::failed(format!("service `{}`, which the routed one needs, {why}", found.service)))
    };
    let ended = matches!(found.state.as_str(), "exited" | "dead");
    match condition {
        Condition::Started => Ok(true),
        Condition::Completed if ended && found.exit_code == Some(0) => Ok(true),
        Condition::Completed if ended => failed("did not complete its work"),
        Condition::Completed => Ok(false),
        Condition::Healthy if ended => failed("has ended"),
        Condition::Healthy => match found.health.as_deref() {
            Some("healthy") => Ok(true),
            Some("unhealthy") => failed("is unhealthy"),
            Some(_) => Ok(false),
            None => failed("has no health check"),
        },
    }
}
