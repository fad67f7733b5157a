use windlass_sdk::strategy::InstanceState::{Exited, Healthy, Starting};
use windlass_sdk::strategy::{Action, News, Outcome, Situation, Stack, Strategy, Timing};
use windlass_sdk::testkit::{Before, Native, Outlook, Report, Simulation, Story, forecast};

use crate::Canary;

fn story(params: &str) -> Story<Canary> {
    Story::new(params)
}

fn both(situation: &mut Situation) {
    situation.runs(&[("old", Healthy), ("new", Healthy)]);
}

fn split(new: u32) -> Action {
    Action::route(&[("new", new), ("old", 100 - new)])
}

fn routed(new: u32) -> impl FnOnce(&mut Situation) {
    move |situation| situation.routes(&[("new", new), ("old", 100 - new)])
}

fn rolled_back(reason: &str) -> Action {
    Action::Finish(Outcome::RolledBack(reason.to_owned()))
}

/// The first step's share is served.
fn begun(params: &str) -> Story<Canary> {
    let mut story = story(params);
    story
        .orders(&[Action::scale("new", 1)])
        .says("Starting the new release: 0 of 1 instances are healthy")
        .sees(both)
        .orders(&[split(10)])
        .sees(routed(10))
        .orders(&[]);
    story
}

fn answers(new: (u64, u64, f64), old: (u64, u64, f64)) -> impl Fn(&mut Situation) {
    move |situation| {
        situation.answers("new", new.0, new.1, new.2);
        situation.answers("old", old.0, old.1, old.2);
    }
}

#[test]
fn a_good_release_gets_more_and_more() {
    begun("{}")
        .says("10 % of requests go to new, 5 min left of 5 min")
        .wakes_after(10_000)
        .after(60_000, answers((200, 0, 60.0), (1_800, 1, 61.0)))
        .orders(&[])
        .says("10 % of requests go to new, 4 min left of 5 min")
        .tells(&[])
        .after(240_000, answers((1_000, 0, 60.0), (9_000, 5, 61.0)))
        .orders(&[split(50)])
        .says("Sending 50 % of the requests to new")
        .tells(&[(News::Judged, "Good: its answers are as good as before")])
        .sees(routed(50))
        .orders(&[])
        .after(300_000, answers((5_000, 2, 60.0), (5_000, 2, 61.0)))
        .orders(&[Action::route_all("new")])
        .sees(|at| at.routes(&[("new", 100)]))
        .orders(&[])
        .says("All requests go to new; the old copy stays ready for 5 min")
        .tells(&[(News::Baking, "All requests go to new; the old copy stays ready for 5 min")])
        .after(300_000, |_| {})
        .orders(&[Action::Drain("old".into()), Action::scale("old", 0), Action::Finish(Outcome::Succeeded)]);
}

#[test]
fn whoever_is_in_a_hurry_ends_one_pause_after_the_other_but_answers_no_question() {
    let params = r#"{"steps": [{"weight": 10, "approval": true}, {"weight": 50}]}"#;
    begun(params)
        .sees(|at| at.hears(true))
        .orders(&[Action::Ask(
            "Raise the share of new from 10 % to 50 %? So far 0 requests are too few for a verdict.".into(),
        )])
        .sees(|at| at.hears(true))
        .orders(&[split(50)])
        .sees(routed(50))
        .orders(&[])
        .sees(|_| {})
        .orders(&[])
        .sees(|at| at.hears(true))
        .orders(&[Action::route_all("new")]);
}

