use windlass_sdk::strategy::InstanceState::{Exited, Healthy, Starting};
use windlass_sdk::strategy::{Action, InstanceState, News, Outcome, Situation, Stack, Strategy, Timing};
use windlass_sdk::testkit::{Report, Simulation, Story};

use crate::Rolling;

/// Three replicas, and no time to settle.
fn story(params: &str) -> Story<Rolling> {
    let mut story = Story::new(params);
    story.situation.stack.replicas = 3;
    runs(3, 0)(&mut story.situation);
    story
}

const QUICK: &str = r#"{"settle_s": 0}"#;

/// So many healthy instances of the old and of the new release.
fn runs(old: usize, new: usize) -> impl FnOnce(&mut Situation) {
    move |situation| {
        let old = std::iter::repeat_n(("old", Healthy), old);
        let all: Vec<(&str, InstanceState)> = old.chain(std::iter::repeat_n(("new", Healthy), new)).collect();
        situation.runs(&all);
    }
}

fn split(new: u32) -> Action {
    Action::route(&[("new", new), ("old", 100 - new)])
}

fn routed(new: u32) -> impl FnOnce(&mut Situation) {
    move |situation| situation.routes(&[("new", new), ("old", 100 - new)])
}

fn end(outcome: Outcome) -> Action {
    Action::Finish(outcome)
}

