//! What the services of a rendered file need, and whether two copies of one can run side by side.

use serde_json::Value;

use super::source::FIELD;
use super::{is_true, list, section, text};
use crate::domain::stack::{Port, RunSpec, Volume};
use crate::error::{Error, Result};

/// The service that is routed: the one that the stack names, or the only one.
///
/// # Errors
/// `Invalid` that lists the services.
pub fn routed<'a>(file: &'a Value, wanted: Option<&str>) -> Result<(&'a str, &'a Value)> {
    let all: Vec<(&String, &Value)> = section(file, "services").collect();
    let names = || all.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let found = match (wanted, all.as_slice()) {
        (Some(name), _) => all.iter().find(|(known, _)| *known == name).copied(),
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    found.map(|(name, service)| (name.as_str(), service)).ok_or_else(|| {
        let message = match wanted {
            Some(name) => {
                format!("the compose file has no service `{}`; it has {}", name.escape_debug(), names())
            }
            None => format!("say which service is routed: the compose file has {}", names()),
        };
        Error::invalid("run.service", message)
    })
}

/// Why two copies of a service cannot run side by side, each in words that continue "because"; none if they can.
pub fn conflicts(file: &Value, service: &Value) -> Vec<String> {
    let mut why = Vec::new();
    let ports = list(service, "ports").filter_map(published);
    why.extend(ports.map(|port| format!("only one can hold port {port} of the machine")));
    why.extend(
        written_volumes(file, service).map(|(name, _)| format!("both would write to the volume `{name}`")),
    );
    why.extend(other_conflicts(service));
    why
}

/// Those that are neither a port nor a volume, which a rollout knows of by themselves.
fn other_conflicts(service: &Value) -> Vec<String> {
    let mut why = Vec::new();
    if let Some(name) = text(service, "container_name") {
        why.push(format!("only one can have the container name `{name}`"));
    }
    for volume in list(service, "volumes").filter(|volume| text(volume, "type") == Some("bind")) {
        if !is_true(volume, "read_only") {
            let source = text(volume, "source").unwrap_or_default();
            why.push(format!("both would write to `{source}` of the machine"));
        }
    }
    for port in list(service, "ports").filter(|port| text(port, "protocol").is_some_and(|word| word != "tcp"))
    {
        if let Some(number) = published(port) {
            why.push(format!("port {number} is not one that can be handed over"));
        }
    }
    if text(service, "network_mode") == Some("host") {
        why.push("both would listen in the machine's network".into());
    }
    for (name, network) in section(service, "networks") {
        if ["ipv4_address", "ipv6_address"].iter().any(|key| text(network, key).is_some()) {
            why.push(format!("only one can have its fixed address in the network `{name}`"));
        }
    }
    if text(service, "mac_address").is_some() {
        why.push("only one can have its MAC address".into());
    }
    why
}

/// The port of the machine that it holds, if it names one.
fn published(port: &Value) -> Option<&str> {
    text(port, "published").filter(|text| !text.is_empty() && *text != "0")
}

/// Named volumes that the service may write to, by their name on the engine, and where they are.
fn written_volumes<'a>(file: &'a Value, service: &'a Value) -> impl Iterator<Item = (&'a str, &'a str)> {
    named_volumes(file, service)
        .filter(|(_, volume)| !is_true(volume, "read_only"))
        .map(|(name, volume)| (name, text(volume, "target").unwrap_or_default()))
}

fn named_volumes<'a>(file: &'a Value, service: &'a Value) -> impl Iterator<Item = (&'a str, &'a Value)> {
    list(service, "volumes").filter(|volume| text(volume, "type") == Some("volume")).filter_map(|volume| {
        let key = text(volume, "source")?;
        let name = file.get("volumes").and_then(|all| all.get(key)).and_then(|item| text(item, "name"));
        Some((name.unwrap_or(key), volume))
    })
}

