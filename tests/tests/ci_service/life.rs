//! A deployment through each provider, from its creation to `completed`.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::server::{push_body, sign};
use windlass_tests::vendors::circleci::CircleCi;
use windlass_tests::vendors::github::GitHub;
use windlass_tests::vendors::gitlab::GitLab;
use windlass_tests::vendors::jenkins::Jenkins;

use crate::{Service, Vendor};

async fn lives<V: Vendor>() {
    let service = Service::<V>::start().await;
    let number = service.deploy().await;
    // Job and mapping are there as soon as the deployment is.
    let carried = service.carried(&number).await;
    assert_eq!(carried["mapping"]["cicd_job_id"], carried["job"]["id"], "{carried}");
    assert_eq!(carried["job"]["name"], "web");
    service.wait_started(&number).await;
    service.vendor.run();
    service.vendor.finish(true);
    let deployment = service.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{deployment}");

    let build = service.settled("1").await;
    let carried = service.carried(&number).await;
    assert_eq!(
        (&carried["status"], &carried["job"]["status"]),
        (&json!("completed"), &json!("success")),
        "{carried}"
    );
    assert_eq!(carried["mapping"]["build_number"], build["number"], "{carried}");
    assert!(build["number"].as_str().is_some_and(|number| !number.is_empty()), "{build}");
    assert_eq!(carried["mapping"]["build_url"], build["url"], "{carried}");
    assert_eq!((&build["origin"], &build["error"]), (&json!("deployment"), &Value::Null), "{build}");
    assert_eq!(service.vendor.builds(), 1);
    let log = service.server.log_of(&number).await;
    assert!(log.contains(V::LOG) && log.contains("the build ended: success"), "{log}");
    let told = service.server.wait_event("the last word", |event| {
        let last = event["kind"] == "DEPLOYMENT_STATUS_UPDATE" && event["data"]["status"] == "completed";
        last.then(|| event["data"].clone())
    });
    let told = told.await;
    assert_eq!(told["deploymentId"], deployment["id"]);
    assert_eq!((&told["jobId"], &told["buildNumber"]), (&carried["job"]["id"], &build["number"]));

    // The second one takes the same job.
    let again = service.deploy().await;
    assert_eq!(service.carried(&again).await["job"]["id"], carried["job"]["id"]);
    service.wait_started(&again).await;
    service.vendor.run();
    service.vendor.finish(false);
    let failed = service.server.wait_deployment(&again).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let failure = service.server.wait_event("the failure", |event| {
        let ours = event["kind"] == "DEPLOYMENT_RUN_FAILURE" && event["subjectId"] == failed["id"];
        ours.then(|| event["data"].clone())
    });
    let failure = failure.await;
    assert!(failure["error"].as_str().unwrap().contains("failure"), "{failure}");
    service.settled("2").await;
    let metrics = service.server.get("/metrics").await.text;
    let counted = format!("windlass_ci_builds_total{{provider=\"{}\",status=\"failure\"}} 1", V::NAME);
    assert!(metrics.contains(&counted), "{metrics}");
    let called = format!("plugin=\"{}\",kind=\"ci-provider\",call=\"trigger-job\",outcome=\"ok\"", V::NAME);
    assert!(metrics.contains(&format!("windlass_plugin_calls_total{{{called}}} 2")), "{metrics}");
    for counted in ["status=\"successful\"} 1", "status=\"failed\"} 1"] {
        assert!(metrics.contains(&format!("windlass_deployments_total{{{counted}")), "{metrics}");
    }
    assert!(metrics.contains("windlass_provider_state{provider=\"ci\",state=\"healthy\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jenkins_deploys_a_stack_from_creation_to_completed() {
    lives::<Jenkins>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn github_deploys_a_stack_from_creation_to_completed() {
    lives::<GitHub>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_deploys_a_stack_from_creation_to_completed() {
    lives::<GitLab>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn circleci_deploys_a_stack_from_creation_to_completed() {
    lives::<CircleCi>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn circleci_is_given_parameters_under_the_names_that_it_knows() {
    let service = Service::<CircleCi>::start().await;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    let sent = service.vendor.world().pipelines.last().unwrap().request.clone();
    assert_eq!(sent["parameters"], json!({ "target": "production", "dry-run": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_a_tag_reaches_circleci_as_one() {
    let service = Service::<CircleCi>::start().await;
    let server = &service.server;
    let repository = json!({ "url": CircleCi::REPOSITORY, "branch": "main", "provider": "github" });
    let (path, secret) = server
        .create_stack(
            json!({ "name": "tagged", "repository": repository, "build": { "autoDeployTags": ["v*"] } }),
        )
        .await;
    server
        .put("/api/v1/stacks/tagged/ci", json!({ "provider": "ci", "job": { "committed": true } }))
        .await
        .expect(200);
    let mut body = push_body(CircleCi::REPOSITORY, "main", &"a".repeat(40));
    body["ref"] = json!("refs/tags/v1");
    let body = body.to_string();
    let request = server
        .stranger(Method::POST, &path)
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", "delivery-of-v1")
        .header("x-hub-signature-256", sign(&secret, body.as_bytes()));
    let answer: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    let event = server.wait_webhook(answer["event_id"].as_str().unwrap()).await;
    let number = event["deploymentId"].as_str().unwrap_or_else(|| panic!("{event}")).to_owned();
    service.wait_started(&number).await;
    let sent = service.vendor.world().pipelines.last().unwrap().request.clone();
    assert_eq!((&sent["tag"], &sent["branch"]), (&json!("v1"), &Value::Null), "{sent}");
    // It is a build of the job that the stack's branch has.
    assert_eq!(service.carried(&number).await["job"]["external_id"], "gh/org/app:main");
    // By hand a tag is named in full.
    let deploy = json!({ "gitRef": "refs/tags/v2" });
    let made = server.post("/api/v1/stacks/web/deploy", deploy).await.expect(202)["data"]["seq"].to_string();
    service.wait_started(&made).await;
    let sent = service.vendor.world().pipelines.last().unwrap().request.clone();
    assert_eq!(sent["tag"], "v2", "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_failed_is_started_again_as_often_as_the_stack_wants() {
    let service = Service::<GitLab>::start_with(json!({ "retries": 1 })).await;
    let number = service.deploy().await;
    for build in [1, 2] {
        service
            .server
            .wait_event("the start of the build", |event| {
                let ours = event["kind"] == "ci_build.status" && event["data"]["build"] == build;
                (ours && event["data"]["number"] != "").then_some(())
            })
            .await;
        service.vendor.run();
        service.vendor.finish(build == 2);
        service.settled(&build.to_string()).await;
    }
    assert_eq!(service.server.wait_deployment(&number).await["status"], "successful");
    let builds = service.carried(&number).await["builds"].clone();
    let origins: Vec<_> =
        builds.as_array().unwrap().iter().map(|build| (&build["origin"], &build["status"])).collect();
    assert_eq!(origins, [(&json!("deployment"), &json!("failure")), (&json!("retry"), &json!("success"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_deployment_is_stopped_at_the_provider() {
    let service = Service::<GitLab>::start().await;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    service.vendor.run();
    service.server.post(&format!("/api/v1/deployments/{number}/cancel"), json!({})).await.expect(202);
    let deployment = service.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "cancelled", "{deployment}");
    assert_eq!(service.vendor.world().pipelines[0].status, "canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_failed_at_the_provider_is_tried_again_there() {
    let service = Service::<GitLab>::start().await;
    let first = service.deploy().await;
    service.wait_started(&first).await;
    service.vendor.run();
    service.vendor.finish(false);
    assert_eq!(service.server.wait_deployment(&first).await["status"], "failed");
    let retry = format!("/api/v1/deployments/{first}/retry");
    let second = service.server.post(&retry, json!({})).await.expect(202)["data"]["seq"].to_string();
    service.wait_started(&second).await;
    service.vendor.run();
    service.vendor.finish(true);
    let deployment = service.server.wait_deployment(&second).await;
    assert_eq!(deployment["status"], "successful", "{deployment}");
    assert_eq!(service.carried(&second).await["job"], service.carried(&first).await["job"]);
    assert_eq!(service.vendor.world().pipelines.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_deploys_through_the_provider() {
    let service = Service::<GitLab>::start().await;
    let server = &service.server;
    let repository = json!({ "url": GitLab::REPOSITORY, "branch": "main", "provider": "github" });
    let (path, secret) = server.create_stack(json!({ "name": "pushed", "repository": repository })).await;
    let settings = json!({ "provider": "ci", "job": { "scripts": [{ "path": "deploy.sh" }] } });
    server.put("/api/v1/stacks/pushed/ci", settings).await.expect(200);
    let commit = "a".repeat(40);
    let event = server.push_webhook(&path, &secret, GitLab::REPOSITORY, "main", &commit).await;
    let event = server.wait_webhook(&event).await;
    assert_eq!(event["reason"], "deployed", "{event}");
    let number = event["deploymentId"].as_str().unwrap();
    service.wait_started(number).await;
    service.vendor.run();
    service.vendor.finish(true);
    let deployment = server.wait_deployment(number).await;
    assert_eq!((&deployment["status"], &deployment["commitSha"]), (&json!("successful"), &json!(commit)));
}
