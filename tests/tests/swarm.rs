//! Stacks on a Docker Swarm: a real one of one node, on a machine of its own, and one of two.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass_tests::docker::{Registry, eventually, unique};
use windlass_tests::fixture::HEALTHY_WITHIN_S;
use windlass_tests::machine::Machine;
use windlass_tests::routed::Routed;
use windlass_tests::tools::{skipped, this_test};

/// A stack behind the router whose instances are services.
async fn there(machine: &Machine, extra: Value) -> Routed {
    let routed = Routed::start(extra).await;
    routed.fixture.server.post("/api/v1/targets", machine.swarm("fleet")).await.expect(201);
    routed.fixture.edit(|stack| stack["target"] = "fleet".into()).await;
    routed
}

#[tokio::test(flavor = "multi_thread")]
async fn strategies_drive_services_as_they_drive_containers_and_nobody_waits() {
    let Some(machine) = Machine::shared().await else { return };
    let blue_green = json!({ "strategy": "blue-green", "strategyParams": { "checks": 1, "bake_s": 1 } });
    let routed = there(machine, blue_green).await;
    let (fixture, server) = (&routed.fixture, routed.fixture.server.instance());
    let tested = fixture.server.post("/api/v1/targets/fleet/test", json!({})).await.expect(200);
    assert_eq!(tested["data"]["target"]["health"]["nodes"], 1, "{tested}");
    let (first, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert!(routed.page().await.contains(&first), "{}", routed.page().await);
    let services = machine.services(&server);
    assert!(services.len() == 1 && services[0].ends_with(" 1/1"), "{services:?}");

    let visitors = routed.visitors();
    let (second, deployment) = fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    fixture.loses_patience().await;
    let (_, sick) = fixture.deploy("sick").await;
    assert_eq!(sick["status"], "rolled_back", "{}", fixture.explain(&sick).await);
    let log = fixture.server.log_of(&sick["seq"].to_string()).await;
    assert!(log.contains("404"), "{log}");
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests over two rollouts", good + bad);
    assert!(routed.page().await.contains(&second));
    assert_eq!(machine.services(&server).len(), 1, "what was replaced is gone");

    fixture.server.delete("/api/v1/stacks/web").await.expect_empty(204);
    assert_eq!(machine.services(&server), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_and_rolling_rollouts_go_step_by_step_on_a_swarm() {
    let Some(machine) = Machine::shared().await else { return };
    let routed = there(machine, json!({})).await;
    routed.goes_step_by_step().await;
    assert_eq!(machine.services(&routed.fixture.server.instance()).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_requests_and_the_swarm_replaces_one_that_dies() {
    let Some(machine) = Machine::shared().await else { return };
    let run = json!({ "run": { "ports": [{ "container": 8080 }], "replicas": 2, "stopTimeoutSecs": 2 } });
    let routed = there(machine, run).await;
    let (fixture, server) = (&routed.fixture, routed.fixture.server.instance());
    let (sha, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert_eq!(machine.services(&server).len(), 2);
    let dead = machine.containers(&server)[0].clone();
    machine.docker(&["rm", "-f", &dead]);
    let is_replaced = async || {
        let running = machine.containers(&server);
        running.len() == 2 && !running.contains(&dead) && routed.page().await.contains(&sha)
    };
    eventually("a new task serves in the place of the dead one", is_replaced).await;
    let listed = fixture.server.get("/api/v1/stacks/web").await.expect(200);
    assert_eq!(listed["data"]["target"], "fleet");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_runs_on_every_node_and_nodes_log_in_to_pull_it() {
    let Some([manager, worker]) = Machine::pair().await else { return };
    let Some(registry) = Registry::start_at(manager.here) else {
        skipped(&this_test(), "there is no docker-registry; scripts/setup-test.sh installs it");
        return;
    };
    let repository = format!("{}/{}", registry.address, unique("wl-swarm"));
    let routed = there(
        &manager,
        json!({
            "run": { "ports": [{ "container": 8080 }], "replicas": 2, "stopTimeoutSecs": 2 },
            "build": { "healthCheckTimeout": HEALTHY_WITHIN_S, "options": { "push": [repository] } },
        }),
    )
    .await;
    let (fixture, server) = (&routed.fixture, routed.fixture.server.instance());
    let stored = json!({
        "name": "team", "address": registry.address, "username": "ada", "password": Registry::PASSWORD,
    });
    fixture.server.post("/api/v1/registries", stored).await.expect(201);
    let (first, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    let counts = [&manager, &worker].map(|machine| machine.containers(&server).len());
    assert_eq!(counts, [1, 1], "{:?}", manager.services(&server));
    assert!(routed.page().await.contains(&first), "{}", routed.page().await);

    let visitors = routed.visitors();
    let (second, deployment) = fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests over a rollout", good + bad);
    assert!(routed.page().await.contains(&second));
    for service in manager.services(&server) {
        let shown = manager.docker(&["service", "inspect", service.split(' ').next().unwrap()]);
        assert!(shown.contains(&repository) && !shown.contains(Registry::PASSWORD), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_died_adopts_its_services() {
    let Some(machine) = Machine::shared().await else { return };
    let mut routed = there(machine, json!({})).await;
    let (sha, deployment) = routed.fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let server = routed.fixture.server.instance();
    let before = machine.services(&server);
    // What should serve is made to serve, as on an engine whose machine was switched off and on.
    let name = before[0].split(' ').next().unwrap();
    routed.fixture.server.kill();
    machine.docker(&["service", "scale", "--detach", &format!("{name}=0")]);
    eventually("nothing serves any more", async || machine.containers(&server).is_empty()).await;
    routed.fixture.server.launch(&[]).await.unwrap();
    let is_back = async || machine.services(&server) == before && routed.page().await.contains(&sha);
    eventually("the page is there again", is_back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_swarm_cannot_do_is_said_before_anything_is_stored() {
    let Some(machine) = Machine::shared().await else { return };
    let routed = there(machine, json!({})).await;
    let server = &routed.fixture.server;
    let compose = json!({
        "name": "shop", "target": "fleet", "build": { "buildType": "compose_only", "composePath": "compose.yaml" },
    });
    let error = server.post("/api/v1/stacks", compose).await.expect(422).to_string();
    assert!(error.contains("swarm") && error.contains("compose"), "{error}");
    let mut target = machine.swarm("other");
    target["routeAddress"] = "10.0.0.1".into();
    let error = server.post("/api/v1/targets", target).await.expect(422).to_string();
    assert!(error.contains("nodes"), "{error}");
}
