//! Stacks on other machines: engines by TLS and ssh, connected, watched, deployed to, away and back again.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::cli::run;
use windlass_tests::docker::eventually;
use windlass_tests::fixture::Fixture;
use windlass_tests::git_server::Sshd;
use windlass_tests::machine::{Machine, Relay};
use windlass_tests::routed::Routed;
use windlass_tests::server::{ADMIN_TOKEN, TestServer, docker};

/// A stack behind the router whose instances run on the other machine.
async fn there(target: Value, extra: Value) -> Routed {
    let routed = Routed::start(extra).await;
    move_to(&routed.fixture, target).await;
    routed
}

async fn move_to(fixture: &Fixture, target: Value) {
    let name = target["name"].clone();
    fixture.server.post("/api/v1/targets", target).await.expect(201);
    fixture.edit(|stack| stack["target"] = name).await;
}

async fn tested(server: &TestServer, name: &str) -> Value {
    server.post(&format!("/api/v1/targets/{name}/test"), json!({})).await.expect(200)["data"].clone()
}

fn cli(server: &TestServer, words: &[&str]) -> (i32, String) {
    let run = server.cli(words);
    (run.code, run.said())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_connected_from_the_command_line_and_says_how_it_is() {
    let Some(machine) = Machine::shared().await else { return };
    let server = TestServer::start().await;
    let file = |name: &str| machine.file(name).display().to_string();
    let (address, ip) = (format!("tcp://{}", machine.engine()), machine.address.to_string());
    let (ca, certificate, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let place = ["--address", &address, "--route-address", &ip, "--ca", &ca, "--certificate", &certificate];
    let words = [&["target", "add", "cellar"][..], &place, &["--key", &key]].concat();
    let (code, said) = cli(&server, &words);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("reachable") && said.contains("linux/"), "{said}");
    let (code, listed) = cli(&server, &["target", "list"]);
    assert!(code == 0 && listed.contains("cellar") && listed.contains(&ip), "{listed}");

    let other = file("other.pem");
    let (code, said) = cli(
        &server,
        &["target", "change", "cellar", "--ca", &other, "--certificate", &certificate, "--key", &key],
    );
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("unreachable") && said.contains("certificate"), "{said}");
    let mut doctor = server.command(&["doctor"]);
    doctor
        .env("WINDLASS_LISTEN", server.url.strip_prefix("http://").unwrap())
        .env("WINDLASS_DATA_DIR", server.data());
    let said = run(doctor).out;
    assert!(said.contains("cellar: the Docker engine at"), "{said}");
    let stored = server.get("/api/v1/targets/cellar").await.expect(200).to_string();
    assert!(!stored.contains("PRIVATE KEY") && !stored.contains("CERTIFICATE"), "{stored}");
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains(r#"windlass_target_state{target="cellar",state="unreachable"} 1"#), "{metrics}");

    let (code, said) = cli(&server, &["target", "remove", "cellar"]);
    assert_eq!(code, 0, "{said}");
    server.get("/api/v1/targets/cellar").await.expect(404);
}

/// A form of the dashboard, sent as a browser does, and the page that it leads to.
async fn submit(server: &TestServer, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let form = reqwest::Url::parse_with_params("http://form/", fields).unwrap();
    let body = form.query().unwrap_or_default().to_owned();
    let request = server
        .stranger(Method::POST, path)
        .header("cookie", format!("windlass_token={ADMIN_TOKEN}"))
        .header("origin", &server.url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn page(server: &TestServer, path: &str) -> String {
    let cookie = format!("windlass_token={ADMIN_TOKEN}");
    let request = server.stranger(Method::GET, path).header("cookie", cookie);
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_connects_shows_and_removes_a_target() {
    let Some(machine) = Machine::shared().await else { return };
    let server = TestServer::start().await;
    assert!(page(&server, "/targets").await.contains("No targets yet"));
    let text = |name: &str| machine.credentials()[name].as_str().unwrap().to_owned();
    let (address, ip) = (format!("tcp://{}", machine.engine()), machine.address.to_string());
    let (ca, certificate, key) = (text("ca"), text("certificate"), text("key"));
    let typed = |route: &str| {
        let all = [("name", "cellar"), ("address", &address), ("route_address", route)];
        let keys = [("ca", &ca), ("certificate", &certificate), ("key", &key)];
        let keys = keys.map(|(name, value)| (name, value.as_str()));
        all.into_iter()
            .chain(keys)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    };
    let send = async |path: &str, fields: Vec<(String, String)>| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        submit(&server, path, &fields).await
    };
    let (status, said) = send("/targets", typed("nowhere")).await;
    assert!(status == 422 && said.contains("is not an IP address"), "{status} {said}");
    assert!(!said.contains("PRIVATE KEY-----"), "what was typed as a key is not sent back");
    let (status, shown) = send("/targets", typed(&ip)).await;
    assert_eq!(status, 200, "{shown}");
    assert!(shown.contains("cellar") && shown.contains("reachable") && shown.contains(&ip), "{shown}");

    server.post("/api/v1/stacks", json!({ "name": "web" })).await.expect(201);
    let form = page(&server, "/stacks/1/edit").await;
    assert!(form.contains("this server&#39;s engine") || form.contains("this server's engine"), "{form}");
    assert!(form.contains("<option value=\"cellar\">"), "{form}");
    assert_eq!(send("/targets/cellar/test", Vec::new()).await.0, 200);
    let (status, shown) = send("/targets/cellar/remove", Vec::new()).await;
    assert!(status == 200 && shown.contains("No targets yet"), "{status} {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_target_is_refused_with_the_field_and_the_reason() {
    let Some(machine) = Machine::shared().await else { return };
    let server = TestServer::start().await;
    let good = machine.target("cellar", machine.engine());
    let other = machine.credentials()["ca"].clone();
    for (field, value, names, why) in [
        ("address", json!("tcp://10.0.0.1"), "address", "port"),
        ("address", json!("ssh://-oProxyCommand=x@a"), "address", "user"),
        ("routeAddress", Value::Null, "routeAddress", "router"),
        ("name", json!("local"), "name", "configuration"),
        ("credentials", json!({ "key": "-----BEGIN PRIVATE KEY-----" }), "credentials.ca", "anybody"),
        (
            "credentials",
            json!({ "ca": other, "certificate": other, "key": "-----BEGIN PRIVATE KEY-----" }),
            "credentials.key",
            "read",
        ),
    ] {
        let mut input = good.clone();
        input[field] = value;
        let error = server.post("/api/v1/targets", input).await.expect(422).to_string();
        assert!(error.contains(names) && error.contains(why), "{field}: {error}");
    }
    let error =
        server.post("/api/v1/stacks", json!({ "name": "web", "target": "nowhere" })).await.expect(422);
    assert!(error.to_string().contains("nowhere"), "{error}");
    server.post("/api/v1/targets", good).await.expect(201);
    let port = |host: &str| json!([{ "container": 80, "host": 8080, "address": host }]);
    for (run, why) in [(json!({ "ports": port("127.0.0.1") }), "nowhere else"), (json!({}), "which port")] {
        let input =
            json!({ "name": "web", "target": "cellar", "traffic": { "hosts": ["a.example"] }, "run": run });
        let error = server.post("/api/v1/stacks", input).await.expect(422).to_string();
        assert!(error.contains("run.ports") && error.contains(why), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_built_and_runs_on_the_other_machine_and_is_reached_by_the_router() {
    let Some(machine) = Machine::shared().await else { return };
    let routed = there(
        machine.target("cellar", machine.engine()),
        json!({
            "strategy": "blue-green", "strategyParams": { "checks": 1, "bake_s": 1 },
        }),
    )
    .await;
    let (fixture, server) = (&routed.fixture, routed.fixture.server.instance());
    let (first, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert!(routed.page().await.contains(&first), "{}", routed.page().await);
    assert_eq!(machine.containers(&server).len(), 1);
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("label=dev.windlass.server={server}")]), "");
    assert_eq!(fixture.stack().await["target"], "cellar");

    let visitors = routed.visitors();
    let (second, deployment) = fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    let (_, broken) = fixture.deploy("broken").await;
    assert_eq!(broken["status"], "rolled_back", "{}", fixture.explain(&broken).await);
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests over two rollouts", good + bad);
    assert!(routed.page().await.contains(&second));

    let rollback = fixture.server.post("/api/v1/stacks/web/rollback", json!({})).await.expect(202);
    let back = fixture.server.wait_deployment(rollback["data"]["id"].as_str().unwrap()).await;
    assert_eq!(back["status"], "successful", "{}", fixture.explain(&back).await);
    assert!(routed.page().await.contains(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_and_rolling_rollouts_go_step_by_step_on_the_other_machine() {
    let Some(machine) = Machine::shared().await else { return };
    let routed = there(machine.target("cellar", machine.engine()), json!({})).await;
    routed.goes_step_by_step().await;
    assert_eq!(machine.containers(&routed.fixture.server.instance()).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_in_use_stays_and_a_deployed_stack_stays_on_its_target() {
    let Some(machine) = Machine::shared().await else { return };
    let routed = there(machine.target("cellar", machine.engine()), json!({})).await;
    let fixture = &routed.fixture;
    let error = fixture.server.delete("/api/v1/targets/cellar").await.expect(409).to_string();
    assert!(error.contains("web") && error.contains("cellar"), "{error}");
    let (_, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    let error = fixture.server.put("/api/v1/stacks/web", json!({ "name": "web", "target": "local" })).await;
    let error = error.expect(422).to_string();
    assert!(error.contains("deployed already"), "{error}");

    fixture.server.delete("/api/v1/stacks/web").await.expect_empty(204);
    assert_eq!(machine.containers(&fixture.server.instance()), Vec::<String>::new());
    fixture.server.delete("/api/v1/targets/cellar").await.expect_empty(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_engine_is_away_what_serves_serves_on_and_deployments_say_why_they_fail() {
    let Some(machine) = Machine::shared().await else { return };
    let mut relay = Relay::start(machine.engine()).await;
    let mut routed = there(machine.target("cellar", relay.address), json!({})).await;
    let (sha, deployment) = routed.fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);

    relay.cut().await;
    let answer = tested(&routed.fixture.server, "cellar").await;
    assert_eq!(answer["connected"], false);
    assert!(answer["target"]["health"]["error"].as_str().unwrap().contains("cannot be reached"), "{answer}");
    // The server comes back while the machine is still away: it must not forget where the requests go.
    routed.fixture.server.kill();
    routed.fixture.server.launch(&[]).await.unwrap();
    let (_, failed) = routed.fixture.deploy("two").await;
    assert_eq!(failed["status"], "failed", "{}", routed.fixture.explain(&failed).await);
    assert!(failed["error"].as_str().unwrap().contains("cannot be reached"), "{failed:#}");
    assert!(routed.page().await.contains(&sha), "{}", routed.page().await);

    relay.mend().await;
    assert_eq!(tested(&routed.fixture.server, "cellar").await["connected"], true);
    let (sha, deployment) = routed.fixture.deploy("three").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    assert!(routed.page().await.contains(&sha));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_finishes_on_the_other_machine_what_it_began() {
    let Some(machine) = Machine::shared().await else { return };
    let mut routed = there(machine.target("cellar", machine.engine()), json!({})).await;
    let (_, deployment) = routed.fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    let visitors = routed.visitors();
    let server = &mut routed.fixture.server;
    server.kill();
    server.launch(&[("WINDLASS_CRASH_AT", "14")]).await.unwrap();
    let sha = routed.fixture.commit("two");
    let number = routed.fixture.push(&sha).await;
    let server = &mut routed.fixture.server;
    eventually("the server dies in the middle", async || server.has_ended()).await;
    let log = std::fs::read_to_string(server.server_log()).unwrap();
    // Between what was done on the machine and the note that it was.
    assert!(log.contains("crash point 14: rollout: after an effect\n"), "{log}");
    server.launch(&[]).await.unwrap();
    let deployment = server.wait_deployment(&number).await;
    let (good, bad) = visitors.leave().await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    assert_eq!(bad, 0, "of {} requests while the server died", good + bad);
    assert!(routed.page().await.contains(&sha));
    assert_eq!(machine.containers(&routed.fixture.server.instance()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_reached_by_ssh_and_its_host_key_is_pinned() {
    let Some(machine) = Machine::shared().await else { return };
    let Some(mut sshd) = Sshd::start() else { panic!("scripts/setup-test.sh installs sshd") };
    let target = json!({
        "name": "attic", "address": sshd.address(&machine.socket()), "routeAddress": machine.address.to_string(),
        "credentials": { "key": sshd.client_key() },
    });
    let routed = there(target.clone(), json!({})).await;
    let fixture = &routed.fixture;
    let answer = tested(&fixture.server, "attic").await;
    assert_eq!(answer["connected"], true, "{answer}");
    let (sha, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert!(routed.page().await.contains(&sha));

    sshd.replace_host_key();
    let mut again = target;
    fixture.server.put("/api/v1/targets/attic", again.clone()).await.expect(200);
    let answer = tested(&fixture.server, "attic").await;
    let error = answer["target"]["health"]["error"].as_str().unwrap_or_default();
    let hosts = fixture.server.get("/api/v1/git/hosts").await.expect(200)["data"].clone();
    let pinned = hosts.as_array().unwrap().iter().find(|row| row["purpose"] == "target").unwrap();
    let host = pinned["host"].as_str().unwrap();
    let advice = format!("`windlass git forget '{host}'`");
    assert!(error.contains("host key") && error.contains(&advice), "{answer}, but {hosts}");
    fixture.server.cli(&["git", "forget", host]).expect(0);
    let answer = tested(&fixture.server, "attic").await;
    assert_eq!(answer["connected"], true, "{answer}");

    again["name"] = "stranger".into();
    again["credentials"]["key"] = std::fs::read_to_string(machine.file("client.key")).unwrap().into();
    std::fs::remove_file(fixture.server.data().join("targets/known_hosts")).unwrap();
    fixture.server.post("/api/v1/targets", again).await.expect(201);
    let answer = tested(&fixture.server, "stranger").await;
    let error = answer["target"]["health"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("Permission denied"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compose_stack_runs_on_the_other_machine() {
    let Some(machine) = Machine::shared().await else { return };
    let mut routed = there(machine.target("cellar", machine.engine()), json!({
        "build": { "buildType": "compose_only", "composePath": "compose.yaml", "healthCheckPath": "/health" },
        "run": { "service": "app", "ports": [{ "container": 8080 }], "stopTimeoutSecs": 2 },
    }))
    .await;
    let file = "services:\n  app:\n    build: .\n";
    routed.fixture.extra = vec![("compose.yaml".into(), "100644", file.into())];
    let (sha, deployment) = routed.fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", routed.fixture.explain(&deployment).await);
    assert!(routed.page().await.contains(&sha), "{}", routed.page().await);
    assert_eq!(machine.containers(&routed.fixture.server.instance()).len(), 1);
}