#[test]
fn whoever_is_in_a_hurry_lets_no_instance_settle() {
    let mut story = story(r#"{"settle_s": 60}"#);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(runs(3, 1))
        .orders(&[])
        .sees(|at| at.hears(true))
        .orders(&[split(33)])
        .says("1 of 3 instances run new")
        .sees(routed(33))
        .orders(&[Action::scale("old", 2)]);
}

#[test]
fn one_instance_after_the_other_is_replaced() {
    let mut story = story(QUICK);
    story
        .orders(&[Action::scale("new", 1)])
        .says("0 of 3 instances run new")
        .sees(runs(3, 1))
        .orders(&[split(33)])
        .sees(routed(33))
        .orders(&[Action::scale("old", 2)])
        .says("1 of 3 instances run new")
        .sees(runs(2, 1))
        .orders(&[Action::scale("new", 2)])
        .sees(runs(2, 2))
        .orders(&[split(66)])
        .sees(routed(66))
        .orders(&[Action::scale("old", 1)])
        .sees(runs(1, 2))
        .orders(&[Action::scale("new", 3)])
        .sees(runs(1, 3))
        .orders(&[Action::route_all("new")])
        .sees(|at| at.routes(&[("new", 100)]))
        .orders(&[Action::Drain("old".into()), Action::scale("old", 0), end(Outcome::Succeeded)]);
}

#[test]
fn without_room_for_more_the_old_release_shrinks_first() {
    let mut story = story(r#"{"settle_s": 0, "max_surge": 0, "max_unavailable": 1}"#);
    story
        .orders(&[Action::scale("new", 0), Action::scale("old", 2)])
        .sees(runs(2, 0))
        .orders(&[Action::scale("new", 1)])
        .sees(runs(2, 1))
        .orders(&[split(50)])
        .sees(routed(50))
        .orders(&[Action::scale("old", 1)]);
}

#[test]
fn several_at_a_time_where_several_may() {
    story(r#"{"settle_s": 0, "max_surge": 3}"#)
        .orders(&[Action::scale("new", 3)])
        .sees(runs(3, 3))
        .orders(&[Action::route_all("new")]);
}

#[test]
fn a_batch_has_to_stay_healthy_before_it_counts() {
    let mut story = story(r#"{"settle_s": 5}"#);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(runs(3, 1))
        .orders(&[])
        .wakes_after(5_000)
        .after(5_000, |_| {})
        .orders(&[split(33)]);
}

#[test]
fn where_requests_cannot_be_split_they_move_with_the_majority() {
    let mut story = story(QUICK);
    story.situation.stack.extras = vec![("split".to_owned(), "false".to_owned())];
    story
        .orders(&[Action::scale("new", 1)])
        .sees(runs(3, 1))
        .orders(&[Action::scale("old", 2)])
        .sees(runs(2, 1))
        .orders(&[Action::scale("new", 2)])
        .sees(runs(2, 2))
        .orders(&[Action::route_all("new")])
        .sees(|at| at.routes(&[("new", 100)]))
        .orders(&[Action::scale("old", 1)]);
}

#[test]
fn a_bad_instance_brings_all_the_old_ones_back() {
    let reason = "an instance of the new release exited";
    let mut story = story(QUICK);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(runs(3, 1))
        .orders(&[split(33)])
        .sees(routed(33))
        .orders(&[Action::scale("old", 2)])
        .sees(|at| at.runs(&[("old", Healthy), ("old", Healthy), ("new", Exited)]))
        .orders(&[Action::scale("old", 3), Action::route_all("old")])
        .sees(|at| at.routes(&[("old", 100)]))
        .sees(|at| at.runs(&[("old", Healthy), ("old", Healthy), ("old", Starting), ("new", Exited)]))
        .orders(&[])
        .sees(runs(3, 0))
        .orders(&[Action::scale("new", 0), end(Outcome::RolledBack(reason.into()))]);
}

#[test]
fn a_batch_that_hangs_is_given_up_after_its_own_time() {
    let reason = "the next instances did not become healthy within 60 s: 0 of 3 are";
    let mut story = story(QUICK);
    story
        .orders(&[Action::scale("new", 1)])
        .after(65_000, |_| {})
        .orders(&[Action::scale("new", 0), end(Outcome::RolledBack(reason.into()))]);
}

#[test]
fn an_abort_half_way_goes_back() {
    let mut story = story(QUICK);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(runs(1, 2))
        .sees(routed(66))
        .sees(|at| at.abort_requested = true)
        // One of three could not take all requests, and the new ones still answer.
        .orders(&[Action::scale("old", 3)])
        .sees(runs(2, 2))
        .orders(&[Action::scale("old", 3), Action::route_all("old")]);
}

/// All instances are replaced, and watched for a minute.
fn baking() -> Story<Rolling> {
    let mut story = story(r#"{"settle_s": 0, "max_surge": 3, "bake_s": 60}"#);
    story
        .orders(&[Action::scale("new", 3)])
        .sees(|at| at.answers("old", 5_000, 4, 60.0))
        .sees(runs(3, 3))
        .orders(&[Action::route_all("new")])
        .sees(|at| at.routes(&[("new", 100)]))
        .orders(&[Action::Drain("old".into()), Action::scale("old", 0)])
        .says("All requests go to new; it is watched for 1 min")
        .tells(&[(News::Baking, "All requests go to new; it is watched for 1 min")])
        .sees(runs(0, 3));
    story
}

#[test]
fn a_bake_follows_the_last_batch_if_one_is_wanted() {
    baking()
        .orders(&[])
        .tells(&[])
        .after(60_000, |_| {})
        .orders(&[Action::scale("old", 0), end(Outcome::Succeeded)]);
}

#[test]
fn errors_in_the_bake_start_the_old_ones_again() {
    let reason = "8.0 % of 100 answers of the new release failed, before it was 0.1 %";
    baking()
        .sees(|at| at.answers("new", 100, 8, 60.0))
        .orders(&[Action::scale("old", 3)])
        .tells(&[(News::Judged, &format!("Worse: {reason}"))])
        .sees(runs(3, 3))
        .orders(&[Action::route_all("old")])
        .sees(|at| at.routes(&[("old", 100)]))
        .orders(&[Action::scale("new", 0), end(Outcome::RolledBack(reason.into()))]);
}

#[test]
fn parameters_that_lead_nowhere_are_refused() {
    let said = |params: &str, replicas| {
        let stack = Stack { replicas, ..story("{}").situation.stack };
        let problems = Rolling::validate(params, &stack);
        problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
    };
    assert_eq!(said("{}", 1), [""; 0]);
    assert_eq!(said(r#"{"max_surge": 0}"#, 3), ["/max_surge"]);
    assert_eq!(said(r#"{"max_surge": 0, "max_unavailable": 1}"#, 1), ["/max_surge"]);
    assert_eq!(said(r#"{"max_surge": 0, "max_unavailable": 1}"#, 2), [""; 0]);
    assert_eq!(said(r#"{"max_surge": 101, "batch": 2}"#, 2), ["/max_surge", "/batch"]);
    assert_eq!(Rolling::longest_wait("{}", 2, 60_000), 160_000);
    assert_eq!(Rolling::longest_wait(r#"{"bake_s": 100}"#, 2, 60_000), 320_000);
}

pub fn simulation(params: &str) -> Simulation {
    Simulation::new().worlds(2_000).params(params).shares_rise()
}

#[track_caller]
fn expect_variety(report: &Report) {
    report.expect_good();
    let worlds = report.worlds - report.refused;
    assert!(
        report.succeeded > worlds / 4 && report.rolled_back > worlds / 10 && report.failed > worlds / 200,
        "the worlds are too alike: {report}"
    );
}

#[test]
fn in_every_world_a_rollout_ends_and_keeps_its_promises() {
    expect_variety(&simulation("{}").worlds(10_000).misses_at_most(0).run_timed::<Rolling>());
}

#[test]
fn so_it_does_with_larger_batches_and_in_little_room() {
    for (params, missing) in [
        (r#"{"max_surge": 2, "max_unavailable": 1, "settle_s": 0}"#, 1),
        (r#"{"max_surge": 0, "max_unavailable": 2}"#, 2),
    ] {
        expect_variety(&simulation(params).misses_at_most(missing).run_timed::<Rolling>());
    }
}

#[test]
fn a_bake_judges_the_answers_and_breaks_no_promise() {
    let simulation = simulation(r#"{"bake_s": 300}"#).misses_at_most(0).judges_errors();
    expect_variety(&simulation.run_timed::<Rolling>());
}
