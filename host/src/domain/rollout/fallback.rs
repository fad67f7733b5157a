//! The host's own strategy, for when the plugin fails, answers nonsense, or the total deadline passes: back to what
//! served before. Stateless: each call looks at the situation and orders what is missing; an outcome counts once there was
//! nothing left to do.

use super::{Action, Outcome, Situation, Step, Weight};
use crate::domain::Id;

/// Milliseconds between two looks while waiting.
const WAKE_MS: u64 = 250;

/// `reason` says why the host took over. `given_up` is set when even this took too long.
pub fn decide(situation: &Situation, reason: &str, given_up: bool) -> Step {
    let target = &situation.target.id;
    let Some(stable) = situation.stable.as_ref().filter(|stable| stable.id != *target) else {
        return without_stable(situation, reason, given_up);
    };
    let stable = &stable.id;
    let serves = situation.is_routed(stable) && situation.healthy(stable) > 0;
    if given_up {
        // What is left over is swept away later; a rollout that never ends would be worse.
        let outcome = if serves {
            Outcome::RolledBack(reason.to_string())
        } else {
            Outcome::Failed(format!("{reason}; the previous release did not become healthy again either"))
        };
        return step("Gave up", 100, vec![Action::Finish { outcome }]);
    }
    if serves {
        let outcome = Outcome::RolledBack(reason.to_string());
        // Routing again changes nothing unless the port is still with the other release, as it is when the host died
        // between handing it over and writing that down.
        let actions = vec![
            Action::Route { weights: all_to(stable) },
            Action::Scale { release: target.clone(), count: 0 },
            Action::Finish { outcome },
        ];
        return step("Restored the previous release", 100, actions);
    }
    let mut actions = Vec::new();
    if !situation.stack.run.can_overlap() {
        actions.push(Action::Scale { release: target.clone(), count: 0 });
    }
    actions.push(Action::Scale { release: stable.clone(), count: situation.stack.run.replicas });
    let reachable = situation.healthy(stable) > 0 || situation.stack.run.has_fixed_port();
    if reachable {
        actions.push(Action::Route { weights: all_to(stable) });
    }
    step("Restoring the previous release", 90, actions)
}

fn all_to(release: &Id) -> Vec<Weight> {
    vec![Weight { release: release.clone(), percent: 100 }]
}

/// Nothing to go back to: what serves healthily stays, what does not is removed.
fn without_stable(situation: &Situation, reason: &str, given_up: bool) -> Step {
    let target = &situation.target.id;
    let mut actions = Vec::new();
    if situation.healthy(target) == 0 && !given_up {
        actions.push(Action::Scale { release: target.clone(), count: 0 });
    }
    actions.push(Action::Finish { outcome: Outcome::Failed(reason.to_string()) });
    step("There is no previous release to restore", 100, actions)
}

