//! Two servers on one PostgreSQL: what happens to a plugin on one happens on the other.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::database::{TestDb, soon};
use windlass_tests::guests::Guest;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};

fn guest(version: &str) -> Guest {
    Guest::good("guest").version(version)
}

async fn install(server: &TestServer, guest: &Guest) -> String {
    let request = server.stranger(Method::POST, "/api/v1/plugins/install").bearer_auth(ADMIN_TOKEN);
    let request = request.header("content-type", "application/wasm").body(guest.build());
    let response = request.send().await.unwrap();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["success"], true, "{answer}");
    answer["data"]["digest"].as_str().unwrap().to_owned()
}

/// Asks until the plugin is as wanted.
async fn follows(server: &TestServer, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        let mut again = tokio::time::interval(Duration::from_millis(20));
        loop {
            again.tick().await;
            let plugin = server.get("/api/v1/plugins/guest").await.json["data"].clone();
            if wanted(&plugin) {
                return plugin;
            }
        }
    };
    soon(what, asking).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_node_follows_an_installation_and_what_is_decided_later() {
    let Some(database) = TestDb::postgres().await else { return };
    let key = "5a".repeat(32);
    let variables = [("WINDLASS_DATABASE_URL", database.url.as_str()), ("WINDLASS_MASTER_KEY", &key)];
    let (one, two) = (TestServer::start_with(&variables).await, TestServer::start_with(&variables).await);

    let first = install(&one, &guest("1.0.0")).await;
    let shown = follows(&two, "the installation", |plugin| plugin["digest"] == json!(first)).await;
    assert_eq!((&shown["error"], &shown["state"]), (&Value::Null, &json!("enabled")), "{shown:#}");
    // It is loaded there: its manifest is known.
    assert_eq!(shown["kinds"], json!(["notifier"]), "{shown:#}");

    two.post("/api/v1/plugins/guest/disable", json!({})).await.expect(200);
    follows(&one, "the disabling", |plugin| plugin["state"] == "disabled").await;
    one.post("/api/v1/plugins/guest/enable", json!({})).await.expect(200);
    follows(&two, "the enabling", |plugin| plugin["state"] == "enabled").await;

    let second = install(&two, &guest("2.0.0")).await;
    assert_ne!(first, second);
    follows(&one, "the upgrade", |plugin| plugin["digest"] == json!(second)).await;
    let events = one
        .wait_event("the last change", |event| {
            (event["kind"] == "plugin.changed" && event["data"]["digest"] == json!(second))
                .then(|| event.clone())
        })
        .await;
    assert!(events["data"]["node"].is_string(), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_plugin_survives_the_loss_of_the_plugins_folder() {
    let Some(database) = TestDb::postgres().await else { return };
    let variables = [("WINDLASS_DATABASE_URL", database.url.as_str())];
    let mut server = TestServer::start_with(&variables).await;
    let digest = install(&server, &guest("1.0.0")).await;
    server.terminate();
    server.wait();
    std::fs::remove_dir_all(server.data().join("plugins")).unwrap();
    server.launch(&[]).await.unwrap();
    let shown = server.get("/api/v1/plugins/guest").await.expect(200)["data"].clone();
    assert_eq!((&shown["digest"], &shown["error"]), (&json!(digest), &Value::Null), "{shown:#}");
}
