//! What protects a stack holds whoever deploys it: a provider's build does not start before it may.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::vendors::gitlab::GitLab;

use crate::{Service, Vendor as _};

impl Service<GitLab> {
    async fn protected(protection: Value) -> Self {
        let service = Self::start().await;
        service.protect(protection).await;
        service
    }

    async fn protect(&self, protection: Value) {
        self.server.put("/api/v1/stacks/web/protection", protection).await.expect(200);
    }

    async fn waits_for(&self, deployment: &str, words: &str) {
        let path = format!("/api/v1/deployments/{deployment}");
        let id = self.server.get(&path).await.expect(200)["data"]["id"].clone();
        let is_told = |event: &Value| {
            let label = event["data"]["label"].as_str().unwrap_or_default();
            (event["subjectId"] == id && label.starts_with("Waiting: ") && label.contains(words))
                .then_some(())
        };
        self.server.wait_event(&format!("waiting because of: {words}"), is_told).await;
        assert_eq!(self.vendor.builds(), 0, "a build runs that nobody may start yet");
    }

    async fn finishes(&self, deployment: &str) {
        self.wait_started(deployment).await;
        self.vendor.run();
        self.vendor.finish(true);
        let ended = self.server.wait_deployment(deployment).await;
        assert_eq!(ended["status"], "successful", "{ended}");
        assert_eq!(self.vendor.builds(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_build_starts_once_somebody_else_has_approved_it() {
    let service = Service::protected(json!({ "approvals": 1 })).await;
    let server = &service.server;
    server.post("/api/v1/users", json!({ "name": "bob" })).await.expect(201);
    server.put("/api/v1/teams/default/members/bob", json!({ "role": "deployer" })).await.expect(200);
    let made = server.post("/api/v1/tokens", json!({ "name": "bob", "user": "bob" })).await.expect(201);
    let number = service.deploy().await;
    service.waits_for(&number, "approved").await;
    let path = format!("/api/v1/deployments/{number}/approve");
    let own = server.post(&path, json!({})).await;
    assert!(own.status == 403 && own.text.contains("somebody else"), "{}", own.text);
    let approval = server.stranger(Method::POST, &path).json(&json!({}));
    let approval = approval.bearer_auth(made["data"]["secret"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(approval.status(), 200);
    service.finishes(&number).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_deployment_never_reaches_its_provider() {
    let service = Service::protected(json!({ "approvals": 1 })).await;
    let number = service.deploy().await;
    service.waits_for(&number, "approved").await;
    service.server.post(&format!("/api/v1/deployments/{number}/reject"), json!({})).await.expect(200);
    let ended = service.server.wait_deployment(&number).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert!(ended["error"].as_str().unwrap().contains("rejected it"), "{ended}");
    assert_eq!(service.vendor.builds(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_holds_a_providers_build_up_until_it_ends_or_is_cancelled() {
    let service = Service::protected(json!({ "freeze": "the sale runs" })).await;
    let number = service.deploy().await;
    service.waits_for(&number, "the sale runs").await;
    service.server.post(&format!("/api/v1/deployments/{number}/cancel"), json!({})).await.expect(202);
    assert_eq!(service.server.wait_deployment(&number).await["status"], "cancelled");
    let number = service.deploy().await;
    service.waits_for(&number, "the sale runs").await;
    service.protect(json!({})).await;
    service.finishes(&number).await;
}
