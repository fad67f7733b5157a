use serde_json::json;
use windlass_sdk::notifier::{Event, Severity};
use windlass_sdk::testkit::{failed_deployment as event, json_body as body, only_request, rendered};

use crate::Gotify;

#[test]
fn an_event_is_a_message_of_the_application() {
    let request = only_request::<Gotify>(
        &json!({ "louder": 1 }),
        event("shop: deployment 7 failed", "It never answered."),
    );
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/message"));
    assert_eq!(request.credential.as_deref(), Some("token"));
    let wanted = json!({
        "title": "shop: deployment 7 failed", "message": "It never answered.", "priority": 9,
        "extras": { "client::notification": { "click": { "url": "https://windlass.example/deployments/7" } } },
    });
    assert_eq!(body(&request), wanted);
}

#[test]
fn an_event_without_text_and_page_is_told_by_its_title() {
    let request = only_request::<Gotify>(
        &json!({}),
        Event { url: None, severity: Severity::Info, ..event("shop is out", "") },
    );
    assert_eq!(body(&request), json!({ "title": "shop is out", "message": "shop is out", "priority": 2 }));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let failure = rendered::<Gotify>(&json!({ "colour": 1 }), event("a", "")).expect_err("a typing error");
    assert_eq!(failure.code, "invalid-settings");
    assert!(failure.message.contains("colour"), "{}", failure.message);
}
