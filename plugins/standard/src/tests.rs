use windlass_sdk::strategy::{
    Action, Instance, InstanceState, News, Outcome, Port, Release, Situation, Stack, Step, Strategy, Volume,
    Weight,
};
use windlass_sdk::testkit::{Before, Native, Outlook, Report, Simulation, forecast};

use crate::Standard;

const TIMEOUT: u64 = 60_000;

pub fn release(id: &str) -> Release {
    Release { id: id.to_owned(), image: id.to_owned(), commit: String::new(), created: 0, extras: Vec::new() }
}

pub fn instance(release: &str, state: InstanceState, since: u64) -> Instance {
    let id = format!("{release}-{since}");
    Instance { release: release.to_owned(), id, state, since, restarts: 0, reason: String::new() }
}

pub fn situation() -> Situation {
    Situation {
        stack: Stack {
            name: "web".to_owned(),
            replicas: 1,
            ports: Vec::new(),
            volumes: Vec::new(),
            health_timeout_ms: TIMEOUT,
            rollback_on_failure: true,
            extras: Vec::new(),
        },
        target: release("new"),
        stable: Some(release("old")),
        params: "{}".to_owned(),
        now: 1_000_000,
        started: 1_000_000,
        step_started: 1_000_000,
        fleet: vec![instance("old", InstanceState::Healthy, 1)],
        traffic: traffic("old"),
        samples: Vec::new(),
        approval: None,
        abort_requested: false,
    }
}

pub fn traffic(release: &str) -> Vec<Weight> {
    vec![Weight { release: release.to_owned(), percent: 100 }]
}

/// A rollout, told like a story: what is seen, and what is ordered then.
struct Story {
    situation: Situation,
    memory: Vec<u8>,
    last: Option<Step>,
}

impl Story {
    fn new(change: impl FnOnce(&mut Situation)) -> Self {
        let mut situation = situation();
        change(&mut situation);
        Self { situation, memory: Vec::new(), last: None }
    }

    fn sees(&mut self, change: impl FnOnce(&mut Situation)) -> &mut Self {
        self.situation.now += 1_000;
        change(&mut self.situation);
        self
    }

    fn orders(&mut self, actions: &[Action]) -> &mut Self {
        let step = Standard::decide(&self.memory, self.situation.clone()).expect("it decides");
        let orders: Vec<&Action> = step.actions.iter().filter(|action| action.told().is_none()).collect();
        assert_eq!(orders, actions.iter().collect::<Vec<_>>(), "{}", step.label);
        self.memory = step.memory.clone();
        self.last = Some(step);
        self
    }

    fn last(&self) -> &Step {
        self.last.as_ref().expect("there was a step")
    }
}

fn sees_instances(releases: &[(&str, InstanceState)]) -> impl FnOnce(&mut Situation) {
    move |situation| {
        let now = situation.now;
        situation.fleet = releases.iter().map(|(name, state)| instance(name, state.clone(), now)).collect();
    }
}

fn routed(release: &str) -> impl FnOnce(&mut Situation) {
    let weights = traffic(release);
    move |situation| situation.traffic = weights
}

fn end(outcome: Outcome) -> Action {
    Action::Finish(outcome)
}

fn drain(release: &str) -> Action {
    Action::Drain(release.to_owned())
}

use InstanceState::{Exited, Healthy, Starting, Unhealthy};

#[test]
fn the_old_release_is_stopped_only_after_the_new_one_serves() {
    Story::new(|_| {})
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Starting)]))
        .orders(&[])
        .sees(sees_instances(&[("old", Healthy), ("new", Healthy)]))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"))
        .orders(&[drain("old"), Action::scale("old", 0), end(Outcome::Succeeded)]);
}

#[test]
fn all_replicas_have_to_be_healthy_before_the_switch() {
    let mut story = Story::new(|situation| situation.stack.replicas = 2);
    story
        .orders(&[Action::scale("new", 2)])
        .sees(sees_instances(&[("old", Healthy), ("new", Healthy), ("new", Starting)]))
        .orders(&[]);
    assert_eq!(story.last().label, "Waiting until the new release is healthy: 1 of 2 instances are");
    story.sees(sees_instances(&[("new", Healthy), ("new", Healthy)])).orders(&[Action::route_all("new")]);
}

