//! The host's own strategy, for when the plugin fails, answers nonsense, or the total deadline passes: back to what
//! served before. Stateless: each call looks at the situation and orders what is missing.

use super::{Action, Outcome, Situation, Step, Weight};

/// Milliseconds between two looks while waiting.
const WAKE_MS: u64 = 250;

/// `reason` says why the host took over. `given_up` is set when even this took too long.
pub fn decide(situation: &Situation, reason: &str, given_up: bool) -> Step {
    let target = &situation.target.id;
    let Some(stable) = situation.stable.as_ref().filter(|stable| stable.id != *target) else {
        return without_stable(situation, reason);
    };
    let stable = &stable.id;
    let serves = situation.is_routed(stable) && situation.healthy(stable) > 0;
    if serves {
        let outcome = Outcome::RolledBack(reason.to_string());
        let actions = vec![Action::Scale { release: target.clone(), count: 0 }, Action::Finish { outcome }];
        return step("Restored the previous release", 100, actions);
    }
    if given_up {
        let outcome =
            Outcome::Failed(format!("{reason}; the previous release did not become healthy again either"));
        return step("Gave up", 100, vec![Action::Finish { outcome }]);
    }
    let mut actions = Vec::new();
    if !situation.stack.run.can_overlap() {
        actions.push(Action::Scale { release: target.clone(), count: 0 });
    }
    actions.push(Action::Scale { release: stable.clone(), count: situation.stack.run.replicas });
    let reachable = situation.healthy(stable) > 0 || situation.stack.run.has_fixed_port();
    if reachable && !situation.is_routed(stable) {
        actions.push(Action::Route { weights: vec![Weight { release: stable.clone(), percent: 100 }] });
    }
    step("Restoring the previous release", 90, actions)
}

/// Nothing to go back to: what serves healthily stays, what does not is removed.
fn without_stable(situation: &Situation, reason: &str) -> Step {
    let target = &situation.target.id;
    let mut actions = Vec::new();
    if situation.healthy(target) == 0 {
        actions.push(Action::Scale { release: target.clone(), count: 0 });
    }
    actions.push(Action::Finish { outcome: Outcome::Failed(reason.to_string()) });
    step("There is no previous release to restore", 100, actions)
}

fn step(label: &str, progress: u8, actions: Vec<Action>) -> Step {
    Step { memory: Vec::new(), label: label.to_string(), progress, actions, wake_after: Some(WAKE_MS) }
}
