//! A protected stack: who has to agree, when, and what a freeze holds up. Deployed for real.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::fixture::Fixture;
use windlass_tests::server::{Answer, TestServer};

/// A stack with three deployers beside the administrator.
struct Protected {
    fixture: Fixture,
    tokens: Vec<(&'static str, String)>,
}

impl Protected {
    async fn start(protection: Value) -> Self {
        let fixture = Fixture::start(false).await;
        let server = &fixture.server;
        let mut tokens = Vec::new();
        for name in ["ada", "bob", "cyd"] {
            server.post("/api/v1/users", json!({ "name": name })).await.expect(201);
            let path = format!("/api/v1/teams/default/members/{name}");
            server.put(&path, json!({ "role": "deployer" })).await.expect(200);
            let made = server.post("/api/v1/tokens", json!({ "name": name, "user": name })).await.expect(201);
            tokens.push((name, made["data"]["secret"].as_str().unwrap().to_owned()));
        }
        let own = Self { fixture, tokens };
        own.protect(protection).await;
        own
    }

    fn server(&self) -> &TestServer {
        &self.fixture.server
    }

    async fn protect(&self, protection: Value) {
        self.server().put("/api/v1/stacks/web/protection", protection).await.expect(200);
    }

    async fn post(&self, who: &str, path: &str, body: Value) -> Answer {
        let token = &self.tokens.iter().find(|(name, _)| *name == who).unwrap().1;
        let request = self.server().stranger(Method::POST, path).bearer_auth(token).json(&body);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Answer { status, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    /// The number of a deployment that this person asks for.
    async fn deploy(&self, who: &str, version: &str) -> String {
        self.fixture.commit(version);
        let made = self.post(who, "/api/v1/stacks/web/deploy", json!({})).await.expect(202);
        made["data"]["seq"].to_string()
    }

    async fn approve(&self, who: &str, deployment: &str) -> Answer {
        self.post(who, &format!("/api/v1/deployments/{deployment}/approve"), json!({})).await
    }

    /// Waits until the deployment says that it waits, in words like these.
    async fn waits(&self, deployment: &str, words: &str) {
        let path = format!("/api/v1/deployments/{deployment}");
        let id = self.server().get(&path).await.expect(200)["data"]["id"].clone();
        let is_told = |event: &Value| {
            let label = event["data"]["label"].as_str().unwrap_or_default();
            (event["subjectId"] == id && label.starts_with("Waiting") && label.contains(words)).then_some(())
        };
        self.server().wait_event(&format!("waiting because of: {words}"), is_told).await;
    }
}

#[tokio::test]
async fn two_others_have_to_approve_and_each_counts_once() {
    let own = Protected::start(json!({ "approvals": 2 })).await;
    let number = own.deploy("ada", "one").await;
    own.waits(&number, "approved").await;
    let refused = own.approve("ada", &number).await;
    assert!(refused.status == 403 && refused.text.contains("somebody else"), "{}", refused.text);
    own.approve("bob", &number).await.expect(200);
    own.approve("bob", &number).await.expect(409);
    let asked = own.server().get(&format!("/api/v1/deployments/{number}/approvals")).await.expect(200);
    assert_eq!(asked["data"][0]["state"], "open", "{asked}");
    assert!(own.server().instances().is_empty(), "something runs before it was approved");
    own.approve("cyd", &number).await.expect(200);
    assert_eq!(own.server().wait_deployment(&number).await["status"], "successful");
    let asked = own.server().get(&format!("/api/v1/deployments/{number}/approvals")).await.expect(200);
    assert_eq!(asked["data"][0]["decidedBy"], "bob, cyd", "{asked}");
}

#[tokio::test]
async fn a_rejected_deployment_never_begins() {
    let own = Protected::start(json!({ "approvals": 1 })).await;
    let number = own.deploy("ada", "one").await;
    own.waits(&number, "approved").await;
    let path = format!("/api/v1/deployments/{number}/reject");
    own.post("ada", &path, json!({})).await.expect(200);
    let ended = own.server().wait_deployment(&number).await;
    assert_eq!(ended["status"], "cancelled");
    assert!(ended["error"].as_str().unwrap().contains("ada rejected it"), "{ended}");
    assert!(own.server().instances().is_empty());
}

#[tokio::test]
async fn a_freeze_holds_up_what_is_new_but_not_the_way_back() {
    let own = Protected::start(json!({})).await;
    for version in ["one", "two"] {
        let number = own.deploy("ada", version).await;
        assert_eq!(own.server().wait_deployment(&number).await["status"], "successful");
    }
    own.protect(json!({ "freeze": "the sale runs" })).await;
    let back = own.post("bob", "/api/v1/stacks/web/rollback", json!({})).await.expect(202);
    let back = back["data"]["seq"].to_string();
    assert_eq!(own.server().wait_deployment(&back).await["status"], "successful");
    let number = own.deploy("ada", "three").await;
    own.waits(&number, "the sale runs").await;
    // Whoever waits can be told to stop.
    own.post("ada", &format!("/api/v1/deployments/{number}/cancel"), json!({})).await.expect(202);
    assert_eq!(own.server().wait_deployment(&number).await["status"], "cancelled");
    let number = own.deploy("ada", "four").await;
    own.waits(&number, "the sale runs").await;
    own.protect(json!({})).await;
    assert_eq!(own.server().wait_deployment(&number).await["status"], "successful");
}

#[tokio::test]
async fn a_deployment_that_waits_survives_the_server() {
    let mut own = Protected::start(json!({ "approvals": 1 })).await;
    let number = own.deploy("ada", "one").await;
    own.waits(&number, "approved").await;
    own.fixture.server.kill();
    own.fixture.server.launch(&[]).await.unwrap();
    own.approve("bob", &number).await.expect(200);
    assert_eq!(own.server().wait_deployment(&number).await["status"], "successful");
}
