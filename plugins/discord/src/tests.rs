use serde_json::json;
use windlass_sdk::testkit::{failed_deployment as event, json_body as body, only_request, rendered};

use crate::Discord;

#[test]
fn an_event_is_one_embed() {
    let request = only_request::<Discord>(
        &json!({ "username": "windlass" }),
        event("shop: deployment 7 failed", "It never answered."),
    );
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", ""));
    assert_eq!(request.credential.as_deref(), Some("webhook"));
    let body = body(&request);
    let embed = &body["embeds"][0];
    assert_eq!(
        (&embed["title"], &embed["description"]),
        (&json!("shop: deployment 7 failed"), &json!("It never answered."))
    );
    assert_eq!((&embed["color"], &body["username"]), (&json!(0x00d1_3b3b), &json!("windlass")));
    assert_eq!(embed["url"], "https://windlass.example/deployments/7");
}

#[test]
fn what_others_wrote_calls_nobody_and_formats_nothing() {
    let body = body(&only_request::<Discord>(
        &json!({}),
        event("a", "@everyone [x](https://evil.example) **loud**"),
    ));
    assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
    let said = "@everyone \\[x\\](https://evil.example) \\*\\*loud\\*\\*";
    assert_eq!(body["embeds"][0]["description"], said);
}

#[test]
fn long_texts_stay_within_the_limits() {
    let body = body(&only_request::<Discord>(&json!({}), event(&"t".repeat(1000), &"*".repeat(9000))));
    let count = |field: &str| body["embeds"][0][field].as_str().expect("text").chars().count();
    assert!(
        count("title") <= 256 && count("description") <= 4096,
        "{} {}",
        count("title"),
        count("description")
    );
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let failure = rendered::<Discord>(&json!({ "colour": 1 }), event("a", "")).expect_err("a typing error");
    assert_eq!(failure.code, "invalid-settings");
    assert!(failure.message.contains("colour"), "{}", failure.message);
}
