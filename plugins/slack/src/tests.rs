use serde_json::json;
use windlass_sdk::notifier::{Event, Severity};
use windlass_sdk::testkit::{failed_deployment as event, json_body as body, only_request, rendered};

use crate::Slack;

#[test]
fn an_event_is_one_message_to_the_webhook() {
    let request = only_request::<Slack>(
        &json!({}),
        event("shop: deployment 7 failed", "The health check never answered."),
    );
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", ""));
    assert_eq!(request.credential.as_deref(), Some("webhook"));
    let body = body(&request);
    assert_eq!(body["text"], "shop: deployment 7 failed");
    assert_eq!(
        body["blocks"][0]["text"]["text"],
        ":x: *<https://windlass.example/deployments/7|shop: deployment 7 failed>*"
    );
    assert_eq!(body["blocks"][1]["text"]["text"], "The health check never answered.");
}

#[test]
fn what_others_wrote_calls_nobody() {
    let request = only_request::<Slack>(&json!({}), event("<!channel> & <https://evil.example|shop>", ""));
    let text = body(&request).to_string();
    assert!(text.contains("&lt;!channel&gt; &amp; &lt;https://evil.example|shop&gt;"), "{text}");
    assert!(!text.contains("<!channel>"), "{text}");
}

#[test]
fn the_operator_calls_somebody_only_when_something_went_wrong() {
    let settings = json!({ "mention": "!here" });
    let bad = body(&only_request::<Slack>(&settings, event("a", "")));
    assert!(bad["blocks"][0]["text"]["text"].as_str().expect("text").starts_with("<!here> :x:"), "{bad}");
    let good =
        body(&only_request::<Slack>(&settings, Event { severity: Severity::Success, ..event("a", "") }));
    assert!(!good.to_string().contains("!here"), "{good}");
}

#[test]
fn a_long_text_is_cut() {
    let text = body(&only_request::<Slack>(&json!({}), event("a", &"x".repeat(10_000))));
    let text = text["blocks"][1]["text"]["text"].as_str().expect("text").to_owned();
    assert!(text.chars().count() == 2000 && text.ends_with('…'), "{}", text.chars().count());
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let failure = rendered::<Slack>(&json!({ "colour": 1 }), event("a", "")).expect_err("a typing error");
    assert_eq!(failure.code, "invalid-settings");
    assert!(failure.message.contains("colour"), "{}", failure.message);
}
