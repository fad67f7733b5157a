//! A rollout that asks people: it waits for their answer, over a crash as well, and takes nobody's place meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::docker::eventually;
use windlass_tests::fixture::Fixture;
use windlass_tests::server::ADMIN_TOKEN;

/// Two copies side by side; the new one gets the requests when somebody says so.
async fn fixture(variables: &[(&str, &str)]) -> Fixture {
    let extra = json!({
        "strategy": "blue-green",
        "strategyParams": { "promotion": "approval", "checks": 0, "bake_s": 0 },
        "run": { "ports": [{ "container": 8080 }], "stopTimeoutSecs": 1 },
    });
    Fixture::start_with(false, variables, extra).await
}

/// Pushes a second version and waits until its rollout asks; its number and the question.
async fn asking(fixture: &Fixture) -> (String, Value) {
    let first = fixture.push(&fixture.commit("one")).await;
    question(fixture, &first).await;
    assert_eq!(say(fixture, &first, "approve", json!({})).await.0, 200);
    let first = fixture.server.wait_deployment(&first).await;
    assert_eq!(first["status"], "successful", "{}", fixture.explain(&first).await);
    let number = fixture.push(&fixture.commit("two")).await;
    (number.clone(), question(fixture, &number).await)
}

async fn question(fixture: &Fixture, number: &str) -> Value {
    let seq: i64 = number.parse().unwrap();
    let is_it = |event: &Value| {
        event["kind"] == "deployment.approval"
            && event["data"]["deployment"] == seq
            && event["data"]["state"] == "open"
    };
    fixture.server.wait_event("the question", |event| is_it(event).then_some(())).await;
    let asked = fixture.server.get(&format!("/api/v1/deployments/{number}/approvals")).await.expect(200);
    asked["data"].as_array().unwrap().last().unwrap().clone()
}

