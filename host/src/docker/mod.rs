//! The engine: images, containers, logs and events, through bollard. No policy: what to run and when is decided above.
//!
//! [`Docker`] is usable before an engine is: the first call connects, negotiates the API version and looks what the
//! engine can do; a call that finds the engine gone answers `Unavailable`, and the next one connects anew.

mod archive;
mod build;
mod cancel;
mod compose;
mod container;
mod context;
mod control;
mod error;
mod frontend;
mod image;
mod launch;
mod lines;
mod logs;
mod network;
mod output;
mod probe;
mod progress;
mod registry;
mod remote;
mod run;
mod secrets;
mod swarm;
mod tunnel;
mod unpack;
mod watch;

use std::{sync::Arc, time::Duration};

use tokio::sync::RwLock;

pub use build::{BuildExtras, BuildRequest, BuiltImage};
pub use compose::{Companion, ComposePart, ComposeSource, read as read_compose};
pub use container::{ContainerView, PublishedPort};
pub use image::{ImageFacts, OwnImage};
pub use launch::{AtRegistry, LaunchSpec, NETWORK};
pub use lines::{LINE_CUT, Lines, LogLine, LogStream};
pub use logs::LogOptions;
pub use registry::RegistryLogin;
pub use remote::Reach;
pub use run::CommandRun;
pub use swarm::SwarmFacts;
pub use unpack::replace as unpack_output;
pub use watch::Watch;

use crate::error::{Error, Result};
use remote::{Endpoint, FIRST_ANSWER};

/// Labels by which a restarted host finds its containers.
pub mod label {
    /// Instance id of the server, so that two servers on one engine leave each other's containers alone.
    pub const SERVER: &str = "dev.windlass.server";
    pub const STACK: &str = "dev.windlass.stack";
    pub const RELEASE: &str = "dev.windlass.release";
    /// The deployment that created the container.
    pub const DEPLOYMENT: &str = "dev.windlass.deployment";
    pub const CONFIG_HASH: &str = "dev.windlass.config-hash";
    /// `true` where the container holds the stack's fixed host ports.
    pub const PUBLISHED: &str = "dev.windlass.published";
    /// The container port that is probed.
    pub const PORT: &str = "dev.windlass.port";
    /// The build whose commands the container runs.
    pub const BUILD: &str = "dev.windlass.build";
}

/// Where an engine listens when nothing else is said.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// The first API version with BuildKit.
const BUILDKIT_SINCE: (usize, usize) = (1, 39);
/// For requests that answer at once; longer ones bring their own limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A handle on one engine; clones share the connection.
#[derive(Clone)]
pub struct Docker {
    inner: Arc<Inner>,
    classic: bool,
}

struct Inner {
    host: String,
    server: String,
    endpoint: Endpoint,
    reach: Reach,
    session: RwLock<Option<Session>>,
}

impl Inner {
    fn new(host: String, server: &str, endpoint: Endpoint, reach: Reach) -> Self {
        Self { host, server: server.to_string(), endpoint, reach, session: RwLock::new(None) }
    }
}

/// A connection and what was learnt about the engine behind it.
#[derive(Clone)]
struct Session {
    client: bollard::Docker,
    facts: EngineFacts,
}

/// What an engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    pub version: String,
    pub api_version: String,
    pub os: String,
    pub arch: String,
    pub buildkit: bool,
    /// Whether the engine can put an init process before a container's own (`docker run --init`).
    pub init: bool,
}

impl EngineFacts {
    /// `20` of `20.10.24`.
    fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}

