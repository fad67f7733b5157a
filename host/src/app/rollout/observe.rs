//! What the engine shows and the health gate says about a stack's containers.

use std::collections::HashMap;

use futures_util::future::join_all;

use crate::docker::{ContainerView, Docker, Watch};
use crate::domain::UnixMs;
use crate::domain::health::{Gate, Probe};
use crate::domain::release::Release;
use crate::domain::rollout::{Container, Instance, InstanceState};
use crate::error::Result;
use crate::store;

pub struct Fleet {
    /// Instances of target and stable.
    pub instances: Vec<Instance>,
    /// All containers of the stack.
    pub containers: Vec<Container>,
}

/// Remembers the gates between two looks. A new observer starts them afresh, which costs a resumed rollout two probes.
pub struct Observer {
    docker: Docker,
    stack: String,
    gates: HashMap<String, Gate>,
    watch: Watch,
}

impl Observer {
    pub fn new(docker: &Docker, stack: &str) -> Self {
        let (docker, watch) = (docker.clone(), docker.watch(Some(stack)));
        Self { docker, stack: stack.to_string(), gates: HashMap::new(), watch }
    }

    /// Returns when one of the stack's containers started or ended.
    pub async fn changed(&self) {
        self.watch.changed().await;
    }

    /// Lists and probes.
    pub async fn look(&mut self, target: &Release, stable: Option<&Release>) -> Result<Fleet> {
        let views = self.docker.list(&self.stack).await?;
        let known = |view: &ContainerView| {
            [Some(target), stable].into_iter().flatten().find(|release| release.id == view.container.release)
        };
        let docker = &self.docker;
        let probes = views.iter().filter_map(|view| known(view).map(|release| (view, release))).map(
            |(view, release)| async move {
                if !view.container.running {
                    return (view, release, None);
                }
                let probe = docker.probe(view, &release.spec.health, store::now()).await;
                (view, release, Some(probe))
            },
        );
        let probed = join_all(probes).await;
        let now = store::now();
        let mut instances = Vec::new();
        for (view, release, probe) in probed {
            instances.push(instance(&mut self.gates, view, release, probe, now));
        }
        self.gates.retain(|id, _| views.iter().any(|view| view.container.id == *id));
        Ok(Fleet { instances, containers: views.into_iter().map(|view| view.container).collect() })
    }
}

fn instance(
    gates: &mut HashMap<String, Gate>,
    view: &ContainerView,
    release: &Release,
    probe: Option<Probe>,
    now: UnixMs,
) -> Instance {
    let container = &view.container;
    let started = view.started_at.unwrap_or(now);
    let gate = gates.entry(container.id.clone()).or_insert_with(|| Gate::new(started));
    let (state, since, reason) = match probe {
        None if container.created_only => (InstanceState::Starting, now, String::new()),
        None => {
            *gate = Gate::new(now);
            (InstanceState::Exited, now, exit_reason(view))
        }
        Some(probe) => {
            let was = gate.passed();
            gate.observe(probe, now);
            let overdue = now - started > i64::from(release.spec.health.timeout_secs) * 1000;
            let reason = gate.last_failure.clone();
            match (gate.passed(), was || overdue || view.health.as_deref() == Some("unhealthy")) {
                (true, _) => (InstanceState::Healthy, gate.since, String::new()),
                (false, true) => (InstanceState::Unhealthy, now, reason),
                (false, false) => (InstanceState::Starting, started, reason),
            }
        }
    };
    Instance {
        release: container.release.clone(),
        id: container.id.clone(),
        state,
        since,
        restarts: view.restarts,
        reason,
    }
}

fn exit_reason(view: &ContainerView) -> String {
    if view.oom_killed {
        return "it was ended because it used more memory than it may".into();
    }
    match view.exit_code {
        Some(code) => format!("it ended with exit status {code}"),
        None => "it does not run".into(),
    }
}
