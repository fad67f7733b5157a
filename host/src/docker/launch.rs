//! Launching a container so that doing it twice does it once.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    models::{
        ContainerCreateBody, ContainerInspectResponse, HostConfig, HostConfigLogConfig, Mount, MountType,
        NetworkCreateRequest, PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::CreateContainerOptionsBuilder,
};

use super::{Docker, Reach, RegistryLogin, container, error, label};
use crate::{
    domain::{Id, stack::RunSpec},
    error::{Error, Result},
};

/// The network all containers share. One for all stacks: an engine's address pools give out about thirty networks.
pub const NETWORK: &str = "windlass";

/// A container as it should be.
#[derive(Clone)]
pub struct LaunchSpec {
    /// The container's name; the key by which a repetition is recognised.
    pub name: String,
    /// Id of the image, `sha256:…`.
    pub image: String,
    pub stack: String,
    pub release: Id,
    pub deployment: Id,
    pub config_hash: String,
    /// Takes the stack's fixed host ports. Otherwise every port gets a free one, on the loopback address or, on another
    /// machine, on the one at which it is reached.
    pub published: bool,
    pub run: RunSpec,
    /// Opened for this call only.
    pub environment: Vec<(String, String)>,
    /// Where the nodes of a swarm find the image; without it, only the one that built it has it.
    pub registry: Option<AtRegistry>,
}

/// An image at a registry.
#[derive(Clone)]
pub struct AtRegistry {
    /// `repository@sha256:…`, of the image or of an index that has it for each platform.
    pub name: String,
    /// Its registry's is among these, should it want one. A swarm keeps it beside the service, encrypted on disk, and hands it to
    /// the nodes that pull.
    pub logins: Vec<RegistryLogin>,
}

impl std::fmt::Debug for LaunchSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LaunchSpec({} of {}, release {})", self.name, self.stack, self.release)
    }
}

impl Docker {
    /// Creates the container if it is not there, starts it if it does not run, and returns its id.
    ///
    /// # Errors
    /// `Conflict` if the name belongs to something else; `Failed` naming a taken port or a missing image.
    pub async fn launch(&self, spec: &LaunchSpec) -> Result<String> {
        if self.is_swarm() {
            return self.have_service(spec, true).await;
        }
        let (id, state) = self.have(spec).await?;
        match state.as_str() {
            "running" | "restarting" => {}
            "paused" => {
                let unpaused = self.client().await?.unpause_container(&id).await;
                unpaused.map_err(|error| self.explain(error))?;
            }
            _ => self.begin(&spec.name, &id).await?,
        }
        Ok(id)
    }

    /// Creates the container if it is not there, without starting it, and returns its id. Its ports stay free until it is
    /// started.
    ///
    /// # Errors
    /// `Conflict` if the name belongs to something else; `Failed` naming a missing image.
    pub async fn create(&self, spec: &LaunchSpec) -> Result<String> {
        if self.is_swarm() {
            return self.have_service(spec, false).await;
        }
        Ok(self.have(spec).await?.0)
    }

    /// Its id and the engine's word for its state.
    async fn have(&self, spec: &LaunchSpec) -> Result<(String, String)> {
        if let Some(found) = self.inspect(&spec.name).await? {
            return self.adopt(spec, found);
        }
        self.ensure_own_network().await?;
        let session = self.session().await?;
        let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let body = self.body(spec, session.facts.init);
        match session.client.create_container(Some(options), body).await {
            Ok(created) => Ok((created.id, "created".to_string())),
            // Somebody was faster; if it was us in another life, that is fine.
            Err(error) if error::has_status(&error, 409) => match self.inspect(&spec.name).await? {
                Some(found) => self.adopt(spec, found),
                None => Err(self.explain(error)),
            },
            Err(error) if error::is_missing(&error) => Err(Error::failed(format!(
                "the image {} of `{}` is missing on the engine; it was removed since it was built: build or pull it again",
                spec.image, spec.stack
            ))),
            Err(error) => Err(self.explain(error)),
        }
    }

    pub(super) fn adopt(
        &self,
        spec: &LaunchSpec,
        found: ContainerInspectResponse,
    ) -> Result<(String, String)> {
        self.check_labels(spec, &container::labels(&found))?;
        let state = found.state.as_ref().map(container::state_word).unwrap_or_default();
        Ok((found.id.unwrap_or_default(), state))
    }

    /// Whether something of that name is the instance that is wanted.
    pub(super) fn check_labels(&self, spec: &LaunchSpec, have: &HashMap<String, String>) -> Result<()> {
        let want = self.labels(spec);
        // The deployment may differ: a rollback launches a release again that an earlier deployment has made.
        let differs = want
            .iter()
            .filter(|(key, _)| key.as_str() != label::DEPLOYMENT)
            .find(|(key, value)| have.get(*key) != Some(value));
        if let Some((key, value)) = differs {
            let instead = have.get(key).map_or("nothing", String::as_str);
            return Err(Error::conflict(format!(
                "a container or service named `{}` exists already and is not the one wanted ({key} is {instead}, not {value}); remove it first",
                spec.name
            )));
        }
        Ok(())
    }

