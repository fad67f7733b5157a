//! A rendered compose file, taken apart into the projects that are brought up: one for the companions, and one a release
//! with its instances of the routed service.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::source::FIELD;
use super::{list, section, text};
use crate::domain::stack::RunSpec;
use crate::error::{Error, Result};

/// How a service that the routed one depends on has to be before an instance starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Started,
    Healthy,
    Completed,
}

/// One instance of the routed service.
pub struct Instance<'a> {
    /// The container's name, unless the file gives one.
    pub name: &'a str,
    /// Its service in the project of the release: every instance is a service, so that each can be brought up alone.
    pub key: &'a str,
    pub labels: &'a [(String, String)],
    pub environment: &'a [(String, String)],
    /// Takes the fixed ports of the machine.
    pub published: bool,
    pub run: &'a RunSpec,
    /// Of the machine, for ports that get a free number.
    pub free_address: &'a str,
}

/// The project of a release, with this one instance. Networks and volumes are the companions'.
///
/// # Errors
/// `Internal` if the service is not in the file.
pub fn instance_file(file: &Value, service: &str, instance: &Instance<'_>) -> Result<Value> {
    let mut own = definition(file, service)?;
    for key in ["build", "depends_on", "links", "ports", "scale", "profiles"] {
        own.remove(key);
    }
    if let Some(deploy) = own.get_mut("deploy").and_then(Value::as_object_mut) {
        deploy.remove("replicas");
    }
    own.entry("container_name").or_insert_with(|| instance.name.into());
    own.entry("restart").or_insert_with(|| "unless-stopped".into());
    own.insert("pull_policy".into(), "never".into());
    // What the stack says of a variable counts more than what the file says.
    merge(&mut own, "environment", instance.environment);
    merge(&mut own, "labels", instance.labels);
    own.insert("ports".into(), ports(file, service, instance));
    for network in own.get_mut("networks").and_then(Value::as_object_mut).into_iter().flatten() {
        add_alias(network.1, service);
    }
    let services = json!({ instance.key: own });
    Ok(assemble(file, services))
}

/// The services that run once for all releases, each with these labels and, as `hash_label`, the hash of its definition.
/// None if the routed service is the only one.
pub fn companions_file(
    file: &Value,
    service: &str,
    labels: &[(String, String)],
    hash_label: &str,
) -> Result<Option<Value>> {
    let mut services = Map::new();
    for (name, _) in section(file, "services").filter(|(name, _)| *name != service) {
        let mut own = companion(file, name, service)?;
        let labelled = labels.iter().cloned().chain([(hash_label.to_string(), hash(file, name, service)?)]);
        merge(&mut own, "labels", &labelled.collect::<Vec<_>>());
        services.insert(name.clone(), Value::Object(own));
    }
    Ok((!services.is_empty()).then(|| assemble(file, Value::Object(services))))
}

fn companion(file: &Value, name: &str, routed: &str) -> Result<Map<String, Value>> {
    let mut own = definition(file, name)?;
    own.remove("build");
    own.remove("profiles");
    own.insert("pull_policy".into(), "never".into());
    if let Some(wanted) = own.get_mut("depends_on").and_then(Value::as_object_mut) {
        wanted.remove(routed);
    }
    Ok(own)
}

/// sha256 of a companion's definition, in hex.
///
/// # Errors
/// `Internal` if the service is not in the file.
pub fn hash(file: &Value, name: &str, routed: &str) -> Result<String> {
    let own = companion(file, name, routed)?;
    let configs: Vec<&Value> =
        sources(&own, "configs").filter_map(|key| file.get("configs")?.get(key)).collect();
    let text = serde_json::to_vec(&(&own, configs)).map_err(Error::internal)?;
    Ok(hex::encode(Sha256::digest(text)))
}

/// What has to be so before an instance of the routed service starts.
pub fn conditions(file: &Value, service: &str) -> Vec<(String, Condition)> {
    let Some(service) = file.get("services").and_then(|all| all.get(service)) else { return Vec::new() };
    section(service, "depends_on")
        .map(|(name, wanted)| {
            let condition = match text(wanted, "condition") {
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::Completed,
                _ => Condition::Started,
            };
            (name.clone(), condition)
        })
        .collect()
}

/// The image that each service names, or is built to.
pub fn images(file: &Value) -> Vec<(String, String)> {
    section(file, "services")
        .filter_map(|(name, service)| Some((name.clone(), text(service, "image")?.to_string())))
        .collect()
}

