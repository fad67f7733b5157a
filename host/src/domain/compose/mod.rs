//! Compose files: what of one may be deployed, what its services need, and how it becomes a release. Pure.
//!
//! [`source`] judges a file before `docker compose` reads it, [`policy`] what it was rendered to. [`analysis`] says of each
//! service whether two copies can run side by side. [`parts`] takes the rendered file apart: the routed service, of which
//! each release has instances in a compose project of its own, and the companions, which run once for all releases.

pub mod analysis;
pub mod parts;
pub mod policy;
pub mod source;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Id;

/// What a compose file may only ask for if the stack's owner grants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Privileged containers, added capabilities, devices, and the machine's process, IPC, UTS and user namespaces.
    Privileged,
    /// Folders and files of the machine as volumes.
    HostMounts,
    /// The machine's network, and networks of other drivers than `bridge`.
    HostNetwork,
    /// The socket of the Docker engine. Whoever has it has the machine.
    DockerSocket,
    /// Volumes and networks that belong to something else than this stack.
    External,
}

impl Grant {
    pub const ALL: [Self; 5] =
        [Self::Privileged, Self::HostMounts, Self::HostNetwork, Self::DockerSocket, Self::External];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::HostMounts => "host-mounts",
            Self::HostNetwork => "host-network",
            Self::DockerSocket => "docker-socket",
            Self::External => "external",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text)
    }
}

/// What a release keeps of its compose file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposeRelease {
    /// The service that is routed.
    pub service: String,
    /// Sealed JSON of the rendered file, each image named by its content address.
    pub sealed_file: String,
    /// All services, by name.
    pub services: Vec<ServiceFacts>,
}

impl ComposeRelease {
    /// The services that run once for all releases.
    pub fn companions(&self) -> impl Iterator<Item = &ServiceFacts> {
        self.services.iter().filter(|facts| facts.name != self.service)
    }
}

/// What is known of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceFacts {
    pub name: String,
    /// Requests are led to it, and each release has instances of its own.
    pub routed: bool,
    /// Whether two copies of it can run side by side.
    pub can_overlap: bool,
    /// What follows from that for a deployment, in a sentence.
    pub reason: String,
    /// Content address of its image, `sha256:…`.
    pub image: String,
    /// sha256 of its definition, in hex: a companion is left alone while this stays the same.
    pub hash: String,
}

/// The compose project of a stack's companions. Its volumes and networks begin with it, too. With a part of the stack's
/// id, so that two servers may have stacks of the same name on one engine.
pub fn project(stack: &str, stack_id: &Id) -> String {
    format!("windlass-{stack}-{}", stack_id.short())
}

/// The compose project of a release. Its instances' names begin with it.
pub fn release_project(stack: &str, release: &Id) -> String {
    format!("windlass-{stack}-{}", release.short())
}

/// A section of a rendered file or of one of its services, by name; empty where there is none.
fn section<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn is_true(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}
