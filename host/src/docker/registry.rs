//! Log-ins to registries, in the shapes the engine wants.

use std::collections::HashMap;

use bollard::auth::DockerCredentials;

use crate::domain::image_name::registry_of;

pub use crate::config::RegistryLogin;

fn credentials(login: &RegistryLogin) -> DockerCredentials {
    DockerCredentials {
        username: Some(login.username.clone()),
        password: Some(login.password.clone()),
        serveraddress: Some(login.address().to_string()),
        ..DockerCredentials::default()
    }
}

/// All of them: a build may pull from several registries.
pub(super) fn all(logins: &[RegistryLogin]) -> Option<HashMap<String, DockerCredentials>> {
    (!logins.is_empty())
        .then(|| logins.iter().map(|login| (login.address().to_string(), credentials(login))).collect())
}

/// The one that belongs to an image's registry; no other is ever sent there.
pub(super) fn for_image(image: &str, logins: &[RegistryLogin]) -> Option<DockerCredentials> {
    let registry = registry_of(image);
    logins
        .iter()
        .find(|login| login.registry == registry || (login.registry.is_empty() && registry == "docker.io"))
        .map(credentials)
}