/// What follows for a deployment, in a sentence.
pub fn sentence(is_routed: bool, conflicts: &[String]) -> String {
    match (is_routed, conflicts) {
        (true, []) => "Two copies can run side by side, so releases follow each other without a pause.".into(),
        (true, why) => format!("Two copies cannot run side by side: {}.", why.join(", and ")),
        (false, []) => {
            "It runs once for all releases, is left alone while it does not change, and is replaced when it does.".into()
        }
        (false, why) => format!(
            "It runs once for all releases; when it changes the old copy is stopped before the new one starts, since {}.",
            why.join(", and ")
        ),
    }
}

/// How the routed service runs: what the stack says, completed from the file.
///
/// # Errors
/// `Invalid` for what cannot be both, or cannot be done.
pub fn run_spec(file: &Value, service: &Value, stack: &RunSpec) -> Result<RunSpec> {
    if !stack.volumes.is_empty() || stack.command.is_some() {
        return Err(Error::invalid(
            "run.volumes",
            "volumes and command of a compose stack are those of its compose file; remove them from the stack",
        ));
    }
    let volumes = named_volumes(file, service).map(|(name, volume)| Volume {
        name: name.to_string(),
        path: text(volume, "target").unwrap_or_default().to_string(),
        read_only: is_true(volume, "read_only"),
    });
    let why = other_conflicts(service);
    let from_file = (!why.is_empty()).then(|| why.join(", and "));
    let run = RunSpec {
        replicas: if stack.replicas > 1 { stack.replicas } else { replicas(service) },
        ports: ports(service, stack)?,
        volumes: volumes.collect(),
        exclusive: stack.exclusive.clone().or(from_file),
        ..stack.clone()
    };
    if run.replicas > 1 && (run.has_fixed_port() || !run.can_overlap()) {
        return Err(Error::invalid(
            "run.replicas",
            format!(
                "{} replicas are wanted, and two copies of the service cannot run side by side: {}",
                run.replicas,
                conflicts(file, service).join(", and ")
            ),
        ));
    }
    Ok(run)
}

fn replicas(service: &Value) -> u32 {
    let given = service.pointer("/deploy/replicas").or_else(|| service.get("scale")).and_then(Value::as_u64);
    given.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0).unwrap_or(1)
}

/// The stack's ports, with the ports of the machine that the file names for them; then the file's others.
fn ports(service: &Value, stack: &RunSpec) -> Result<Vec<Port>> {
    let mut of_file = Vec::new();
    for port in list(service, "ports").filter(|port| text(port, "protocol").is_none_or(|word| word == "tcp"))
    {
        of_file.push(port_of(port)?);
    }
    let mut ports = stack.ports.clone();
    for port in &mut ports {
        let same = of_file.iter().find(|known| known.container == port.container && known.host.is_some());
        if let (None, Some(known)) = (port.host, same) {
            port.clone_from(known);
        }
    }
    let is_new = |port: &Port, known: &[Port]| !known.iter().any(|one| one.container == port.container);
    for port in of_file {
        if port.host.is_some() || is_new(&port, &ports) {
            let is_listed = ports.contains(&port);
            ports.extend((!is_listed).then_some(port));
        }
    }
    for text in list(service, "expose").filter_map(Value::as_str) {
        let number = text.trim_end_matches("/tcp").parse().ok();
        let port = number.map(|container| Port { container, host: None, address: "127.0.0.1".into() });
        ports.extend(port.filter(|port| is_new(port, &ports)));
    }
    Ok(ports)
}

fn port_of(port: &Value) -> Result<Port> {
    let unfit =
        || Error::invalid(FIELD, format!("`ports` has {port}, which is not one port; ranges are not taken"));
    let container = port.get("target").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let host = published(port).map(|text| text.parse::<u16>().map_err(|_| unfit())).transpose()?;
    let address = text(port, "host_ip").unwrap_or(if host.is_some() { "0.0.0.0" } else { "127.0.0.1" });
    Ok(Port { container: container.ok_or_else(unfit)?, host, address: address.to_string() })
}

#[cfg(test)]
#[path = "analysis_tests.rs"]
mod tests;
