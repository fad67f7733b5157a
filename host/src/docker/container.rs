//! Containers as they are: what the engine shows, with what our labels say.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use bollard::{
    models::{ContainerInspectResponse, ContainerState, NetworkSettings},
    query_parameters::ListContainersOptionsBuilder,
};
use futures_util::future::try_join_all;

use super::{Docker, NETWORK, Reach, error, label};
use crate::{
    domain::{Id, UnixMs, rollout::Container},
    error::{Error, Result},
};

/// One of our containers at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerView {
    pub container: Container,
    pub stack: String,
    pub config_hash: String,
    /// The engine's word: `created running paused restarting removing exited dead`.
    pub state: String,
    /// Id of the image it was made from, `sha256:…`.
    pub image: String,
    /// Its address in our network; none while it does not run, and where that network cannot be reached from here.
    pub ip: Option<IpAddr>,
    /// The container port that is probed: the stack's first, else the image's lowest.
    pub port: Option<u16>,
    pub ports: Vec<PublishedPort>,
    /// Of its last run; none while it runs or has never run.
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    /// How often the engine has restarted it by itself.
    pub restarts: u32,
    pub started_at: Option<UnixMs>,
    pub finished_at: Option<UnixMs>,
    /// `starting`, `healthy` or `unhealthy` where the image has a HEALTHCHECK.
    pub health: Option<String>,
    /// What the last health check wrote.
    pub health_output: String,
    /// Why the engine could not start it.
    pub error: String,
}

impl ContainerView {
    /// Where this machine reaches its port.
    pub fn address(&self) -> Option<SocketAddr> {
        let port = self.port?;
        let published = || self.ports.iter().find(|one| one.container == port);
        match self.ip {
            Some(ip) => Some(SocketAddr::new(ip, port)),
            None => published().map(|one| SocketAddr::new(one.address, one.host)),
        }
    }
}

/// A container port that can be reached from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    pub container: u16,
    pub address: IpAddr,
    pub host: u16,
}

impl Docker {
    /// This server's containers of a stack, by name.
    ///
    /// # Errors
    /// `Unavailable` if the engine does not answer.
    pub async fn list(&self, stack: &str) -> Result<Vec<ContainerView>> {
        self.list_labelled(&[(label::STACK, stack)]).await
    }

    /// All of this server's containers, by name.
    ///
    /// # Errors
    /// `Unavailable` if the engine does not answer.
    pub async fn list_all(&self) -> Result<Vec<ContainerView>> {
        self.list_labelled(&[]).await
    }

