//! Canaries through the router: a good release gets more and more, a worse one is taken back by what its answers say.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass_tests::routed::Routed;
use windlass_tests::server::ADMIN_TOKEN;

async fn routed() -> Routed {
    Routed::start(json!({
        "strategy": "canary",
        "strategyParams": {
            "steps": [{ "weight": 20, "seconds": 4 }, { "weight": 60, "seconds": 4 }],
            "interval_s": 1, "min_requests": 20, "slower_ms": 100, "bake_s": 1,
            // Without requests it stays where it is.
            "low_traffic": "extend",
        },
    }))
    .await
}

/// The rollout as people watch it, once the new release gets so much.
async fn at_share(routed: &Routed, number: &str, percent: u64) -> Value {
    let path = format!("/api/v1/deployments/{number}/rollout");
    let share = format!("{percent} %");
    let is_it = |event: &Value| {
        event["kind"] == "deployment.step"
            && event["data"]["label"].as_str().is_some_and(|label| label.starts_with(&share))
    };
    routed.fixture.server.wait_event("the share", |event| is_it(event).then_some(())).await;
    routed.fixture.server.get(&path).await.expect(200)["data"].clone()
}

/// What the rollout was like.
async fn history(routed: &Routed, number: &str) -> Value {
    let path = format!("/api/v1/deployments/{number}/history");
    routed.fixture.server.get(&path).await.expect(200)["data"].clone()
}

/// The shares that the new release got, one after the other.
fn moved(history: &Value) -> Vec<u64> {
    let decided = history["decided"].as_array().unwrap();
    decided.iter().filter_map(|one| one["percent"].as_u64()).collect()
}

/// What it came to, in words, as those hear it who follow the events.
async fn transitions(routed: &Routed, deployment: &Value) -> Vec<String> {
    let mut told = Vec::new();
    let is_over = |event: &Value| {
        event["kind"] == "deployment.status" && event["data"]["status"] == deployment["status"]
    };
    let mut hear = |event: &Value| {
        if event["subjectId"] != deployment["id"] {
            return None;
        }
        if event["kind"] == "deployment.transition" {
            told.push(event["data"]["transition"].as_str().unwrap().to_owned());
        }
        is_over(event).then_some(())
    };
    routed.fixture.server.wait_event("the end", &mut hear).await;
    told
}