impl Docker {
    /// Remembers where the engine is; nothing is contacted yet. `host` is `unix://…` or `tcp://…`; without it `DOCKER_HOST`
    /// counts, then the usual socket. `server` is the instance id that marks this server's containers.
    ///
    /// # Errors
    /// `Invalid` if the address has a scheme that is not supported.
    pub fn connect(host: Option<&str>, server: &str) -> Result<Self> {
        let host = host
            .map(str::to_string)
            .or_else(|| std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()))
            .unwrap_or_else(|| DEFAULT_HOST.to_string());
        if !["unix://", "tcp://", "http://", "https://"].iter().any(|scheme| host.starts_with(scheme)) {
            return Err(Error::invalid(
                "docker.host",
                format!(
                    "`{}` is not an engine's address; take unix:///var/run/docker.sock or tcp://host:2376",
                    host.escape_debug()
                ),
            ));
        }
        Ok(Self::of(Inner::new(host, server, Endpoint::Plain, Reach::Direct)))
    }

    fn of(inner: Inner) -> Self {
        Self { inner: Arc::new(inner), classic: false }
    }

    /// Builds with the classic builder even where the engine has BuildKit.
    #[must_use]
    pub fn with_classic_builder(self) -> Self {
        Self { classic: true, ..self }
    }

    /// The engine's address.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// Succeeds if the engine answers.
    ///
    /// # Errors
    /// `Unavailable`, saying what to do.
    pub async fn ping(&self) -> Result<()> {
        self.client().await?.ping().await.map_err(|error| self.explain(error))?;
        Ok(())
    }

    /// What the engine says about itself; asked once a connection.
    ///
    /// # Errors
    /// `Unavailable` if it does not answer.
    pub async fn version(&self) -> Result<EngineFacts> {
        Ok(self.session().await?.facts)
    }

    /// How what runs there is reached from here.
    pub fn reach(&self) -> Reach {
        self.inner.reach
    }

    /// The id of this server, as its containers carry it.
    fn server(&self) -> &str {
        &self.inner.server
    }

    async fn client(&self) -> Result<bollard::Docker> {
        Ok(self.session().await?.client)
    }

    async fn session(&self) -> Result<Session> {
        if let Some(session) = self.inner.session.read().await.as_ref() {
            return Ok(session.clone());
        }
        let mut slot = self.inner.session.write().await;
        if let Some(session) = slot.as_ref() {
            return Ok(session.clone());
        }
        let session = tokio::time::timeout(FIRST_ANSWER * 2, open(&self.inner)).await.map_err(|_| {
            let seconds = (FIRST_ANSWER * 2).as_secs();
            Error::unavailable(format!(
                "the Docker engine at {} did not answer within {seconds} s; check that it runs and that a firewall lets us through",
                self.inner.host
            ))
        })??;
        *slot = Some(session.clone());
        Ok(session)
    }

    /// Turns an engine's error into ours, and forgets the connection if it is dead: after an upgrade of the engine the
    /// next call has to negotiate again.
    fn explain(&self, error: bollard::errors::Error) -> Error {
        let explained = error::explain(&self.inner.host, error);
        if matches!(explained, Error::Unavailable(_))
            && let Ok(mut slot) = self.inner.session.try_write()
        {
            *slot = None;
        }
        explained
    }
}

impl std::fmt::Debug for Docker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Docker({})", self.inner.host)
    }
}

async fn open(inner: &Inner) -> Result<Session> {
    let explain = |error| error::explain(&inner.host, error);
    let client = remote::client(inner, REQUEST_TIMEOUT).await?.negotiate_version().await.map_err(explain)?;
    let version = client.version().await.map_err(explain)?;
    let negotiated = client.client_version();
    let components = version.components.unwrap_or_default();
    // Podman speaks this API and answers builds with `version=2`, but it has no BuildKit session.
    let is_docker = !components.iter().any(|component| component.name.contains("Podman"));
    let os = version.os.unwrap_or_default();
    let recent = (negotiated.major_version, negotiated.minor_version) >= BUILDKIT_SINCE;
    let facts = EngineFacts {
        version: version.version.unwrap_or_default(),
        api_version: format!("{}.{}", negotiated.major_version, negotiated.minor_version),
        buildkit: recent && is_docker && os == "linux",
        // The engine runs `docker-init --version` to fill this in, and says N/A where the binary is missing.
        init: components.iter().any(|component| {
            component.name == "docker-init" && !matches!(component.version.as_str(), "" | "N/A")
        }),
        os,
        arch: version.arch.unwrap_or_default(),
    };
    Ok(Session { client, facts })
}
