//! Canaries through the router: a good release gets more and more, a worse one is taken back by what its answers say.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass_tests::routed::Routed;

async fn routed() -> Routed {
    Routed::start(json!({
        "strategy": "canary",
        "strategyParams": {
            "steps": [{ "weight": 20, "seconds": 4 }, { "weight": 60, "seconds": 4 }],
            "interval_s": 1, "min_requests": 20, "slower_ms": 100, "bake_s": 1,
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

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_gets_more_and_more_and_every_decision_can_be_made_again() {
    let routed = routed().await;
    let (_, first) = routed.fixture.deploy("one").await;
    assert_eq!(first["status"], "successful", "{}", routed.fixture.explain(&first).await);
    let visitors = routed.visitors();
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

    let deployment = routed.fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests", good + bad);
    assert!(routed.page().await.contains(&sha));
    let over = routed.fixture.server.get(&format!("/api/v1/deployments/{number}/rollout")).await.expect(200);
    assert_eq!(over["data"], json!({ "running": false, "routed": false, "releases": [] }));

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