fn step(label: &str, progress: u8, actions: Vec<Action>) -> Step {
    Step { memory: Vec::new(), label: label.to_string(), progress, actions, wake_after: Some(WAKE_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rollout::{
        Container, Effect, Instance, InstanceState, ReleaseFacts, StackFacts, plan,
    };
    use crate::domain::stack::{Port, RunSpec, Volume};

    fn id(text: &str) -> Id {
        Id::from_text(format!("00000000-{text:0>8}"))
    }

    /// An engine as far as effects can see it: what runs is healthy at the next look, unless its release is sick.
    struct World {
        containers: Vec<Container>,
        traffic: Vec<Weight>,
        run: RunSpec,
        target_is_sick: bool,
    }

    impl World {
        fn situation(&self) -> Situation {
            let facts = |name: &str| ReleaseFacts {
                id: id(name),
                image: String::new(),
                commit: String::new(),
                created: 0,
            };
            let fleet = self.containers.iter().map(|c| Instance {
                release: c.release.clone(),
                id: c.id.clone(),
                state: match (c.running, self.target_is_sick && c.release == id("new")) {
                    (false, _) => InstanceState::Exited,
                    (true, true) => InstanceState::Unhealthy,
                    (true, false) => InstanceState::Healthy,
                },
                since: 0,
                restarts: 0,
                reason: String::new(),
            });
            Situation {
                stack: StackFacts {
                    name: "web".into(),
                    run: self.run.clone(),
                    health_timeout_ms: 1000,
                    rollback_on_failure: true,
                    can_split: false,
                    can_preview: false,
                },
                target: facts("new"),
                stable: Some(facts("old")),
                params: "{}".into(),
                now: 0,
                started: 0,
                step_started: 0,
                fleet: fleet.collect(),
                traffic: self.traffic.clone(),
                samples: Vec::new(),
                approval: None,
                abort_requested: false,
            }
        }

        /// True if there was something to do.
        fn act(&mut self, action: &Action) -> bool {
            let (deployment, fleet) = (id("d"), self.situation().fleet);
            let view = plan::View {
                stack: "web",
                deployment: &deployment,
                fixed_port: self.run.has_fixed_port(),
                containers: &self.containers,
                fleet: &fleet,
                traffic: &self.traffic,
                stale: &[],
            };
            let effects = plan::effects(action, &view);
            let acted = !effects.is_empty();
            for effect in effects {
                self.carry_out(effect);
                let held = self.containers.iter().filter(|c| c.published && c.running).count();
                assert!(!self.run.has_fixed_port() || held <= 1, "two containers hold the port");
            }
            acted
        }

        fn carry_out(&mut self, effect: Effect) {
            let at = |name: &str, all: &[Container]| all.iter().position(|c| c.name == name);
            match effect {
                Effect::Create { release, name, published } => {
                    if at(&name, &self.containers).is_none() {
                        self.containers.push(container(release, &name, published, false));
                    }
                }
                Effect::Launch { release, name, published } => match at(&name, &self.containers) {
                    Some(n) => self.containers[n].running = true,
                    None => self.containers.push(container(release, &name, published, true)),
                },
                Effect::Start { name, .. } => {
                    if let Some(n) = at(&name, &self.containers) {
                        self.containers[n].running = true;
                    }
                }
                Effect::Stop { name, .. } => {
                    if let Some(n) = at(&name, &self.containers) {
                        self.containers[n].running = false;
                    }
                }
                Effect::Remove { name, .. } => self.containers.retain(|c| c.name != name),
                Effect::SetRoute { weights } => self.traffic = weights,
                Effect::Companions { .. } => {}
            }
        }
    }

    fn container(release: Id, name: &str, published: bool, running: bool) -> Container {
        Container {
            id: name.into(),
            name: name.into(),
            release,
            deployment: id("d"),
            published,
            running,
            created_only: false,
        }
    }

    /// Every world that a rollout may have been left in.
    fn worlds() -> Vec<World> {
        let mut worlds = Vec::new();
        for bits in 0..256_u32 {
            let bit = |n: u32| bits >> n & 1 == 1;
            let fixed = bit(0);
            let mut run = RunSpec::default();
            run.ports.push(Port { container: 80, host: fixed.then_some(8080), address: "127.0.0.1".into() });
            if bit(1) {
                run.volumes.push(Volume { name: "data".into(), path: "/data".into(), read_only: false });
            }
            let mut containers = Vec::new();
            if bit(2) {
                containers.push(container(id("old"), "old", fixed, bit(3) && !(fixed && bit(5) && bit(6))));
            }
            if bit(4) {
                containers.push(container(id("new"), "new", fixed && bit(5), bit(6)));
            }
            let traffic = vec![Weight { release: id(if bit(7) { "new" } else { "old" }), percent: 100 }];
            worlds.push(World { containers, traffic, run, target_is_sick: bits % 3 == 0 });
        }
        worlds
    }

    #[test]
    fn whoever_gives_up_orders_nothing_more_so_that_it_ends() {
        for world in worlds() {
            let step = decide(&world.situation(), "because", true);
            assert!(matches!(step.actions.as_slice(), [Action::Finish { .. }]), "{step:?}");
            let mut first = world.situation();
            first.stable = None;
            let step = decide(&first, "because", true);
            assert!(matches!(step.actions.as_slice(), [Action::Finish { .. }]), "{step:?}");
        }
    }

    #[test]
    fn from_every_world_the_previous_release_is_restored_within_a_few_looks() {
        for (n, mut world) in worlds().into_iter().enumerate() {
            let mut outcome = None;
            for _ in 0..8 {
                let step = decide(&world.situation(), "because", false);
                // All of them are carried out, also after the first that had something to do.
                let acted = step.actions.iter().filter(|action| world.act(action)).count() > 0;
                if let (false, Some(Action::Finish { outcome: end })) = (acted, step.actions.last()) {
                    outcome = Some(end.clone());
                }
                if outcome.is_some() {
                    break;
                }
            }
            assert_eq!(
                outcome,
                Some(Outcome::RolledBack("because".into())),
                "world {n}: {:?}",
                world.containers
            );
            let situation = world.situation();
            assert!(situation.is_routed(&id("old")) && situation.healthy(&id("old")) > 0, "world {n}");
            assert_eq!(situation.count(&id("new"), |_| true), 0, "world {n}");
            let reachable = world.containers.iter().any(|c| c.published && c.running);
            assert!(reachable || !world.run.has_fixed_port(), "world {n}: the port leads nowhere");
        }
    }
}
