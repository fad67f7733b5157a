//! Notifications: who is told what, by the real server and against real receivers.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod faces;
mod mail;
mod quiet;
mod vendors;
mod webhooks;

use serde_json::{Value, json};
use windlass_tests::docker::eventually;
use windlass_tests::peer::Peer;
use windlass_tests::server::TestServer;

/// A channel of the default team that leads to a receiver of the test, and its secret if one was made.
async fn channel(server: &TestServer, url: &str, more: Value) -> (String, Option<String>) {
    let mut input = json!({ "name": "hook", "plugin": "webhook-notify", "url": url, "privateNetwork": true });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = server.post("/api/v1/teams/default/channels", input).await.expect(201)["data"].clone();
    (made["channel"]["seq"].to_string(), made["secret"].as_str().map(str::to_owned))
}

/// A rule of a program: everything that fits, at once.
fn each(events: &[&str]) -> Value {
    json!({ "events": events, "windowSecs": 0, "quietSecs": 0 })
}

async fn test(server: &TestServer, channel: &str) -> Value {
    server.post(&format!("/api/v1/channels/{channel}/test"), json!({})).await.expect(200)["data"].clone()
}

async fn deliveries(server: &TestServer, channel: &str) -> Vec<Value> {
    let page = server.get(&format!("/api/v1/channels/{channel}/deliveries")).await.expect(200);
    page["data"]["items"].as_array().unwrap().clone()
}

/// Waits until the newest message has come to that end.
async fn ended(server: &TestServer, channel: &str, status: &str) -> Value {
    let mut newest = Value::Null;
    eventually(&format!("the newest message is {status}"), async || {
        newest = deliveries(server, channel).await.first().cloned().unwrap_or_default();
        newest["status"] == status
    })
    .await;
    newest
}

/// A stack whose deployments fail: nobody answers at its repository.
async fn stack(server: &TestServer, name: &str) {
    let repository = json!({ "url": "http://127.0.0.1:9/app.git", "provider": "generic" });
    server.create_stack(json!({ "name": name, "repository": repository })).await;
}

/// Number and id of a deployment that has failed.
async fn failed_deployment(server: &TestServer, stack: &str) -> (String, String) {
    let made = server.post(&format!("/api/v1/stacks/{stack}/deploy"), json!({})).await.expect(202);
    let seq = made["data"]["seq"].to_string();
    let over = server.wait_deployment(&seq).await;
    assert_eq!(over["status"], "failed", "{over:#}");
    (seq, over["id"].as_str().unwrap().to_owned())
}

fn body(peer: &Peer, n: usize) -> Value {
    serde_json::from_slice(&peer.seen()[n].body).unwrap()
}