/// Names each service's image by its content address.
///
/// # Errors
/// `Invalid` for a service that has neither an image nor says how to build one.
pub fn pin(file: &mut Value, digest: impl Fn(&str) -> Option<String>) -> Result<()> {
    for (name, service) in file.get_mut("services").and_then(Value::as_object_mut).into_iter().flatten() {
        let digest = digest(name).ok_or_else(|| {
            Error::invalid(FIELD, format!("service `{}` has no image and is not built", name.escape_debug()))
        })?;
        if let Some(service) = service.as_object_mut() {
            service.insert("image".into(), digest.into());
            service.remove("build");
        }
    }
    Ok(())
}

fn definition(file: &Value, service: &str) -> Result<Map<String, Value>> {
    let found = file.get("services").and_then(|all| all.get(service)).and_then(Value::as_object).cloned();
    found.ok_or_else(|| Error::internal(format!("the rendered compose file has no service {service}")))
}

fn ports(file: &Value, service: &str, instance: &Instance<'_>) -> Value {
    let mut ports: Vec<Value> = instance
        .run
        .ports
        .iter()
        .map(|port| match port.host.filter(|_| instance.published) {
            Some(host) => json!({
                "mode": "ingress", "protocol": "tcp", "target": port.container, "host_ip": port.address,
                "published": host.to_string(),
            }),
            // Without a number the engine picks a free one.
            None => json!({ "mode": "ingress", "protocol": "tcp", "target": port.container, "host_ip": instance.free_address }),
        })
        .collect();
    let definition = file.get("services").and_then(|all| all.get(service)).unwrap_or(&Value::Null);
    if text(definition, "network_mode").is_some_and(|mode| mode == "host" || mode == "none") {
        return json!([]);
    }
    let others =
        list(definition, "ports").filter(|port| text(port, "protocol").is_some_and(|word| word != "tcp"));
    ports.extend(others.cloned());
    Value::Array(ports)
}

/// Adds entries to a mapping. A `$` is doubled, since the file is read once more for variables.
fn merge(service: &mut Map<String, Value>, key: &str, entries: &[(String, String)]) {
    let map = service.entry(key).or_insert_with(|| json!({}));
    if let Some(map) = map.as_object_mut() {
        map.extend(
            entries.iter().map(|(name, value)| (name.clone(), Value::String(value.replace('$', "$$")))),
        );
    }
}

/// Companions go on finding the routed service by its name.
fn add_alias(network: &mut Value, service: &str) {
    if !network.is_object() {
        *network = json!({});
    }
    if let Some(map) = network.as_object_mut()
        && let Some(aliases) = map.entry("aliases").or_insert_with(|| json!([])).as_array_mut()
    {
        aliases.push(service.into());
    }
}

/// A file of these services, with what they use of the rendered one.
fn assemble(file: &Value, services: Value) -> Value {
    let used = |kind: &str| -> BTreeSet<String> {
        let all = services.as_object().into_iter().flatten().filter_map(|(_, service)| service.as_object());
        match kind {
            "networks" => all.flat_map(|own| section_keys(own, kind)).collect(),
            _ => all.flat_map(|own| sources(own, kind).map(str::to_string).collect::<Vec<_>>()).collect(),
        }
    };
    let mut whole = json!({ "services": services.clone() });
    for kind in ["networks", "volumes"] {
        let wanted = used(kind);
        let kept: Map<String, Value> = section(file, kind)
            .filter(|(key, _)| wanted.contains(*key))
            .map(|(key, item)| (key.clone(), json!({ "name": text(item, "name"), "external": true })))
            .collect();
        whole[kind] = Value::Object(kept);
    }
    for kind in ["configs", "secrets"] {
        let wanted = used(kind);
        let kept: Map<String, Value> = section(file, kind)
            .filter(|(key, _)| wanted.contains(*key))
            .map(|(key, item)| (key.clone(), item.clone()))
            .collect();
        whole[kind] = Value::Object(kept);
    }
    whole
}

fn section_keys(service: &Map<String, Value>, kind: &str) -> Vec<String> {
    service.get(kind).and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// What the entries of a list name at the top of the file.
fn sources<'a>(service: &'a Map<String, Value>, kind: &str) -> impl Iterator<Item = &'a str> {
    let all = service.get(kind).and_then(Value::as_array).into_iter().flatten();
    all.filter(|entry| text(entry, "type") != Some("bind")).filter_map(|entry| text(entry, "source"))
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
