//! The simulator has to notice what is wrong: each of these is the rolling strategy with one thing broken.

use windlass_sdk::strategy::{Action, Timing};
use windlass_sdk::testkit::{Before, Rule, Simulation, mutant};

use crate::Rolling;
use crate::tests::simulation;

#[track_caller]
fn expect<T: Timing>(simulation: &Simulation, rule: Rule) {
    let broken = simulation.run_timed::<T>().broken.expect("a world shows what is wrong");
    assert_eq!(broken.rule, rule, "{broken}");
}

mutant!(Greedy of Rolling, |memory, mut situation| {
    situation.params = r#"{"max_unavailable": 2, "settle_s": 0}"#.to_owned();
    Rolling::decide(memory, situation)
});

#[test]
fn who_takes_more_away_than_it_may_is_noticed() {
    let simulation = simulation("{}").misses_at_most(0).in_worlds(|world| world.replicas = 3);
    expect::<Greedy>(&simulation, Rule::KeepsCapacity);
}

mutant!(Hasty of Rolling, |memory, situation| {
    let old = situation.stable.as_ref().map(|stable| stable.id.clone());
    let mut step = Rolling::decide(memory, situation)?;
    if let Some(old) = old.filter(|_| step.actions.iter().any(|action| matches!(action, Action::Route(_)))) {
        step.actions.push(Action::scale(&old, 0));
    }
    Ok(step)
});

#[test]
fn who_stops_the_old_release_before_the_requests_are_seen_to_have_moved_is_noticed() {
    let simulation = simulation("{}").in_worlds(|world| {
        (world.routes_late, world.before) = (true, Before::Other);
    });
    expect::<Hasty>(&simulation, Rule::KeepsServing);
}

mutant!(Presumptuous of Rolling, |memory, mut situation| {
    situation.stack.extras.clear();
    Rolling::decide(memory, situation)
});

#[test]
fn who_splits_the_requests_where_nobody_can_is_noticed() {
    expect::<Presumptuous>(&simulation("{}"), Rule::MakesSense);
}

mutant!(Wavering of Rolling, |memory, situation| {
    let now = situation.share_of(&situation.target.id);
    let mut step = Rolling::decide(memory, situation)?;
    for action in &mut step.actions {
        if let Action::Route(weights) = action
            && let [target, old] = weights.as_mut_slice()
            && now > 40
        {
            (target.percent, old.percent) = (20, 80);
        }
    }
    Ok(step)
});

#[test]
fn who_takes_requests_back_without_giving_up_is_noticed() {
    let simulation = simulation("{}").in_worlds(|world| (world.replicas, world.fixed_port) = (3, false));
    expect::<Wavering>(&simulation, Rule::SharesRise);
}

mutant!(Stubborn of Rolling, |memory, mut situation| {
    for instance in &mut situation.fleet {
        instance.restarts = 0;
        if instance.release == situation.target.id {
            instance.since = 0;
        }
    }
    situation.started = situation.now;
    situation.stack.health_timeout_ms = u64::MAX / 4;
    Rolling::decide(memory, situation)
});

#[test]
fn who_waits_for_a_bad_batch_forever_is_noticed() {
    expect::<Stubborn>(&simulation("{}"), Rule::Ends);
}
