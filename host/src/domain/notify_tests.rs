use super::*;

fn plan(events: &[&str]) -> RulePlan {
    serde_json::from_value(json!({ "events": events })).expect("a plan")
}

fn telling(kind: &str, outcome: Outcome) -> Telling {
    let notification = Notification {
        kind: kind.into(),
        title: format!("shop: {kind}"),
        stack: Some("shop".into()),
        ..Notification::sample()
    };
    Telling { outcome, subject: "deployment:1".into(), about: None, notification }
}

fn field(result: Result<()>) -> String {
    match result {
        Err(Error::Invalid { field, .. }) => field,
        other => format!("{other:?}"),
    }
}

#[test]
fn a_rule_wants_what_its_patterns_name() {
    let plan = plan(&["deployment.*", "build.failed"]);
    assert!(plan.wants("deployment.failed") && plan.wants("build.failed"));
    assert!(!plan.wants("build.successful") && !plan.wants("deploymentx"));
    assert!(!RulePlan { enabled: false, ..plan }.wants("build.failed"));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_field() {
    assert_eq!(field(plan(&[]).check()), "events");
    assert_eq!(field(plan(&["deployment.faild"]).check()), "events");
    assert_eq!(field(plan(&["dep*"]).check()), "events");
    let good = plan(&["*"]);
    good.check().expect("it is good");
    assert_eq!(field(RulePlan { window_secs: 3601, ..good.clone() }.check()), "windowSecs");
    assert_eq!(field(RulePlan { quiet_secs: 604_801, ..good.clone() }.check()), "quietSecs");
    assert_eq!(field(RulePlan { title: Some("{{titel}}".into()), ..good }.check()), "title");
}

#[test]
fn a_template_puts_in_what_is_told_and_looks_at_it_only_once() {
    let plan = RulePlan { title: Some("[{{severity}}] {{title}} in {{stack}}".into()), ..plan(&["*"]) };
    let usual =
        Notification { title: "{{text}}".into(), ..telling("build.failed", Outcome::Bad).notification };
    let told = plan.worded(usual).expect("it is filled");
    assert_eq!(told.title, "[info] {{text}} in shop");
    assert_eq!(told.text, Notification::sample().text);
}

#[test]
fn fifty_failures_are_told_once_and_the_recovery_too() {
    let plan = plan(&["deployment.failed"]);
    let (mut trouble, mut told) = (None, Vec::new());
    for minute in 0..50 {
        let found = verdict(&plan, &telling("deployment.failed", Outcome::Bad), trouble, minute * 60_000);
        trouble = found.trouble;
        told.extend(found.told.map(|one| one.title));
    }
    let found = verdict(&plan, &telling("deployment.successful", Outcome::Good), trouble, 50 * 60_000);
    told.extend(found.told.map(|one| one.title));
    assert_eq!(told, ["shop: deployment.failed", "shop: deployment.successful, after 50 failures"]);
    assert_eq!(found.trouble, None);
    let again = verdict(&plan, &telling("deployment.successful", Outcome::Good), None, 51 * 60_000);
    assert_eq!(again.told, None, "a success is not what the rule wants");
}

#[test]
fn what_goes_on_failing_is_told_again_after_the_quiet_time() {
    let plan = plan(&["deployment.failed"]);
    let trouble = Some(Trouble { since: 0, told_at: 0, times: 6 });
    let found = verdict(&plan, &telling("deployment.failed", Outcome::Bad), trouble, 3_600_000);
    assert_eq!(found.told.expect("it is told").title, "shop: deployment.failed again, 7 times by now");
    assert_eq!(found.trouble, Some(Trouble { since: 0, told_at: 3_600_000, times: 7 }));
}

#[test]
fn a_program_is_told_everything_that_fits_and_nothing_else() {
    let plan = RulePlan { quiet_secs: 0, ..plan(&["deployment.failed"]) };
    let mut trouble = None;
    for _ in 0..3 {
        let found = verdict(&plan, &telling("deployment.failed", Outcome::Bad), trouble, 0);
        assert_eq!(found.told.expect("it is told").title, "shop: deployment.failed");
        trouble = found.trouble;
    }
    assert_eq!(verdict(&plan, &telling("deployment.successful", Outcome::Good), trouble, 0).told, None);
}

#[test]
fn that_all_is_well_is_only_news_after_it_was_not() {
    let plan = plan(&["plugin.*"]);
    assert_eq!(verdict(&plan, &telling("plugin.recovered", Outcome::Well), None, 0).told, None);
    let trouble = Some(Trouble { since: 0, told_at: 0, times: 1 });
    let found = verdict(&plan, &telling("plugin.recovered", Outcome::Well), trouble, 1);
    assert_eq!(found.told.expect("it is told").title, "shop: plugin.recovered, after a failure");
}

#[test]
fn steps_on_the_way_wait_for_what_they_lead_to_unless_everything_is_to_be_told() {
    let usual = plan(&["deployment.*"]);
    assert_eq!(usual.wait_ms(Outcome::OnTheWay), 3_600_000);
    assert_eq!(usual.wait_ms(Outcome::Neutral), 10_000);
    let program = RulePlan { window_secs: 0, quiet_secs: 0, ..usual };
    assert_eq!(program.wait_ms(Outcome::OnTheWay), 0);
    let step = telling("deployment.share_moved", Outcome::OnTheWay);
    let trouble = Some(Trouble { since: 0, told_at: 0, times: 1 });
    let found = verdict(&program, &step, trouble.clone(), 1);
    assert_eq!((found.told, found.trouble), (Some(step.notification), trouble), "it proves nothing");
}

#[test]
fn several_events_are_one_message_as_bad_as_the_worst() {
    let id = |text: &str| Id::from_text(text.to_owned());
    let mut delivery = Delivery {
        id: id("d"),
        seq: 1,
        channel_id: id("c"),
        rule_id: None,
        topic: String::new(),
        told: vec![telling("build.failed", Outcome::Bad).notification],
        status: DeliveryStatus::Pending,
        attempts: 0,
        requests_sent: 0,
        last_status: None,
        reason: None,
        next_at: 0,
        deadline_at: 0,
        created_at: 0,
        finished_at: None,
    };
    assert_eq!((delivery.message().id.as_str(), delivery.title().as_str()), ("d", "shop: build.failed"));
    delivery.told[0].severity = Severity::Error;
    delivery.told.push(telling("deployment.failed", Outcome::Bad).notification);
    let message = delivery.message();
    assert_eq!(message.title, "shop: 2 events, at last: shop: deployment.failed");
    assert_eq!(
        (message.severity, message.text.as_str()),
        (Severity::Error, "- shop: build.failed\n- shop: deployment.failed")
    );
    assert_eq!(message.data["events"][0]["kind"], "build.failed");
}

#[test]
fn the_pauses_grow_and_end() {
    let patience = Patience { first_secs: 5, attempts: 10 };
    assert_eq!(retry_ms(patience, 1, None, 0), Some(2500));
    assert_eq!(retry_ms(patience, 1, Some(90), 0), Some(90_000));
    assert!((1..10).all(|n| retry_ms(patience, n, None, 999).is_some_and(|ms| ms <= 3_600_000)));
    assert!(retry_ms(patience, 9, None, 0) > retry_ms(patience, 2, None, 999));
    assert_eq!(retry_ms(patience, 10, None, 0), None);
}

#[test]
fn a_rule_is_about_its_stack_its_team_and_what_happens_from_then_on() {
    let id = |text: &str| Id::from_text(text.to_owned());
    let rule = |stack: Option<&str>, installation: bool| Rule {
        id: id("r"),
        seq: 1,
        channel_id: id("c"),
        stack_id: stack.map(id),
        plan: RulePlan { installation, ..plan(&["*"]) },
        created_at: 100,
        updated_at: 100,
    };
    let about = About { stack_id: id("web"), team_id: id("owls") };
    let mut telling = Telling { about: Some(about), ..telling("build.failed", Outcome::Bad) };
    telling.notification.at = 100;
    assert!(telling.concerns(&rule(None, false), &id("owls")));
    assert!(telling.concerns(&rule(Some("web"), false), &id("owls")));
    assert!(!telling.concerns(&rule(Some("api"), false), &id("owls")));
    assert!(!telling.concerns(&rule(None, true), &id("foxes")));
    let of_installation = Telling { about: None, ..telling.clone() };
    assert!(of_installation.concerns(&rule(None, true), &id("owls")));
    assert!(!of_installation.concerns(&rule(None, false), &id("owls")));
    telling.notification.at = 99;
    assert!(!telling.concerns(&rule(None, false), &id("owls")));
}
