//! The server is killed with SIGKILL in the middle of a build. After a restart the deployment ends as its build does, and the
//! build was started once.

use reqwest::Method;
use windlass_tests::server::ADMIN_TOKEN;
use windlass_tests::vendors::circleci::CircleCi;
use windlass_tests::vendors::github::GitHub;
use windlass_tests::vendors::gitlab::GitLab;
use windlass_tests::vendors::jenkins::Jenkins;

use crate::{Service, Vendor};

/// Killed while the build runs, which ends while nobody looks.
async fn survives<V: Vendor>() {
    let mut service = Service::<V>::start().await;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    service.server.kill();
    service.vendor.run();
    service.vendor.finish(true);
    service.server.launch(&[]).await.unwrap();
    let deployment = service.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{deployment}");
    assert_eq!(service.vendor.builds(), 1);
}

/// Killed right before or right after the request that starts the build; answers how the deployment ended, and why.
async fn killed_at_its_start<V: Vendor>(point: &str) -> (String, String, usize) {
    let mut service = Service::<V>::start().await;
    service.server.kill();
    service.server.launch(&[("WINDLASS_CRASH_AT", point)]).await.unwrap();
    // It may die before it has answered.
    let asked = service.server.stranger(Method::POST, "/api/v1/stacks/web/deploy").bearer_auth(ADMIN_TOKEN);
    let _ = asked.json(&serde_json::json!({})).send().await;
    let number = "1".to_owned();
    let mut server = service.server;
    let server = tokio::task::spawn_blocking(move || {
        assert!(server.wait(), "a signal ends it");
        server
    });
    service.server = tokio::time::timeout(windlass_tests::PATIENCE, server).await.unwrap().unwrap();
    service.server.launch(&[]).await.unwrap();
    if V::NAME != CircleCi::NAME {
        service.wait_started(&number).await;
        service.vendor.run();
        service.vendor.finish(true);
    }
    let deployment = service.server.wait_deployment(&number).await;
    let text = |name: &str| deployment[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("error"), service.vendor.builds())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_through_jenkins_survives_sigkill() {
    survives::<Jenkins>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_through_github_survives_sigkill() {
    survives::<GitHub>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_through_gitlab_survives_sigkill() {
    survives::<GitLab>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_through_circleci_survives_sigkill() {
    survives::<CircleCi>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_the_provider_recognises_is_repeated_after_sigkill_and_stays_one_build() {
    for point in ["1", "2"] {
        let (jenkins, gitlab) =
            tokio::join!(killed_at_its_start::<Jenkins>(point), killed_at_its_start::<GitLab>(point));
        assert_eq!(
            (jenkins.0.as_str(), jenkins.2),
            ("successful", 1),
            "jenkins, point {point}: {}",
            jenkins.1
        );
        assert_eq!((gitlab.0.as_str(), gitlab.2), ("successful", 1), "gitlab, point {point}: {}", gitlab.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_the_provider_does_not_recognise_is_not_repeated_after_sigkill() {
    for (point, builds) in [("1", 0), ("2", 1)] {
        let ended = killed_at_its_start::<CircleCi>(point).await;
        assert_eq!((ended.0.as_str(), ended.2), ("failed", builds), "point {point}");
        assert!(ended.1.contains("may have got through"), "{}", ended.1);
    }
}
