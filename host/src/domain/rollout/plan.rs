//! From an order to the effects that are still missing. Pure, so an order that was half carried out before a crash is
//! finished by planning it again.

use super::{Action, Container, Effect, Instance, InstanceState, Weight};
use crate::domain::Id;

/// What planning needs to know about the stack.
#[derive(Debug, Clone)]
pub struct View<'a> {
    pub stack: &'a str,
    pub deployment: &'a Id,
    /// The stack has fixed host ports, so only one container at a time can be reached there.
    pub fixed_port: bool,
    pub containers: &'a [Container],
    /// What the strategy saw of them.
    pub fleet: &'a [Instance],
    pub traffic: &'a [Weight],
    /// Releases of this rollout whose companions are not as they say.
    pub stale: &'a [Id],
}

/// The effects that carry `action` out, in order. Empty if the world already is as ordered.
pub fn effects(action: &Action, view: &View<'_>) -> Vec<Effect> {
    match action {
        Action::Scale { release, count } => scale(release, *count as usize, view),
        Action::Route { weights } => route(weights, view),
        // Without a router there is nothing between a client and a container that could drain, and the gate is
        // probed continuously while a rollout runs.
        Action::Drain { .. } | Action::Probe { .. } => Vec::new(),
        Action::Ask { .. } | Action::Finish { .. } | Action::Other { .. } => Vec::new(),
    }
}

fn scale(release: &Id, count: usize, view: &View<'_>) -> Vec<Effect> {
    let mut own: Vec<&Container> = view.containers.iter().filter(|c| c.release == *release).collect();
    // Those that run and are healthy come first, so that surplus is taken from those that do not serve.
    own.sort_by_key(|c| (!c.running, !is_healthy(c, view), !c.published, c.name.clone()));
    if count == 0 {
        let restored = view.stale.iter().filter(|stale| *stale != release && is_used(stale, view));
        let restored = restored.map(|stale| Effect::Companions { release: stale.clone() });
        return restored.chain(own.iter().map(|c| remove(c, c.running))).collect();
    }
    let mut effects = Vec::new();
    // Its companions come first: an instance may need them to become healthy.
    if own.len() < count && view.stale.contains(release) {
        effects.push(Effect::Companions { release: release.clone() });
    }
    let kept = own.len().min(count);
    for container in &own[..kept] {
        // A container that was stopped to give its port away comes back with the port, by routing.
        let waits_for_port = container.published && port_is_held(view);
        if !container.running && !waits_for_port {
            effects.push(restart(container));
        }
    }
    for container in &own[kept..] {
        // One that runs may be answering somebody.
        effects.push(remove(container, container.running));
    }
    let mut slot = 0;
    for _ in kept..count {
        while view.containers.iter().any(|c| c.name == name(view, release, slot)) {
            slot += 1;
        }
        let published = view.fixed_port && !port_is_held(view);
        effects.push(Effect::Launch { release: release.clone(), name: name(view, release, slot), published });
        slot += 1;
    }
    effects
}

fn is_healthy(container: &Container, view: &View<'_>) -> bool {
    let healthy = |instance: &Instance| instance.state == InstanceState::Healthy;
    view.fleet.iter().any(|instance| instance.id == container.id && healthy(instance))
}

/// What is removed leaves companions to the release that goes on serving.
fn is_used(release: &Id, view: &View<'_>) -> bool {
    let has_traffic = view.traffic.iter().any(|weight| weight.release == *release && weight.percent > 0);
    has_traffic && view.containers.iter().any(|c| c.release == *release && c.running)
}

/// A container that was created but never started is launched again under its name; one that stopped is started.
fn restart(container: &Container) -> Effect {
    let (release, name) = (container.release.clone(), container.name.clone());
    if container.created_only {
        Effect::Launch { release, name, published: container.published }
    } else {
        Effect::Start { release, name }
    }
}

fn remove(container: &Container, gently: bool) -> Effect {
    Effect::Remove { release: container.release.clone(), name: container.name.clone(), gently }
}

fn port_is_held(view: &View<'_>) -> bool {
    view.containers.iter().any(|c| c.published && c.running)
}

