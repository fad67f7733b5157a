//! What a service is made of.

use bollard::models::{
    EndpointPortConfig, EndpointPortConfigProtocolEnum, EndpointPortConfigPublishModeEnum, EndpointSpec,
    NetworkAttachmentConfig, Service, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated, TaskSpec,
    TaskSpecContainerSpec, TaskSpecLogDriver, TaskSpecPlacement, TaskSpecRestartPolicy,
    TaskSpecRestartPolicyConditionEnum,
};

use super::super::{Docker, LaunchSpec, launch};
use super::OVERLAY;
use crate::error::Result;

/// Between the end of a task and the next one that the swarm starts in its place, in nanoseconds.
const RESTART_DELAY: i64 = 1_000_000_000;
const NANOS: i64 = 1_000_000_000;

pub(super) fn mode(replicas: i64) -> ServiceSpecMode {
    let replicated = ServiceSpecModeReplicated { replicas: Some(replicas) };
    ServiceSpecMode { replicated: Some(replicated), ..ServiceSpecMode::default() }
}

pub(super) fn replicas(service: &Service) -> i64 {
    let mode = service.spec.as_ref().and_then(|spec| spec.mode.as_ref());
    mode.and_then(|mode| mode.replicated.as_ref()).and_then(|mode| mode.replicas).unwrap_or_default()
}

impl Docker {
    /// Not started yet.
    pub(super) async fn service_spec(&self, spec: &LaunchSpec) -> Result<ServiceSpec> {
        let (image, placement) = match &spec.registry {
            Some(image) if spec.run.volumes.is_empty() => (image.name.clone(), TaskSpecPlacement::default()),
            _ => (spec.image.clone(), self.here().await?),
        };
        let init = self.version().await?.init;
        let container = TaskSpecContainerSpec {
            image: Some(image),
            // The swarm calls what replaces an image's CMD arguments.
            args: spec.run.command.clone(),
            env: Some(launch::environment(spec)),
            // By these the engine of a node rings when the task's container begins or ends.
            labels: Some(self.labels(spec)),
            mounts: Some(launch::mounts(spec)),
            stop_grace_period: Some(i64::from(spec.run.stop_timeout_secs) * NANOS),
            init: Some(init),
            ..TaskSpecContainerSpec::default()
        };
        let overlay =
            NetworkAttachmentConfig { target: Some(OVERLAY.into()), ..NetworkAttachmentConfig::default() };
        let task = TaskSpec {
            container_spec: Some(container),
            placement: Some(placement),
            networks: Some(vec![overlay]),
            restart_policy: Some(TaskSpecRestartPolicy {
                condition: Some(TaskSpecRestartPolicyConditionEnum::ANY),
                delay: Some(RESTART_DELAY),
                ..TaskSpecRestartPolicy::default()
            }),
            log_driver: Some(TaskSpecLogDriver {
                name: Some("json-file".into()),
                options: Some(
                    [("max-size", "10m"), ("max-file", "3")]
                        .map(|(k, v)| (k.to_string(), v.to_string()))
                        .into(),
                ),
            }),
            ..TaskSpec::default()
        };
        Ok(ServiceSpec {
            name: Some(spec.name.clone()),
            labels: Some(self.labels(spec)),
            task_template: Some(task),
            mode: Some(mode(0)),
            endpoint_spec: Some(EndpointSpec { ports: Some(ports(spec)), ..EndpointSpec::default() }),
            ..ServiceSpec::default()
        })
    }

    /// On the manager that was asked: an image that no registry has is there only, and so are the volumes of a stack that has
    /// some.
    async fn here(&self) -> Result<TaskSpecPlacement> {
        let here = format!("node.id=={}", self.swarm_facts().await?.node);
        Ok(TaskSpecPlacement { constraints: Some(vec![here]), ..TaskSpecPlacement::default() })
    }
}

/// Published on the node where the task runs, and not on all of them: so the router reaches the very instance it means.
fn ports(spec: &LaunchSpec) -> Vec<EndpointPortConfig> {
    let port = |port: &crate::domain::stack::Port| EndpointPortConfig {
        protocol: Some(EndpointPortConfigProtocolEnum::TCP),
        target_port: Some(i64::from(port.container)),
        published_port: port.host.filter(|_| spec.published).map(i64::from),
        publish_mode: Some(EndpointPortConfigPublishModeEnum::HOST),
        ..EndpointPortConfig::default()
    };
    spec.run.ports.iter().map(port).collect()
}
