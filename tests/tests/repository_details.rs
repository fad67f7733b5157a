//! A forge is asked about a stack's repository, with the repository's own token, by a plugin that never sees it.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::json;
use windlass_tests::anvil::{Anvil, TOKEN};
use windlass_tests::components;
use windlass_tests::server::TestServer;
use windlass_tests::vendors::github::{self, GitHub};

/// A server whose configuration has the forge `mirror`, and stacks with repositories on it.
async fn start(anvil: &Anvil) -> (TestServer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("mirror.wasm");
    std::fs::write(&component, components::MIRROR).unwrap();
    let config = folder.path().join("windlass.toml");
    let grant = "[\"http:self\", \"credential:token\"]";
    let text = format!("[plugins.mirror]\nsource = \"path:{}\"\ngrant = {grant}\n", component.display());
    std::fs::write(&config, text).unwrap();
    let server = TestServer::start_with(&[("WINDLASS_CONFIG", &config.display().to_string())]).await;
    for (name, repository) in [("blade", "smith/blade.git"), ("none", "smith/none")] {
        server
            .create_stack(json!({ "name": name, "repository": {
                "url": format!("{}/{repository}", anvil.url), "provider": "mirror", "authType": "http_token",
                "credentials": { "username": "smith", "token": TOKEN },
            } }))
            .await;
    }
    (server, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_tells_about_a_stacks_repository() {
    let anvil = Anvil::start().await;
    let (server, _folder) = start(&anvil).await;
    let details = server.get("/api/v1/stacks/blade/repository").await.expect(200)["data"].clone();
    assert_eq!(details["defaultBranch"], "trunk");
    assert_eq!(details["cloneUrls"], json!(["https://mirror.example/smith/blade.git"]));
    assert_eq!(details["private"], true);
    let seen = anvil.seen().pop().unwrap();
    assert_eq!(seen.headers.get("x-mirror-token").unwrap(), TOKEN);

    let shown = server.cli(&["stack", "repository", "blade"]).expect(0).out;
    assert!(shown.contains("trunk"), "{shown}");

    let refused = server.get("/api/v1/stacks/none/repository").await;
    assert!(refused.status >= 400 && refused.text.contains("no-such-repository"), "{}", refused.text);
    // The calls are on record, without the token.
    let asking = async {
        loop {
            let calls = server.get("/api/v1/plugins/calls?function=get-repository-details").await.expect(200);
            let items = calls["data"]["items"].as_array().unwrap().clone();
            if items.iter().any(|call| call["outcome"] == "failure") {
                return items;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    for call in windlass_tests::database::soon("the recordings", asking).await {
        let path = format!("/api/v1/plugins/calls/{}", call["seq"]);
        let recording = server.get(&path).await.expect(200).to_string();
        assert!(recording.contains("http@0.1.0#send") && !recording.contains(TOKEN), "{recording}");
        let replay = server.post(&format!("{path}/replay"), json!({})).await.expect(200);
        assert_eq!(replay["data"]["identical"], true, "{replay:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_whose_api_is_not_at_the_repositorys_address_is_asked_where_it_is() {
    let (forge, server) = (GitHub::start().await, TestServer::start().await);
    let repository = json!({
        "url": format!("{}/octo/app.git", forge.fake.url), "branch": "main", "provider": "github", "authType": "http_token",
        "credentials": { "username": "octo", "token": github::TOKEN },
    });
    server.create_stack(json!({ "name": "app", "repository": repository })).await;
    let details = server.get("/api/v1/stacks/app/repository").await.expect(200)["data"].clone();
    assert_eq!((&details["fullName"], &details["defaultBranch"]), (&json!("octo/app"), &json!("main")));
    assert_eq!(forge.fake.trace(), ["GET /api/v3/repos/octo/app"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_whose_forge_cannot_be_asked_says_why() {
    let server = TestServer::start().await;
    server.create_stack(json!({ "name": "bare" })).await;
    let url = "git@git.example:team/app.git";
    server.create_stack(json!({ "name": "ssh", "repository": { "url": url, "provider": "github" } })).await;
    let url = "https://git.example/team/app.git";
    server.create_stack(json!({ "name": "web", "repository": { "url": url, "provider": "generic" } })).await;
    for (stack, words) in [
        ("bare", "no repository"),
        ("ssh", "none of https:// or http://"),
        ("web", "does not export the optional interface"),
    ] {
        let answer = server.get(&format!("/api/v1/stacks/{stack}/repository")).await;
        assert!(answer.status >= 400 && answer.text.contains(words), "{stack}: {}", answer.text);
    }
}
