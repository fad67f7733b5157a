use serde_json::json;
use windlass_sdk::testkit::{failed_deployment as event, json_body as body, only_request, rendered};

use crate::Ntfy;

#[test]
fn an_event_is_published_to_the_topic() {
    let request = only_request::<Ntfy>(
        &json!({ "topic": "ops" }),
        event("shop: deployment 7 failed", "It never answered."),
    );
    assert_eq!(
        (request.method.as_str(), request.path.as_str(), request.credential.as_deref()),
        ("POST", "/", None)
    );
    let wanted = json!({
        "topic": "ops", "title": "shop: deployment 7 failed", "message": "It never answered.", "priority": 5,
        "tags": ["x"], "click": "https://windlass.example/deployments/7",
    });
    assert_eq!(body(&request), wanted);
}

#[test]
fn a_protected_topic_gets_the_token_and_an_event_without_text_its_title() {
    let request =
        only_request::<Ntfy>(&json!({ "topic": "ops", "protected": true }), event("shop is out", ""));
    assert_eq!(request.credential.as_deref(), Some("token"));
    assert_eq!(body(&request)["message"], "shop is out");
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let failure = rendered::<Ntfy>(&json!({}), event("a", "")).expect_err("no topic");
    assert_eq!(failure.code, "invalid-settings");
    assert!(failure.message.contains("topic"), "{}", failure.message);
}
