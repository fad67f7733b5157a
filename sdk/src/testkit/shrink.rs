//! Simpler worlds: what is not needed to break a rule is taken out of the world that is shown.

use super::scenario::{Before, Life, Scenario};

/// Worlds that are simpler than this one in one respect each, the boldest first.
pub(super) fn simpler(world: &Scenario) -> Vec<Scenario> {
    let calm = Scenario::calm(&world.params);
    let mut found = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Scenario)| {
        let mut other = world.clone();
        change(&mut other);
        if other != *world {
            found.push(other);
        }
    };
    offer(&|w| w.interruptions.clear());
    offer(&|w| w.target_lives.clear());
    offer(&|w| w.stable_lives.clear());
    offer(&|w| w.serving_lives.clear());
    offer(&|w| w.abort_after = None);
    offer(&|w| w.hurry_after = None);
    offer(&|w| w.errors = None);
    offer(&|w| w.leftover = false);
    offer(&|w| (w.answer_after, w.approved) = (calm.answer_after, true));
    offer(&|w| w.requests_a_minute = calm.requests_a_minute);
    offer(&|w| w.plain_host = false);
    offer(&|w| w.fixed_port = false);
    offer(&|w| w.read_only_volume = None);
    offer(&|w| w.allow_downtime = calm.allow_downtime);
    offer(&|w| w.rollback_on_failure = calm.rollback_on_failure);
    offer(&|w| w.before = if w.before == Before::Same { Before::Other } else { w.before });
    offer(&|w| w.looks_every = None);
    offer(&|w| w.routes_late = false);
    offer(&|w| w.stop_takes = 0);
    offer(&|w| w.replicas = 1);
    offer(&|w| {
        w.errors.iter_mut().for_each(|errors| errors.slower_percent = 0);
    });
    offer(&|w| {
        w.errors.iter_mut().for_each(|errors| errors.per_mille = 0);
    });
    offer(&|w| w.abort_after = w.abort_after.map(|_| 0));
    offer(&|w| w.abort_after = w.abort_after.map(|after| after / 1_000 * 1_000));
    for at in 0..world.interruptions.len() {
        offer(&|w| {
            w.interruptions.remove(at);
        });
        offer(&|w| w.interruptions[at].away = 0);
    }
    offer_lives(world, &mut found, |w| &mut w.target_lives);
    offer_lives(world, &mut found, |w| &mut w.stable_lives);
    offer_lives(world, &mut found, |w| &mut w.serving_lives);
    found
}

fn offer_lives(world: &Scenario, found: &mut Vec<Scenario>, lives: impl Fn(&mut Scenario) -> &mut Vec<Life>) {
    let mut world = world.clone();
    for at in (0..lives(&mut world).len()).rev() {
        let mut without = world.clone();
        lives(&mut without).remove(at);
        found.push(without);
        for life in [Some(Life::GOOD), rounded(&lives(&mut world)[at])].into_iter().flatten() {
            if lives(&mut world)[at] != life {
                let mut other = world.clone();
                lives(&mut other)[at] = life;
                found.push(other);
            }
        }
    }
}

/// The same life in round figures.
fn rounded(life: &Life) -> Option<Life> {
    Some(match life {
        Life::Healthy { .. } => Life::GOOD,
        Life::Exits { .. } => Life::Exits { after: 1_000 },
        Life::Loops { .. } => Life::Loops { after: 1_000 },
        Life::Dies { .. } => Life::Dies { after: 1_000, healthy_for: 1_000 },
        Life::Flaps { .. } => Life::Flaps { after: 1_000, every: 1_000 },
        Life::Hangs | Life::Unhealthy => return None,
    })
}
