//! How safely an installation is set up: one with faults is told each of them, one without has an A.

use std::os::unix::fs::PermissionsExt as _;

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::cli::run;
use windlass_tests::server::{ADMIN_TOKEN, Answer, TestServer};

async fn ask(server: &TestServer, token: &str, path: &str) -> Answer {
    let response = server.stranger(Method::GET, path).bearer_auth(token).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    Answer { status, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
}

fn names(security: &Value) -> Vec<&str> {
    let findings = security["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["name"].as_str().unwrap()).collect()
}

/// What `windlass doctor` says beside this server, with that token: name and detail of each check.
fn doctor(server: &TestServer, token: &str) -> Vec<(String, String)> {
    let mut command = server.command(&["doctor", "-o", "json"]);
    command
        .env("WINDLASS_LISTEN", server.url.trim_start_matches("http://"))
        .env("WINDLASS_DATA_DIR", server.data())
        .env("WINDLASS_TOKEN", token);
    let checks = run(command).json();
    let word = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    checks.as_array().unwrap().iter().map(|check| (word(check, "name"), word(check, "detail"))).collect()
}

#[tokio::test]
async fn each_fault_is_told_with_why_it_matters_and_what_to_do() {
    let server = TestServer::start_with(&[
        ("WINDLASS_PUBLIC_URL", "http://ci.example.org"),
        ("WINDLASS_PRIVATE_NETWORKS", "127.0.0.0/8"),
    ])
    .await;
    let password = json!({ "password": "correct horse battery" });
    server.put("/api/v1/users/admin/password", password).await.expect_empty(204);
    let key = server.data().join("secret.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();

    let security = server.get("/api/v1/security").await.expect(200)["data"].clone();
    let found = names(&security);
    for name in ["listener", "master-key", "backups", "private-networks", "second-factor", "token-expiry"] {
        assert!(found.contains(&name), "{name} is not among {security:#}");
    }
    assert_eq!((&security["grade"], &security["points"]), (&json!("F"), &json!(0)), "{security:#}");
    for finding in security["findings"].as_array().unwrap() {
        let says = |field: &str| finding[field].as_str().is_some_and(|text| text.len() > 10);
        assert!(
            says("what") && says("why") && says("advice") && finding["cost"].as_u64() > Some(0),
            "{finding}"
        );
    }
    assert_eq!(security["findings"][0]["danger"], "serious");

    let told = doctor(&server, ADMIN_TOKEN);
    let has =
        |name: &str, words: &str| told.iter().any(|(known, text)| known == name && text.contains(words));
    assert!(has("grade", "F: 0 of 100") && has("security", "secret.key can be read"), "{told:?}");
    let page = server.get("/security").await.text;
    assert!(page.contains("grade F") && page.contains("secret.key can be read"), "{page}");
    let overview = server.get("/api/v1/overview").await.expect(200)["data"]["checks"].clone();
    let check = overview.as_array().unwrap().iter().find(|check| check["name"] == "security").unwrap();
    assert_eq!(check["verdict"], "warn", "{check}");

    // What is repaired costs no more, and whose business it is not is not told.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!names(&server.get("/api/v1/security").await.expect(200)["data"]).contains(&"master-key"));
    server.post("/api/v1/users", json!({ "name": "ada" })).await.expect(201);
    server.put("/api/v1/teams/default/members/ada", json!({ "role": "admin" })).await.expect(200);
    let made = server.post("/api/v1/tokens", json!({ "name": "t", "user": "ada" })).await.expect(201);
    let hers = made["data"]["secret"].as_str().unwrap();
    assert_eq!(ask(&server, hers, "/api/v1/security").await.status, 403);
    assert!(!doctor(&server, hers).iter().any(|(name, _)| name == "grade" || name == "security"));
}

#[tokio::test]
async fn an_installation_without_faults_has_an_a() {
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let server = TestServer::start_with(&[
        ("WINDLASS_PUBLIC_URL", "https://ci.example.org"),
        ("WINDLASS_PRIVATE_NETWORKS", ","),
        ("WINDLASS_BACKUP_RECIPIENTS", &recipient),
    ])
    .await;
    server.cli(&["backup"]).expect(0);
    let input = json!({ "name": "short-lived", "expiresAt": "2999-01-01T00:00:00Z" });
    let made = server.post("/api/v1/tokens", input).await.expect(201);
    let token = made["data"]["secret"].as_str().unwrap().to_owned();
    let tokens = server.get("/api/v1/tokens").await.expect(200)["data"]["items"].clone();
    let first = tokens.as_array().unwrap().iter().find(|one| one["name"] == "admin").unwrap();
    let path = format!("/api/v1/tokens/{}", first["id"].as_str().unwrap());
    let ended = server.stranger(Method::DELETE, &path).bearer_auth(&token).send().await.unwrap();
    assert_eq!(ended.status().as_u16(), 204);

    let security = ask(&server, &token, "/api/v1/security").await.expect(200)["data"].clone();
    assert_eq!(security, json!({ "grade": "A", "points": 100, "findings": [] }), "{security:#}");
    let told = doctor(&server, &token);
    assert!(told.iter().any(|(name, text)| name == "grade" && text.starts_with("A: 100 of 100")), "{told:?}");
    assert!(!told.iter().any(|(name, _)| name == "security"), "{told:?}");
}
