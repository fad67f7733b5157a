//! A service and its tasks, seen as the container that they stand for.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use bollard::models::{Node, Service, Task, TaskState};

use super::super::{ContainerView, PublishedPort, label};
use super::{BEGUN, is_alive, is_waiting, labels, service};
use crate::domain::{Id, UnixMs, rollout::Container};

/// Addresses by id of the node.
pub(super) type Nodes = HashMap<String, IpAddr>;

/// A manager may not know itself by its address but as a manager.
pub(super) fn addresses(nodes: Vec<Node>) -> Nodes {
    let usable = |ip: &IpAddr| !ip.is_unspecified();
    let address = |node: &Node| {
        let own = node.status.as_ref().and_then(|status| status.addr.as_ref()?.parse::<IpAddr>().ok());
        own.filter(usable).or_else(|| {
            let manager = node.manager_status.as_ref()?.addr.as_ref()?;
            Some(manager.parse::<SocketAddr>().ok()?.ip()).filter(usable)
        })
    };
    nodes.into_iter().filter_map(|node| Some((node.id.clone()?, address(&node)?))).collect()
}

pub(super) fn state(task: &Task) -> Option<TaskState> {
    task.status.as_ref()?.state
}

pub(super) fn newest(tasks: &[Task]) -> Option<&Task> {
    tasks.iter().max_by_key(|task| created(task))
}

fn created(task: &Task) -> UnixMs {
    task.created_at.map(|at| at.timestamp_micros()).unwrap_or_default()
}

/// None for a service that lacks our labels.
pub(super) fn view(service: Service, tasks: &[Task], nodes: &Nodes) -> Option<ContainerView> {
    let labels = labels(&service);
    let get = |key: &str| labels.get(key).cloned();
    let mut own: Vec<&Task> = tasks.iter().filter(|task| task.service_id == service.id).collect();
    own.sort_by_key(|task| created(task));
    let task = own.last().copied();
    let status = task.and_then(|task| task.status.clone()).unwrap_or_default();
    let wanted = service::replicas(&service) > 0;
    let running = wanted && status.state.is_some_and(is_alive);
    let word = match status.state {
        _ if running => "running",
        _ if !labels.contains_key(BEGUN) => "created",
        Some(state) if wanted && is_waiting(state) => "restarting",
        _ => "exited",
    };
    let ended = own.iter().filter(|task| {
        matches!(state(task), Some(TaskState::FAILED | TaskState::REJECTED | TaskState::COMPLETE))
    });
    let ended: Vec<&&Task> = ended.collect();
    let last_end = ended.last().and_then(|task| task.status.clone()).unwrap_or_default();
    let at = status.timestamp.map(|at| at.timestamp_millis());
    let spec = service.spec.unwrap_or_default();
    let container = spec.task_template.and_then(|task| task.container_spec).unwrap_or_default();
    let exit_code = last_end.container_status.and_then(|container| container.exit_code);
    let ip = task.and_then(|task| nodes.get(task.node_id.as_ref()?)).copied();
    Some(ContainerView {
        container: Container {
            id: service.id?,
            name: spec.name?,
            release: Id::from_text(get(label::RELEASE)?),
            deployment: Id::from_text(get(label::DEPLOYMENT)?),
            published: get(label::PUBLISHED)? == "true",
            running,
            created_only: word == "created",
        },
        stack: get(label::STACK)?,
        config_hash: get(label::CONFIG_HASH).unwrap_or_default(),
        image: container.image.unwrap_or_default(),
        ip: None,
        port: get(label::PORT).and_then(|port| port.parse().ok()),
        ports: ip.filter(|_| running).map(|ip| published(&status.port_status, ip)).unwrap_or_default(),
        exit_code: exit_code.filter(|_| !running),
        oom_killed: false,
        // The swarm keeps a task's last few predecessors.
        restarts: u32::try_from(ended.len()).unwrap_or(u32::MAX),
        started_at: at.filter(|_| running),
        finished_at: at.filter(|_| word == "exited"),
        // A task with a health check becomes running when it is healthy.
        health: (status.state == Some(TaskState::STARTING)).then(|| "starting".to_string()),
        health_output: String::new(),
        error: last_end.err.filter(|_| !running).unwrap_or_default(),
        state: word.to_string(),
    })
}

fn published(status: &Option<bollard::models::PortStatus>, address: IpAddr) -> Vec<PublishedPort> {
    let all = status.as_ref().and_then(|status| status.ports.as_ref()).into_iter().flatten();
    let number = |port: Option<i64>| port.and_then(|port| u16::try_from(port).ok());
    let mut ports: Vec<PublishedPort> = all
        .filter_map(|port| {
            Some(PublishedPort {
                container: number(port.target_port)?,
                address,
                host: number(port.published_port)?,
            })
        })
        .collect();
    ports.sort_by_key(|port| (port.container, port.host));
    ports.dedup();
    ports
}
