//! What goes on by itself: builds at set times, failed ones that are started again, and providers that take few requests.

use axum::http::HeaderValue;
use serde_json::{Value, json};
use windlass::domain::Id;
use windlass::store::{Db, DbConfig, schedules, tasks};
use windlass_tests::docker::eventually;
use windlass_tests::vendors::github::GitHub;
use windlass_tests::vendors::gitlab::GitLab;

use crate::{Service, Vendor};

/// A job of GitLab's, made by hand.
async fn job(service: &Service<GitLab>, extra: Value) -> String {
    let mut asked = json!({
        "provider": "ci", "name": "nightly", "repository": { "url": GitLab::REPOSITORY, "branch": "main" },
        "scripts": [{ "path": "deploy.sh" }], "parameters": { "TARGET": "staging" },
    });
    asked.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    service.server.post("/api/v1/ci/jobs", asked).await.expect(201)["data"]["seq"].to_string()
}

async fn begins(service: &Service<GitLab>, build: i64) {
    let begun = service.server.wait_event("the start of the build", |event| {
        let ours = event["kind"] == "ci_build.status" && event["data"]["build"] == build;
        (ours && event["data"]["number"] != "").then_some(())
    });
    begun.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_of_a_job_are_started_by_its_schedule_once_for_each_due_time() {
    let service = Service::<GitLab>::start().await;
    let job = job(&service, json!({})).await;
    let (server, path) = (&service.server, format!("/api/v1/ci/jobs/{job}/schedules"));
    let plan = json!({ "name": "nightly", "cron": "30 4 * * *", "timeZone": "Europe/Berlin" });
    let made = server.post(&path, plan.clone()).await.expect(201)["data"].clone();
    assert_eq!((&made["stackId"], made["jobId"].is_string()), (&Value::Null, true), "{made}");
    server.post(&path, plan).await.expect(409);
    server.post(&path, json!({ "name": "x", "cron": "soon" })).await.expect(422);
    let listed = server.get(&path).await.expect(200)["data"]["items"].as_array().unwrap().len();
    assert_eq!(listed, 1);
    // As if its time had come.
    let url = format!("sqlite:{}", server.data().join("windlass.db").display());
    let db = Db::open(&DbConfig::new(&url)).await.unwrap();
    let key = made["seq"].to_string();
    let due = db.write(move |tx| {
        Box::pin(async move {
            let mut row = schedules::find(tx, &key).await?;
            row.next_at = Some(windlass::store::now() - 1000);
            schedules::update(tx, &row).await
        })
    });
    due.await.unwrap();
    begins(&service, 1).await;
    service.vendor.run();
    service.vendor.finish(true);
    let build = service.settled("1").await;
    assert_eq!((&build["origin"], &build["status"]), (&json!("schedule"), &json!("success")), "{build}");
    assert_eq!(build["parameters"], json!({ "TARGET": "staging" }));
    let one = format!("/api/v1/schedules/{}", made["seq"]);
    let after = server.get(&one).await.expect(200)["data"].clone();
    assert_eq!(
        (&after["lastResult"], &after["lastBuildId"]),
        (&json!("started build 1"), &build["id"]),
        "{after}"
    );
    server.delete(&format!("/api/v1/ci/jobs/{job}")).await.expect_empty(204);
    server.get(&one).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_is_started_again_as_often_as_its_job_says_and_not_at_once() {
    let service = Service::<GitLab>::start().await;
    let job = job(&service, json!({ "retries": 1, "retry_delay_secs": 1 })).await;
    let path = format!("/api/v1/ci/jobs/{job}/trigger");
    service.server.post(&path, json!({ "retries": 11 })).await.expect(422);
    service.server.post(&path, json!({ "timeout_secs": 90 })).await.expect(202);
    for build in [1, 2] {
        begins(&service, build).await;
        service.vendor.run();
        service.vendor.finish(false);
        service.settled(&build.to_string()).await;
    }
    let (first, second) = (service.build("1").await, service.build("2").await);
    assert_eq!(first["successor_id"], second["id"]);
    assert_eq!((&second["origin"], &second["attempt"]), (&json!("retry"), &json!(2)), "{second}");
    assert_eq!((&second["timeout_secs"], &second["successor_id"]), (&json!(90), &Value::Null), "{second}");
    let time = |value: &Value| chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
    // Nothing was sent for the second one in its first second.
    let took = time(&second["settled_at"]) - time(&second["created_at"]);
    assert!(took.num_milliseconds() >= 1000, "{second}");
    assert_eq!((time(&second["deadline_at"]) - time(&second["created_at"])).num_seconds(), 91, "{second}");
    // Once more by hand, with the same time.
    let again = service.server.post("/api/v1/ci/builds/2/rerun", json!({})).await.expect(202)["data"].clone();
    assert_eq!((&again["timeout_secs"], &again["attempt"]), (&json!(90), &json!(1)), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_of_its_limit_is_shown_and_builds_are_looked_at_less_often() {
    let service = Service::<GitHub>::start().await;
    let end = chrono::Utc::now().timestamp() + 3600;
    let header = |text: String| HeaderValue::from_str(&text).unwrap();
    service.vendor.fake.say(vec![
        ("x-ratelimit-limit", header("5000".into())),
        ("x-ratelimit-remaining", header("10".into())),
        ("x-ratelimit-reset", header(end.to_string())),
    ]);
    service.server.post("/api/v1/providers/ci/test", json!({})).await.expect(200);
    let provider = service.server.get("/api/v1/providers/ci").await.expect(200)["data"].clone();
    let rate = &provider["health"]["rate_limit"];
    assert_eq!(
        (&rate["limit"], &rate["remaining"], &rate["low"]),
        (&json!(5000), &json!(10), &json!(true)),
        "{provider}"
    );
    let metrics = service.server.get("/metrics").await.text;
    assert!(
        metrics.contains("windlass_provider_rate_limit_remaining_requests{provider=\"ci\"} 10"),
        "{metrics}"
    );
    let number = service.deploy().await;
    service.wait_started(&number).await;
    // With 10 of 5000 left, a pause of one second becomes two minutes.
    let build = service.build("1").await["id"].as_str().unwrap().to_owned();
    let url = format!("sqlite:{}", service.server.data().join("windlass.db").display());
    let (db, id) = (Db::open(&DbConfig::new(&url)).await.unwrap(), Id::from_text(build));
    eventually("the next look is far away", async || {
        let mut conn = db.read().await.unwrap();
        let tasks = tasks::list_by_subject(&mut conn, &id).await.unwrap();
        tasks.iter().any(|task| task.run_at > windlass::store::now() + 60_000)
    })
    .await;
    // A person does not wait for that.
    service.server.post(&format!("/api/v1/deployments/{number}/cancel"), json!({})).await.expect(202);
    assert_eq!(service.server.wait_deployment(&number).await["status"], "cancelled");
}