    async fn list_labelled(&self, labels: &[(&str, &str)]) -> Result<Vec<ContainerView>> {
        let own = [(label::SERVER, self.server())];
        let wanted: Vec<String> =
            labels.iter().chain(&own).map(|(key, value)| format!("{key}={value}")).collect();
        if self.is_swarm() {
            return self.services(wanted).await;
        }
        let client = self.client().await?;
        let filters = HashMap::from([("label".to_string(), wanted)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = client.list_containers(Some(options)).await.map_err(|error| self.explain(error))?;
        // Restarts, exit codes and health are told by each container's inspection only.
        let views = try_join_all(found.into_iter().filter_map(|one| one.id).map(|id| self.view(id))).await?;
        let mut views: Vec<ContainerView> = views.into_iter().flatten().collect();
        views.sort_by(|a, b| a.container.name.cmp(&b.container.name));
        Ok(views)
    }

    async fn view(&self, id: String) -> Result<Option<ContainerView>> {
        Ok(self.inspect(&id).await?.and_then(|found| view(found, self.reach())))
    }

    /// One of this server's containers by name; none if there is none.
    ///
    /// # Errors
    /// `Conflict` if the name belongs to something else.
    pub async fn get(&self, name: &str) -> Result<Option<ContainerView>> {
        if self.is_swarm() {
            return self.service(name).await;
        }
        Ok(self.inspect_own(name).await?.and_then(|found| view(found, self.reach())))
    }

    pub(super) async fn inspect(&self, name: &str) -> Result<Option<ContainerInspectResponse>> {
        match self.client().await?.inspect_container(name, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error::is_missing(&error) => Ok(None),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Like `inspect`, and refuses what another server or person has made.
    pub(super) async fn inspect_own(&self, name: &str) -> Result<Option<ContainerInspectResponse>> {
        let found = self.inspect(name).await?;
        if let Some(found) = &found
            && labels(found).get(label::SERVER).map(String::as_str) != Some(self.server())
        {
            return Err(Error::conflict(format!(
                "the container `{name}` was not created by this server and is left alone; remove or rename it"
            )));
        }
        Ok(found)
    }
}

pub(super) fn labels(found: &ContainerInspectResponse) -> HashMap<String, String> {
    found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default()
}

/// The word for its state; the engine also says `running: true` of a container that waits to be restarted.
pub(super) fn state_word(state: &ContainerState) -> String {
    state.status.map(|status| status.to_string()).unwrap_or_default()
}

/// None for a container that lacks our labels.
fn view(found: ContainerInspectResponse, reach: Reach) -> Option<ContainerView> {
    let labels = labels(&found);
    let get = |key: &str| labels.get(key).cloned();
    let state = found.state.unwrap_or_default();
    let word = state_word(&state);
    let running = word == "running";
    let container = Container {
        id: found.id?,
        name: found.name?.trim_start_matches('/').to_string(),
        release: Id::from_text(get(label::RELEASE)?),
        deployment: Id::from_text(get(label::DEPLOYMENT)?),
        published: get(label::PUBLISHED)? == "true",
        running,
        created_only: word == "created",
    };
    let network = found.network_settings.unwrap_or_default();
    let exposed = found.config.and_then(|config| config.exposed_ports).unwrap_or_default();
    let (health, health_output) = health(&state);
    Some(ContainerView {
        container,
        stack: get(label::STACK)?,
        config_hash: get(label::CONFIG_HASH).unwrap_or_default(),
        image: found.image.unwrap_or_default(),
        ip: address(&network).filter(|_| reach == Reach::Direct),
        port: get(label::PORT)
            .and_then(|port| port.parse().ok())
            // Of another machine only ports are reached that were published, and those are the stack's own.
            .or_else(|| {
                exposed.iter().filter_map(|port| port_number(port)).min().filter(|_| reach == Reach::Direct)
            }),
        ports: published(&network, reach),
        exit_code: state.exit_code.filter(|_| !running && word != "created"),
        oom_killed: state.oom_killed.unwrap_or_default(),
        restarts: found.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
        started_at: moment(state.started_at.as_deref()),
        finished_at: moment(state.finished_at.as_deref()),
        health,
        health_output,
        error: state.error.unwrap_or_default(),
        state: word,
    })
}

pub(super) fn health(state: &ContainerState) -> (Option<String>, String) {
    let Some(health) = &state.health else { return (None, String::new()) };
    let word =
        health.status.map(|status| status.to_string()).filter(|word| !matches!(word.as_str(), "" | "none"));
    let last = health.log.as_ref().and_then(|log| log.last()).and_then(|last| last.output.clone());
    (word, error::bounded(&last.unwrap_or_default()))
}

fn address(network: &NetworkSettings) -> Option<IpAddr> {
    let networks = network.networks.as_ref()?;
    let ours = networks.get(NETWORK).or_else(|| networks.values().next())?;
    ours.ip_address.as_deref()?.parse().ok()
}

/// Those on another machine's loopback address are nobody's but its own.
fn published(network: &NetworkSettings, reach: Reach) -> Vec<PublishedPort> {
    let mut all: Vec<PublishedPort> = Vec::new();
    for (port, bindings) in network.ports.iter().flatten() {
        let Some(container) = port_number(port) else { continue };
        for binding in bindings.iter().flatten() {
            let host = binding.host_port.as_deref().and_then(|host| host.parse().ok());
            let address = binding.host_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
            let (Some(host), Some(address)) = (host, address) else { continue };
            match reach {
                Reach::Published(_) if address.is_loopback() => {}
                Reach::Published(address) => all.push(PublishedPort { container, address, host }),
                Reach::Direct | Reach::Nodes => all.push(PublishedPort { container, address, host }),
            }
        }
    }
    all.sort_by_key(|port| (port.container, port.host));
    // A port that is open on every address, of either version, is there once for each.
    all.dedup();
    all
}

/// `8080/tcp` → 8080; other protocols cannot be probed.
pub(super) fn port_number(port: &str) -> Option<u16> {
    port.strip_suffix("/tcp").unwrap_or(port).parse().ok()
}

/// Engines write the year 1 for "never".
fn moment(text: Option<&str>) -> Option<UnixMs> {
    let at = chrono::DateTime::parse_from_rfc3339(text?).ok()?.timestamp_millis();
    (at > 0).then_some(at)
}
