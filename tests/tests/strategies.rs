//! The built-in strategies on a real engine, where there is no router: what they can do, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass_tests::fixture::Fixture;
use windlass_tests::server::{ADMIN_TOKEN, TestServer, docker};

/// A stack without a fixed port.
async fn fixture(strategy: &str, params: Value, replicas: u32) -> Fixture {
    let fields = json!({
        "strategy": strategy, "strategyParams": params,
        "run": { "replicas": replicas, "ports": [{ "container": 8080 }], "stopTimeoutSecs": 2 },
    });
    Fixture::start_with(false, &[], fields).await
}

/// Waits until the newest rollout says something like that.
async fn wait_label(fixture: &Fixture, words: &str) {
    let what = format!("the label `{words}`");
    let says = |event: &Value| event["data"]["label"].as_str().is_some_and(|label| label.contains(words));
    fixture.server.wait_event(&what, |event| says(event).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blue_green_keeps_the_old_copy_ready_until_the_bake_is_over() {
    let fixture = fixture("blue-green", json!({ "checks": 1, "bake_s": 300 }), 2).await;
    let (_, first) = fixture.deploy("one").await;
    assert_eq!(first["status"], "successful", "{}", fixture.explain(&first).await);
    let old = fixture.server.containers();
    let sha = fixture.commit("two");
    let number = fixture.push(&sha).await;
    wait_label(&fixture, "the old copy stays ready").await;
    let baking = fixture.server.containers();
    let kept = old.iter().filter(|name| baking.contains(name)).count();
    assert_eq!((kept, baking.len()), (2, 4), "{baking:?}");
    fixture.server.post(&format!("/api/v1/deployments/{number}/promote"), json!({})).await.expect(200);
    let second = fixture.server.wait_deployment(&number).await;
    assert_eq!(second["status"], "successful", "{}", fixture.explain(&second).await);
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], sha);
    let left = fixture.server.containers();
    assert!(left.len() == 2 && left.iter().all(|name| !old.contains(name)), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_in_the_bake_of_blue_green_switches_back_to_the_copy_that_is_ready() {
    let fixture = fixture("blue-green", json!({ "checks": 0, "bake_s": 300 }), 1).await;
    let (good, _) = fixture.deploy("one").await;
    let old = fixture.server.containers();
    let number = fixture.push(&fixture.commit("two")).await;
    wait_label(&fixture, "the old copy stays ready").await;
    fixture.server.post(&format!("/api/v1/deployments/{number}/cancel"), json!({})).await.expect(202);
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "cancelled", "{}", fixture.explain(&deployment).await);
    assert_eq!(fixture.server.containers(), old);
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], good);
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_replaces_one_instance_after_the_other() {
    let fixture = fixture("rolling", json!({ "settle_s": 0 }), 3).await;
    fixture.deploy("one").await;
    let old = fixture.server.containers();
    let (sha, deployment) = fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], sha);
    let left = fixture.server.containers();
    assert!(left.len() == 3 && left.iter().all(|name| !old.contains(name)), "{left:?}");
    // One more than the replicas at any time: an old one goes before the next new one comes.
    let log = fixture.server.log_of(&deployment["seq"].to_string()).await;
    let mut running = 3;
    for line in log.lines() {
        running += i32::from(line.contains("Start windlass-web-"));
        running -= i32::from(line.contains("Remove windlass-web-"));
        assert!((3..=4).contains(&running), "{running} instances at `{line}` of\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bake_of_the_standard_strategy_keeps_the_old_copy_and_goes_back_to_it() {
    let fixture = fixture("standard", json!({ "bake_s": 300 }), 1).await;
    let (good, first) = fixture.deploy("one").await;
    assert_eq!(first["status"], "successful", "{}", fixture.explain(&first).await);
    let old = fixture.server.containers();
    let number = fixture.push(&fixture.commit("two")).await;
    wait_label(&fixture, "the old copy stays ready").await;
    let baking = fixture.server.containers();
    assert!(baking.len() == 2 && old.iter().all(|name| baking.contains(name)), "{baking:?}");
    let new = baking.iter().find(|name| !old.contains(name)).unwrap();
    docker(&["kill", new]);
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "rolled_back", "{}", fixture.explain(&deployment).await);
    assert_eq!(fixture.server.containers(), old);
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], good);
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_watches_the_new_instances_after_the_last_batch() {
    let fixture = fixture("rolling", json!({ "settle_s": 0, "bake_s": 2 }), 2).await;
    fixture.deploy("one").await;
    let sha = fixture.commit("two");
    let number = fixture.push(&sha).await;
    wait_label(&fixture, "it is watched").await;
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], sha);
    assert_eq!(fixture.server.containers().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_asked_for_on_demand_and_told_of_each_instance() {
    let fixture = fixture("standard", json!({}), 2).await;
    let (_, first) = fixture.deploy("one").await;
    let (_, second) = fixture.deploy("two").await;
    let server = &fixture.server;
    let check = async |what: String| {
        server.post(&format!("/api/v1/{what}/health-check"), json!({})).await.expect(200)["data"].clone()
    };
    let well = check(format!("deployments/{}", second["seq"])).await;
    let instances = well["instances"].as_array().unwrap();
    assert!(well["healthy"] == true && instances.len() == 2, "{well:#}");
    assert_eq!(check("stacks/web".to_owned()).await["deployment"], second["seq"]);
    let gone = check(format!("deployments/{}", first["seq"])).await;
    assert!(gone["healthy"] == false && gone["instances"] == json!([]), "nothing of it runs: {gone:#}");

    let stuck = instances[0]["name"].as_str().unwrap();
    docker(&["pause", stuck]);
    let ill = check("stacks/web".to_owned()).await;
    let said = server.cli(&["health", "web"]);
    let page =
        server.stranger(reqwest::Method::POST, &format!("/deployments/{}/health-check", second["seq"]));
    let page = page.bearer_auth(ADMIN_TOKEN).send().await.unwrap().text().await.unwrap();
    docker(&["unpause", stuck]);
    assert_eq!((&ill["healthy"], &ill["instances"][0]["healthy"]), (&json!(false), &json!(false)), "{ill:#}");
    assert!(ill["instances"][0]["reason"].is_string() && ill["instances"][1]["healthy"] == true, "{ill:#}");
    assert!(said.code == 1 && said.out.contains("1 of 2 instances are healthy"), "{}", said.said());
    assert!(page.contains("It is not healthy") && page.contains(stuck), "{page}");
    assert_eq!(
        server.cli(&["health", &second["seq"].to_string()]).expect(0).out.matches("healthy").count(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_release_gets_no_further_than_the_first_batch() {
    let fixture = fixture("rolling", json!({ "settle_s": 0 }), 3).await;
    let (good, _) = fixture.deploy("one").await;
    let old = fixture.server.containers();
    let (_, deployment) = fixture.deploy("broken").await;
    assert_eq!(deployment["status"], "rolled_back", "{}", fixture.explain(&deployment).await);
    assert_eq!(fixture.server.containers(), old);
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], good);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_router_or_room_for_two_is_refused_before_it_begins() {
    let server = TestServer::start().await;
    let port = json!({ "ports": [{ "container": 80, "host": 18_080 }] });
    let volume = json!({ "volumes": [{ "name": "data", "path": "/data" }] });
    for (strategy, params, run, field, words) in [
        ("canary", json!({}), json!({}), "strategyParams", "needs a router"),
        ("blue-green", json!({ "preview": true }), json!({}), "strategyParams.preview", "has none"),
        ("blue-green", json!({}), port.clone(), "strategyParams", "port 18080"),
        ("rolling", json!({}), volume, "strategyParams", "`data`"),
        ("rolling", json!({ "max_surge": 0 }), json!({}), "strategyParams.max_surge", "set one of them"),
    ] {
        let input = json!({ "name": "web", "strategy": strategy, "strategyParams": params, "run": run });
        let answer = server.post("/api/v1/stacks", input.clone()).await;
        assert_eq!(answer.status, 422, "{input}: {}", answer.text);
        assert_eq!(answer.json["field"], field, "{input}: {}", answer.text);
        assert!(answer.text.contains(words), "{input}: {}", answer.text);
    }
}
