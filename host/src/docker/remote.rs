//! Engines on other machines: by TLS with a client's certificate, or through an ssh tunnel to their socket.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tempfile::TempDir;

use super::tunnel::Tunnel;
use super::{Docker, Inner};
use crate::domain::target::{Address, TargetCredentials};
use crate::error::{Error, Result};

/// Until the first answer of an engine that may be far away, or not there at all.
pub(super) const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// How what runs on an engine is reached from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// At the containers' own addresses.
    Direct,
    /// At ports that are published on this address of the engine's machine.
    Published(IpAddr),
    /// At ports that the services of a swarm publish on the node where they run.
    Nodes,
}

/// Where an engine answers.
pub(super) enum Endpoint {
    /// At its address, as it is written.
    Plain,
    /// At its address, for who shows the certificate in this folder.
    Tls(TempDir),
    /// At a socket here that leads to the one there.
    Ssh(Box<Tunnel>),
}

impl Docker {
    /// Remembers where the engine is; nothing is contacted yet. What the connection needs lies in a folder of its own below
    /// `folder`, which nobody else can read, as long as this handle lives. `server` is as for [`Docker::connect`].
    ///
    /// # Errors
    /// `Invalid` if the address, a key or a certificate cannot be used; `Unavailable` if the folder cannot be written.
    pub fn remote(
        address: &str,
        credentials: &TargetCredentials,
        reach: Reach,
        folder: &Path,
        server: &str,
    ) -> Result<Self> {
        let parsed = Address::parse(address)?;
        credentials.check(&parsed)?;
        let unusable = |error: std::io::Error| {
            Error::unavailable(format!("{} cannot be used: {error}", folder.display()))
        };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let own = tempfile::Builder::new().prefix("t").tempdir_in(folder).map_err(unusable)?;
        let endpoint = match &parsed {
            Address::Tls { .. } => {
                for (name, text) in pems(credentials)? {
                    write_private(&own.path().join(name), text).map_err(unusable)?;
                }
                Endpoint::Tls(own)
            }
            Address::Ssh { .. } => {
                write_private(&own.path().join("key"), &credentials.key).map_err(unusable)?;
                Endpoint::Ssh(Box::new(Tunnel::new(address, &parsed, own, &folder.join("known_hosts"))?))
            }
        };
        Ok(Self::of(Inner::new(address.to_string(), server, endpoint, reach)))
    }
}

/// What an engine's client needs, under the names that every client of Docker knows.
fn pems(credentials: &TargetCredentials) -> Result<[(&'static str, &str); 3]> {
    let ca = credentials.ca.as_deref().unwrap_or_default();
    let certificate = credentials.certificate.as_deref().unwrap_or_default();
    for (field, text) in [("credentials.ca", ca), ("credentials.certificate", certificate)] {
        let found: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        if found.is_empty() || found.iter().any(Result::is_err) {
            return Err(Error::invalid(field, "there is no certificate in it that could be read"));
        }
    }
    let provider = rustls::crypto::ring::default_provider();
    let key = PrivateKeyDer::from_pem_slice(credentials.key.as_bytes())
        .ok()
        .and_then(|key| provider.key_provider.load_private_key(key).ok());
    if key.is_none() {
        return Err(Error::invalid("credentials.key", "there is no private key in it that could be read"));
    }
    Ok([("ca.pem", ca), ("cert.pem", certificate), ("key.pem", &credentials.key)])
}

fn write_private(path: &PathBuf, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.trim().as_bytes())?;
    // OpenSSH does not read a key whose last line does not end.
    file.write_all(b"\n")
}

/// Connects, without having asked anything yet.
pub(super) async fn client(inner: &Inner, timeout: Duration) -> Result<bollard::Docker> {
    let explain = |error| super::error::explain(&inner.host, error);
    let (seconds, version) = (timeout.as_secs(), bollard::API_DEFAULT_VERSION);
    match &inner.endpoint {
        Endpoint::Plain => {
            Ok(bollard::Docker::connect_with_host(&inner.host).map_err(explain)?.with_timeout(timeout))
        }
        Endpoint::Tls(folder) => {
            // bollard takes the process's provider; where there is one already it stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let [ca, certificate, key] =
                ["ca.pem", "cert.pem", "key.pem"].map(|name| folder.path().join(name));
            bollard::Docker::connect_with_ssl(&inner.host, &key, &certificate, &ca, seconds, version)
                .map_err(explain)
        }
        Endpoint::Ssh(tunnel) => {
            tunnel.open().await?;
            let socket = tunnel.socket().to_string_lossy().into_owned();
            bollard::Docker::connect_with_unix(&socket, seconds, version).map_err(explain)
        }
    }
}

impl Docker {
    /// Sees to it that other programs can reach the engine at what [`Docker::way`] says.
    pub(super) async fn ready(&self) -> Result<()> {
        match &self.inner.endpoint {
            Endpoint::Ssh(tunnel) => tunnel.open().await,
            Endpoint::Plain | Endpoint::Tls(_) => Ok(()),
        }
    }

    /// The variables by which Docker's own programs find the engine.
    pub(super) fn way(&self) -> Vec<(&'static str, OsString)> {
        const FOLDER: &str = "DOCKER_CERT_PATH";
        const VERIFY: &str = "DOCKER_TLS_VERIFY";
        let host = |text: OsString| ("DOCKER_HOST", text);
        match &self.inner.endpoint {
            Endpoint::Plain => {
                let own =
                    [FOLDER, VERIFY].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
                // bollard also takes `http://`, which the programs call by its other name.
                own.chain([host(self.host().replacen("http://", "tcp://", 1).into())]).collect()
            }
            Endpoint::Tls(folder) => {
                vec![host(self.host().into()), (FOLDER, folder.path().into()), (VERIFY, "1".into())]
            }
            Endpoint::Ssh(tunnel) => {
                let mut socket = OsString::from("unix://");
                socket.push(tunnel.socket());
                vec![host(socket)]
            }
        }
    }
}
