use windlass_sdk::strategy::InstanceState::{Exited, Healthy, Starting};
use windlass_sdk::strategy::{Action, News, Outcome, Port, Situation, Stack, Strategy, Volume};
use windlass_sdk::testkit::{Before, Report, Simulation, Story};

use crate::BlueGreen;

const PLAIN: &str = r#"{"checks": 0}"#;

fn story(params: &str) -> Story<BlueGreen> {
    Story::new(params)
}

fn both(situation: &mut Situation) {
    situation.runs(&[("old", Healthy), ("new", Healthy)]);
}

fn routed(release: &'static str) -> impl FnOnce(&mut Situation) {
    move |situation| situation.routes(&[(release, 100)])
}

fn end(outcome: Outcome) -> Action {
    Action::Finish(outcome)
}

fn rolled_back(reason: &str) -> Action {
    end(Outcome::RolledBack(reason.to_owned()))
}

/// All requests go to the new release.
fn promoted(params: &str) -> Story<BlueGreen> {
    let mut story = story(params);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(both)
        .sees(|at| at.answers("old", 5_000, 5, 60.0))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"));
    story
}

#[test]
fn the_old_copy_stays_ready_until_the_bake_is_over() {
    let mut story = promoted(PLAIN);
    story
        .orders(&[])
        .says("All requests go to new; the old copy stays ready for 5 min")
        .wakes_after(300_000)
        .after(240_000, |_| {})
        .orders(&[])
        .says("All requests go to new; the old copy stays ready for 1 min")
        .after(61_000, |_| {})
        .orders(&[Action::Drain("old".into()), Action::scale("old", 0), end(Outcome::Succeeded)]);
}

