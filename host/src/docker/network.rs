//! Networks of the engine. Older engines make a second network when two servers, or two tasks of one, ask for the same name at
//! once; from then on the name is ambiguous and nothing can be attached to it, so such twins are removed.

use std::collections::HashMap;

use bollard::models::{Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::{Docker, error};
use crate::error::{Error, Result};

/// Looks at the engine's networks until there is exactly one; more are only needed when others create at the same time.
const LOOKS: usize = 20;

impl Docker {
    /// Creates the network unless there is one of that name; whatever that one is like, it stays.
    ///
    /// # Errors
    /// `Failed` with the engine's words.
    pub(super) async fn ensure_network(&self, wanted: NetworkCreateRequest) -> Result<()> {
        let client = self.client().await?;
        for _ in 0..LOOKS {
            let mut found = self.networks_named(&wanted.name).await?;
            match found.len() {
                0 => match client.create_network(wanted.clone()).await {
                    // Somebody may have done the same in between, so it is looked for again.
                    Ok(_) => {}
                    Err(error) if error::is_taken(&error) => {}
                    Err(error) => return Err(self.explain(error)),
                },
                1 => return Ok(()),
                _ => {
                    // All who see them have to agree which one stays.
                    found.sort_by_key(|network| (network.created, network.id.clone()));
                    for twin in found.into_iter().skip(1).filter_map(|network| network.id) {
                        match client.remove_network(&twin).await {
                            Ok(()) => {}
                            Err(error) if error::is_missing(&error) => {}
                            Err(error) => return Err(self.explain(error)),
                        }
                    }
                }
            }
        }
        Err(Error::unavailable(format!(
            "the engine's network `{}` is made and removed by others again and again",
            wanted.name
        )))
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<Network>> {
        // The engine takes the filter for a part of the name.
        let filters = HashMap::from([("name".to_string(), vec![name.to_string()])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let found = self.client().await?.list_networks(Some(options)).await;
        let mut found = found.map_err(|error| self.explain(error))?;
        found.retain(|network| network.name.as_deref() == Some(name));
        Ok(found)
    }
}
