//! The simulator has to notice what is wrong: each of these is the canary strategy with one thing broken.

use windlass_sdk::strategy::{Action, InstanceState, Timing};
use windlass_sdk::testkit::{Before, Rule, Simulation, mutant};

use crate::Canary;
use crate::tests::simulation;

#[track_caller]
fn expect<T: Timing>(simulation: &Simulation, rule: Rule) {
    let broken = simulation.run_timed::<T>().broken.expect("a world shows what is wrong");
    assert_eq!(broken.rule, rule, "{broken}");
}

mutant!(Blind of Canary, |memory, mut situation| {
    for sample in &mut situation.samples {
        sample.errors_5xx = 0;
    }
    Canary::decide(memory, situation)
});

#[test]
fn who_does_not_look_at_the_errors_is_noticed() {
    expect::<Blind>(&simulation("{}"), Rule::JudgesAnswers);
}

mutant!(Sluggish of Canary, |memory, mut situation| {
    for sample in &mut situation.samples {
        (sample.p50_ms, sample.p95_ms, sample.p99_ms) = (20.0, 60.0, 90.0);
    }
    Canary::decide(memory, situation)
});

#[test]
fn who_does_not_look_at_the_latency_is_noticed() {
    expect::<Sluggish>(&simulation("{}"), Rule::JudgesAnswers);
}

mutant!(Hasty of Canary, |memory, mut situation| {
    for instance in &mut situation.fleet {
        instance.state = InstanceState::Healthy;
    }
    Canary::decide(memory, situation)
});

#[test]
fn who_takes_every_instance_for_healthy_is_noticed() {
    expect::<Hasty>(&simulation("{}"), Rule::RoutesToHealthy);
}

mutant!(Wavering of Canary, |memory, situation| {
    let is_late = situation.now > situation.started + 400_000;
    let mut step = Canary::decide(memory, situation)?;
    for action in &mut step.actions {
        if let Action::Route(weights) = action
            && let [target, old] = weights.as_mut_slice()
            && is_late
        {
            (target.percent, old.percent) = (5, 95);
        }
    }
    Ok(step)
});

#[test]
fn who_lowers_the_share_without_giving_up_is_noticed() {
    let simulation = simulation(r#"{"steps":[{"weight":20},{"weight":40},{"weight":60}]}"#);
    expect::<Wavering>(&simulation.in_worlds(|world| world.before = Before::Other), Rule::SharesRise);
}

mutant!(Thrifty of Canary, |memory, mut situation| {
    situation.params = r#"{"bake_s": 0}"#.to_owned();
    Canary::decide(memory, situation)
});

#[test]
fn who_stops_the_old_copy_at_once_is_noticed() {
    expect::<Thrifty>(&simulation("{}").keeps_the_old_copy_for(300_000), Rule::KeepsTheOldCopy);
}

mutant!(Bossy of Canary, |memory, mut situation| {
    if let Some(approval) = &mut situation.approval {
        approval.approved = true;
    }
    Canary::decide(memory, situation)
});

#[test]
fn who_takes_every_answer_for_a_yes_is_noticed() {
    let simulation = simulation(r#"{"steps":[{"weight":20,"approval":true}]}"#);
    expect::<Bossy>(&simulation, Rule::HearsPeople);
}

mutant!(Deaf of Canary, |memory, mut situation| {
    situation.abort_requested = false;
    Canary::decide(memory, situation)
});

#[test]
fn who_does_not_hear_an_abort_is_noticed() {
    expect::<Deaf>(&simulation("{}"), Rule::HearsPeople);
}

mutant!(Waiting of Canary, |memory, mut situation| {
    situation.params = r#"{"low_traffic":"extend","extend_s":600000}"#.to_owned();
    Canary::decide(memory, situation)
});

#[test]
fn who_waits_for_traffic_that_never_comes_is_noticed() {
    expect::<Waiting>(&simulation(r#"{"low_traffic":"extend"}"#), Rule::Ends);
}