fn route(weights: &[Weight], view: &View<'_>) -> Vec<Effect> {
    let mut effects = Vec::new();
    if view.fixed_port
        && let Some(winner) = weights.iter().find(|weight| weight.percent > 0)
    {
        effects.extend(hand_over_ports(&winner.release, view));
    }
    if weights != view.traffic {
        effects.push(Effect::SetRoute { weights: weights.to_vec() });
    }
    effects
}

/// Only one container can hold a fixed host port: the new holder is created first, so that nobody waits for that; then the
/// old one is stopped but kept, so that it can be started again at once, and the new one comes up. Copies of the winner
/// that were started for trial only are removed.
fn hand_over_ports(winner: &Id, view: &View<'_>) -> Vec<Effect> {
    let of_winner = |c: &&Container| c.release == *winner;
    if view.containers.iter().filter(of_winner).any(|c| c.published && c.running) {
        return trials(winner, view);
    }
    let stops = view
        .containers
        .iter()
        .filter(|c| c.release != *winner && c.published && c.running)
        .map(|c| Effect::Stop { release: c.release.clone(), name: c.name.clone() });
    let mut effects = Vec::new();
    match view.containers.iter().filter(of_winner).find(|c| c.published) {
        Some(container) => {
            effects.extend(stops);
            effects.push(restart(container));
        }
        None => {
            let (release, name) = (winner.clone(), free_name(view, winner));
            effects.push(Effect::Create { release: release.clone(), name: name.clone(), published: true });
            effects.extend(stops);
            effects.push(Effect::Launch { release, name, published: true });
        }
    }
    effects.extend(trials(winner, view));
    effects
}

fn trials(winner: &Id, view: &View<'_>) -> Vec<Effect> {
    view.containers
        .iter()
        .filter(|c| c.release == *winner && !c.published)
        .map(|c| remove(c, false))
        .collect()
}

/// The first name that no container has.
fn free_name(view: &View<'_>, release: &Id) -> String {
    let mut slot = 0;
    loop {
        let name = name(view, release, slot);
        if view.containers.iter().all(|c| c.name != name) {
            return name;
        }
        slot += 1;
    }
}

