use serde_json::{Value, json};
use windlass_sdk::notifier::Request;
use windlass_sdk::testkit::{failed_deployment as event, only_request, rendered};

use crate::Email;

fn settings() -> Value {
    json!({ "from": "Windlass <ci@example.org>", "to": ["ada@example.org", "grace@example.org"] })
}

fn values(request: &Request, name: &str) -> Vec<String> {
    request.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.clone()).collect()
}

#[test]
fn an_event_is_one_mail_to_everybody() {
    let mail = only_request::<Email>(&settings(), event("shop: deployment 7 failed", "It never answered."));
    assert_eq!(
        (mail.method.as_str(), mail.path.as_str(), mail.credential.as_deref()),
        ("MAIL", "", Some("login"))
    );
    assert_eq!(values(&mail, "from"), ["Windlass <ci@example.org>"]);
    assert_eq!(values(&mail, "to"), ["ada@example.org", "grace@example.org"]);
    assert_eq!(values(&mail, "subject"), ["[Windlass] Failure: shop: deployment 7 failed"]);
    let text = String::from_utf8(mail.body).expect("it is text");
    for part in
        ["It never answered.", "Stack: shop", "https://windlass.example/deployments/7", "deployment.failed"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_title_never_ends_the_subject() {
    let mail = only_request::<Email>(&settings(), event("a\r\nBcc: evil@example.org", ""));
    assert_eq!(values(&mail, "subject"), ["[Windlass] Failure: a Bcc: evil@example.org"]);
    assert_eq!(mail.headers.len(), 4, "{:?}", mail.headers);
}

#[test]
fn a_server_without_accounts_gets_no_login_and_answers_go_where_the_operator_says() {
    let mut settings = settings();
    settings["login"] = json!(false);
    settings["reply_to"] = json!("ops@example.org");
    let mail = only_request::<Email>(&settings, event("a", ""));
    assert_eq!(
        (mail.credential.as_deref(), values(&mail, "reply-to")),
        (None, vec!["ops@example.org".to_owned()])
    );
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let failure =
        rendered::<Email>(&json!({ "from": "a@b" }), event("a", "")).expect_err("nobody to write to");
    assert_eq!(failure.code, "invalid-settings");
    assert!(failure.message.contains("to"), "{}", failure.message);
}