#[test]
fn the_new_release_has_to_stay_healthy_for_the_time_to_settle() {
    let mut story = Story::new(|situation| situation.params = r#"{"settle_ms": 5000}"#.to_owned());
    story
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Healthy)]))
        .orders(&[]);
    assert_eq!(story.last().wake_after, Some(5_000));
    story.sees(|situation| situation.now += 3_000).orders(&[]);
    assert_eq!(story.last().wake_after, Some(1_000));
    story.sees(|_| {}).orders(&[Action::route_all("new")]);
}

#[test]
fn the_first_release_needs_no_other() {
    let first = |situation: &mut Situation| {
        situation.stable = None;
        situation.traffic.clear();
        situation.fleet.clear();
    };
    Story::new(first)
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("new", Healthy)]))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"))
        .orders(&[end(Outcome::Succeeded)]);
    Story::new(first)
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("new", Exited)]))
        .orders(&[Action::scale("new", 0), end(failed("an instance of the new release exited"))]);
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed(reason.to_owned())
}

fn rolled_back(reason: &str) -> Outcome {
    Outcome::RolledBack(reason.to_owned())
}

#[test]
fn deploying_what_already_serves_finishes_at_once() {
    let again = |situation: &mut Situation| situation.stable = Some(release("new"));
    Story::new(again)
        .sees(sees_instances(&[("new", Healthy)]))
        .sees(routed("new"))
        .orders(&[Action::scale("new", 1), end(Outcome::Succeeded)]);
}

#[test]
fn deploying_what_should_serve_and_does_not_starts_it_and_never_removes_it() {
    let again = |situation: &mut Situation| situation.stable = Some(release("new"));
    let mut story = Story::new(again);
    story
        .sees(sees_instances(&[("new", Exited)]))
        .sees(routed("new"))
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("new", Starting)]))
        .orders(&[])
        .sees(|situation| situation.now += 2 * TIMEOUT);
    let reason = "the new release did not become healthy within 60 s: 0 of 1 instances are";
    story.orders(&[end(failed(reason))]);
}

#[test]
fn a_crash_before_the_switch_only_removes_the_new_release() {
    let reason = "an instance of the new release exited: status 1";
    Story::new(|_| {})
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Exited)]))
        .sees(|situation| situation.fleet[1].reason = "status 1".to_owned())
        .orders(&[Action::scale("new", 0), end(rolled_back(reason))]);
}

#[test]
fn a_crash_loop_is_a_failure_even_if_it_looks_healthy_now() {
    let reason = "an instance of the new release was restarted 3 times";
    Story::new(|_| {})
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Healthy)]))
        .sees(|situation| situation.fleet[1].restarts = 3)
        .orders(&[Action::scale("new", 0), end(rolled_back(reason))]);
}

#[test]
fn what_is_left_of_an_earlier_try_is_not_held_against_the_new_one() {
    Story::new(|_| {})
        .sees(sees_instances(&[("old", Healthy), ("new", Exited)]))
        .sees(|_| {})
        .orders(&[Action::scale("new", 1)])
        .sees(|_| {})
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Healthy)]))
        .orders(&[Action::route_all("new")]);
}

#[test]
fn a_failure_after_the_switch_sends_the_requests_back_first() {
    let reason = "an instance of the new release is unhealthy";
    Story::new(|situation| situation.params = r#"{"settle_ms": 100}"#.to_owned())
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Healthy)]))
        .sees(|_| {})
        .orders(&[Action::route_all("new")])
        .sees(routed("new"))
        .sees(sees_instances(&[("old", Healthy), ("new", Unhealthy)]))
        .orders(&[Action::route_all("old")])
        .sees(routed("old"))
        .orders(&[Action::scale("new", 0), end(rolled_back(reason))]);
}

