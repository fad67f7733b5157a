use serde_json::{Value, json};
use windlass_sdk::notifier::{Event, Severity};
use windlass_sdk::testkit::rendered;

use crate::WebhookNotify;
use crate::message::rfc3339;

fn event(kind: &str, severity: Severity) -> Event {
    Event {
        id: "0199".to_owned(),
        kind: kind.to_owned(),
        at: 1_769_860_800_123,
        severity,
        title: "shop is deployed".to_owned(),
        text: "It took 12 s.".to_owned(),
        stack: Some("shop".to_owned()),
        url: None,
        data: r#"{"seq":7,"big":12345678901234567890}"#.to_owned(),
        extras: Vec::new(),
    }
}

fn is_told(settings: &Value, kind: &str, severity: Severity) -> bool {
    !rendered::<WebhookNotify>(settings, event(kind, severity)).expect("it renders").is_empty()
}

#[test]
fn an_event_is_one_signed_post_to_the_targets_url() {
    let requests = rendered::<WebhookNotify>(&json!({}), event("deployment.successful", Severity::Success))
        .expect("it renders");
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", ""));
    assert_eq!(request.credential.as_deref(), Some("signing"));
    assert_eq!(request.headers, [("content-type".to_owned(), "application/json".to_owned())]);
    let text = String::from_utf8(request.body.clone()).expect("it is text");
    assert!(text.contains("12345678901234567890"), "numbers stay as they are: {text}");
    let body: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(body["type"], "deployment.successful");
    assert_eq!(body["timestamp"], "2026-01-31T12:00:00.123Z");
    assert_eq!(
        (&body["severity"], &body["stack"], &body["url"]),
        (&json!("success"), &json!("shop"), &Value::Null)
    );
    assert_eq!(body["data"]["seq"], 7);
}

#[test]
fn the_settings_choose_the_credential() {
    for (word, slot) in [("signature", Some("signing")), ("token", Some("token")), ("none", None)] {
        let requests =
            rendered::<WebhookNotify>(&json!({ "authentication": word }), event("a", Severity::Info))
                .expect("it renders");
        assert_eq!(requests[0].credential.as_deref(), slot);
    }
}

#[test]
fn only_what_the_operator_wants_is_told() {
    let settings = json!({ "events": ["deployment.*", "build.failed"], "least_severity": "warning" });
    assert!(is_told(&settings, "deployment.failed", Severity::Error));
    assert!(is_told(&settings, "build.failed", Severity::Other("dire".to_owned())));
    assert!(!is_told(&settings, "build.started", Severity::Error));
    assert!(!is_told(&settings, "deployment.successful", Severity::Success));
    assert!(is_told(&json!({}), "anything", Severity::Info));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let failure = rendered::<WebhookNotify>(&json!({ "evnets": [] }), event("a", Severity::Info))
        .expect_err("a typing error");
    assert_eq!(failure.code, "invalid-settings");
    assert!(failure.message.contains("evnets"), "{}", failure.message);
}

#[test]
fn times_are_written_as_rfc_3339_has_them() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_799_999, "2000-02-29T23:59:59.999Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
    ] {
        assert_eq!(rfc3339(ms), text);
    }
}
