//! Builds that somebody starts at the provider, of which it tells nothing by itself.

use serde_json::{Value, json};
use windlass::domain::Id;
use windlass::store::{Db, DbConfig, cicd_jobs};
use windlass_tests::docker::eventually;
use windlass_tests::vendors::circleci::CircleCi;
use windlass_tests::vendors::github::GitHub;
use windlass_tests::vendors::gitlab::GitLab;
use windlass_tests::vendors::jenkins::Jenkins;

use crate::{Service, Vendor};

impl<V: Vendor> Service<V> {
    /// As if the time had come to ask about a job that is watched.
    async fn let_look(&self, job: &Value) {
        let url = format!("sqlite:{}", self.server.data().join("windlass.db").display());
        let db = Db::open(&DbConfig::new(&url)).await.unwrap();
        let id = Id::from_text(job["id"].as_str().unwrap());
        let due = db.write(move |tx| Box::pin(async move { cicd_jobs::look_by(tx, &id, 0).await }));
        due.await.unwrap();
    }

    async fn job(&self, job: &Value) -> Value {
        let path = format!("/api/v1/ci/jobs/{}", job["seq"]);
        self.server.get(&path).await.expect(200)["data"].clone()
    }

    async fn begins(&self, build: i64) {
        let begun = self.server.wait_event("the build is known", |event| {
            let ours = event["kind"] == "ci_build.status" && event["data"]["build"] == build;
            (ours && event["data"]["number"] != "").then_some(())
        });
        begun.await;
    }
}

async fn is_found<V: Vendor>() {
    let service = Service::<V>::start().await;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    service.vendor.run();
    service.vendor.finish(true);
    service.server.wait_deployment(&number).await;
    let first = service.settled("1").await;
    let before = service.carried(&number).await;
    assert!(before["job"]["look_at"].is_string(), "the job of a stack is watched: {before}");

    let started = service.vendor.outside().send().await.unwrap();
    assert!(started.status().is_success(), "{started:?}");
    service.vendor.run();
    service.let_look(&before["job"]).await;
    service.begins(2).await;
    service.vendor.finish(true);
    let build = service.settled("2").await;
    assert_eq!(
        (&build["origin"], &build["status"], &build["deployment_id"]),
        (&json!("outside"), &json!("success"), &Value::Null),
        "{build}"
    );
    assert!(build["url"].is_string() && build["external_id"] != first["external_id"], "{build}");
    assert!(build["number"] != "" && build["number"] != first["number"], "{build}");
    let log = service.server.get("/api/v1/ci/builds/2/logs").await.text;
    assert!(log.contains(V::LOG) && log.contains("the build ended: success"), "{log}");

    // The deployment is what it was; only the job knows of a newer build.
    let after = service.carried(&number).await;
    assert_eq!((&after["mapping"], &after["builds"]), (&before["mapping"], &before["builds"]));
    assert_eq!(after["job"]["last_build_number"], build["number"]);
    // Looking once more finds nothing new.
    service.let_look(&after["job"]).await;
    eventually("it was looked at again", async || {
        service.job(&after["job"]).await["last_synced_at"] != after["job"]["last_synced_at"]
    })
    .await;
    let builds = service.server.get(&format!("/api/v1/ci/jobs/{}/builds", after["job"]["seq"])).await;
    assert_eq!(builds.expect(200)["data"]["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_somebody_starts_at_jenkins_is_found() {
    is_found::<Jenkins>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_somebody_starts_at_github_is_found() {
    is_found::<GitHub>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_somebody_starts_at_gitlab_is_found() {
    is_found::<GitLab>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_somebody_starts_at_circleci_is_found() {
    is_found::<CircleCi>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_its_own_is_watched_if_it_says_so_and_history_is_no_news() {
    let service = Service::<CircleCi>::start().await;
    let mut asked = json!({
        "provider": "ci", "name": "alone", "committed": true,
        "repository": { "url": CircleCi::REPOSITORY, "branch": "main" },
    });
    let made = service.server.post("/api/v1/ci/jobs", asked.clone()).await.expect(201)["data"].clone();
    assert_eq!(made["look_at"], Value::Null, "nobody asked for that: {made}");
    asked["watch"] = json!(true);
    let watched = service.server.post("/api/v1/ci/jobs", asked).await.expect(201)["data"].clone();
    assert!(watched["look_at"].is_string() && watched["id"] == made["id"], "{watched}");
    // CircleCI has an earlier pipeline, which ended long before.
    service.let_look(&watched).await;
    eventually("it was looked at", async || {
        service.job(&watched).await["last_synced_at"] != watched["last_synced_at"]
    })
    .await;
    let builds = format!("/api/v1/ci/jobs/{}/builds", watched["seq"]);
    let found = service.server.get(&builds).await.expect(200)["data"]["items"].clone();
    assert_eq!(found, json!([]));
    // What is asked for by hand is looked at right away.
    service.vendor.outside().send().await.unwrap();
    service.vendor.run();
    let sync = format!("/api/v1/ci/jobs/{}/sync", watched["seq"]);
    service.server.post(&sync, json!({})).await.expect(202);
    service.begins(1).await;
    assert_eq!(service.build("1").await["origin"], "outside");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_ended_before_its_job_was_known_is_no_news_however_it_is_asked_about() {
    let service = Service::<GitLab>::start().await;
    let asked = json!({
        "provider": "ci", "name": "alone", "repository": { "url": GitLab::REPOSITORY, "branch": "main" },
        "scripts": [{ "path": "deploy.sh" }], "watch": true,
    });
    let job = service.server.post("/api/v1/ci/jobs", asked).await.expect(201)["data"].clone();
    // Its times are long past, and GitLab's list only has those of when it was made and when it last changed.
    service.vendor.outside().send().await.unwrap();
    service.vendor.run();
    service.vendor.finish(true);
    let sync = format!("/api/v1/ci/jobs/{}/sync", job["seq"]);
    service.server.post(&sync, json!({})).await.expect(202);
    eventually("it was asked about", async || {
        service.job(&job).await["last_synced_at"] != job["last_synced_at"]
    })
    .await;
    let builds = format!("/api/v1/ci/jobs/{}/builds", job["seq"]);
    assert_eq!(service.server.get(&builds).await.expect(200)["data"]["items"], json!([]));
}
