//! Instances on a swarm: each is a service of one task, so that the swarm chooses its node and the rest of the house sees
//! the same instances as on a plain engine.

mod service;
mod view;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bollard::models::{NetworkCreateRequest, NodeState, Service, ServiceSpec, Task, TaskState};
use bollard::query_parameters::{
    InspectServiceOptions, ListNodesOptions, ListServicesOptionsBuilder, ListTasksOptionsBuilder,
    UpdateServiceOptionsBuilder,
};

use super::{ContainerView, Docker, LaunchSpec, Reach, error, label, registry};
use crate::error::{Error, Result};
use view::Nodes;

/// The overlay network that all services share.
const OVERLAY: &str = "windlass-overlay";
/// `true` once the service was started for the first time.
const BEGUN: &str = "dev.windlass.begun";
/// How long the swarm may take to start a task, beyond what it says about it.
const START: Duration = Duration::from_secs(120);
/// On top of what a task is granted to stop.
const MARGIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);
/// So often a change is tried that the swarm refuses because the service has changed meanwhile.
const ATTEMPTS: u32 = 20;

/// What a manager says of its swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmFacts {
    /// Nodes that take work.
    pub ready: u32,
    /// The id of the node that was asked.
    pub node: String,
}

impl Docker {
    pub(super) fn is_swarm(&self) -> bool {
        self.reach() == Reach::Nodes
    }

    /// Asks the engine about its swarm.
    ///
    /// # Errors
    /// `Failed` if the engine is no manager of one.
    pub async fn swarm_facts(&self) -> Result<SwarmFacts> {
        let client = self.client().await?;
        let info = client.info().await.map_err(|error| self.explain(error))?.swarm.unwrap_or_default();
        if info.control_available != Some(true) {
            return Err(Error::failed(format!(
                "the engine at {} is no manager of a swarm; `docker swarm init` makes it one",
                self.host()
            )));
        }
        let nodes = client.list_nodes(None::<ListNodesOptions>).await.map_err(|error| self.explain(error))?;
        let is_ready = |state: Option<NodeState>| state == Some(NodeState::READY);
        let ready =
            nodes.iter().filter(|node| is_ready(node.status.as_ref().and_then(|status| status.state)));
        Ok(SwarmFacts {
            ready: u32::try_from(ready.count()).unwrap_or(u32::MAX),
            node: info.node_id.unwrap_or_default(),
        })
    }

    pub(super) async fn services(&self, labels: Vec<String>) -> Result<Vec<ContainerView>> {
        let client = self.client().await?;
        let filters = HashMap::from([("label".to_string(), labels)]);
        let options = ListServicesOptionsBuilder::default().filters(&filters).build();
        let services = client.list_services(Some(options)).await.map_err(|error| self.explain(error))?;
        if services.is_empty() {
            return Ok(Vec::new());
        }
        // A task does not carry its service's labels.
        let ids: Vec<String> = services.iter().filter_map(|service| service.id.clone()).collect();
        let filters = HashMap::from([("service".to_string(), ids)]);
        let options = ListTasksOptionsBuilder::default().filters(&filters).build();
        let tasks = client.list_tasks(Some(options)).await.map_err(|error| self.explain(error))?;
        let nodes = self.nodes(&tasks).await?;
        let mut views: Vec<ContainerView> =
            services.into_iter().filter_map(|service| view::view(service, &tasks, &nodes)).collect();
        views.sort_by(|a, b| a.container.name.cmp(&b.container.name));
        Ok(views)
    }

    pub(super) async fn service(&self, name: &str) -> Result<Option<ContainerView>> {
        let Some(service) = self.own_service(name).await? else { return Ok(None) };
        let tasks = self.tasks(name).await?;
        let nodes = self.nodes(&tasks).await?;
        Ok(view::view(service, &tasks, &nodes))
    }

    /// Nobody is asked for nodes before something runs on one.
    async fn nodes(&self, tasks: &[Task]) -> Result<Nodes> {
        if tasks.iter().all(|task| task.node_id.is_none()) {
            return Ok(Nodes::default());
        }
        let client = self.client().await?;
        let nodes = client.list_nodes(None::<ListNodesOptions>).await.map_err(|error| self.explain(error))?;
        Ok(view::addresses(nodes))
    }

    async fn tasks(&self, service: &str) -> Result<Vec<Task>> {
        let filters = HashMap::from([("service".to_string(), vec![service.to_string()])]);
        let options = ListTasksOptionsBuilder::default().filters(&filters).build();
        match self.client().await?.list_tasks(Some(options)).await {
            Ok(tasks) => Ok(tasks),
            // What belonged to a service that is gone.
            Err(error) if error::is_missing(&error) => Ok(Vec::new()),
            Err(error) => Err(self.explain(error)),
        }
    }