#[test]
fn a_pause_tells_when_it_begins_and_when_it_is_over() {
    story(r#"{"steps": [{"weight": 10, "seconds": 60, "analysis": false}, {"weight": 50}]}"#)
        .orders(&[Action::scale("new", 1)])
        .sees(both)
        .orders(&[split(10)])
        .sees(routed(10))
        .orders(&[])
        .tells(&[(News::Paused, "10 % of requests go to new, 1 min left of 60 s")])
        .after(30_000, |_| {})
        .orders(&[])
        .tells(&[])
        .after(30_000, |_| {})
        .orders(&[split(50)])
        .tells(&[(News::Resumed, "The pause at 10 % is over")]);
}

#[test]
fn errors_have_to_be_found_twice_in_a_row_and_then_the_requests_go_back() {
    let reason = "6.0 % of 250 answers of the new release failed, and 0.1 % of 2250 of the old one's";
    begun("{}")
        .after(20_000, answers((200, 11, 60.0), (1_800, 2, 60.0)))
        .orders(&[])
        .after(5_000, answers((220, 12, 60.0), (2_000, 2, 60.0)))
        .orders(&[])
        .after(5_000, answers((250, 15, 60.0), (2_250, 2, 60.0)))
        .orders(&[Action::route_all("old")])
        .says(&format!("Restoring the previous release: {reason}"))
        .tells(&[(News::Judged, &format!("Worse: {reason}"))])
        .sees(|at| at.routes(&[("old", 100)]))
        .orders(&[Action::scale("new", 0), rolled_back(reason)]);
}

#[test]
fn a_judgement_without_new_requests_confirms_nothing() {
    let bad = || answers((200, 11, 60.0), (1_800, 2, 60.0));
    let mut story = begun("{}");
    story.after(20_000, bad()).orders(&[]).after(10_000, bad()).orders(&[]).after(60_000, bad()).orders(&[]);
}

#[test]
fn answers_that_take_twice_as_long_bring_the_requests_back() {
    begun(r#"{"failures_in_a_row": 1}"#)
        .after(20_000, answers((200, 0, 120.0), (1_800, 0, 60.0)))
        .orders(&[Action::route_all("old")])
        .says(
            "Restoring the previous release: the new release is slower: 95 % of 200 answers came within 120 ms, and of \
             the old one's within 60 ms",
        );
}

#[test]
fn fewer_requests_than_the_minimum_are_no_basis_for_anything() {
    begun(r#"{"failures_in_a_row": 1}"#)
        .after(20_000, answers((49, 49, 60.0), (450, 0, 60.0)))
        .orders(&[])
        .after(20_000, answers((51, 51, 60.0), (480, 0, 60.0)))
        .orders(&[Action::route_all("old")]);
}

/// The first step is over, and ten requests came.
fn quiet(policy: &str) -> Story<Canary> {
    let mut story = begun(&format!(r#"{{"low_traffic": "{policy}", "extend_s": 60}}"#));
    story.after(299_000, answers((10, 0, 60.0), (90, 0, 60.0))).orders(&[]).sees(|_| {});
    story
}

#[test]
fn little_traffic_is_made_up_for_by_health_checks() {
    let probe = [Action::Probe("new".into())];
    let mut story = quiet("probe");
    for done in 1..=5 {
        story.orders(&probe).says(&format!(
            "10 requests are too few for a verdict, so its health is checked 5 times instead: {done} done"
        ));
        story.sees(|_| {});
    }
    story.orders(&[split(50)]);
}

#[test]
fn with_little_traffic_people_can_be_asked() {
    let prompt = "Raise the share of new from 10 % to 50 %? So far 10 requests are too few for a verdict.";
    let ask = [Action::Ask(prompt.to_owned())];
    quiet("ask").orders(&ask).says("10 % of requests go to new; somebody has to approve 50 %");
    quiet("ask").orders(&ask).sees(|at| at.hears(true)).orders(&[split(50)]);
    quiet("ask").orders(&ask).sees(|at| at.hears(false)).orders(&[Action::route_all("old")]);
    quiet("ask").orders(&ask).after(86_400_000, |_| {}).orders(&[Action::route_all("old")]);
}

#[test]
fn with_little_traffic_it_can_go_on_or_wait() {
    quiet("promote").orders(&[split(50)]);
    quiet("extend")
        .orders(&[])
        .says("10 % of requests go to new; waiting for more of them: 10 requests are too few for a verdict")
        .after(60_000, |_| {})
        .orders(&[Action::route_all("old")]);
    quiet("extend").orders(&[]).after(30_000, answers((400, 0, 60.0), (3_600, 2, 60.0))).orders(&[split(50)]);
}

#[test]
fn what_looks_bad_does_not_go_on_without_a_verdict_whatever_the_policy() {
    begun(r#"{"low_traffic": "promote", "extend_s": 60}"#)
        .after(300_000, answers((60, 2, 60.0), (540, 0, 60.0)))
        .orders(&[])
        .says("10 % of requests go to new; waiting for more of them: after 60 requests it looks worse than before")
        .after(60_000, |_| {})
        .orders(&[Action::route_all("old")])
        .says(
            "Restoring the previous release: it could not be judged in time: after 60 requests it looks worse than before",
        );
}

#[test]
fn a_step_may_be_a_mere_pause_or_wait_for_people() {
    let pause = r#"{"steps": [{"weight": 10, "seconds": 30, "analysis": false}, {"weight": 20}]}"#;
    begun(pause).after(30_000, answers((500, 500, 60.0), (4_500, 0, 60.0))).orders(&[split(20)]);
    let approval = r#"{"steps": [{"weight": 10, "seconds": 0, "analysis": false, "approval": true}]}"#;
    let prompt = "Raise the share of new from 10 % to 100 %? So far 0 requests are too few for a verdict.";
    let mut story = story(approval);
    story
        .orders(&[Action::scale("new", 1)])
        .sees(both)
        .orders(&[split(10)])
        .sees(routed(10))
        .orders(&[Action::Ask(prompt.to_owned())])
        .sees(|at| at.hears(true))
        .orders(&[Action::route_all("new")]);
}

#[test]
fn the_release_gets_as_many_instances_as_its_share_needs() {
    let mut story = story("{}");
    story.situation.stack.replicas = 4;
    story
        .orders(&[Action::scale("new", 1)])
        .sees(both)
        .orders(&[split(10)])
        .sees(routed(10))
        .orders(&[])
        .after(300_000, answers((1_000, 0, 60.0), (9_000, 0, 60.0)))
        .orders(&[Action::scale("new", 2)]);
}

#[test]
fn a_crash_or_an_abort_at_any_share_brings_the_requests_back() {
    begun("{}").sees(|at| at.runs(&[("old", Healthy), ("new", Exited)])).orders(&[Action::route_all("old")]);
    begun("{}")
        .sees(|at| at.runs(&[("old", Healthy), ("new", Starting)]))
        .orders(&[Action::route_all("old")])
        .says("Restoring the previous release: no instance of the new release is healthy any more");
    begun("{}").sees(|at| at.abort_requested = true).orders(&[Action::route_all("old")]);
}

#[test]
fn parameters_are_checked_with_the_fields_name() {
    let said = |params: &str, extras: &[&str]| {
        let mut stack = story("{}").situation.stack;
        stack.extras = extras.iter().map(|name| ((*name).to_owned(), "false".to_owned())).collect();
        let problems = Canary::validate(params, &stack);
        problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect::<Vec<_>>()
    };
    assert!(said("{}", &[]).is_empty());
    assert_eq!(
        said(r#"{"steps": [{"weight": 50}, {"weight": 20}]}"#, &[]),
        ["/steps/1/weight: The weights have to rise from step to step: 20 follows 50."]
    );
    assert_eq!(
        said(r#"{"steps": [{"weight": 100}, {"wieght": 1}, 7]}"#, &[]),
        [
            "/steps/0/weight: `weight` has to be a whole number from 1 to 99, but is 100.",
            "/steps/1/wieght: There is no parameter `wieght`; did you mean `weight`?",
            "/steps/2: It has to be an object, but is 7.",
        ]
    );
    assert_eq!(
        said(r#"{"steps": []}"#, &[]),
        ["/steps: `steps` has to be a list of 1 to 20 objects, but is a list of 0."]
    );
    assert!(said("{}", &["split"])[0].contains("needs a router"));
    let unable = said(r#"{"steps": [{"approval": true}], "low_traffic": "ask"}"#, &["ask"]);
    assert!(
        unable[0].starts_with("/steps/0/approval") && unable[1].starts_with("/low_traffic"),
        "{unable:?}"
    );
}

#[test]
fn the_longest_wait_counts_each_step_with_its_extension_and_the_bake() {
    // Two steps of 5 min with 10 min and 10 s more, three starts of 60 s, 10 s and 30 s, 5 min of bake.
    assert_eq!(Canary::longest_wait("{}", 1, 60_000), 2 * 910_000 + 3 * 100_000 + 300_000);
    assert_eq!(Canary::longest_wait("{", 1, 60_000), 0);
}

#[track_caller]
fn expect_variety(report: &Report) {
    report.expect_good();
    let worlds = report.worlds - report.refused;
    assert!(
        report.succeeded > worlds / 10 && report.rolled_back > worlds / 10 && report.failed > worlds / 200,
        "the worlds are too alike: {report}"
    );
}

pub fn simulation(params: &str) -> Simulation {
    Simulation::new().worlds(1_000).params(params).shares_rise().judges_errors().judges_latency()
}

#[test]
fn in_every_world_a_rollout_ends_and_keeps_its_promises() {
    expect_variety(&simulation("{}").worlds(3_000).keeps_the_old_copy_for(300_000).run_timed::<Canary>());
}

#[test]
fn so_it_does_with_every_policy_and_with_people() {
    for params in [
        r#"{"low_traffic":"extend","bake_s":30}"#,
        r#"{"low_traffic":"ask","bake_s":0}"#,
        r#"{"low_traffic":"promote","steps":[{"weight":5,"seconds":60},{"weight":25,"seconds":120},{"weight":75}]}"#,
        r#"{"steps":[{"weight":20,"approval":true},{"weight":60,"seconds":5}],"failures_in_a_row":1}"#,
    ] {
        let report = simulation(params).in_worlds(|world| world.before = Before::Other).run_timed::<Canary>();
        report.expect_good();
        assert!(report.succeeded > 0 && report.rolled_back > 0, "{params}: {report}");
    }
}

#[test]
fn the_first_release_and_the_same_release_are_not_compared_with_anything() {
    let first = simulation("{}").in_worlds(|world| world.before = Before::Nothing);
    first.run_timed::<Canary>().expect_good();
    simulation("{}").in_worlds(|world| world.before = Before::Same).run_timed::<Canary>().expect_good();
}

fn told(params: &str) -> Result<windlass_sdk::testkit::Forecast, String> {
    let extras = ["split", "ask"].map(|name| (name.to_owned(), "true".to_owned()));
    let stack = Stack {
        name: "web".to_owned(),
        replicas: 1,
        ports: Vec::new(),
        volumes: Vec::new(),
        health_timeout_ms: 60_000,
        rollback_on_failure: true,
        extras: extras.to_vec(),
    };
    let outlook = Outlook { healthy_after_ms: 2_000, requests_a_minute: 1_200, before: Before::Other };
    forecast(&Native::<Canary>::timed(), &stack, params, &outlook)
}

#[test]
fn a_forecast_shows_each_share_in_its_time_and_that_something_serves_throughout() {
    let told = told("{}").expect("it comes to its end");
    let mut shares: Vec<u32> = told.steps.iter().map(|step| step.share).collect();
    shares.dedup();
    assert_eq!(shares, [0, 10, 50, 100]);
    assert_eq!(told.unserved_ms, 0);
    let begins = |share| told.steps.iter().find(|step| step.share == share).map(|step| step.at_ms / 1_000);
    assert_eq!(
        [begins(10), begins(50)],
        [Some(2), Some(302)],
        "started in two seconds, and five minutes later"
    );
}

#[test]
fn a_forecast_says_why_there_is_none() {
    let why = told(r#"{"steps":"all at once"}"#).expect_err("these are no steps");
    assert!(why.contains("refuses its parameters"), "{why}");
}
