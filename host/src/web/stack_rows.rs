//! The repeated groups of a stack's form: build arguments, variables, ports and volumes.

use super::form::Fields;
use crate::domain::build_config::{BuildArg, EnvVar};
use crate::domain::stack::{Port, Volume};
use crate::error::{Error, Result};

#[derive(Default, Clone)]
pub struct ArgRow {
    pub name: String,
    pub value: String,
}

#[derive(Default, Clone)]
pub struct EnvRow {
    pub name: String,
    pub value: String,
    pub secret: bool,
    /// A secret value is stored that the form does not show.
    pub stored: bool,
}

#[derive(Default, Clone)]
pub struct PortRow {
    pub container: String,
    pub host: String,
    pub address: String,
}

#[derive(Default, Clone)]
pub struct VolumeRow {
    pub name: String,
    pub path: String,
    pub read_only: bool,
}

/// A whole number, or nothing if the field is empty.
pub fn number<T: std::str::FromStr>(field: &str, text: &str) -> Result<Option<T>> {
    if text.is_empty() {
        return Ok(None);
    }
    let unfit =
        |_| Error::invalid(field, format!("`{}` is not a number that fits here", text.escape_debug()));
    text.parse().map(Some).map_err(unfit)
}

impl From<&BuildArg> for ArgRow {
    fn from(arg: &BuildArg) -> Self {
        Self { name: arg.name.clone(), value: arg.value.clone() }
    }
}

impl From<&EnvVar> for EnvRow {
    fn from(variable: &EnvVar) -> Self {
        let value = if variable.secret { String::new() } else { variable.value.clone() };
        Self { name: variable.name.clone(), value, secret: variable.secret, stored: variable.secret }
    }
}

impl From<&Port> for PortRow {
    fn from(port: &Port) -> Self {
        let host = port.host.map_or(String::new(), |host| host.to_string());
        Self { container: port.container.to_string(), host, address: port.address.clone() }
    }
}

impl From<&Volume> for VolumeRow {
    fn from(volume: &Volume) -> Self {
        Self { name: volume.name.clone(), path: volume.path.clone(), read_only: volume.read_only }
    }
}

impl ArgRow {
    pub fn read(fields: &Fields) -> Self {
        Self { name: fields.trimmed("name"), value: fields.text("value") }
    }
}

impl EnvRow {
    pub fn read(fields: &Fields) -> Self {
        let (name, value) = (fields.trimmed("name"), fields.text("value"));
        Self { name, value, secret: fields.ticked("secret"), stored: false }
    }
}

impl PortRow {
    pub fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.trimmed(name);
        Self { container: text("container"), host: text("host"), address: text("address") }
    }

    pub fn port(&self) -> Result<Port> {
        let container = number("run.ports", &self.container)?
            .ok_or_else(|| Error::invalid("run.ports", "a port needs its number inside the container"))?;
        let address = if self.address.is_empty() { "127.0.0.1".into() } else { self.address.clone() };
        Ok(Port { container, host: number("run.ports", &self.host)?, address })
    }
}

impl VolumeRow {
    pub fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.trimmed(name);
        Self { name: text("name"), path: text("path"), read_only: fields.ticked("read_only") }
    }
}
