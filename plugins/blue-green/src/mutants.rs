//! The simulator has to notice what is wrong: each of these is the blue-green strategy with one thing broken.

use windlass_sdk::strategy::{Action, Outcome, Timing};
use windlass_sdk::testkit::{Rule, Simulation, mutant};

use crate::BlueGreen;
use crate::tests::simulation;

#[track_caller]
fn expect<T: Timing>(simulation: &Simulation, rule: Rule) {
    let broken = simulation.run_timed::<T>().broken.expect("a world shows what is wrong");
    assert_eq!(broken.rule, rule, "{broken}");
}

mutant!(Impatient of BlueGreen, |memory, mut situation| {
    situation.params = r#"{"bake_s": 10}"#.to_owned();
    BlueGreen::decide(memory, situation)
});

#[test]
fn who_cuts_the_bake_short_is_noticed() {
    expect::<Impatient>(&simulation("{}").keeps_the_old_copy_for(300_000), Rule::KeepsTheOldCopy);
}

mutant!(Thrifty of BlueGreen, |memory, situation| {
    let old = situation.stable.as_ref().map(|stable| stable.id.clone());
    let is_promoted = situation.share_of(&situation.target.id) == 100;
    let mut step = BlueGreen::decide(memory, situation)?;
    if let Some(old) = old.filter(|_| is_promoted && step.actions.is_empty()) {
        step.actions.push(Action::scale(&old, 0));
    }
    Ok(step)
});

#[test]
fn who_stops_the_old_copy_to_save_memory_is_noticed() {
    expect::<Thrifty>(&simulation("{}").keeps_the_old_copy_for(300_000), Rule::KeepsTheOldCopy);
}

mutant!(Blind of BlueGreen, |memory, mut situation| {
    situation.samples.clear();
    BlueGreen::decide(memory, situation)
});

#[test]
fn who_does_not_look_at_the_errors_is_noticed() {
    expect::<Blind>(&simulation("{}"), Rule::JudgesAnswers);
}

mutant!(Bossy of BlueGreen, |memory, mut situation| {
    if let Some(approval) = &mut situation.approval {
        approval.approved = true;
    }
    BlueGreen::decide(memory, situation)
});

#[test]
fn who_takes_every_answer_for_a_yes_is_noticed() {
    expect::<Bossy>(&simulation(r#"{"promotion":"approval"}"#), Rule::HearsPeople);
}

mutant!(Pushy of BlueGreen, |memory, situation| {
    let mut step = BlueGreen::decide(memory, situation)?;
    for action in &mut step.actions {
        if let Action::Finish(Outcome::RolledBack(_)) = action {
            *action = Action::Finish(Outcome::Succeeded);
        }
    }
    Ok(step)
});

#[test]
fn who_calls_a_rollback_a_success_is_noticed() {
    let report = simulation("{}").run_timed::<Pushy>();
    let rule = report.broken.expect("a world shows it").rule;
    assert!(matches!(rule, Rule::TellsTheTruth | Rule::HearsPeople | Rule::JudgesAnswers), "{rule}");
}

mutant!(Patient of BlueGreen, |memory, mut situation| {
    situation.params = situation.params.replace("60", "86400");
    BlueGreen::decide(memory, situation)
});

#[test]
fn who_waits_longer_than_it_said_is_noticed() {
    expect::<Patient>(&simulation(r#"{"bake_s":60}"#), Rule::Ends);
}

mutant!(Curious of BlueGreen, |memory, situation| {
    let target = situation.target.id.clone();
    let mut step = BlueGreen::decide(memory, situation)?;
    if !step.actions.iter().any(|action| matches!(action, Action::Finish(_))) {
        step.actions.push(Action::preview(&target));
    }
    Ok(step)
});

#[test]
fn who_shows_what_is_not_healthy_yet_is_noticed() {
    let simulation = simulation("{}").in_worlds(|world| world.plain_host = false);
    expect::<Curious>(&simulation, Rule::RoutesToHealthy);
}
