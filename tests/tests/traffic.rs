//! The router carries a stack's requests: rollouts drop none, and neither does the server's death.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass_tests::guests::Guest;
use windlass_tests::ordering::{Order, STABLE, TARGET, strategy_turning};
use windlass_tests::routed::{HOST, Routed};
use windlass_tests::server::docker;

#[tokio::test(flavor = "multi_thread")]
async fn releases_follow_each_other_and_no_request_is_lost() {
    let routed = Routed::start(json!({})).await;
    let (first, deployment) = routed.fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    assert!(routed.page().await.contains(&first), "{}", routed.page().await);
    let visitors = routed.visitors();
    let mut newest = first;
    for version in ["two", "three"] {
        let (sha, deployment) = routed.fixture.deploy(version).await;
        assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
        newest = sha;
    }
    let (_, broken) = routed.fixture.deploy("broken").await;
    assert_eq!(broken["status"], "rolled_back", "{}", routed.fixture.explain(&broken).await);
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests", good + bad);
    assert!(good > 100, "only {good} requests were made");
    assert!(routed.page().await.contains(&newest));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_while_the_only_copy_is_replaced() {
    // Two copies must not write to one volume, so the old one stops before the new one starts.
    let volume = format!("windlass-test-{}", std::process::id());
    let run = json!({
        "ports": [{ "container": 8080 }], "stopTimeoutSecs": 2, "volumes": [{ "name": volume, "path": "/data" }],
    });
    let routed = Routed::start(json!({ "run": run })).await;
    let (_, deployment) = routed.fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let visitors = routed.visitors();
    // A container runs long before its program listens, also when it is started again.
    let (second, deployment) = routed.fixture.deploy("two, late").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let (_, broken) = routed.fixture.deploy("broken").await;
    assert_eq!(broken["status"], "rolled_back", "{}", routed.fixture.explain(&broken).await);
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests", good + bad);
    assert!(routed.page().await.contains(&second));
    docker(&["volume", "rm", "--force", &volume]);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_replaced_one_after_the_other_and_no_request_is_lost() {
    let run = json!({ "ports": [{ "container": 8080 }], "stopTimeoutSecs": 2, "replicas": 3 });
    let routed = Routed::start(json!({ "run": run, "strategy": "rolling" })).await;
    let (_, deployment) = routed.fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let visitors = routed.visitors();
    let (second, deployment) = routed.fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests", good + bad);
    assert!(routed.page().await.contains(&second));
}

/// Strategies that take apart in several actions what serves: in one answer, or by a route that only looks like a split.
fn hostile_strategies() -> [(&'static str, Guest); 2] {
    let start = Order::Scale(TARGET, 1);
    let feigned = Order::Route(&[(STABLE, 100), (TARGET, 0)]);
    let switched = [Order::Route(&[(TARGET, 100)]), Order::Scale(TARGET, 0)];
    [
        ("fickle", strategy_turning("fickle", &[start], &switched)),
        ("sly", strategy_turning("sly", &[start], &[feigned, Order::Scale(STABLE, 0)])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strategy_that_would_leave_nothing_serving_is_overruled_and_the_old_release_serves_on() {
    let folder = tempfile::tempdir().unwrap();
    let (config, mut text) = (folder.path().join("windlass.toml"), String::new());
    for (name, guest) in hostile_strategies() {
        let component = folder.path().join(format!("{name}.wasm"));
        guest.write(&component);
        let source = component.display();
        text += &format!("[plugins.{name}]\nsource = \"path:{source}\"\nskip_conformance = true\n");
    }
    std::fs::write(&config, text).unwrap();
    let variables = [("WINDLASS_CONFIG", config.to_str().unwrap())];
    let routed = Routed::start_with(&variables, json!({})).await;
    let (good, deployment) = routed.fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let serving = routed.fixture.server.containers();
    let visitors = routed.visitors();
    for (name, _) in hostile_strategies() {
        routed.fixture.edit(|stack| stack["strategy"] = name.into()).await;
        let (_, overruled) = routed.fixture.deploy(&format!("by {name}")).await;
        let told = routed.fixture.explain(&overruled).await;
        assert_eq!(overruled["status"], "rolled_back", "{told}");
        let error = overruled["error"].as_str().unwrap();
        for words in [
            format!("strategy `{name}` was overruled"),
            "its action 2, `scale ".to_owned(),
            " to 0`, was refused: it would have removed the last healthy serving instance".to_owned(),
        ] {
            assert!(error.contains(&words), "no `{words}` in {told}");
        }
        assert_eq!(routed.fixture.server.containers(), serving, "{told}");
        assert_eq!(routed.fixture.stack().await["activeRelease"]["commitSha"], good);
        assert!(routed.page().await.contains(&good), "{}", routed.page().await);
    }
    let (answered, lost) = visitors.leave().await;
    assert_eq!(lost, 0, "of {} requests", answered + lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_death_costs_no_request() {
    let mut routed = Routed::start(json!({})).await;
    let (first, _) = routed.fixture.deploy("one").await;
    let visitors = routed.visitors();
    routed.fixture.server.kill();
    let variables = routed.variables.clone();
    let given: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert!(routed.page().await.contains(&first), "nobody is there but the router");
    routed.fixture.server.launch(&given).await.unwrap();
    let (second, deployment) = routed.fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests", good + bad);
    assert!(routed.page().await.contains(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_leads_to_one_stack() {
    let routed = Routed::start(json!({})).await;
    let other = |traffic: Value| json!({ "name": "other", "traffic": traffic });
    let answer = routed.fixture.server.post("/api/v1/stacks", other(json!({ "hosts": [HOST] }))).await;
    assert!(answer.status == 409 && answer.json["error"].to_string().contains("`web`"), "{:?}", answer.json);
    let answer = routed.fixture.server.post("/api/v1/stacks", other(json!({ "hosts": ["no host"] }))).await;
    assert!(answer.status == 422 && answer.json["field"] == "traffic.hosts", "{:?}", answer.json);
    let below = other(json!({ "hosts": [HOST], "path": "/api" }));
    routed.fixture.server.post("/api/v1/stacks", below).await.expect(201);
    let stack = routed.fixture.server.get("/api/v1/stacks/other").await.expect(200);
    assert_eq!(stack["data"]["traffic"]["path"], "/api");
}

/// Asks the router for another host, or with another header, than all others.
async fn look(routed: &Routed, host: &str, header: Option<(&str, &str)>) -> String {
    let client = reqwest::Client::builder().resolve(host, routed.address).build().unwrap();
    let mut request = client.get(format!("http://{host}:{}/", routed.address.port()));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn testers_look_at_a_release_before_it_is_promoted() {
    let (preview, tester) = ("next.windlass.test", Some(("x-try", "new")));
    let routed = Routed::start(json!({
        "traffic": {
            "hosts": [HOST], "previewHosts": [preview], "testers": { "header": "x-try", "value": "new" },
        },
    }))
    .await;
    let (first, deployment) = routed.fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let params = json!({ "checks": 0, "promotion": "approval", "preview": true, "bake_s": 0 });
    let change = |stack: &mut Value| {
        (stack["strategy"], stack["strategyParams"]) = ("blue-green".into(), params);
    };
    routed.fixture.edit(change).await;
    let second = routed.fixture.commit("two");
    let number = routed.fixture.push(&second).await;
    let asks = |event: &Value| (event["kind"] == "deployment.approval").then_some(());
    routed.fixture.server.wait_event("the question", asks).await;
    assert!(routed.page().await.contains(&first), "nothing is promoted");
    assert!(look(&routed, preview, None).await.contains(&second), "the preview's host shows it");
    assert!(look(&routed, HOST, tester).await.contains(&second), "testers get it");
    assert!(look(&routed, HOST, Some(("x-try", "other"))).await.contains(&first));
    let path = format!("/api/v1/deployments/{number}/reject");
    routed.fixture.server.post(&path, json!({})).await.expect(200);
    routed.fixture.server.wait_deployment(&number).await;
    assert!(look(&routed, preview, None).await.contains(&first), "without a rollout it shows what serves");
    assert!(look(&routed, HOST, tester).await.contains(&first));
}
