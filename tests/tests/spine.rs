//! A git push becomes a healthy deployment; a broken one is taken back.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use windlass_tests::database::TestDb;
use windlass_tests::docker::eventually;
use windlass_tests::fixture::{Fixture, HEALTHY_WITHIN_S, fetch};

#[tokio::test(flavor = "multi_thread")]
async fn a_push_becomes_a_page_that_shows_the_commit() {
    let fixture = Fixture::start(true).await;
    let (sha, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert_eq!(deployment["commitSha"], sha);
    assert_eq!(deployment["triggeredBy"], "webhook");
    assert!(fixture.page().await.contains(&sha));

    let stack = fixture.stack().await;
    assert_eq!(stack["activeRelease"]["commitSha"], sha);
    assert_eq!(stack["activeRelease"]["imageTag"], format!("web:main-{}", &sha[..7]));
    assert!(stack["activeRelease"]["imageDigest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(fixture.server.containers().len(), 1, "{:?}", fixture.server.containers());

    let steps = fixture.server.get("/api/v1/deployments/1/steps").await.expect(200);
    let steps = steps["data"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["state"] == "done") && !steps.is_empty(), "{steps:?}");
    let log = fixture.server.log_of("1").await;
    assert!(log.contains("Fetching") && log.contains("Built web:main-"), "{log}");
    // Its last line comes after its end is told.
    let is_whole = async || fixture.server.log_of("1").await.contains("Deployment 1 is successful");
    eventually("the log says how it ended", is_whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_push_is_rolled_back_and_the_page_never_stops_answering() {
    let fixture = Fixture::start(true).await;
    let (good, _) = fixture.deploy("one").await;
    fixture.loses_patience().await;
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (stop, good, port) = (stop.clone(), good.clone(), fixture.port.unwrap());
        tokio::spawn(async move {
            let (mut asked, mut missed) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                asked += 1;
                if !fetch(&format!("http://127.0.0.1:{port}/")).await.contains(&good) {
                    missed += 1;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (asked, missed)
        })
    };
    let (_, deployment) = fixture.deploy("sick").await;
    stop.store(true, Ordering::Relaxed);
    let (asked, missed) = watcher.await.unwrap();
    assert_eq!(deployment["status"], "rolled_back", "{}", fixture.explain(&deployment).await);
    assert!(deployment["error"].as_str().unwrap().contains("404"), "{deployment:#}");
    assert_eq!(missed, 0, "of {asked} requests");
    assert!(asked > 20, "only {asked} requests were made");
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], good);
    assert_eq!(fixture.server.containers().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_takes_the_port_over_and_says_how_long_that_took() {
    let fixture = Fixture::start(true).await;
    fixture.deploy("one").await;
    let (sha, deployment) = fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert!(fixture.page().await.contains(&sha));
    assert!(deployment["pauseMs"].as_i64().unwrap() > 0, "{deployment:#}");
    assert_eq!(fixture.server.containers().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fixed_port_the_old_release_serves_until_the_new_one_is_healthy() {
    let fixture = Fixture::start_with(
        false,
        &[],
        json!({ "run": { "replicas": 2, "ports": [{ "container": 8080 }] } }),
    )
    .await;
    fixture.deploy("one").await;
    let (sha, deployment) = fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert_eq!(deployment["pauseMs"], serde_json::Value::Null);
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], sha);
    assert_eq!(fixture.server.containers().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_on_request_brings_the_previous_release_back_by_digest() {
    let fixture = Fixture::start(true).await;
    let (first, _) = fixture.deploy("one").await;
    fixture.deploy("two").await;
    let ready = fixture.server.get("/api/v1/stacks/web/rollback").await.expect(200);
    assert_eq!(ready["data"]["ready"], true, "{ready}");
    assert_eq!(ready["data"]["target"]["commitSha"], first);
    let row = fixture.server.post("/api/v1/stacks/web/rollback", json!({})).await.expect(202)["data"].clone();
    let deployment = fixture.server.wait_deployment(&row["seq"].to_string()).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert!(fixture.page().await.contains(&first));
    let undone = fixture.server.get("/api/v1/deployments/2").await.expect(200);
    assert_eq!(undone["data"]["status"], "rolled_back");
    assert_eq!(deployment["previousDeploymentId"], undone["data"]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_rollout_leaves_the_good_release_serving() {
    let fixture = Fixture::start(true).await;
    let (good, _) = fixture.deploy("one").await;
    let number = fixture.push(&fixture.commit("sick")).await;
    fixture
        .server
        .wait_event("the start of the rollout", |event| {
            (event["kind"] == "deployment.step"
                && event["data"]["effect"].as_str().is_some_and(|text| text.starts_with("Start"))
                && event["seq"].as_i64().unwrap() > 0
                && event["subjectId"] != serde_json::Value::Null)
                .then_some(())
        })
        .await;
    fixture.server.post(&format!("/api/v1/deployments/{number}/cancel"), json!({})).await.expect(202);
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "cancelled", "{}", fixture.explain(&deployment).await);
    assert!(fixture.page().await.contains(&good));
    assert_eq!(fixture.server.containers().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_ended_badly_is_tried_again_with_its_commit_and_with_what_was_set_right() {
    let fixture = Fixture::start(false).await;
    let server = &fixture.server;
    fixture.deploy("one").await;
    fixture.edit(|input| input["build"]["healthCheckPath"] = "/nowhere".into()).await;
    fixture.loses_patience().await;
    let (wanted, failed) = fixture.deploy("two").await;
    assert_eq!(failed["status"], "rolled_back", "{}", fixture.explain(&failed).await);
    // What was pushed since is another commit.
    fixture.commit("three");
    let set_right = |input: &mut serde_json::Value| {
        input["build"]["healthCheckPath"] = "/health".into();
        input["build"]["healthCheckTimeout"] = HEALTHY_WITHIN_S.into();
    };
    fixture.edit(set_right).await;
    let retry = |number: &serde_json::Value| {
        let path = format!("/api/v1/deployments/{number}/retry");
        async move { server.post(&path, json!({})).await }
    };
    let begun = retry(&failed["seq"]).await.expect(202)["data"].clone();
    assert_eq!(begun["reason"], format!("Retry of deployment {}", failed["seq"]));
    let early = retry(&begun["seq"]).await;
    assert!(early.status == 409 && early.text.contains("once it has ended"), "{}", early.text);
    let deployment = server.wait_deployment(&begun["seq"].to_string()).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert_eq!((&deployment["commitSha"], &deployment["branch"]), (&json!(wanted), &json!("main")));
    assert_eq!(deployment["commitMessage"], failed["commitMessage"]);
    let late = retry(&begun["seq"]).await;
    assert!(late.status == 409 && late.text.contains("nothing to retry"), "{}", late.text);
    let audit = server.get("/api/v1/audit").await.expect(200)["data"].to_string();
    assert!(audit.contains("deployment_retry"), "{audit}");

    // An image without a build: the release keeps which one it was, whatever its tag leads to later.
    let image = fixture.stack().await["activeRelease"]["imageTag"].clone();
    fixture.edit(|input| input["build"]["healthCheckPath"] = "/nowhere".into()).await;
    fixture.loses_patience().await;
    let body = json!({ "imageTag": image, "reason": "once more" });
    let begun = server.post("/api/v1/stacks/web/deploy", body).await.expect(202)["data"].clone();
    let failed = server.wait_deployment(&begun["seq"].to_string()).await;
    assert_eq!(failed["status"], "rolled_back", "{}", fixture.explain(&failed).await);
    fixture.edit(set_right).await;
    let begun = retry(&failed["seq"]).await.expect(202)["data"].clone();
    let deployment = server.wait_deployment(&begun["seq"].to_string()).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert_eq!((&deployment["imageTag"], &deployment["buildId"]), (&image, &serde_json::Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_says_which_step_and_leaves_the_good_release_serving() {
    let fixture = Fixture::start(true).await;
    let (good, _) = fixture.deploy("one").await;
    let sha = fixture.repo.commit(
        "main",
        &[("Dockerfile", "FROM scratch\nCOPY nothing /nowhere\n")],
        "no such file",
    );
    let number = fixture.push(&sha).await;
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "failed", "{deployment:#}");
    assert!(deployment["error"].as_str().unwrap().contains("nothing"), "{deployment:#}");
    assert!(fixture.page().await.contains(&good));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_delivery_twice_starts_one_deployment() {
    let fixture = Fixture::start(true).await;
    let sha = fixture.commit("one");
    let number = fixture.push(&sha).await;
    let url = fixture.git.url("app");
    fixture.server.push_webhook(&fixture.webhook, &fixture.secret, &url, "main", &sha).await;
    fixture.server.wait_deployment(&number).await;
    let all = fixture.server.get("/api/v1/stacks/web/deployments").await.expect(200);
    assert_eq!(all["data"]["items"].as_array().unwrap().len(), 1, "{all:#}");
    let inbox = fixture.server.get("/api/v1/webhooks").await.expect(200);
    let reasons: Vec<&str> = inbox["data"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["reason"].as_str())
        .collect();
    assert_eq!(reasons, ["duplicate_of", "deployed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_4s_endpoints_build_deploy_and_roll_back() {
    let fixture = Fixture::start(true).await;
    let server = &fixture.server;
    fixture.commit("one");
    let queued = server
        .post("/v1/cicd/services/1/build", json!({ "git_url": fixture.git.url("app"), "git_ref": "main", "context_path": ".", "dockerfile": "Dockerfile" }))
        .await
        .expect(202);
    assert_eq!(queued["status"], "queued");
    let job = queued["job_id"].as_str().unwrap();
    server
        .wait_event("the build", |event| {
            (event["kind"] == "build.status" && event["data"]["status"] == "success").then_some(())
        })
        .await;
    let build = server.get(&format!("/v1/cicd/builds/{}", queued["build_id"])).await.expect(200);
    assert_eq!(
        (build["status"].as_str(), build["service_id"].as_i64()),
        (Some("success"), Some(1)),
        "{build}"
    );
    assert_eq!(server.get(&format!("/v1/cicd/jobs/{job}")).await.expect(200)["type"], "build");
    assert_eq!(server.get("/v1/cicd/services/1/builds").await.expect(200)[0]["id"], queued["build_id"]);

    let request = json!({ "image_tag": build["image_tag"], "reason": "Deploy latest features" });
    let row = server.post("/v1/cicd/services/1/deploy", request).await.expect(202);
    assert_eq!(row["status"], "deploying");
    server.wait_deployment(&row["id"].to_string()).await;
    let row = server.get(&format!("/v1/cicd/deployments/{}", row["id"])).await.expect(200);
    assert_eq!(
        (row["status"].as_str(), row["reason"].as_str()),
        (Some("success"), Some("Deploy latest features")),
        "{row}"
    );
    fixture.deploy("two").await;
    let back = server.post("/v1/cicd/services/1/rollback", json!(null)).await.expect(202);
    server.wait_deployment(&back["id"].to_string()).await;
    let rows = server.get("/v1/cicd/services/1/deployments").await.expect(200);
    let words: Vec<&str> = rows.as_array().unwrap().iter().filter_map(|row| row["status"].as_str()).collect();
    assert_eq!(words, ["success", "rolled_back", "success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_path_works_on_postgresql_and_survives_a_kill() {
    let Some(database) = TestDb::postgres().await else { return };
    let mut fixture = Fixture::start_with(true, &[("WINDLASS_DATABASE_URL", &database.url)], json!({})).await;
    let (good, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    let (_, deployment) = fixture.deploy("broken").await;
    assert_eq!(deployment["status"], "rolled_back", "{}", fixture.explain(&deployment).await);
    fixture.server.kill();
    fixture.server.launch(&[]).await.unwrap();
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], good);
    let (sha, deployment) = fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert!(fixture.page().await.contains(&sha));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_says_by_which_tag_its_commit_was_found_and_how_it_was_built() {
    let fixture = Fixture::start(false).await;
    let sha = fixture.commit("one");
    fixture.repo.git(&["tag", "v1.0.0"]);
    fixture.commit("two");
    for (name, tag) in [("v1.0.0", json!("v1.0.0")), ("main", Value::Null)] {
        let begun =
            fixture.server.post("/api/v1/stacks/web/deploy", json!({ "gitRef": name })).await.expect(202);
        let deployment = fixture.server.wait_deployment(&begun["data"]["seq"].to_string()).await;
        assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
        assert_eq!(deployment["tag"], tag);
        assert_eq!(deployment["commitSha"] == sha.as_str(), name != "main");
        assert!(deployment["buildConfigId"].is_string(), "{deployment:#}");
    }
}
