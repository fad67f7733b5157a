//! Cron expressions across the jumps of real clocks.

use super::*;

fn plan(cron: &str, zone: &str) -> SchedulePlan {
    SchedulePlan {
        name: "nightly".into(),
        cron: cron.into(),
        time_zone: zone.into(),
        git_ref: None,
        missed: Missed::RunOnce,
        enabled: true,
    }
}

fn at(text: &str) -> UnixMs {
    DateTime::parse_from_rfc3339(text).expect("a time").timestamp_millis()
}

fn following(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    plan(cron, zone).upcoming(at(from), count).expect("a good schedule")
}

#[test]
fn a_due_time_is_read_in_the_schedules_own_zone() {
    assert_eq!(following("30 4 * * *", "UTC", "2026-01-01T04:30:00Z", 1), ["2026-01-02T04:30:00+00:00"]);
    assert_eq!(
        following("30 4 * * mon", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1),
        ["2026-01-05T04:30:00+05:30"]
    );
    assert_eq!(following("@hourly", "UTC", "2026-01-01T04:59:59.999Z", 1), ["2026-01-01T05:00:00+00:00"]);
}

#[test]
fn a_fixed_time_in_the_spring_gap_is_due_right_after_it() {
    // Clocks go from 02:00 to 03:00.
    assert_eq!(
        following("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    );
}

#[test]
fn a_fixed_time_in_the_autumn_overlap_is_due_once() {
    // Clocks go from 03:00 back to 02:00.
    assert_eq!(
        following("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    );
}

#[test]
fn steps_follow_the_clock_that_runs() {
    assert_eq!(
        following("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:59:00Z", 5),
        [
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T02:30:00+01:00",
            "2026-10-25T03:00:00+01:00"
        ]
    );
    assert_eq!(
        following("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:29:00Z", 3),
        ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"]
    );
}

#[test]
fn what_never_comes_has_no_next_time() {
    assert_eq!(plan("0 0 30 2 *", "UTC").next_after(at("2026-01-01T00:00:00Z")).expect("read"), None);
    assert_eq!(
        following("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1),
        ["2028-02-29T00:00:00+00:00"],
        "leap days do come"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    for (plan, field, words) in [
        (plan("every day", "UTC"), "cron", "five parts"),
        (plan("61 * * * *", "UTC"), "cron", "not understood"),
        (plan("0 0 4 * * *", "UTC"), "cron", "not understood"),
        (plan("* * * * *", "Europe/Berln"), "timeZone", "Europe/Berlin"),
        (SchedulePlan { name: " ".into(), ..plan("* * * * *", "UTC") }, "name", "letters"),
        (SchedulePlan { git_ref: Some("-x".into()), ..plan("* * * * *", "UTC") }, "gitRef", "-x"),
    ] {
        match plan.check() {
            Err(Error::Invalid { field: found, message }) => {
                assert_eq!(found, field, "{message}");
                assert!(message.contains(words), "{message}");
            }
            other => panic!("{plan:?}: {other:?}"),
        }
    }
    plan("30 4 * * mon-fri", "America/New_York").check().expect("a good one");
}
