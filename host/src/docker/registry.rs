//! Logging in to registries, in the shapes the engine wants.

use std::collections::HashMap;

use bollard::auth::DockerCredentials;

/// A name and password (or token) for one registry. In the clear only while in use.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// `registry.example:5000`; empty or `docker.io` for Docker Hub.
    pub registry: String,
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistryLogin({}, …)", self.registry)
    }
}

/// Docker Hub goes by this address in engines and their clients.
const HUB: &str = "https://index.docker.io/v1/";

impl RegistryLogin {
    fn address(&self) -> &str {
        if matches!(self.registry.as_str(), "" | "docker.io") { HUB } else { &self.registry }
    }

    fn credentials(&self) -> DockerCredentials {
        DockerCredentials {
            username: Some(self.username.clone()),
            password: Some(self.password.clone()),
            serveraddress: Some(self.address().to_string()),
            ..DockerCredentials::default()
        }
    }
}

/// All of them: a build may pull from several registries.
pub(super) fn all(logins: &[RegistryLogin]) -> Option<HashMap<String, DockerCredentials>> {
    (!logins.is_empty())
        .then(|| logins.iter().map(|login| (login.address().to_string(), login.credentials())).collect())
}

/// The one that belongs to an image's registry; no other is ever sent there.
pub(super) fn for_image(image: &str, logins: &[RegistryLogin]) -> Option<DockerCredentials> {
    let first = image.split_once('/').map_or("", |(first, _)| first);
    let registry = if first.contains(['.', ':']) || first == "localhost" { first } else { "docker.io" };
    logins
        .iter()
        .find(|login| login.registry == registry || (login.registry.is_empty() && registry == "docker.io"))
        .map(RegistryLogin::credentials)
}
