//! Log-ins to registries, from where `docker login` and its credential helpers keep them: a registry asks for one, and no
//! other setting is needed.

use std::env;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};

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
    /// What the user who runs this program has logged in with: `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`.
    /// Blocks: a credential helper may be asked, which is a program that the file names.
    ///
    /// # Errors
    /// Says what is wrong with the file or the helper. No log-in is none.
    pub fn find(registry: &str) -> Result<Option<Self>, String> {
        let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".docker"));
        let folder = env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home);
        folder.map_or(Ok(None), |folder| Self::find_in(&folder.join("config.json"), registry))
    }

    fn find_in(path: &Path, registry: &str) -> Result<Option<Self>, String> {
        let unusable =
            |why: String| format!("the log-in for {registry} cannot be had from {}: {why}", path.display());
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error.to_string())),
        };
        let mut login =
            Self { registry: registry.to_owned(), username: String::new(), password: String::new() };
        match get_credential_from_reader(BufReader::new(file), login.address()) {
            Ok(DockerCredential::UsernamePassword(username, password)) => {
                (login.username, login.password) = (username, password);
                Ok(Some(login))
            }
            Ok(DockerCredential::IdentityToken(_)) => Err(unusable(
                "it is an identity token, and a name with a password or access token is needed".to_owned(),
            )),
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
            // What a helper printed may be the secret itself.
            Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
                Err(unusable(format!("{helper} failed; `docker login {registry}` makes a new one")))
            }
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    /// What the registry is called where log-ins are kept.
    pub fn address(&self) -> &str {
        if matches!(self.registry.as_str(), "" | "docker.io") { HUB } else { &self.registry }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    fn find(config: &str, registry: &str) -> Result<Option<RegistryLogin>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        RegistryLogin::find_in(&path, registry)
    }

    #[test]
    fn a_log_in_is_for_its_registry_only() {
        // `ada:secret` in base64.
        let config = r#"{"auths":{"registry.example:5000":{"auth":"YWRhOnNlY3JldA=="},
            "https://index.docker.io/v1/":{"auth":"aHViOnB3"}}}"#;
        let login = find(config, "registry.example:5000").unwrap().unwrap();
        assert_eq!((login.username.as_str(), login.password.as_str()), ("ada", "secret"));
        assert_eq!(find(config, "docker.io").unwrap().unwrap().username, "hub");
        assert_eq!(find(config, "other.example"), Ok(None));
        assert_eq!(format!("{login:?}"), "RegistryLogin(registry.example:5000, …)");
    }

    #[test]
    fn what_cannot_be_read_is_told_and_no_file_is_no_log_in() {
        assert!(find("{", "registry.example").unwrap_err().contains("registry.example"));
        let helper = r#"{"credHelpers":{"registry.example":"windlass-has-no-such-helper"}}"#;
        assert!(find(helper, "registry.example").is_err());
        assert_eq!(RegistryLogin::find_in(Path::new("/does/not/exist"), "registry.example"), Ok(None));
    }
}
