//! The other notifiers, each against a receiver that keeps what it was sent.

use serde_json::{Value, json};
use windlass_tests::peer::{Peer, text};
use windlass_tests::server::TestServer;

use super::{body, channel, test};

#[tokio::test(flavor = "multi_thread")]
async fn each_vendor_is_asked_where_it_wants_to_be_with_the_secret_where_it_belongs() {
    let peer = Peer::start(|_| text(200, "ok")).await;
    let server = TestServer::start().await;
    // Plugin, path of the base URL, settings, credentials; then what arrives: target, a header, and where the title is.
    let table = [
        (
            "slack",
            "/services",
            json!({}),
            json!({ "webhook": "T0AB/B0CD/x1y2z3w4" }),
            "/services/T0AB/B0CD/x1y2z3w4",
            None,
            "/text",
        ),
        (
            "discord",
            "/api/webhooks",
            json!({}),
            json!({ "webhook": "1234/a-token_B" }),
            "/api/webhooks/1234/a-token_B",
            None,
            "/embeds/0/title",
        ),
        (
            "ntfy",
            "",
            json!({ "topic": "ops", "protected": true }),
            json!({ "token": "tk_0123456789" }),
            "/",
            Some(("authorization", "Bearer tk_0123456789")),
            "/title",
        ),
        (
            "gotify",
            "/push",
            json!({}),
            json!({ "token": "AppToken01" }),
            "/push/message",
            Some(("x-gotify-key", "AppToken01")),
            "/title",
        ),
    ];
    for (n, (plugin, path, settings, credentials, target, header, title)) in table.into_iter().enumerate() {
        let input =
            json!({ "name": plugin, "plugin": plugin, "settings": settings, "credentials": credentials });
        let (id, made) = channel(&server, &format!("{}{path}", peer.url()), input).await;
        assert_eq!(made, None, "{plugin}: nothing was made");
        let told = test(&server, &id).await;
        assert_eq!(told["status"], "delivered", "{plugin}: {told:#}");
        let seen = &peer.seen()[n];
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", target));
        if let Some((name, value)) = header {
            assert_eq!(seen.header(name), Some(value), "{plugin}");
        }
        assert_eq!(body(&peer, n).pointer(title), Some(&json!("This is a test")), "{plugin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_path_is_never_shown_even_where_the_receiver_repeats_it() {
    let peer = Peer::start(|seen| text(404, format!("no_service at {}", seen.target))).await;
    let server = TestServer::start().await;
    let secret = "T0AB/B0CD/super-secret-part";
    let input = json!({ "plugin": "slack", "credentials": { "webhook": secret } });
    let (id, _) = channel(&server, &format!("{}/services", peer.url()), input).await;
    let told = test(&server, &id).await;
    assert_eq!((&told["status"], &told["lastStatus"]), (&json!("dead"), &json!(404)), "{told:#}");
    assert!(told["reason"].as_str().unwrap().contains("no_service"), "{told:#}");
    for path in [
        format!("/api/v1/channels/{id}"),
        format!("/api/v1/channels/{id}/deliveries"),
        format!("/notifications/{id}"),
    ] {
        let shown = server.get(&path).await;
        assert!(shown.status == 200 && !shown.text.contains("super-secret-part"), "{path}: {}", shown.text);
    }
    let log = std::fs::read_to_string(server.server_log()).unwrap();
    assert!(log.contains("no_service") && !log.contains("super-secret-part"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_leads_elsewhere_in_the_path_is_refused() {
    let peer = Peer::start(|_| text(200, "ok")).await;
    let server = TestServer::start().await;
    for (n, secret) in
        ["../../admin/x", "T0AB//B0CD", "T0AB/B0CD?x=1", "T0AB/B0CD#here"].into_iter().enumerate()
    {
        let input =
            json!({ "name": format!("c{n}"), "plugin": "slack", "credentials": { "webhook": secret } });
        let (id, _) = channel(&server, &peer.url(), input).await;
        let told = test(&server, &id).await;
        let said = told["reason"].as_str().unwrap_or_default();
        assert!(told["status"] == "dead" && said.contains("no part of a path"), "{told:#}");
    }
    assert_eq!(peer.seen().len(), 0, "nothing was sent");
    let unknown = json!({ "name": "x", "plugin": "slack", "url": "https://hooks.slack.com/services",
        "credentials": { "token": "xoxb-0123456789" } });
    let refused = server.post("/api/v1/teams/default/channels", unknown).await;
    let words = refused.text.contains("`webhook`");
    assert!(refused.status == 422 && words, "{}", refused.text);
    let none = json!({ "name": "x", "plugin": "standard", "url": "https://a.example" });
    let refused: Value = server.post("/api/v1/teams/default/channels", none).await.json;
    assert_eq!(refused["success"], false, "a strategy is no notifier: {refused:#}");
}
