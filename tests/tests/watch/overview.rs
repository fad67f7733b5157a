//! `/api/v1/overview`, the command and the metrics: what they say of a server whose history is known.

use serde_json::{Value, json};
use windlass_tests::docker::eventually;
use windlass_tests::server::TestServer;

fn check<'a>(overview: &'a Value, name: &str) -> &'a Value {
    let all = overview["checks"].as_array().unwrap();
    all.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {overview:#}"))
}

/// A deployment that fails, because nobody answers at the address of its repository.
async fn failed_deployment(server: &TestServer) -> Value {
    let deployment = server.post("/api/v1/stacks/web/deploy", json!({})).await.expect(202);
    server.wait_deployment(&deployment["data"]["seq"].to_string()).await
}

#[tokio::test]
async fn a_failure_is_seen_in_the_overview_and_in_the_metrics() {
    let server = TestServer::start().await;
    let repository = json!({ "url": "http://127.0.0.1:9/web.git", "provider": "github" });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    let before = server.get("/api/v1/overview").await.expect(200)["data"].clone();
    assert_eq!(check(&before, "stacks")["verdict"], "ok", "{before:#}");
    assert_eq!(before["figures"]["days"].as_array().unwrap().len(), 30);
    assert_eq!(before["figures"]["successPercent"], Value::Null);
    let ended = failed_deployment(&server).await;
    assert_eq!(ended["status"], "failed");

    let after = server.get("/api/v1/overview").await.expect(200)["data"].clone();
    assert_eq!(check(&after, "stacks")["verdict"], "warn");
    assert_eq!(after["troubled"][0]["stack"], "web");
    assert_eq!(after["figures"]["unsuccessful"], 1);
    assert_eq!(after["figures"]["successPercent"], 0.0);
    for name in ["queue", "database", "docker", "plugins", "disk"] {
        assert!(check(&after, name)["detail"].is_string(), "{name}");
    }

    let lines = [
        "windlass_deployments_total{status=\"failed\"} 1",
        "windlass_builds_total{status=\"failed\"} 1",
        "windlass_task_duration_seconds_count{kind=\"build\",status=\"failed\"}",
        "windlass_task_wait_seconds_count{kind=\"build\"}",
        "windlass_task_oldest_nonterminal_seconds ",
        "windlass_deployment_lead_time_seconds_count 0",
        "windlass_disk_free_bytes ",
        "windlass_build_info{version=",
    ];
    // The task ends a moment after its deployment.
    for line in lines {
        eventually(line, async || server.get("/metrics").await.text.contains(line)).await;
    }
}

#[tokio::test]
async fn a_member_sees_figures_of_their_own_stacks_and_nothing_of_the_installation() {
    let server = TestServer::start().await;
    let repository = json!({ "url": "http://127.0.0.1:9/web.git", "provider": "github" });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    failed_deployment(&server).await;
    server.post("/api/v1/users", json!({ "name": "ada" })).await.expect(201);
    let token = server.post("/api/v1/tokens", json!({ "name": "t", "user": "ada" })).await.expect(201);
    let request = server.stranger(reqwest::Method::GET, "/api/v1/overview");
    let request = request.bearer_auth(token["data"]["secret"].as_str().unwrap());
    let seen: Value = request.send().await.unwrap().json().await.unwrap();
    let seen = &seen["data"];
    assert_eq!(seen["figures"]["unsuccessful"], 0, "{seen:#}");
    assert_eq!(seen["troubled"], json!([]));
    let names: Vec<&str> =
        seen["checks"].as_array().unwrap().iter().filter_map(|check| check["name"].as_str()).collect();
    assert_eq!(names, ["stacks", "queue", "database", "docker", "plugins"]);
}

#[tokio::test]
async fn the_command_says_the_same() {
    let server = TestServer::start().await;
    let run = |words: &'static [&'static str]| {
        let output = std::process::Command::new(windlass_tests::server::program())
            .args(words)
            .env("WINDLASS_SERVER", &server.url)
            .env("WINDLASS_TOKEN", windlass_tests::server::ADMIN_TOKEN)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = run(&["overview"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("database") && text.contains("Lead time"), "{text}");
    let (_, text) = run(&["overview", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["figures"]["successful"], 0);
}
