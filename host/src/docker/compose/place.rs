//! Networks and volumes of a stack: they outlive releases, so they are the engine's and not a compose project's.

use std::collections::HashMap;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use serde_json::Value;

use super::super::{Docker, error, label};
use crate::error::Result;

impl Docker {
    /// Creates the networks and volumes of a rendered file that are not there yet, but for those it calls external.
    ///
    /// # Errors
    /// `Failed` with the engine's words.
    pub async fn compose_place(&self, stack: &str, file: &Value) -> Result<()> {
        let client = self.client().await?;
        let labels = HashMap::from([
            (label::SERVER.to_string(), self.server().to_string()),
            (label::STACK.to_string(), stack.to_string()),
        ]);
        for (name, network) in own(file, "networks") {
            self.ensure_network(network_request(name, network, &labels)).await?;
        }
        for (name, volume) in own(file, "volumes") {
            let request = VolumeCreateRequest {
                name: Some(name.to_string()),
                driver: text(volume, "driver"),
                driver_opts: texts(volume, "driver_opts"),
                labels: Some(labels.clone()),
                ..VolumeCreateRequest::default()
            };
            // One of that name stays as it is.
            client.create_volume(request).await.map_err(|error| self.explain(error))?;
        }
        Ok(())
    }

    /// Removes a stack's networks. Its volumes stay: they have its data.
    ///
    /// # Errors
    /// `Failed` if a container still uses one.
    pub async fn remove_networks(&self, stack: &str) -> Result<()> {
        let client = self.client().await?;
        let wanted = [(label::SERVER, self.server()), (label::STACK, stack)];
        let wanted = wanted.map(|(key, value)| format!("{key}={value}")).to_vec();
        let filters = HashMap::from([("label".to_string(), wanted)]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        for network in client.list_networks(Some(options)).await.map_err(|error| self.explain(error))? {
            match client.remove_network(&network.id.unwrap_or_default()).await {
                Ok(()) => {}
                Err(error) if error::is_missing(&error) => {}
                Err(error) => return Err(self.explain(error)),
            }
        }
        Ok(())
    }
}

/// Entries with the name that they have on the engine.
fn own<'a>(file: &'a Value, kind: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let all = file.get(kind).and_then(Value::as_object).into_iter().flatten();
    all.map(|(_, item)| item)
        .filter(|item| item.get("external").and_then(Value::as_bool) != Some(true))
        .filter_map(|item| Some((item.get("name")?.as_str()?, item)))
}

fn network_request(name: &str, network: &Value, labels: &HashMap<String, String>) -> NetworkCreateRequest {
    let flag = |key: &str| network.get(key).and_then(Value::as_bool);
    let pools = network.pointer("/ipam/config").and_then(Value::as_array).into_iter().flatten();
    let pools: Vec<IpamConfig> = pools
        .map(|pool| IpamConfig {
            subnet: text(pool, "subnet"),
            ip_range: text(pool, "ip_range"),
            gateway: text(pool, "gateway"),
            auxiliary_addresses: texts(pool, "aux_addresses"),
        })
        .collect();
    NetworkCreateRequest {
        name: name.to_string(),
        driver: Some(text(network, "driver").unwrap_or_else(|| "bridge".into())),
        internal: flag("internal"),
        attachable: flag("attachable"),
        enable_ipv6: flag("enable_ipv6"),
        options: texts(network, "driver_opts"),
        ipam: (!pools.is_empty()).then(|| Ipam { config: Some(pools), ..Ipam::default() }),
        labels: Some(labels.clone()),
        ..NetworkCreateRequest::default()
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_string)
}

fn texts(value: &Value, key: &str) -> Option<HashMap<String, String>> {
    let map = value.get(key)?.as_object()?;
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    Some(map.iter().map(|(name, value)| (name.clone(), word(value))).collect())
}