    pub(super) async fn own_service(&self, name: &str) -> Result<Option<Service>> {
        match self.client().await?.inspect_service(name, None::<InspectServiceOptions>).await {
            Ok(found) if labels(&found).get(label::SERVER).map(String::as_str) == Some(self.server()) => {
                Ok(Some(found))
            }
            Ok(_) => Err(Error::conflict(format!(
                "the service `{name}` was not created by this server and is left alone; remove or rename it"
            ))),
            Err(error) if error::is_missing(&error) => Ok(None),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Creates the service if it is not there, started or not, and returns its id.
    pub(super) async fn have_service(&self, spec: &LaunchSpec, start: bool) -> Result<String> {
        if let Some(found) = self.own_service(&spec.name).await? {
            self.check_labels(spec, &labels(&found))?;
        } else {
            self.ensure_overlay().await?;
            let wanted = self.service_spec(spec).await?;
            let pulled = spec.registry.as_ref();
            let login = pulled.and_then(|image| registry::for_image(&image.name, &image.logins));
            match self.client().await?.create_service(wanted, login).await {
                Ok(_) => {}
                // It was us in another life, or another node of this server.
                Err(error) if error::is_taken(&error) => {}
                Err(error) => return Err(self.explain(error)),
            }
        }
        if start {
            self.start_service(&spec.name).await?;
        }
        let found = self.own_service(&spec.name).await?;
        Ok(found.and_then(|service| service.id).unwrap_or_default())
    }

    /// Returns when the task has begun, as an engine does whose container has.
    ///
    /// # Errors
    /// `Failed` with what the swarm says if it cannot place the task in time.
    pub(super) async fn start_service(&self, name: &str) -> Result<()> {
        let waits = |task: &Task| view::state(task).is_none_or(is_waiting);
        let before = self.tasks(name).await?;
        let before: HashSet<_> = before.into_iter().filter(|task| !waits(task)).map(|task| task.id).collect();
        self.scale(name, 1).await?;
        let mut said = String::new();
        let begun = async {
            loop {
                let tasks = self.tasks(name).await?;
                // One that has ended since has begun as well.
                let has_begun = |task: &&Task| {
                    !waits(task) && (view::state(task).is_some_and(is_alive) || !before.contains(&task.id))
                };
                if tasks.iter().any(|task| has_begun(&task)) {
                    return Ok(());
                }
                let last = view::newest(&tasks).and_then(|task| task.status.clone()).unwrap_or_default();
                said = last.err.or(last.message).unwrap_or_default();
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(START, begun).await {
            Ok(begun) => begun,
            Err(_) => Err(Error::failed(format!(
                "the swarm has not started `{name}` within {} s: {}",
                START.as_secs(),
                error::bounded(&said)
            ))),
        }
    }

    /// Returns when no task of it runs any more.
    pub(super) async fn stop_service(&self, name: &str, grace: Duration) -> Result<()> {
        if self.own_service(name).await?.is_none() {
            return Ok(());
        }
        self.scale(name, 0).await?;
        let ended = async {
            while self.tasks(name).await?.iter().any(|task| view::state(task).is_some_and(is_alive)) {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        let limit = grace + MARGIN;
        tokio::time::timeout(limit, ended)
            .await
            .unwrap_or_else(|_| Err(Error::timeout("the end of a service", limit.as_secs())))
    }

    pub(super) async fn remove_service(&self, name: &str, grace: Option<Duration>) -> Result<()> {
        if self.own_service(name).await?.is_none() {
            return Ok(());
        }
        if let Some(grace) = grace {
            self.stop_service(name, grace).await?;
        }
        match self.client().await?.delete_service(name).await {
            Ok(()) => Ok(()),
            Err(error) if error::is_missing(&error) => Ok(()),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// The swarm changes a service now and then by itself, and refuses a change of what was read before that.
    async fn scale(&self, name: &str, replicas: i64) -> Result<()> {
        let mut attempts = 1;
        loop {
            match self.try_scale(name, replicas).await? {
                Ok(()) => return Ok(()),
                Err(error) if attempts < ATTEMPTS && error::is_outdated(&error) => {}
                Err(error) => return Err(self.explain(error)),
            }
            attempts += 1;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn try_scale(&self, name: &str, replicas: i64) -> Result<Result<(), bollard::errors::Error>> {
        let Some(found) = self.own_service(name).await? else {
            return Err(Error::not_found("service", name));
        };
        let begun = labels(&found).contains_key(BEGUN);
        if service::replicas(&found) == replicas && (begun || replicas == 0) {
            return Ok(Ok(()));
        }
        let version =
            found.version.and_then(|version| version.index).and_then(|index| i32::try_from(index).ok());
        let options = UpdateServiceOptionsBuilder::default().version(version.unwrap_or_default()).build();
        let mut spec: ServiceSpec = found.spec.unwrap_or_default();
        spec.mode = Some(service::mode(replicas));
        if replicas > 0 {
            spec.labels.get_or_insert_default().insert(BEGUN.into(), "true".into());
        }
        let client = self.client().await?;
        // Without a log-in here the service keeps the one it was created with.
        Ok(client.update_service(name, spec, options, None).await.map(|_| ()))
    }

    async fn ensure_overlay(&self) -> Result<()> {
        self.ensure_network(NetworkCreateRequest {
            name: OVERLAY.into(),
            driver: Some("overlay".into()),
            attachable: Some(true),
            labels: Some(HashMap::from([(label::SERVER.to_string(), self.server().to_string())])),
            ..NetworkCreateRequest::default()
        })
        .await
    }
}

fn labels(service: &Service) -> HashMap<String, String> {
    service.spec.as_ref().and_then(|spec| spec.labels.clone()).unwrap_or_default()
}

/// On its way to a node, or there and not begun.
fn is_waiting(state: TaskState) -> bool {
    use TaskState::{ACCEPTED, ALLOCATED, ASSIGNED, NEW, PENDING, PREPARING, READY};
    matches!(state, NEW | ALLOCATED | PENDING | ASSIGNED | ACCEPTED | PREPARING | READY)
}

fn is_alive(state: TaskState) -> bool {
    matches!(state, TaskState::STARTING | TaskState::RUNNING)
}