#[test]
fn a_release_that_never_becomes_healthy_is_given_up_after_the_timeout() {
    let mut story = Story::new(|_| {});
    story.orders(&[Action::scale("new", 1)]);
    assert_eq!(story.last().wake_after, Some(TIMEOUT + 5_000));
    let reason = "the new release did not become healthy within 60 s: 0 of 1 instances are";
    story
        .sees(sees_instances(&[("old", Healthy), ("new", Starting)]))
        .sees(|situation| situation.now += TIMEOUT + 5_000)
        .orders(&[Action::scale("new", 0), end(rolled_back(reason))]);
}

#[test]
fn with_a_fixed_port_the_new_container_has_to_become_healthy_again() {
    let port = |situation: &mut Situation| {
        situation.stack.ports.push(Port { container: 80, host: Some(8080) });
    };
    let mut story = Story::new(port);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Healthy)]))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"))
        .sees(sees_instances(&[("old", Exited), ("new", Starting), ("new", Exited)]))
        .orders(&[]);
    let memory = story.memory.clone();
    story
        .sees(sees_instances(&[("old", Exited), ("new", Healthy)]))
        .orders(&[Action::scale("old", 0), end(Outcome::Succeeded)]);
    story.memory = memory;
    let reason = "an instance of the new release is unhealthy";
    story
        .sees(sees_instances(&[("old", Exited), ("new", Unhealthy)]))
        .orders(&[Action::route_all("old")])
        .sees(routed("old"))
        .sees(sees_instances(&[("old", Starting), ("new", Exited)]))
        .orders(&[])
        .sees(sees_instances(&[("old", Healthy), ("new", Exited)]))
        .orders(&[Action::scale("new", 0), end(rolled_back(reason))]);
}

fn with_volume(situation: &mut Situation) {
    let volume = Volume { name: "data".to_owned(), path: "/data".to_owned(), read_only: false };
    situation.stack.volumes.push(volume);
}

#[test]
fn two_copies_cannot_share_a_volume_so_the_old_one_goes_first() {
    Story::new(with_volume)
        .orders(&[Action::scale("old", 0)])
        .sees(sees_instances(&[("old", InstanceState::Other("stopping".to_owned()))]))
        .orders(&[Action::scale("old", 0)])
        .sees(sees_instances(&[]))
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("new", Healthy)]))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"))
        .orders(&[Action::scale("old", 0), end(Outcome::Succeeded)]);
}

#[test]
fn where_copies_exclude_each_other_the_old_one_goes_first() {
    let exclusive = |situation: &mut Situation| {
        situation.stack.extras.push(("exclusive".to_owned(), "it holds a lock".to_owned()));
    };
    Story::new(exclusive)
        .orders(&[Action::scale("old", 0)])
        .sees(sees_instances(&[]))
        .orders(&[Action::scale("new", 1)]);
}

#[test]
fn a_read_only_volume_can_be_shared() {
    Story::new(|situation| {
        with_volume(situation);
        situation.stack.volumes[0].read_only = true;
    })
    .orders(&[Action::scale("new", 1)]);
}

#[test]
fn without_overlap_the_way_back_stops_the_new_release_first() {
    let reason = "an instance of the new release is unhealthy";
    Story::new(|situation| situation.params = r#"{"recreate": true}"#.to_owned())
        .orders(&[Action::scale("old", 0)])
        .sees(sees_instances(&[]))
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("new", Unhealthy)]))
        .orders(&[Action::scale("new", 0)])
        .sees(sees_instances(&[]))
        .orders(&[Action::scale("old", 1)])
        .sees(sees_instances(&[("old", Starting)]))
        .orders(&[])
        .sees(sees_instances(&[("old", Healthy)]))
        .orders(&[Action::scale("new", 0), end(rolled_back(reason))]);
}

#[test]
fn if_the_old_release_does_not_come_back_both_reasons_are_told() {
    Story::new(with_volume)
        .orders(&[Action::scale("old", 0)])
        .sees(sees_instances(&[]))
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("new", Exited)]))
        .orders(&[Action::scale("old", 1)])
        .sees(sees_instances(&[("old", Starting)]))
        .sees(|situation| situation.now += TIMEOUT + 5_000)
        .orders(&[end(failed(
            "an instance of the new release exited; and the previous release did not serve again within 60 s",
        ))]);
}

