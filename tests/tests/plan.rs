//! What a deployment would do, said before it does anything.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass_tests::fixture::Fixture;

async fn plan(fixture: &Fixture, query: &str) -> Value {
    fixture.server.get(&format!("/api/v1/stacks/web/plan{query}")).await.expect(200)["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_changes_steps_downtime_and_the_way_back_and_does_nothing() {
    let fixture = Fixture::start(true).await;
    fixture.commit("one");
    let nothing = plan(&fixture, "").await;
    assert_eq!(nothing["wayBack"]["ready"], false, "{nothing}");
    assert!(nothing["changes"].as_array().unwrap().iter().all(|change| change.get("from").is_none()));
    let (_, first) = fixture.deploy("one").await;
    assert_eq!(first["status"], "successful", "{}", fixture.explain(&first).await);

    let head = fixture.commit("two");
    fixture
        .edit(|stack| {
            stack["build"]["environmentVariables"] =
                json!([{ "name": "API_KEY", "value": "hunter2hunter2", "secret": true }]);
            stack["run"]["stopTimeoutSecs"] = json!(3);
        })
        .await;
    let told = plan(&fixture, "").await;
    let change = |what: &str| {
        let changes = told["changes"].as_array().unwrap();
        changes.iter().find(|change| change["what"] == what).cloned().unwrap_or_default()
    };
    assert_eq!((&change("commit")["from"], &change("commit")["to"]), (&first["commitSha"], &json!(head)));
    assert_eq!(change("variable API_KEY")["to"], "a value");
    assert_eq!(change("time to stop")["to"], "3 s");
    assert!(!told.to_string().contains("hunter2"), "{told}");
    // The port changes hands, and how long that takes is taken from the deployment before.
    let why = told["downtime"]["why"].as_str().unwrap();
    assert!(why.contains("belongs to one container"), "{why}");
    assert_eq!(told["steps"].as_array().unwrap().last().unwrap()["share"], 100, "{told}");
    assert_eq!(told["wayBack"]["ready"], true, "{told}");
    assert_eq!(plan(&fixture, "").await["hash"], told["hash"], "the same plan has the same hash");
    let back = plan(&fixture, &format!("?deployment={}", first["seq"])).await;
    assert_eq!(back["changes"], json!([]), "what serves is what would be brought back: {back}");

    let listed = fixture.server.get("/api/v1/stacks/web/deployments").await.expect(200);
    assert_eq!(listed["data"]["items"].as_array().unwrap().len(), 1, "planning deploys nothing");
    let refused = fixture.server.get("/api/v1/stacks/web/plan?ref=no-such-branch").await;
    assert_eq!(refused.status, 409, "{}", refused.json);
    let refused = fixture.server.get("/api/v1/stacks/web/plan?ref=main&deployment=1").await;
    assert_eq!(refused.status, 422, "{}", refused.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_asks_the_strategy_itself_and_says_what_people_will_be_asked() {
    let extra = json!({
        "strategy": "blue-green",
        "strategyParams": { "promotion": "approval", "checks": 0, "bake_s": 60 },
        "run": { "ports": [{ "container": 8080 }], "stopTimeoutSecs": 1 },
    });
    let fixture = Fixture::start_with(false, &[], extra).await;
    fixture.commit("one");
    let told = plan(&fixture, "").await;
    assert!(told.get("downtime").is_none(), "{told}");
    let asked = told["steps"].as_array().unwrap().iter().filter(|step| step["question"].is_string());
    assert_eq!(asked.count(), 1, "{told}");

    let text = fixture.server.cli(&["plan", "web"]).expect(0).out;
    for expected in ["Strategy blue-green", "asks: ", "Downtime: none", "Way back: not ready"] {
        assert!(text.contains(expected), "`{expected}` is missing in:\n{text}");
    }
}
