//! Notifiers: what they render, and what the host sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use windlass::domain::notification::{Notification, Severity};
use windlass::error::Error;
use windlass::plugins::{Connection, Plugins, Secret, Settings, Target, signature};
use windlass_tests::components;
use windlass_tests::peer::{Peer, text};

use super::{invalid, plugins, target};

fn event(kind: &str) -> Notification {
    Notification {
        id: "e1".into(),
        kind: kind.into(),
        at: 1_700_000_000_000,
        severity: Severity::Success,
        title: "shop is out".into(),
        text: String::new(),
        stack: Some("shop".into()),
        url: None,
        data: json!({}),
    }
}

#[tokio::test]
async fn a_notifier_says_what_to_send_and_may_have_nothing_to_say() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let target = target("https://board.example/x/", json!({}));
    let requests = plugins.notifier_render("lines", &target, &event("deployment.successful")).await;
    let requests = requests.expect("requests");
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/lines"));
    assert_eq!(requests[0].credential.as_deref(), Some("secret"));
    assert_eq!(requests[0].body, b"https://board.example/x deployment.successful shop is out\n");
    let none = plugins.notifier_render("lines", &target, &event("deployment.progressed")).await;
    assert_eq!(none.expect("an answer"), []);
}

#[tokio::test]
async fn settings_that_the_schema_forbids_never_reach_the_plugin() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let target = target("https://board.example", json!({ "shell": 7 }));
    let error =
        plugins.notifier_render("lines", &target, &event("x")).await.expect_err("the schema forbids it");
    assert_eq!(invalid(error).0, "settings/shell");
    let problems = plugins.settings_problems("lines", &json!({ "shell": 7 })).expect("it is loaded");
    assert_eq!(problems[0].path, "/shell");
    assert!(matches!(plugins.settings_problems("nobody", &json!({})), Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_notification_arrives_once_signed_and_the_receiver_can_tell() {
    let statuses = [204, 503, 410];
    let count = Arc::new(AtomicUsize::new(0));
    let peer = Peer::start(move |_| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        text(statuses[n.min(2)], "")
    })
    .await;
    let folder = TempDir::new().expect("a temporary folder");
    let plugins = Plugins::start(Settings::new(folder.path())).await.expect("the engine starts");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let connection = Connection::new("board", &format!("{}/hooks/7", peer.url())).expect("a base URL");
    let connection = connection.secret("signing", Secret::new(secret)).expect("a secret");
    let target = Target { connection: Arc::new(connection), settings: json!({ "events": ["deployment.*"] }) };
    let event = event("deployment.successful");
    let requests = plugins.notifier_render("webhook-notify", &target, &event).await.expect("requests");
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    let send = async || plugins.notifier_send("webhook-notify", &target, request, &event.id).await;
    let (taken, not_now, never) = (send().await, send().await, send().await);
    assert!(taken.expect("an answer").is_good());
    assert!(not_now.expect("an answer").may_change());
    let never = never.expect("an answer");
    assert!(!never.is_good() && !never.may_change(), "{never:?}");

    let seen = &peer.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/hooks/7"));
    assert_eq!((seen.header("webhook-id"), seen.header("idempotency-key")), (Some("e1"), Some("e1")));
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!((&body["type"], &body["title"]), (&json!("deployment.successful"), &json!("shop is out")));
    // The receiver knows the same scheme: it is the one that a provider of the tests declares.
    let (_folder, others) = super::plugins(&[("anvil", components::ANVIL)]).await;
    let contract = others.provider_webhook_contract("anvil").expect("it declares one");
    let headers: Vec<(String, String)> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .iter()
        .map(|name| ((*name).to_owned(), seen.header(name).unwrap_or_default().to_owned()))
        .collect();
    let sent: i64 = headers[1].1.parse().expect("a time");
    assert_eq!(signature::verify(&contract, &headers, &seen.body, &[secret.as_bytes()], sent * 1000), Ok(0));
    let other = signature::verify(&contract, &headers, &seen.body, &[b"whsec_b3RoZXI="], sent * 1000);
    assert!(other.is_err(), "{other:?}");
}

#[tokio::test]
async fn a_notification_that_may_not_be_sent_is_refused_with_the_reason() {
    let folder = TempDir::new().expect("a temporary folder");
    let plugins = Plugins::start(Settings::new(folder.path())).await.expect("the engine starts");
    let target = target("https://board.example", json!({}));
    let event = event("deployment.successful");
    let requests = plugins.notifier_render("webhook-notify", &target, &event).await.expect("requests");
    let error =
        plugins.notifier_send("webhook-notify", &target, &requests[0], "e1").await.expect_err("no secret");
    assert!(matches!(&error, Error::Forbidden(said) if said.contains("`signing`")), "{error:?}");
}
