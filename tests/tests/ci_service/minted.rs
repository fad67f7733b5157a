//! Providers whose tokens are made here: from an app's key, and from a refresh token that is another one each time.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_sdk::http::segment;
use windlass_tests::search::Search;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};
use windlass_tests::vendors::github::{GitHub, app};
use windlass_tests::vendors::gitlab::{GitLab, oauth};

fn gitlab(url: &str, refresh: &str) -> Value {
    json!({
        "type": "gitlab", "name": "ci", "url": url, "settings": { "client_id": oauth::CLIENT },
        "credentials": { "oauth": refresh, "oauth-client": oauth::CLIENT_SECRET },
    })
}

fn github(url: &str) -> Value {
    json!({
        "type": "github", "name": "ci", "url": url, "credentials": { "app": app::KEY },
        "settings": { "app_id": app::ID, "installation_id": app::INSTALLATION },
    })
}

async fn connects(server: &TestServer) {
    let tested = server.post("/api/v1/providers/ci/test", json!({})).await.expect(200)["data"].clone();
    assert_eq!(tested["connected"], true, "{tested}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_was_replaced_survives_sigkill_and_is_told_nowhere() {
    let (vendor, mut server) = (GitLab::start().await, TestServer::start().await);
    let input = gitlab(&vendor.fake.url, &oauth::refresh_token(0));
    server.post("/api/v1/providers", input.clone()).await.expect(201);
    connects(&server).await;
    connects(&server).await;
    assert_eq!(vendor.world().oauth.traded, 1);
    // A change without credentials keeps the one that is good by now.
    let mut changed = input;
    changed["credentials"] = Value::Null;
    server.put("/api/v1/providers/ci", changed).await.expect(200);
    for restarts in 1..=2 {
        server.kill();
        server.launch(&[]).await.unwrap();
        connects(&server).await;
        assert_eq!(vendor.world().oauth.traded, 1 + restarts);
    }

    let record = server.get("/api/v1/audit?limit=200&action=credential").await.expect(200);
    let entries = record["data"]["items"].as_array().unwrap();
    assert_eq!(entries.len(), 3, "{record}");
    assert!(entries[0].to_string().contains("oauth"), "{record}");
    assert_eq!(entries[0]["actorKind"], "server", "{record}");
    let shown = [server.get("/api/v1/providers").await.text, record.to_string()].concat();
    let secrets: Vec<String> =
        (0..=3).flat_map(|number| [oauth::refresh_token(number), oauth::access_token(number)]).collect();
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).chain([oauth::CLIENT_SECRET]).collect();
    let search = Search::default();
    search.plant(&secrets);
    search.look("an answer", shown.as_bytes());
    search.look_below("a file", server.folder.path());
    assert_eq!(search.found(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_a_refresh_token_does_not_use_it_up() {
    let (vendor, mut server) = (GitLab::start().await, TestServer::start().await);
    let first = oauth::refresh_token(0);
    let input = gitlab(&vendor.fake.url, &first);
    let form = [
        ("kind", "gitlab"),
        ("name", "ci"),
        ("url", vendor.fake.url.as_str()),
        ("auth", "refresh"),
        ("refresh_token", first.as_str()),
        ("client_id", oauth::CLIENT),
        ("client_secret", oauth::CLIENT_SECRET),
        ("active", "on"),
        ("test-connection", "yes"),
    ];
    let tried = submit(&server, "/providers/new", &form).await;
    assert!(tried.contains("It answers"), "{tried}");
    assert_eq!(vendor.world().oauth.traded, 1);
    server.post("/api/v1/providers", input).await.expect(201);
    connects(&server).await;
    assert_eq!(vendor.world().oauth.traded, 1, "what the test was given is used");
    server.kill();
    server.launch(&[]).await.unwrap();
    connects(&server).await;
}

/// Posts a form of the dashboard, and answers with the page.
async fn submit(server: &TestServer, path: &str, fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", segment(value))).collect();
    let request = server.stranger(Method::POST, path);
    let request = request
        .header("cookie", format!("windlass_token={ADMIN_TOKEN}"))
        .header("origin", server.url.as_str())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(pairs.join("&"));
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_connected_over_the_api_and_in_the_form_and_needs_all_of_its_fields() {
    let (vendor, server) = (GitHub::start().await, TestServer::start().await);
    let mut lacking = github(&vendor.fake.url);
    lacking["settings"] = json!({ "app_id": app::ID });
    let refused = server.post("/api/v1/providers", lacking).await.expect(422);
    assert_eq!(refused["field"], "settings.installation_id", "{refused}");
    let made = server.post("/api/v1/providers", github(&vendor.fake.url)).await;
    assert!(!made.text.contains("PRIVATE KEY"), "{}", made.text);
    made.expect(201);
    connects(&server).await;
    assert_eq!(vendor.world().app.minted, 1);

    let mut form = vec![
        ("kind", "github"),
        ("name", "by-form"),
        ("url", vendor.fake.url.as_str()),
        ("auth", "app"),
        ("app_id", app::ID),
        ("installation_id", ""),
        ("key", app::KEY),
        ("active", "on"),
    ];
    let refused = submit(&server, "/providers/new", &form).await;
    assert!(refused.contains("needs the setting `installation_id`"), "{refused}");
    form[5].1 = app::INSTALLATION;
    let made = submit(&server, "/providers/new", &form).await;
    assert!(made.contains("by-form") && !made.contains("PRIVATE KEY"), "{made}");
    let row = server.get("/api/v1/providers/by-form").await.expect(200)["data"].clone();
    let wanted = json!({ "app_id": app::ID, "installation_id": app::INSTALLATION });
    assert_eq!((&row["settings"], &row["has_credentials"]), (&wanted, &json!(true)), "{row}");
}
