//! A stack: what is deployed, and how it should run.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::compose::Grant;
use super::traffic::Traffic;
use super::{Id, UnixMs};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    pub id: Id,
    pub seq: i64,
    pub project_id: Id,
    /// `[a-z0-9][a-z0-9-]{0,62}`, unique: names images and containers.
    pub name: String,
    pub description: String,
    /// How the containers run.
    pub run: RunSpec,
    /// How it is reached through the router.
    pub traffic: Traffic,
    /// Name of the deployment strategy plugin; empty means the configured default.
    pub strategy: String,
    /// The strategy's parameters, checked by the strategy.
    pub strategy_params: serde_json::Value,
    /// Name of the target that it runs on; none for the local engine.
    pub target: Option<String>,
    /// The release that serves now.
    pub active_release_id: Option<Id>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// How a stack's containers run. A release keeps the copy it was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunSpec {
    #[serde(default = "one")]
    pub replicas: u32,
    #[serde(default)]
    pub ports: Vec<Port>,
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Replaces the image's command.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Seconds a container gets between SIGTERM and SIGKILL.
    #[serde(default = "ten")]
    pub stop_timeout_secs: u32,
    /// Whether a strategy may stop what serves before its replacement is healthy.
    #[serde(default)]
    pub allow_downtime: bool,
    /// Why two copies cannot run side by side, such as `it holds a lock`; absent where they can. Then the old one is stopped
    /// before the new one starts. For a compose stack it is also found in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<String>,
    /// The service of the compose file that is routed; with one service it need not be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What the compose file may ask of the machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
}

fn one() -> u32 {
    1
}

fn ten() -> u32 {
    10
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            ports: Vec::new(),
            volumes: Vec::new(),
            command: None,
            stop_timeout_secs: 10,
            allow_downtime: false,
            exclusive: None,
            service: None,
            grants: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// Port inside the container.
    pub container: u16,
    /// Fixed port on the machine; without one the engine picks a free port on the loopback address.
    #[serde(default)]
    pub host: Option<u16>,
    /// Address on the machine, default `127.0.0.1`.
    #[serde(default = "loopback")]
    pub address: String,
}

fn loopback() -> String {
    "127.0.0.1".into()
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// A named volume of the engine; host paths are not taken.
    pub name: String,
    /// Absolute path in the container.
    pub path: String,
    #[serde(default)]
    pub read_only: bool,
}

/// The rule for names that end up in image, container and network names.
pub fn check_name(field: &str, name: &str) -> Result<()> {
    let fits = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !is_like_an_id(name);
    if fits {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format!(
            "`{}` is not a usable name: take 1 to 63 characters of a-z, 0-9 and -, not starting or ending with -, \
             and not in the form of an id",
            name.escape_debug()
        ),
    ))
}

/// Things are found by id or by name, so a name must not pass for the id of something else.
fn is_like_an_id(name: &str) -> bool {
    name.len() == 36 && [8, 13, 18, 23].iter().all(|at| name.as_bytes().get(*at) == Some(&b'-'))
}

impl RunSpec {
    /// Checks everything that can be checked without an engine.
    pub fn check(&self) -> Result<()> {
        if !(1..=32).contains(&self.replicas) {
            return Err(Error::invalid("run.replicas", "replicas has to be between 1 and 32"));
        }
        if self.stop_timeout_secs > 600 {
            return Err(Error::invalid("run.stopTimeoutSecs", "stopTimeoutSecs has to be at most 600"));
        }
        self.check_ports()?;
        self.check_volumes()?;
        self.check_compose()
    }

    fn check_compose(&self) -> Result<()> {
        let is_sentence = |why: &String| (1..=500).contains(&why.len()) && !why.chars().any(char::is_control);
        if !self.exclusive.iter().all(is_sentence) {
            return Err(Error::invalid(
                "run.exclusive",
                "exclusive has to say why in at most 500 bytes, on one line",
            ));
        }
        let Some(service) = &self.service else { return Ok(()) };
        let fits = (1..=128).contains(&service.len())
            && service.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !fits {
            return Err(Error::invalid(
                "run.service",
                format!("`{}` cannot be the name of a service of a compose file", service.escape_debug()),
            ));
        }
        if !self.volumes.is_empty() || self.command.is_some() {
            return Err(Error::invalid(
                "run.service",
                "volumes and command of a compose stack are those of its compose file; remove them from the stack",
            ));
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<()> {
        let mut seen = Vec::new();
        for port in &self.ports {
            if port.container == 0 || port.host == Some(0) {
                return Err(Error::invalid("run.ports", "a port has to be between 1 and 65535"));
            }
            if port.address.parse::<std::net::IpAddr>().is_err() {
                return Err(Error::invalid(
                    "run.ports",
                    format!(
                        "`{}` is not an IP address; take 127.0.0.1 or 0.0.0.0",
                        port.address.escape_debug()
                    ),
                ));
            }
            if let Some(host) = port.host {
                if seen.contains(&host) {
                    return Err(Error::invalid("run.ports", format!("host port {host} is listed twice")));
                }
                seen.push(host);
            }
        }
        if self.replicas > 1 && !seen.is_empty() {
            return Err(Error::invalid(
                "run.replicas",
                "a stack with a fixed host port can have one replica only: two containers cannot hold the same port",
            ));
        }
        Ok(())
    }

    fn check_volumes(&self) -> Result<()> {
        for volume in &self.volumes {
            check_name("run.volumes", &volume.name)?;
            if !volume.path.starts_with('/') || volume.path.contains("..") || volume.path.contains(':') {
                return Err(Error::invalid(
                    "run.volumes",
                    format!("`{}` has to be an absolute path in the container", volume.path.escape_debug()),
                ));
            }
        }
        Ok(())
    }

    pub fn stop_timeout(&self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.stop_timeout_secs))
    }

    /// Whether two instances can run side by side: a volume that both would write to forbids it.
    pub fn can_overlap(&self) -> bool {
        self.exclusive.is_none() && self.volumes.iter().all(|volume| volume.read_only)
    }

    /// Where two instances cannot coexist there is no way without a pause.
    pub fn allows_downtime(&self) -> bool {
        self.allow_downtime || !self.can_overlap()
    }

    pub fn has_fixed_port(&self) -> bool {
        self.ports.iter().any(|port| port.host.is_some())
    }
}

/// POSIX environment names; a value may be anything without NUL.
pub fn check_variable(field: &str, name: &str, value: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') || name.len() > 255 {
        return Err(Error::invalid(
            field,
            format!(
                "`{}` is not a variable name: take letters, digits and _, not starting with a digit",
                name.escape_debug()
            ),
        ));
    }
    if value.contains('\0') {
        return Err(Error::invalid(field, format!("the value of `{name}` contains a NUL byte")));
    }
    Ok(())
}