    pub(super) async fn begin(&self, name: &str, id: &str) -> Result<()> {
        let client = self.client().await?;
        let mut started = client.start_container(id, None).await;
        if started.as_ref().is_err_and(|error| error::lacks_network(error, NETWORK)) {
            // Since it was looked for, others have removed it or made another one of that name.
            self.ensure_own_network().await?;
            started = client.start_container(id, None).await;
        }
        match started {
            Ok(()) => Ok(()),
            // 304: it runs already.
            Err(error) if error::has_status(&error, 304) => Ok(()),
            Err(error) => Err(match self.explain(error) {
                Error::Failed(why) => Error::failed(format!("container `{name}` did not start: {why}")),
                other => other,
            }),
        }
    }

    /// The network that all stacks' containers are in.
    async fn ensure_own_network(&self) -> Result<()> {
        let labels = HashMap::from([(label::SERVER.to_string(), self.server().to_string())]);
        self.ensure_network(NetworkCreateRequest {
            name: NETWORK.into(),
            driver: Some("bridge".into()),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        })
        .await
    }

    pub(super) fn labels(&self, spec: &LaunchSpec) -> HashMap<String, String> {
        let port = spec.run.ports.first().map(|port| (label::PORT, port.container.to_string()));
        [
            (label::SERVER, self.server().to_string()),
            (label::STACK, spec.stack.clone()),
            (label::RELEASE, spec.release.to_string()),
            (label::DEPLOYMENT, spec.deployment.to_string()),
            (label::CONFIG_HASH, spec.config_hash.clone()),
            (label::PUBLISHED, spec.published.to_string()),
        ]
        .into_iter()
        .chain(port)
        .map(|(key, value)| (key.to_string(), value))
        .collect()
    }

    /// Where ports are published that get a free number.
    pub(super) fn free_address(&self) -> String {
        match self.reach() {
            Reach::Published(address) => address.to_string(),
            Reach::Direct | Reach::Nodes => "127.0.0.1".into(),
        }
    }

    fn body(&self, spec: &LaunchSpec, init: bool) -> ContainerCreateBody {
        let ports = spec.run.ports.iter().map(|port| format!("{}/tcp", port.container)).collect();
        ContainerCreateBody {
            image: Some(spec.image.clone()),
            cmd: spec.run.command.clone(),
            env: Some(environment(spec)),
            labels: Some(self.labels(spec)),
            exposed_ports: Some(ports),
            // The engine grants the same time when it is shut down itself.
            stop_timeout: Some(i64::from(spec.run.stop_timeout_secs)),
            host_config: Some(host_config(spec, init, &self.free_address())),
            ..ContainerCreateBody::default()
        }
    }
}

/// `NAME=value`, each name once, sorted: the same spec gives the same container.
pub(super) fn environment(spec: &LaunchSpec) -> Vec<String> {
    let all: BTreeMap<&str, &str> =
        spec.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn host_config(spec: &LaunchSpec, init: bool, free: &str) -> HostConfig {
    HostConfig {
        network_mode: Some(NETWORK.into()),
        port_bindings: Some(bindings(spec, free)),
        mounts: Some(mounts(spec)),
        // A container comes back after a crash or a reboot even while Windlass is away, and a crash before the health
        // gate stays visible: the engine counts the restarts. What was stopped on purpose stays stopped.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        // As process 1 a program ignores SIGTERM unless it handles it, and each stop would take the whole timeout.
        init: Some(init),
        security_opt: Some(vec!["no-new-privileges:true".into()]),
        privileged: Some(false),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(
                [("max-size", "10m"), ("max-file", "3")].map(|(k, v)| (k.to_string(), v.to_string())).into(),
            ),
        }),
        ..HostConfig::default()
    }
}

fn bindings(spec: &LaunchSpec, free: &str) -> PortMap {
    let mut map = PortMap::new();
    for port in &spec.run.ports {
        let binding = match port.host.filter(|_| spec.published) {
            Some(host) => {
                PortBinding { host_ip: Some(port.address.clone()), host_port: Some(host.to_string()) }
            }
            // Without a number the engine picks a free one.
            None => PortBinding { host_ip: Some(free.into()), host_port: Some(String::new()) },
        };
        map.entry(format!("{}/tcp", port.container)).or_default().get_or_insert_default().push(binding);
    }
    map
}

pub(super) fn mounts(spec: &LaunchSpec) -> Vec<Mount> {
    let volume = |volume: &crate::domain::stack::Volume| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.name.clone()),
        target: Some(volume.path.clone()),
        read_only: Some(volume.read_only),
        ..Mount::default()
    };
    spec.run.volumes.iter().map(volume).collect()
}