/// The deployment's page.
async fn dashboard(routed: &Routed, number: &str) -> String {
    let cookie = format!("windlass_token={ADMIN_TOKEN}");
    let path = format!("/deployments/{number}");
    let request = routed.fixture.server.stranger(reqwest::Method::GET, &path).header("cookie", cookie);
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_gets_more_and_more_and_every_decision_can_be_made_again() {
    let routed = routed().await;
    let (_, first) = routed.fixture.deploy("one").await;
    assert_eq!(first["status"], "successful", "{}", routed.fixture.explain(&first).await);
    let sha = routed.fixture.commit("two");
    let number = routed.fixture.push(&sha).await;
    let seen = at_share(&routed, &number, 20).await;
    assert_eq!((&seen["running"], &seen["routed"]), (&json!(true), &json!(true)), "{seen}");
    let shares: Vec<&Value> =
        seen["releases"].as_array().unwrap().iter().map(|one| &one["percent"]).collect();
    assert_eq!(shares, [20, 80]);
    assert_eq!(seen["releases"][0]["role"], "new");
    assert_eq!(seen["releases"][0]["instances"][0]["state"], "healthy", "{seen}");
    let shown = routed.fixture.server.cli(&["rollout", "show", &number]).out;
    assert!(shown.contains("20 %") && shown.contains("1 of 1 healthy"), "{shown}");

    let visitors = routed.visitors();
    let deployment = routed.fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests", good + bad);
    assert!(routed.page().await.contains(&sha));
    let over = routed.fixture.server.get(&format!("/api/v1/deployments/{number}/rollout")).await.expect(200);
    assert_eq!(over["data"], json!({ "running": false, "routed": false, "waits": false, "releases": [] }));

    let metrics = routed.fixture.server.get("/metrics").await.text;
    let buckets: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("windlass_router_response_seconds_bucket{")).collect();
    assert!(
        buckets.iter().any(|line| line.contains("+Inf") && line.contains("route=\"web\"")),
        "{buckets:#?}"
    );

    let words = transitions(&routed, &deployment).await;
    assert_eq!(words, ["share_moved", "judged", "share_moved", "judged", "promoted", "baking"]);
    let told = history(&routed, &number).await;
    assert_eq!(moved(&told), [20, 60, 100], "{told}");
    let (begun, ended) = (&told["begunAt"], &told["endedAt"]);
    assert!(begun.as_str().is_some() && ended.as_str() > begun.as_str(), "{told}");
    let points = told["points"].as_array().unwrap();
    let both = |point: &&Value| point["new"]["p95Ms"].is_number() && point["stable"]["p95Ms"].is_number();
    assert!(points.iter().any(|point| point["percent"] == 20) && points.iter().filter(both).count() > 1);
    let shown = dashboard(&routed, &number).await;
    for part in ["Share of the new release", "95 % of the answers within", "chart-new", "60 % new", "Bake"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    assert!(dashboard(&routed, "1").await.contains("What was decided"), "of the first as well");
    assert!(!dashboard(&routed, "1").await.contains("chart-new"), "there was nothing to compare with");

    let replayed = routed.fixture.server.cli(&["rollout", "replay", &number]);
    let told = replayed.expect(0).out;
    assert!(told.contains("the same") && told.contains(", 0 otherwise"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_answers_with_errors_is_taken_back_at_its_first_step() {
    let routed = routed().await;
    let (good, _) = routed.fixture.deploy("one").await;
    let visitors = routed.visitors();
    let (_, deployment) = routed.fixture.deploy("failing").await;
    assert_eq!(deployment["status"], "rolled_back", "{}", routed.fixture.explain(&deployment).await);
    assert!(deployment["error"].as_str().unwrap().contains("100.0 % of"), "{deployment}");
    visitors.leave().await;
    let visitors = routed.visitors();
    assert!(routed.page().await.contains(&good));
    assert_eq!(visitors.leave().await.1, 0, "nobody meets the failing one any more");

    let number = deployment["seq"].to_string();
    assert_eq!(transitions(&routed, &deployment).await, ["share_moved", "judged", "switched_back"]);
    let told = history(&routed, &number).await;
    assert_eq!(moved(&told), [20, 0], "{told}");
    let decided = told["decided"].as_array().unwrap();
    let back = decided.iter().find(|one| one["percent"] == 0).unwrap();
    let reason = deployment["error"].as_str().unwrap();
    assert!(back["reason"].as_str().unwrap().contains(reason), "{back}");
    assert_eq!(back["new"]["errorPercent"], 100.0, "{back}");
    assert!(back["new"]["requestsPerSecond"].as_f64().unwrap() > 0.0, "{back}");
    assert_eq!(decided.last().unwrap()["what"], "end", "{told}");
    let said = routed.fixture.server.cli(&["rollout", "history", &number]).expect(0).out;
    assert!(said.contains("20 %") && said.contains("100.0 % /") && said.contains(reason), "{said}");
    let same = routed.fixture.server.cli(&["rollout", "history", &number, "-o", "json"]).expect(0).json();
    assert_eq!(same, told);
    let shown = dashboard(&routed, &number).await;
    assert!(shown.contains("New: 100.0 % of"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_answers_late_is_taken_back_at_its_first_step() {
    let routed = routed().await;
    let (good, _) = routed.fixture.deploy("one").await;
    let visitors = routed.visitors();
    let (_, deployment) = routed.fixture.deploy("slow").await;
    assert_eq!(deployment["status"], "rolled_back", "{}", routed.fixture.explain(&deployment).await);
    let (_, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "it was slow and nothing else");
    assert!(routed.page().await.contains(&good));
}