/// Deterministic, so that a second attempt finds the container of the first.
fn name(view: &View<'_>, release: &Id, slot: usize) -> String {
    format!("windlass-{}-{}-{}-{slot}", view.stack, release.short(), view.deployment.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::from_text(format!("00000000-{text:0>8}"))
    }

    fn container(release: &str, slot: usize, published: bool, running: bool) -> Container {
        Container {
            id: format!("{release}{slot}"),
            name: format!("windlass-web-{:0>8}-{:0>8}-{slot}", release, "d"),
            release: id(release),
            deployment: id("d"),
            published,
            running,
            created_only: false,
        }
    }

    fn view<'a>(deployment: &'a Id, fixed_port: bool, containers: &'a [Container]) -> View<'a> {
        View { stack: "web", deployment, fixed_port, containers, fleet: &[], traffic: &[], stale: &[] }
    }

    #[test]
    fn scaling_to_what_is_there_needs_nothing() {
        let (deployment, containers) = (id("d"), [container("new", 0, false, true)]);
        let action = Action::Scale { release: id("new"), count: 1 };
        assert!(effects(&action, &view(&deployment, false, &containers)).is_empty());
    }

    #[test]
    fn surplus_is_taken_from_what_is_not_healthy() {
        let deployment = id("d");
        let containers = [0, 1, 2].map(|slot| container("old", slot, false, slot < 2));
        let instance = |container: &Container, state| Instance {
            release: container.release.clone(),
            id: container.id.clone(),
            state,
            since: 0,
            restarts: 0,
            reason: String::new(),
        };
        let fleet = [
            instance(&containers[0], InstanceState::Starting),
            instance(&containers[1], InstanceState::Healthy),
            instance(&containers[2], InstanceState::Exited),
        ];
        let view = View { fleet: &fleet, ..view(&deployment, false, &containers) };
        let planned = effects(&Action::Scale { release: id("old"), count: 1 }, &view);
        let removed: Vec<&str> = planned
            .iter()
            .map(|effect| match effect {
                Effect::Remove { name, .. } => name.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(removed, [&containers[0].name, &containers[2].name]);
    }

    #[test]
    fn a_trial_copy_does_not_take_a_port_that_is_held() {
        let (deployment, containers) = (id("d"), [container("old", 0, true, true)]);
        let action = Action::Scale { release: id("new"), count: 1 };
        let planned = effects(&action, &view(&deployment, true, &containers));
        assert!(matches!(&planned[..], [Effect::Launch { published: false, .. }]), "{planned:?}");
    }

    #[test]
    fn the_first_copy_takes_a_free_port_at_once() {
        let deployment = id("d");
        let action = Action::Scale { release: id("new"), count: 1 };
        let planned = effects(&action, &view(&deployment, true, &[]));
        assert!(matches!(&planned[..], [Effect::Launch { published: true, .. }]), "{planned:?}");
    }

    #[test]
    fn routing_hands_the_port_over_and_keeps_the_old_container() {
        let deployment = id("d");
        let containers = [container("old", 0, true, true), container("new", 0, false, true)];
        let weights = vec![Weight { release: id("new"), percent: 100 }];
        let planned = effects(&Action::Route { weights }, &view(&deployment, true, &containers));
        assert!(
            matches!(
                &planned[..],
                [
                    Effect::Create { published: true, .. },
                    Effect::Stop { .. },
                    Effect::Launch { published: true, .. },
                    Effect::Remove { gently: false, .. },
                    Effect::SetRoute { .. }
                ]
            ),
            "{planned:?}"
        );
    }

    #[test]
    fn what_was_created_before_a_crash_is_started_after_it() {
        let deployment = id("d");
        let mut created = container("new", 1, true, false);
        created.created_only = true;
        let containers = [container("old", 0, true, true), created];
        let weights = vec![Weight { release: id("new"), percent: 100 }];
        let planned = effects(&Action::Route { weights }, &view(&deployment, true, &containers));
        assert!(
            matches!(
                &planned[..],
                [Effect::Stop { .. }, Effect::Launch { published: true, .. }, Effect::SetRoute { .. }]
            ),
            "{planned:?}"
        );
    }

    #[test]
    fn routing_back_starts_the_kept_container() {
        let deployment = id("d");
        let containers = [container("old", 0, true, false), container("new", 1, true, true)];
        let weights = vec![Weight { release: id("old"), percent: 100 }];
        let planned = effects(&Action::Route { weights }, &view(&deployment, true, &containers));
        assert!(
            matches!(&planned[..], [Effect::Stop { .. }, Effect::Start { .. }, Effect::SetRoute { .. }]),
            "{planned:?}"
        );
    }

    #[test]
    fn companions_are_brought_up_before_the_first_instance_that_needs_them() {
        let (deployment, old) = (id("d"), [container("old", 0, false, true)]);
        let stale = [id("new")];
        let view = View { stale: &stale, ..view(&deployment, false, &old) };
        let planned = effects(&Action::Scale { release: id("new"), count: 1 }, &view);
        assert!(matches!(&planned[..], [Effect::Companions { .. }, Effect::Launch { .. }]), "{planned:?}");
    }

    #[test]
    fn removing_a_release_gives_the_companions_back_to_the_one_that_serves() {
        let deployment = id("d");
        let containers = [container("old", 0, false, true), container("new", 0, false, true)];
        let (traffic, stale) = ([Weight { release: id("old"), percent: 100 }], [id("old")]);
        let view = View { traffic: &traffic, stale: &stale, ..view(&deployment, false, &containers) };
        let remove = Action::Scale { release: id("new"), count: 0 };
        let planned = effects(&remove, &view);
        assert!(matches!(&planned[..], [Effect::Companions { .. }, Effect::Remove { .. }]), "{planned:?}");
        let planned = effects(&remove, &View { stale: &[], ..view });
        assert!(matches!(&planned[..], [Effect::Remove { .. }]), "{planned:?}");
    }
}
