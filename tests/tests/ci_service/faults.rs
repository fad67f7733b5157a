//! What goes wrong between the server and a provider.

use serde_json::{Value, json};
use windlass_tests::vendors::circleci::CircleCi;
use windlass_tests::vendors::fault::Fault;
use windlass_tests::vendors::github::GitHub;
use windlass_tests::vendors::gitlab::GitLab;
use windlass_tests::vendors::jenkins::Jenkins;

use crate::{Service, Vendor};

/// The provider is lost while the build runs: it is degraded, the deployment is not failed, and goes on when it is back.
async fn is_degraded_for_a_while<V: Vendor>(path: &'static str, fault: Fault, state: &str) {
    let service = Service::<V>::start().await;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    service.vendor.run();
    service.vendor.fake().fail_next("GET", path, fault);
    service.server.wait_event("the trouble", |event| (event["data"]["change"] == state).then_some(())).await;
    let deployment = service.deployment(&number).await;
    assert_eq!(deployment["status"], "deploying", "{deployment}");
    let provider = service.server.get("/api/v1/providers/ci").await.expect(200)["data"].clone();
    assert!(provider["health"]["error"].as_str().is_some_and(|why| why.len() > 20), "{provider}");
    service.vendor.finish(true);
    assert_eq!(service.server.wait_deployment(&number).await["status"], "successful");
    let build = service.settled("1").await;
    assert_eq!((&build["trouble"], service.vendor.builds()), (&Value::Null, 1), "{build}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_provider_is_degraded_and_its_deployments_are_not_failed() {
    tokio::join!(
        is_degraded_for_a_while::<Jenkins>("/job/web/1", Fault::Status(503), "degraded"),
        is_degraded_for_a_while::<GitHub>("/actions/runs/901", Fault::HalfABody, "degraded"),
        is_degraded_for_a_while::<GitLab>("/pipelines/301", Fault::Status(401), "unauthorized"),
    );
}

/// The answer to the start of a build is cut off after the vendor has begun with it.
async fn starts_with_half_an_answer<V: Vendor>() -> (Service<V>, String) {
    let service = Service::<V>::start().await;
    service.vendor.fake().fail_next("POST", V::START, Fault::HalfABody);
    let number = service.deploy().await;
    (service, number)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_answer_is_lost_is_repeated_only_where_the_provider_recognises_it() {
    let (service, number) = starts_with_half_an_answer::<GitLab>().await;
    service.wait_started(&number).await;
    service.vendor.run();
    service.vendor.finish(true);
    assert_eq!(service.server.wait_deployment(&number).await["status"], "successful");
    assert_eq!(service.vendor.builds(), 1);

    let (service, number) = starts_with_half_an_answer::<CircleCi>().await;
    let deployment = service.server.wait_deployment(&number).await;
    assert_eq!((&deployment["status"], service.vendor.builds()), (&json!("failed"), 1), "{deployment}");
    assert!(deployment["error"].as_str().unwrap().contains("may have been started"), "{deployment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_refused_is_told_with_the_providers_reason() {
    let service = Service::<Jenkins>::start_with(json!({ "parameters": { "TARGEt": "production" } })).await;
    let number = service.deploy().await;
    let deployment = service.server.wait_deployment(&number).await;
    assert_eq!((&deployment["status"], service.vendor.builds()), (&json!("failed"), 0), "{deployment}");
    assert!(deployment["error"].as_str().unwrap().contains("did you mean `TARGET`"), "{deployment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_the_provider_could_not_take_is_tried_again() {
    let service = Service::<CircleCi>::start().await;
    service.vendor.fake().fail_next("POST", CircleCi::START, Fault::TooManyRequests);
    let number = service.deploy().await;
    service
        .server
        .wait_event("the pause", |event| (event["data"]["change"] == "limited").then_some(()))
        .await;
    service.wait_started(&number).await;
    assert_eq!(service.vendor.builds(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_takes_too_long_is_stopped_and_failed() {
    let service = Service::<GitLab>::start_with(json!({ "timeoutSecs": 10 })).await;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    service.vendor.run();
    let deployment = service.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "failed", "{deployment}");
    assert!(deployment["error"].as_str().unwrap().contains("within 10 s"), "{deployment}");
    assert_eq!(service.vendor.world().pipelines[0].status, "canceled");
}
