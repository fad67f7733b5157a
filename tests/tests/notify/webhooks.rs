//! Webhooks of one's own: signed, tried again, given up, sent once more, across a kill.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use windlass_tests::docker::eventually;
use windlass_tests::peer::{Peer, Seen, text};
use windlass_tests::server::TestServer;
use windlass_tests::tools::tool;

use super::{body, channel, deliveries, each, ended, failed_deployment, stack, test};

/// Answers with these statuses, one after the other, and with the last from then on.
async fn answering(statuses: &'static [u16]) -> Peer {
    let count = Arc::new(AtomicUsize::new(0));
    Peer::start(move |_| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        text(statuses[n.min(statuses.len() - 1)], "said the receiver")
    })
    .await
}

/// Whether Standard Webhooks' own library takes the request with this secret; `None` where it could not be had.
fn verifies(seen: &Seen, secret: &str, test: &str) -> Option<bool> {
    let (node, folder) = (tool("signers", "node", test)?, tool("signers", "javascript", test)?);
    let header = |name: &str| seen.header(name).unwrap_or_default().to_owned();
    let question = json!({
        "do": "standard-verify", "secret": secret, "id": header("webhook-id"), "at": header("webhook-timestamp"),
        "header": header("webhook-signature"), "body": String::from_utf8_lossy(&seen.body),
    });
    let program = include_str!("../signatures/outside.mjs");
    let mut child = Command::new(node)
        .args(["--input-type=module", "--eval", program])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{question}").unwrap();
    let output = child.wait_with_output().unwrap();
    Some(serde_json::from_slice::<Value>(&output.stdout).unwrap() == json!(true))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_deployment_is_told_and_the_real_library_believes_it() {
    let peer = answering(&[204]).await;
    let server = TestServer::start().await;
    stack(&server, "web").await;
    let url = format!("{}/hooks/7", peer.url());
    let rules = json!({ "rules": [each(&["deployment.failed"])] });
    let (hook, secret) = channel(&server, &url, rules).await;
    let secret = secret.unwrap();
    let (seq, _) = failed_deployment(&server, "web").await;
    let told = ended(&server, &hook, "delivered").await;
    assert_eq!((&told["attempts"], &told["lastStatus"]), (&json!(1), &json!(204)), "{told:#}");
    let (seen, body) = (peer.seen()[0].clone(), body(&peer, 0));
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/hooks/7"));
    assert_eq!(seen.header("webhook-id"), told["id"].as_str());
    assert_eq!(
        (&body["type"], &body["severity"], &body["stack"]),
        (&json!("deployment.failed"), &json!("error"), &json!("web"))
    );
    assert_eq!(body["title"], format!("web: deployment {seq} failed"));
    assert!(body["url"].as_str().unwrap().ends_with(&format!("/deployments/{seq}")), "{body:#}");
    assert_eq!(body["data"]["status"], "failed", "{body:#}");
    let name = "a failed deployment is told and the real library believes it";
    let Some(believed) = verifies(&seen, &secret, name) else { return };
    assert!(believed, "{seen:?}");
    assert_eq!(verifies(&seen, "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA==", name), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_is_replaced_both_sign_and_a_receiver_needs_only_one() {
    let peer = answering(&[200]).await;
    let server = TestServer::start().await;
    let (hook, before) = channel(&server, &peer.url(), json!({})).await;
    let before = before.unwrap();
    let rotate = format!("/api/v1/channels/{hook}/rotate");
    let rotated = server.post(&rotate, json!({})).await.expect(200)["data"].clone();
    let after = rotated["secret"].as_str().unwrap().to_owned();
    assert!(after.starts_with("whsec_") && after != before);
    assert!(rotated["channel"]["previousSecretUntil"].is_string(), "{rotated:#}");
    assert_eq!(test(&server, &hook).await["status"], "delivered");
    // Somebody knows the old one who should not.
    let last = server.post(&rotate, json!({ "overlapSecs": 0 })).await.expect(200)["data"]["secret"].clone();
    assert_eq!(test(&server, &hook).await["status"], "delivered");
    let seen = peer.seen();
    let signatures = |n: usize| seen[n].header("webhook-signature").unwrap().split(' ').count();
    assert_eq!((signatures(0), signatures(1)), (2, 1));
    let name = "while a secret is replaced both sign";
    let Some(old) = verifies(&seen[0], &before, name) else { return };
    assert!(old && verifies(&seen[0], &after, name).unwrap(), "both secrets verify");
    assert!(verifies(&seen[1], last.as_str().unwrap(), name).unwrap());
    assert!(!verifies(&seen[1], &after, name).unwrap(), "a secret without overlap counts no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_tried_again_under_the_same_id_until_it_is_taken() {
    let peer = answering(&[503, 429, 200]).await;
    let server = TestServer::start_with(&[("WINDLASS_NOTIFY_RETRY", "1")]).await;
    stack(&server, "web").await;
    let (hook, _) = channel(&server, &peer.url(), json!({ "rules": [each(&["build.failed"])] })).await;
    failed_deployment(&server, "web").await;
    let told = ended(&server, &hook, "delivered").await;
    assert_eq!((&told["attempts"], &told["reason"]), (&json!(3), &Value::Null), "{told:#}");
    let ids: Vec<_> = peer.seen().iter().map(|seen| seen.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids, vec![told["id"].as_str().unwrap(); 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_given_up_with_what_the_receiver_said_and_can_be_sent_once_more() {
    let peer = answering(&[410, 503, 503, 200]).await;
    let variables = [("WINDLASS_NOTIFY_RETRY", "1"), ("WINDLASS_NOTIFY_ATTEMPTS", "2")];
    let server = TestServer::start_with(&variables).await;
    stack(&server, "web").await;
    let (hook, _) = channel(&server, &peer.url(), json!({ "rules": [each(&["build.failed"])] })).await;
    failed_deployment(&server, "web").await;
    let told = ended(&server, &hook, "dead").await;
    assert_eq!(
        (&told["attempts"], &told["lastStatus"]),
        (&json!(1), &json!(410)),
        "a refusal is final: {told:#}"
    );
    assert!(told["reason"].as_str().unwrap().contains("said the receiver"), "{told:#}");
    let metrics = server.get("/metrics").await.text;
    let counted = "windlass_notifications_total{plugin=\"webhook-notify\",status=\"dead\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    let replay = format!("/api/v1/channels/{hook}/deliveries/{}/replay", told["seq"]);
    server.post(&replay, json!({})).await.expect(200);
    eventually("it is given up after both attempts", async || {
        let now = deliveries(&server, &hook).await[0].clone();
        now["status"] == "dead" && now["attempts"] == 2 && now["lastStatus"] == 503
    })
    .await;
    server.post(&replay, json!({})).await.expect(200);
    let taken = ended(&server, &hook, "delivered").await;
    assert_eq!((&taken["id"], deliveries(&server, &hook).await.len()), (&told["id"], 1));
    let ids: Vec<_> = peer.seen().iter().map(|seen| seen.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids, vec![told["id"].as_str().unwrap(); 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_survives_a_kill_in_the_middle_of_its_delivery() {
    // Leaves the first request without an answer, until the server is killed.
    let count = Arc::new(AtomicUsize::new(0));
    let arrived = count.clone();
    let silent = Peer::accepting(move |stream| {
        arrived.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let _kept = stream;
            std::future::pending::<()>().await;
        })
    })
    .await;
    let mut server = TestServer::start().await;
    stack(&server, "web").await;
    let (hook, _) = channel(&server, &silent.url(), json!({ "rules": [each(&["deployment.failed"])] })).await;
    failed_deployment(&server, "web").await;
    eventually("the request is on its way", async || count.load(Ordering::Relaxed) > 0).await;
    server.kill();
    // The receiver comes back at the same address, and answers now.
    let address = silent.address;
    drop(silent);
    eventually("the address is free", async || std::net::TcpListener::bind(address).is_ok()).await;
    let peer = Peer::start_at(address, |_| text(200, "")).await;
    server.launch(&[]).await.unwrap();
    eventually("it is told", async || !peer.seen().is_empty()).await;
    let told = ended(&server, &hook, "delivered").await;
    assert_eq!(peer.seen()[0].header("webhook-id"), told["id"].as_str());
    assert_eq!(deliveries(&server, &hook).await.len(), 1, "the event was asked about once");
}
