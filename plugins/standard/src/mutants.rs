//! The simulator has to notice what is wrong: each of these is the standard strategy with one thing broken.

use std::sync::atomic::{AtomicU8, Ordering};

use windlass_sdk::strategy::{Action, InstanceState, Outcome, Step, Strategy};
use windlass_sdk::testkit::{Before, Rule, Simulation, mutant};

use crate::Standard;

#[track_caller]
fn expect<T: Strategy>(rule: Rule) {
    expect_in::<T>(&Simulation::new(), rule);
}

#[track_caller]
fn expect_in<T: Strategy>(simulation: &Simulation, rule: Rule) {
    let report = simulation.run::<T>();
    let broken = report.broken.expect("a world shows what is wrong");
    assert_eq!(broken.rule, rule, "{broken}");
    let told = broken.to_string();
    assert!(told.contains(rule.as_str()) && told.contains("What happened"), "{told}");
}

mutant!(Hasty of Standard, |memory, mut situation| {
    for instance in &mut situation.fleet {
        instance.state = InstanceState::Healthy;
    }
    Standard::decide(memory, situation)
});

#[test]
fn who_takes_every_instance_for_healthy_routes_too_early() {
    expect::<Hasty>(Rule::RoutesToHealthy);
}

mutant!(Deaf of Standard, |memory, mut situation| {
    situation.abort_requested = false;
    Standard::decide(memory, situation)
});

#[test]
fn who_does_not_hear_an_abort_is_noticed() {
    expect::<Deaf>(Rule::HearsPeople);
}

mutant!(Forgetful of Standard, |_, situation| {
    let mut step = Standard::decide(&[], situation)?;
    step.memory.clear();
    Ok(step)
});

#[test]
fn who_loses_its_memory_is_noticed() {
    let report = Simulation::new().run::<Forgetful>();
    let rule = report.broken.expect("a world shows it").rule;
    assert!(matches!(rule, Rule::ProgressNeverFalls | Rule::Ends | Rule::TellsTheTruth), "{rule}");
}

mutant!(Moody of Standard, |memory, situation| {
    static CALLS: AtomicU8 = AtomicU8::new(0);
    let mut step = Standard::decide(memory, situation)?;
    step.label = format!("{} ({})", step.label, CALLS.fetch_add(1, Ordering::Relaxed));
    Ok(step)
});

#[test]
fn who_answers_otherwise_when_asked_again_is_noticed() {
    expect::<Moody>(Rule::IsPure);
}

mutant!(Liar of Standard, |memory, situation| {
    let mut step = Standard::decide(memory, situation)?;
    for action in &mut step.actions {
        if let Action::Finish(Outcome::Failed(reason)) = action {
            *action = Action::Finish(Outcome::RolledBack(reason.clone()));
        }
    }
    Ok(step)
});

#[test]
fn who_calls_a_failure_a_rollback_is_noticed() {
    expect::<Liar>(Rule::RollbackRestores);
}

mutant!(Timid of Standard, |memory, mut situation| {
    situation.stack.rollback_on_failure = false;
    Standard::decide(memory, situation)
});

#[test]
fn who_gives_up_without_the_rollback_it_owes_is_noticed() {
    // Where both releases write to one volume, the old one has been stopped by then.
    let simulation = Simulation::new().in_worlds(|world| {
        (world.read_only_volume, world.before) = (Some(false), Before::Other);
    });
    expect_in::<Timid>(&simulation, Rule::RollbackRestores);
}

mutant!(Careless of Standard, |memory, mut situation| {
    situation.stack.volumes.clear();
    Standard::decide(memory, situation)
});

#[test]
fn who_overlooks_a_shared_volume_is_noticed() {
    expect::<Careless>(Rule::RunsOneAtATime);
}

mutant!(Eager of Standard, |memory, situation| {
    let old = situation.stable.as_ref().map(|stable| stable.id.clone());
    let mut step = Standard::decide(memory, situation)?;
    if let Some(old) = old.filter(|_| step.actions.iter().any(|action| matches!(action, Action::Route(_)))) {
        step.actions.push(Action::scale(&old, 0));
    }
    Ok(step)
});

#[test]
fn who_stops_the_old_release_before_the_route_is_seen_is_noticed() {
    expect::<Eager>(Rule::KeepsServing);
}

mutant!(Panicking of Standard, |memory, situation| {
    assert!(situation.fleet.len() < 3, "too many instances for me");
    Standard::decide(memory, situation)
});

#[test]
fn who_panics_in_some_world_is_noticed() {
    expect::<Panicking>(Rule::Answers);
}

mutant!(Endless of Standard, |memory, situation| {
    let mut step = Standard::decide(memory, situation)?;
    step.actions.retain(|action| !matches!(action, Action::Finish(_)));
    Ok(Step { wake_after: Some(1_000), ..step })
});

#[test]
fn who_never_ends_is_noticed() {
    expect::<Endless>(Rule::Ends);
}

#[test]
fn the_same_seed_finds_the_same_world_and_tells_the_same_story() {
    let told = || Simulation::new().run::<Hasty>().broken.expect("a world shows it").to_string();
    assert_eq!(told(), told());
}

#[test]
fn a_world_is_found_again_by_its_seed() {
    let broken = Simulation::new().run::<Deaf>().broken.expect("a world shows it");
    let again = Simulation::new().seed(broken.seed).worlds(1).run::<Deaf>();
    assert_eq!(again.broken.expect("the same world").to_string(), broken.to_string());
}

#[test]
fn a_broken_world_is_told_without_what_does_not_matter() {
    let broken = Simulation::new().run::<Deaf>().broken.expect("a world shows it");
    let world = &broken.scenario;
    assert!(world.abort_after.is_some(), "{broken}");
    assert!(world.interruptions.is_empty() && world.errors.is_none() && world.replicas == 1, "{broken}");
    assert!(
        world.target_lives.is_empty() && !world.fixed_port && world.read_only_volume.is_none(),
        "{broken}"
    );
}
