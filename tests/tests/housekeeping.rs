//! What piles up is removed, and nothing that a rollback needs.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::time::Duration;

use serde_json::json;
use windlass::app::logs::logs_prune;
use windlass::app::{App, housekeeping};
use windlass::config::Config;
use windlass_tests::docker::eventually;
use windlass_tests::fixture::Fixture;
use windlass_tests::server::{ADMIN_TOKEN, docker, program};

/// Tags of the images that the fixture's server has built, newest first.
fn images(instance: &str) -> Vec<String> {
    let label = format!("label=dev.windlass.server={instance}");
    let words = ["image", "ls", "--filter", &label, "--format", "{{.Repository}}:{{.Tag}}"];
    docker(&words).lines().map(str::to_string).collect()
}

/// The server's own parts on the same data, while the server itself is down.
async fn open(fixture: &Fixture, releases: usize) -> App {
    let folder = fixture.server.folder.path();
    let variable = |name: &str| match name {
        "WINDLASS_DATA_DIR" => Some(folder.join("data").display().to_string()),
        "BUILD_LOG_DIR" => Some(folder.join("logs").display().to_string()),
        _ => None,
    };
    let mut config = Config::load(None, variable).unwrap();
    config.retention.releases = releases;
    App::open(config, Some(program())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_go_when_no_rollback_needs_them_and_a_rollback_still_works() {
    let mut fixture = Fixture::start(true).await;
    let mut tags = Vec::new();
    for version in ["one", "two", "three", "broken", "four"] {
        let (sha, deployment) = fixture.deploy(version).await;
        let wanted = if version == "broken" { "rolled_back" } else { "successful" };
        assert_eq!(deployment["status"], wanted, "{}", fixture.explain(&deployment).await);
        tags.push(format!("web:main-{}", &sha[..7]));
    }
    let instance = fixture.server.instance();
    assert_eq!(images(&instance).len(), 5);
    fixture.server.kill();

    let app = open(&fixture, 2).await;
    // The last two good releases are three and four; the last two builds are the broken one and four.
    assert_eq!(housekeeping::collect_images(&app).await.unwrap(), 2);
    let left = images(&instance);
    assert!(tags[2..].iter().all(|tag| left.contains(tag)), "{left:?} of {tags:?}");
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(housekeeping::collect_images(&app).await.unwrap(), 0, "a second look finds nothing");
    app.db.close().await;
    drop(app);

    fixture.server.launch(&[]).await.unwrap();
    let answer = fixture.server.post("/api/v1/stacks/web/rollback", json!({})).await;
    let number = answer.expect(202)["data"]["seq"].to_string();
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert!(fixture.page().await.contains("version three"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_when_nobody_has_written_to_them_for_long_and_other_files_stay() {
    let fixture = Fixture::start(false).await;
    fixture.deploy("one").await;
    let server = &fixture.server;
    let known = async || server.get("/api/v1/deployments/1").await.expect(200)["data"]["logs"].clone();
    eventually("the log of the rollout is complete", async || !known().await["rollout"].is_null()).await;
    let (before, text) = (known().await, server.log_of("1").await);
    let bytes = [&before["build"], &before["rollout"]].map(|log| log["bytes"].as_u64().unwrap());
    assert_eq!(bytes.iter().sum::<u64>(), text.len() as u64, "{before}");
    let logs = fixture.server.folder.path().join("logs");
    std::fs::write(logs.join("notes.txt"), "mine").unwrap();
    let app = open(&fixture, 5).await;
    assert_eq!(logs_prune(&app, Duration::from_secs(3600)).await.unwrap(), 0);
    assert_eq!(logs_prune(&app, Duration::ZERO).await.unwrap(), 2, "one of the build, one of the rollout");
    let left: Vec<_> = std::fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
    // What is known of them is shown, and their last lines.
    assert_eq!(known().await, before);
    let last = text.lines().last().unwrap();
    assert_eq!(server.cli(&["logs", "1"]).out.lines().last(), Some(last));
    let sha = before["rollout"]["sha256"].as_str().unwrap();
    assert!(server.cli(&["status", "1"]).out.contains(sha));
    let page = server.stranger(reqwest::Method::GET, "/deployments/1");
    let page = page.header("cookie", format!("windlass_token={ADMIN_TOKEN}")).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains(&sha[..8]) && page.contains("Deployment 1 is successful"), "{page}");
}