#[test]
fn where_no_rollback_is_wanted_what_serves_keeps_serving() {
    Story::new(|situation| situation.stack.rollback_on_failure = false)
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Exited)]))
        .orders(&[Action::scale("new", 0), end(failed("an instance of the new release exited"))]);
}

#[test]
fn an_abort_goes_back_from_anywhere() {
    let abort = |situation: &mut Situation| situation.abort_requested = true;
    let undone = [Action::scale("new", 0), end(rolled_back("aborted on request"))];
    Story::new(abort).orders(&undone);
    Story::new(|_| {})
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Healthy)]))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"))
        .sees(abort)
        .orders(&[Action::route_all("old")])
        .sees(routed("old"))
        .orders(&undone);
}

#[test]
fn parameters_are_checked_with_advice() {
    let messages = |params| {
        let problems = Standard::validate(params, &situation().stack);
        problems
            .into_iter()
            .map(|problem| format!("{} {}", problem.path, problem.message))
            .collect::<Vec<_>>()
    };
    assert_eq!(messages(""), [""; 0]);
    assert_eq!(messages(r#"{"recreate": true, "settle_ms": 600000}"#), [""; 0]);
    assert_eq!(
        messages(r#"{"settle-ms": 1, "recreate": "yes", "settle_ms": 600001}"#),
        [
            "/settle-ms There is no parameter `settle-ms`; did you mean `settle_ms`?",
            "/recreate `recreate` has to be true or false, but is \"yes\".",
            "/settle_ms `settle_ms` has to be a whole number from 0 to 600000, but is 600001.",
        ]
    );
    assert_eq!(messages("[]"), [" The parameters have to be a JSON object, but are a list."]);
}

#[test]
fn bad_parameters_and_foreign_memory_are_failures() {
    let code = |memory: &[u8], params: &str| {
        let situation = Situation { params: params.to_owned(), ..situation() };
        Standard::decide(memory, situation).map(|step| step.label).map_err(|failure| failure.code)
    };
    assert_eq!(code(b"", r#"{"x": 1}"#), Err("invalid-parameters".to_owned()));
    assert_eq!(code(b"other", "{}"), Err("foreign-memory".to_owned()));
}

/// The new release serves, and is watched for a minute.
fn baking(change: impl FnOnce(&mut Situation)) -> Story {
    let mut story = Story::new(|situation| {
        situation.params = r#"{"bake_s": 60}"#.to_owned();
        situation.answers("old", 5_000, 4, 60.0);
        change(situation);
    });
    story
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("old", Healthy), ("new", Healthy)]))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"));
    story
}

fn answers(requests: u64, errors_5xx: u64) -> impl FnOnce(&mut Situation) {
    move |situation| situation.answers("new", requests, errors_5xx, 60.0)
}

#[test]
fn with_a_bake_the_old_copy_stays_ready_until_it_is_over() {
    let mut story = baking(|_| {});
    story.orders(&[]);
    assert_eq!(story.last().label, "All requests go to new; the old copy stays ready for 1 min");
    assert_eq!(story.last().wake_after, Some(60_000));
    let told = story.last().actions[0].told();
    assert_eq!(told, Some((News::Baking, "All requests go to new; the old copy stays ready for 1 min")));
    story
        .sees(sees_instances(&[("old", Exited), ("new", Healthy)]))
        .orders(&[Action::scale("old", 1)])
        .sees(|situation| situation.now += 60_000)
        .orders(&[Action::scale("old", 0), end(Outcome::Succeeded)]);
}

#[test]
fn errors_in_the_bake_bring_the_old_copy_back() {
    let reason = "8.0 % of 100 answers of the new release failed, before it was 0.1 %";
    baking(|_| {})
        .orders(&[])
        .sees(answers(100, 8))
        .orders(&[Action::route_all("old")])
        .sees(routed("old"))
        .orders(&[Action::scale("new", 0), end(rolled_back(reason))]);
    baking(|situation| situation.stack.rollback_on_failure = false)
        .orders(&[])
        .sees(answers(100, 8))
        .orders(&[end(failed(reason))]);
}

#[test]
fn in_the_bake_a_fixed_port_goes_back_to_the_container_that_held_it() {
    let port = |situation: &mut Situation| {
        situation.stack.ports.push(Port { container: 80, host: Some(8080) });
    };
    baking(port)
        .sees(sees_instances(&[("old", Exited), ("new", Healthy)]))
        .orders(&[])
        .sees(sees_instances(&[("old", Exited), ("new", Unhealthy)]))
        .orders(&[Action::route_all("old")]);
}

#[test]
fn in_the_bake_of_what_excludes_copies_the_new_one_goes_before_the_old_one_comes_back() {
    let mut story = Story::new(|situation| {
        with_volume(situation);
        situation.params = r#"{"bake_s": 60}"#.to_owned();
    });
    story
        .orders(&[Action::scale("old", 0)])
        .sees(sees_instances(&[]))
        .orders(&[Action::scale("new", 1)])
        .sees(sees_instances(&[("new", Healthy)]))
        .orders(&[Action::route_all("new")])
        .sees(routed("new"))
        .orders(&[]);
    assert_eq!(story.last().label, "All requests go to new; it is watched for 1 min");
    story
        .sees(|situation| situation.abort_requested = true)
        .orders(&[Action::scale("new", 0)])
        .sees(sees_instances(&[]))
        .orders(&[Action::scale("old", 1)]);
}

#[test]
fn what_was_remembered_before_there_was_a_bake_is_still_understood() {
    let memory = br#"{"phase":"switching","since":1,"ordered":1,"progress":70,"failed":null,"notes":null}"#;
    let mut situation = situation();
    situation.traffic = traffic("new");
    situation.fleet = vec![instance("new", Healthy, 1)];
    let step = Standard::decide(memory, situation).expect("it decides");
    assert_eq!(step.actions.last(), Some(&end(Outcome::Succeeded)));
}

/// All three ends were seen, so the worlds are no mere formality.
fn expect_variety(report: &Report) {
    report.expect_good();
    let worlds = report.worlds;
    assert!(
        report.succeeded > worlds / 4 && report.rolled_back > worlds / 10 && report.failed > worlds / 50,
        "the worlds are too alike: {report}"
    );
}

#[test]
fn in_every_world_a_rollout_ends_and_keeps_its_promises() {
    expect_variety(&Simulation::new().worlds(30_000).run::<Standard>());
}

#[test]
fn watching_the_new_release_for_a_while_breaks_no_promise() {
    expect_variety(&Simulation::new().params(r#"{"settle_ms":4000}"#).run::<Standard>());
}

#[test]
fn a_bake_judges_the_answers_and_breaks_no_promise() {
    let simulation = Simulation::new().params(r#"{"bake_s":300}"#).judges_errors();
    expect_variety(&simulation.run_timed::<Standard>());
}

#[test]
fn recreating_keeps_the_other_promises_where_downtime_is_allowed() {
    let simulation = Simulation::new().params(r#"{"recreate":true}"#);
    expect_variety(&simulation.in_worlds(|world| world.allow_downtime = true).run::<Standard>());
}

#[test]
fn recreating_is_refused_where_downtime_is_not_allowed() {
    let mut stack = situation().stack;
    stack.extras = vec![("allow-downtime".to_owned(), "false".to_owned())];
    let problems = Standard::validate(r#"{"recreate":true}"#, &stack);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("allowDowntime"), "{}", problems[0].message);
    assert!(Standard::validate("{}", &stack).is_empty());
}

#[test]
fn a_forecast_counts_the_pause_in_which_a_port_changes_hands() {
    let mut stack = situation().stack;
    stack.ports.push(Port { container: 80, host: Some(8080) });
    let outlook = Outlook { healthy_after_ms: 3_000, requests_a_minute: 0, before: Before::Other };
    let told = forecast(&Native::<Standard>::default(), &stack, "{}", &outlook).expect("it comes to its end");
    assert_eq!(told.unserved_ms, 3_000);
    let first = Outlook { before: Before::Nothing, ..outlook };
    let told = forecast(&Native::<Standard>::default(), &stack, "{}", &first).expect("it comes to its end");
    assert_eq!(told.unserved_ms, 0, "nothing served before, so nothing is interrupted");
}