async fn say(fixture: &Fixture, number: &str, word: &str, body: Value) -> (u16, Value) {
    let answer = fixture.server.post(&format!("/api/v1/deployments/{number}/{word}"), body).await;
    (answer.status, answer.json)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_release_is_promoted_and_it_is_remembered_who_said_so() {
    let fixture = fixture(&[]).await;
    let (number, asked) = asking(&fixture).await;
    assert_eq!(asked["state"], "open");
    // Somebody looked at another plan.
    let (status, refused) = say(&fixture, &number, "approve", json!({ "planHash": "f00" })).await;
    assert_eq!(status, 409, "{refused}");
    let body = json!({ "planHash": asked["planHash"], "comment": "looks good" });
    assert_eq!(say(&fixture, &number, "approve", body).await.0, 200);
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    let known = fixture.server.get(&format!("/api/v1/deployments/{number}/approvals")).await.expect(200);
    let answer = &known["data"][0];
    assert_eq!((&answer["state"], &answer["comment"]), (&json!("approved"), &json!("looks good")));
    assert!(answer["decidedBy"].is_string() && answer["decidedAt"].is_string(), "{answer}");
    let (status, late) = say(&fixture, &number, "reject", json!({})).await;
    assert_eq!(status, 409, "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rejection_what_served_goes_on_serving() {
    let fixture = fixture(&[]).await;
    let (number, _) = asking(&fixture).await;
    let good = fixture.stack().await["activeRelease"]["id"].clone();
    assert_eq!(say(&fixture, &number, "reject", json!({ "comment": "not on a Friday" })).await.0, 200);
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "rolled_back", "{}", fixture.explain(&deployment).await);
    assert_eq!(fixture.stack().await["activeRelease"]["id"], good);
    assert_eq!(fixture.server.containers().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_survives_the_server() {
    let mut fixture = fixture(&[]).await;
    let (number, asked) = asking(&fixture).await;
    fixture.server.kill();
    fixture.server.launch(&[]).await.unwrap();
    let again = question(&fixture, &number).await;
    assert_eq!(again["id"], asked["id"], "it is not asked twice");
    assert_eq!(say(&fixture, &number, "approve", json!({})).await.0, 200);
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_people_keeps_no_worker_busy() {
    let fixture = fixture(&[("JOB_WORKERS", "1")]).await;
    let (number, _) = asking(&fixture).await;
    let image = fixture.stack().await["activeRelease"]["imageTag"].clone();
    fixture.server.post("/api/v1/stacks", json!({ "name": "other" })).await.expect(201);
    let other = fixture.server.post("/api/v1/stacks/other/deploy", json!({ "imageTag": image })).await;
    let other = other.expect(202)["data"]["seq"].to_string();
    fixture.server.wait_deployment(&other).await;
    assert_eq!(say(&fixture, &number, "approve", json!({})).await.0, 200);
    assert_eq!(fixture.server.wait_deployment(&number).await["status"], "successful");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_rollout_does_nothing_until_it_is_resumed() {
    let fixture = fixture(&[]).await;
    let (number, _) = asking(&fixture).await;
    let (status, paused) = say(&fixture, &number, "pause", json!({})).await;
    assert_eq!(status, 200, "{paused}");
    assert!(paused["data"]["pausedAt"].is_string(), "{paused}");
    assert_eq!(say(&fixture, &number, "pause", json!({})).await.0, 409);
    assert_eq!(say(&fixture, &number, "approve", json!({})).await.0, 200);
    let is_resumed =
        |event: &Value| event["data"]["label"].as_str().is_some_and(|text| text.starts_with("Resumed"));
    assert_eq!(say(&fixture, &number, "resume", json!({})).await.0, 200);
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    // Whatever followed the approval came after it was resumed.
    let seq: i64 = number.parse().unwrap();
    let mut resumed_at = None;
    let ended_at = fixture
        .server
        .wait_event("the end", |event| {
            if is_resumed(event) {
                resumed_at = event["seq"].as_i64();
            }
            let is_end = event["data"]["deployment"] == seq && event["data"]["status"] == "successful";
            is_end.then(|| event["seq"].as_i64().unwrap())
        })
        .await;
    assert!(resumed_at.is_some_and(|seq| seq < ended_at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_time_ends_when_somebody_says_so() {
    let extra = json!({
        "strategy": "blue-green",
        "strategyParams": { "promotion": "timer", "promote_after_s": 3600, "checks": 0, "bake_s": 3600 },
        "run": { "ports": [{ "container": 8080 }], "stopTimeoutSecs": 1 },
    });
    let fixture = Fixture::start_with(false, &[], extra).await;
    let first = fixture.push(&fixture.commit("one")).await;
    until_it_waits(&fixture, &first, 0).await;
    assert_eq!(say(&fixture, &first, "promote", json!({})).await.0, 200);
    assert_eq!(fixture.server.wait_deployment(&first).await["status"], "successful");

    let number = fixture.push(&fixture.commit("two")).await;
    until_it_waits(&fixture, &number, 0).await;
    let (status, refused) = say(&fixture, &number, "promote", json!({ "share": 50 })).await;
    assert!(status == 409 && refused.to_string().contains("0 % of the requests by now"), "{refused}");
    assert!(page(&fixture, &number).await.contains("Promote now"));
    let body = json!({ "share": 0, "comment": "looked at it" });
    assert_eq!(say(&fixture, &number, "promote", body).await.0, 200);
    until_it_waits(&fixture, &number, 100).await;
    fixture.server.cli(&["promote", &number, "--share", "100"]).expect(0);
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert_eq!(fixture.server.containers().len(), 1, "the old copy is gone");

    let said = fixture.server.get(&format!("/api/v1/deployments/{number}/approvals")).await.expect(200);
    let said = said["data"].as_array().unwrap();
    assert_eq!((said.len(), &said[0]["comment"]), (2, &json!("looked at it")), "{said:?}");
    assert!(said.iter().all(|word| word["state"] == "approved" && word["planHash"] == ""), "{said:?}");
    let (status, late) = say(&fixture, &number, "promote", json!({})).await;
    assert!(status == 409 && late.to_string().contains("successful already"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_promotes_what_does_not_wait_for_time() {
    let fixture = Fixture::start(false).await;
    fixture.push(&fixture.commit("one")).await;
    let number = fixture.push(&fixture.commit("sick")).await;
    let is_starting = |event: &Value| event["kind"] == "deployment.step" && event["subjectId"].is_string();
    fixture.server.wait_event("the rollout", |event| is_starting(event).then_some(())).await;
    let (status, refused) = say(&fixture, &number, "promote", json!({})).await;
    assert!(status == 409 && refused.to_string().contains("cannot be promoted now"), "{refused}");
    let (status, _) = say(&fixture, &number, "cancel", json!({})).await;
    assert!(status < 300, "{status}");
    fixture.server.wait_deployment(&number).await;
}

/// The new release has such a share of the requests, and the rollout waits for time to pass.
async fn until_it_waits(fixture: &Fixture, number: &str, share: u64) {
    eventually("the wait", async || {
        let path = format!("/api/v1/deployments/{number}/rollout");
        let rollout = fixture.server.get(&path).await.expect(200)["data"].clone();
        rollout["waits"] == true && rollout["releases"][0]["percent"] == share
    })
    .await;
}

async fn page(fixture: &Fixture, number: &str) -> String {
    let request = fixture.server.stranger(Method::GET, &format!("/deployments/{number}"));
    let request = request.header("cookie", format!("windlass_token={ADMIN_TOKEN}"));
    request.send().await.unwrap().text().await.unwrap()
}