#[test]
fn every_check_has_to_pass_before_promotion() {
    let probe = Action::Probe("new".into());
    let mut story = story(r#"{"checks": 2}"#);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(both)
        .orders(std::slice::from_ref(&probe))
        .says("Checking the new copy before promotion: 1 of 2 checks")
        .sees(|_| {})
        .orders(&[probe])
        .sees(|_| {})
        .orders(&[Action::route_all("new")]);
}

#[test]
fn a_check_that_fails_leaves_everything_as_it_was() {
    story(r#"{"checks": 1}"#)
        .orders(&[Action::scale("new", 1)])
        .sees(both)
        .orders(&[Action::Probe("new".into())])
        .sees(|at| at.runs(&[("old", Healthy), ("new", Exited)]))
        .orders(&[Action::scale("new", 0), rolled_back("an instance of the new release exited")]);
}

#[test]
fn a_timer_promotes_when_it_is_over() {
    story(r#"{"checks": 0, "promotion": "timer", "promote_after_s": 90}"#)
        .orders(&[Action::scale("new", 1)])
        .sees(both)
        .orders(&[])
        .says("new is ready and will be promoted in 2 min")
        .after(90_000, |_| {})
        .orders(&[Action::route_all("new")]);
}

#[test]
fn whoever_is_in_a_hurry_ends_the_timer_and_later_the_bake() {
    let mut story = story(r#"{"checks": 0, "promotion": "timer", "promote_after_s": 90}"#);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(|at| at.hears(true))
        .orders(&[Action::scale("new", 1)])
        .sees(both)
        .orders(&[])
        .says("new is ready and will be promoted in 2 min")
        .sees(|at| at.hears(true))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"))
        .orders(&[])
        .says("All requests go to new; the old copy stays ready for 5 min")
        .sees(|_| {})
        .orders(&[])
        .sees(|at| at.hears(true))
        .orders(&[Action::Drain("old".into()), Action::scale("old", 0), Action::Finish(Outcome::Succeeded)]);
}

#[test]
fn people_look_at_the_preview_and_approve() {
    let params = r#"{"checks": 0, "promotion": "approval", "preview": true}"#;
    let ask = Action::Ask("Send all requests to new? A full copy of it is healthy.".into());
    let asked = [Action::preview("new"), Action::preview("new"), ask];
    let begun = || {
        let mut story = story(params);
        story.orders(&[Action::scale("new", 1)]).sees(both).orders(&asked);
        story
    };
    begun()
        .says("new is ready; somebody has to approve it")
        .sees(|at| at.hears(true))
        .orders(&[Action::preview("new"), Action::route_all("new")]);
    begun()
        .sees(|at| at.hears(false))
        .orders(&[Action::scale("new", 0), rolled_back("ada refused to approve it")]);
    begun()
        .after(86_400_000, |_| {})
        .orders(&[Action::scale("new", 0), rolled_back("nobody approved it within 24 h")]);
}

#[test]
fn errors_after_the_switch_undo_it_at_once() {
    let reason = "8.0 % of 100 answers of the new release failed, before it was 0.1 %";
    promoted(PLAIN)
        .orders(&[])
        .sees(|at| at.answers("new", 100, 8, 60.0))
        .orders(&[Action::route_all("old")])
        .tells(&[(News::Judged, &format!("Worse: {reason}"))])
        .sees(routed("old"))
        .orders(&[Action::scale("new", 0), rolled_back(reason)]);
}

#[test]
fn errors_that_were_there_before_are_no_reason_to_go_back() {
    let mut story = story(PLAIN);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(both)
        .sees(|at| at.answers("old", 5_000, 400, 60.0))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"))
        .orders(&[])
        .sees(|at| at.answers("new", 100, 8, 60.0))
        .orders(&[]);
}

#[test]
fn a_crash_or_an_abort_in_the_bake_goes_back_to_the_copy_that_is_ready() {
    promoted(PLAIN)
        .sees(|at| at.runs(&[("old", Healthy), ("new", Exited)]))
        .orders(&[Action::route_all("old")]);
    promoted(PLAIN).sees(|at| at.abort_requested = true).orders(&[Action::route_all("old")]);
}

#[test]
fn an_old_copy_that_ended_is_started_again_so_that_it_stays_ready() {
    promoted(PLAIN)
        .sees(|at| at.runs(&[("old", Exited), ("new", Healthy)]))
        .orders(&[Action::scale("old", 1)])
        .sees(|at| at.runs(&[("old", Starting), ("new", Healthy)]))
        .orders(&[]);
}

#[test]
fn where_no_rollback_is_wanted_the_new_release_keeps_the_requests() {
    let mut story = promoted(PLAIN);
    story.situation.stack.rollback_on_failure = false;
    story
        .sees(|at| at.runs(&[("old", Healthy), ("new", Exited)]))
        .orders(&[end(Outcome::Failed("an instance of the new release exited".into()))]);
}

fn said(params: &str, change: impl FnOnce(&mut Stack)) -> Vec<String> {
    let mut stack = story("{}").situation.stack;
    change(&mut stack);
    let problems = BlueGreen::validate(params, &stack);
    problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

#[test]
fn what_cannot_be_done_is_said_before_it_begins() {
    assert!(said("{}", |_| {}).is_empty());
    let port = said("{}", |stack| stack.ports.push(Port { container: 80, host: Some(8080) }));
    assert!(port[0].contains("port 8080") && port[0].contains("`standard`"), "{port:?}");
    let volume = Volume { name: "data".into(), path: "/data".into(), read_only: false };
    let volume = said("{}", |stack| stack.volumes.push(volume));
    assert!(volume[0].contains("`data`"), "{volume:?}");
    let lock = ("exclusive".to_owned(), "it holds a lock".to_owned());
    let lock = said("{}", |stack| stack.extras.push(lock));
    assert!(lock[0].contains("it holds a lock") && lock[0].contains("`standard`"), "{lock:?}");
    let plain = |stack: &mut Stack| {
        stack.extras = ["preview", "ask"].map(|name| (name.to_owned(), "false".to_owned())).to_vec();
    };
    let unable = said(r#"{"preview": true, "promotion": "approval"}"#, plain);
    assert!(unable[0].starts_with("/preview: ") && unable[1].starts_with("/promotion: "), "{unable:?}");
    assert!(said("{}", plain).is_empty());
    assert_eq!(
        said(r#"{"promotion": "maybe"}"#, |_| {}),
        ["/promotion: `promotion` has to be one of `at-once`, `timer`, `approval`, but is \"maybe\"."]
    );
}

#[test]
fn a_stack_that_changed_meanwhile_is_left_alone() {
    let mut situation = story("{}").situation;
    situation.stack.ports.push(Port { container: 80, host: Some(8080) });
    let failure = BlueGreen::decide(b"", situation).expect_err("it cannot be done");
    assert_eq!(failure.code, "unsuitable-stack");
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

/// Where both releases fit side by side.
pub fn simulation(params: &str) -> Simulation {
    Simulation::new().worlds(2_000).params(params).judges_errors().shares_rise()
}

#[test]
fn in_every_world_a_rollout_ends_and_keeps_its_promises() {
    expect_variety(&simulation("{}").worlds(6_000).keeps_the_old_copy_for(300_000).run_timed::<BlueGreen>());
}

#[test]
fn so_it_does_with_people_a_preview_and_a_timer() {
    let params = r#"{"promotion":"approval","preview":true,"bake_s":60}"#;
    let people = simulation(params).in_worlds(|world| world.plain_host = false);
    // Without a bake nobody judges anything.
    let params = r#"{"promotion":"timer","promote_after_s":20,"checks":0,"bake_s":0}"#;
    let timer = Simulation::new().worlds(2_000).params(params).shares_rise();
    for report in [people, timer].map(|simulation| simulation.run_timed::<BlueGreen>()) {
        report.expect_good();
        assert!(report.succeeded > 0 && report.rolled_back > 0, "{report}");
    }
}

#[test]
fn the_first_release_and_the_same_release_need_no_bake() {
    let first = simulation("{}").in_worlds(|world| world.before = Before::Nothing);
    first.run_timed::<BlueGreen>().expect_good();
    simulation("{}").in_worlds(|world| world.before = Before::Same).run_timed::<BlueGreen>().expect_good();
}
