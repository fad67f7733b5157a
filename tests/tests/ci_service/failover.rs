//! Builds that do not begin at their job's provider go to the second one. Exactly one counts.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::server::ADMIN_TOKEN;
use windlass_tests::vendors::gitlab::GitLab;
use windlass_tests::vendors::jenkins::Jenkins;

use crate::{Service, Vendor};

/// The stack `web` is deployed by Jenkins, which has no free executor, and by GitLab if that lasts.
struct Two {
    first: Service<Jenkins>,
    second: GitLab,
}

impl Two {
    /// A build that has not begun after so long is moved.
    async fn start(after_secs: u32) -> Self {
        let first = Service::<Jenkins>::start().await;
        first.vendor.world().eager = false;
        let second = GitLab::start().await;
        let input = json!({
            "type": "gitlab", "name": "spare", "url": second.fake.url, "credentials": GitLab::credentials(),
        });
        first.server.post("/api/v1/providers", input).await.expect(201);
        let mut settings = Jenkins::settings();
        settings["provider"] = json!("ci");
        settings["job"]["repository"] = json!({ "url": GitLab::REPOSITORY, "branch": "main" });
        settings["job"]["failover"] = json!({ "provider": "spare", "after_secs": after_secs });
        let put = first.server.put("/api/v1/stacks/web/ci", settings).await.expect(200);
        let spare = first.server.get("/api/v1/providers/spare").await.expect(200)["data"]["id"].clone();
        assert_eq!(put["data"]["job"]["failover"]["provider"], spare, "it is named by its id");
        Self { first, second }
    }

    /// Waits until the build is moved, and tells why.
    async fn moved(&self) -> Value {
        let moved = self.first.server.wait_event("the move", |event| {
            (event["kind"] == "ci_build.moved").then(|| event["data"].clone())
        });
        moved.await
    }

    async fn second_begins(&self) {
        let begun = self.first.server.wait_event("the second build", |event| {
            let ours = event["kind"] == "ci_build.status" && event["data"]["build"] == 2;
            (ours && event["data"]["number"] != "").then_some(())
        });
        begun.await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_waits_in_a_queue_goes_to_the_second_provider_and_only_that_one_counts() {
    let two = Two::start(10).await;
    let service = &two.first;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    let moved = two.moved().await;
    assert_eq!((&moved["from"], &moved["to"], &moved["build"]), (&json!("ci"), &json!("spare"), &json!(1)));
    assert!(moved["reason"].as_str().unwrap().contains("in the queue for more than 10 s"), "{moved}");
    two.second_begins().await;
    assert!(service.vendor.world().queue[0].cancelled, "the first one is taken out of the queue before");
    assert_eq!(service.vendor.builds(), 0);
    let first = service.settled("1").await;
    assert_eq!(first["status"], "cancelled", "{first}");
    assert!(first["error"].as_str().unwrap().starts_with("moved from ci to spare"), "{first}");
    let deployment = service.deployment(&number).await;
    assert_eq!(deployment["status"], "deploying", "the end of the first one is not the deployment's");

    two.second.run();
    Vendor::finish(&two.second, true);
    let deployment = service.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{deployment}");
    let carried = service.carried(&number).await;
    let builds = carried["builds"].as_array().unwrap();
    assert_eq!((builds.len(), &carried["provider"]), (2, &json!("spare")), "{carried}");
    assert_eq!((&builds[1]["origin"], &first["successor_id"]), (&json!("failover"), &builds[1]["id"]));
    assert_eq!(carried["mapping"]["build_number"], builds[1]["number"], "{carried}");
    assert_eq!(two.second.builds(), 1);
    // The record has it, and people see it.
    let audit = service.server.get("/api/v1/audit?action=ci_build.moved").await.expect(200);
    assert_eq!(audit["data"]["items"].as_array().unwrap().len(), 1, "{audit}");
    let page = service.server.stranger(Method::GET, "/ci-builds/1");
    let page = page.header("cookie", format!("windlass_token={ADMIN_TOKEN}")).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("moved from ci to spare") && page.contains("href=\"/ci-builds/2\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_begins_in_time_stays_and_a_cancelled_one_is_not_moved() {
    let two = Two::start(300).await;
    let service = &two.first;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    service.vendor.world().start_next();
    service.vendor.run();
    service.vendor.finish(true);
    assert_eq!(service.server.wait_deployment(&number).await["status"], "successful");
    let number = service.deploy().await;
    service.wait_started(&number).await;
    service.server.post(&format!("/api/v1/deployments/{number}/cancel"), json!({})).await.expect(202);
    assert_eq!(service.server.wait_deployment(&number).await["status"], "cancelled");
    assert_eq!(two.second.builds(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_lost_before_a_build_has_begun_is_stood_in_for_even_after_sigkill() {
    let mut two = Two::start(10).await;
    // From now on nobody listens where the first one was.
    two.first.vendor = Jenkins::start().await;
    let number = two.first.deploy().await;
    let service = &two.first;
    service
        .server
        .wait_event("the trouble", |event| (event["data"]["change"] == "degraded").then_some(()))
        .await;
    two.first.server.kill();
    two.first.server.launch(&[]).await.unwrap();
    let moved = two.moved().await;
    assert!(moved["reason"].as_str().unwrap().contains("degraded"), "{moved}");
    two.second_begins().await;
    two.second.run();
    Vendor::finish(&two.second, true);
    assert_eq!(two.first.server.wait_deployment(&number).await["status"], "successful");
    assert_eq!(two.second.builds(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_provider_that_cannot_be_one_is_refused_with_the_field() {
    let service = Service::<GitLab>::start().await;
    for (failover, field) in [
        (json!({ "provider": "nobody" }), "failover.provider"),
        (json!({ "provider": "ci" }), "failover.provider"),
        (json!({ "provider": "nobody", "after_secs": 1 }), "failover.after_secs"),
        (
            json!({ "provider": "nobody", "files": [{ "path": "../x", "content": "" }] }),
            "failover.files/0/path",
        ),
    ] {
        let job = json!({
            "provider": "ci", "name": "web", "repository": { "url": GitLab::REPOSITORY, "branch": "main" },
            "scripts": [{ "path": "deploy.sh" }], "failover": failover,
        });
        let refused = service.server.post("/api/v1/ci/jobs", job).await.expect(422);
        assert_eq!(refused["field"], field, "{refused}");
    }
    assert_eq!(service.server.get("/api/v1/ci/jobs").await.expect(200)["data"]["items"], json!([]));
}
