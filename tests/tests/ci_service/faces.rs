//! What people see of it: the command line and the dashboard.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::cli::run;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};
use windlass_tests::vendors::jenkins::Jenkins;

use crate::{Service, Vendor};

/// Runs a command against the server; exit code and what it printed.
pub async fn cli(server: &TestServer, words: &[&str]) -> (i32, String) {
    let command = server.command(words);
    // The command asks the server, which asks a vendor that this test plays.
    let run = tokio::task::spawn_blocking(move || run(command)).await.unwrap();
    (run.code, run.said())
}

async fn page(server: &TestServer, path: &str) -> String {
    let request =
        server.stranger(Method::GET, path).header("cookie", format!("windlass_token={ADMIN_TOKEN}"));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_connects_a_provider_and_runs_a_job() {
    let (vendor, server) = (<Jenkins as Vendor>::start().await, TestServer::start().await);
    let write = |name: &str, value: Value| {
        let path = server.folder.path().join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let file = write(
        "provider.json",
        json!({ "type": "jenkins", "name": "ci", "url": vendor.fake().url, "credentials": Jenkins::credentials() }),
    );
    let (code, text) = cli(&server, &["provider", "add", "-f", &file]).await;
    assert!(code == 0 && text.contains("/en/default/deployment/webhooks/jenkins"), "{text}");
    assert_eq!(cli(&server, &["provider", "test", "ci"]).await.0, 0);
    let (_, text) = cli(&server, &["provider", "list"]).await;
    assert!(text.contains("healthy") && text.contains("jenkins"), "{text}");
    let file = write(
        "job.json",
        json!({
            "provider": "ci", "name": "web", "repository": { "url": Jenkins::REPOSITORY, "branch": "main" },
            "scripts": [{ "path": "deploy.sh" }], "parameters": { "TARGET": "staging" },
        }),
    );
    let (code, text) = cli(&server, &["job", "make", "-f", &file]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = cli(&server, &["job", "run", "1", "--set", "TARGET=qa", "-o", "json"]).await;
    let build: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!((code, &build["parameters"]["TARGET"]), (0, &json!("qa")));
    server
        .wait_event("the build's number", |event| {
            (event["kind"] == "ci_build.status" && event["data"]["number"] == "1").then_some(())
        })
        .await;
    vendor.run();
    vendor.finish(true);
    let (code, text) = cli(&server, &["job", "logs", "1", "-f"]).await;
    assert!(code == 0 && text.contains("it is deployed"), "{text}");
    let (_, text) = cli(&server, &["job", "builds", "1"]).await;
    assert!(text.contains("success"), "{text}");
    let file = write(
        "changed.json",
        json!({ "scripts": [{ "path": "release.sh" }], "parameters": { "TARGET": "staging" } }),
    );
    let (code, text) = cli(&server, &["job", "update", "1", "-f", &file]).await;
    assert!(code == 0 && text.contains("release.sh") && text.contains("--yes"), "{text}");
    assert!(!vendor.pipeline().contains("release.sh"), "it was only shown");
    let (code, text) = cli(&server, &["job", "update", "1", "-f", &file, "--yes"]).await;
    assert!(code == 0 && vendor.pipeline().contains("release.sh"), "{text}");
    vendor.outside().send().await.unwrap();
    let (code, text) = cli(&server, &["job", "sync", "1"]).await;
    assert_eq!(code, 0, "{text}");
    server
        .wait_event("the build of somebody else", |event| {
            (event["kind"] == "ci_build.status" && event["data"]["number"] == "2").then_some(())
        })
        .await;
    let (_, text) = cli(&server, &["job", "builds", "1"]).await;
    assert!(text.contains("somebody outside"), "{text}");
    let shown = page(&server, "/ci-builds/2").await;
    assert!(shown.contains("somebody outside"), "{shown}");
    let (code, text) = cli(&server, &["schedule", "create", "--job", "1", "--cron", "@daily"]).await;
    assert!(code == 0 && text.contains("job 1 (web)"), "{text}");
    let (_, text) = cli(&server, &["schedule", "list", "--job", "1"]).await;
    assert!(text.contains("@daily"), "{text}");
    let (code, text) = cli(&server, &["schedule", "create", "--cron", "@daily"]).await;
    assert!(code == 2 && text.contains("<STACK>"), "{text}");
    let (code, text) = cli(&server, &["provider", "remove", "ci"]).await;
    assert!(code == 2 && text.contains("--yes"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_what_a_change_of_a_job_comes_to_before_it_does_it() {
    let service = Service::<Jenkins>::start().await;
    let asked = json!({
        "provider": "ci", "name": "web", "repository": { "url": Jenkins::REPOSITORY, "branch": "main" },
        "scripts": [{ "path": "deploy.sh" }],
    });
    let job = service.server.post("/api/v1/ci/jobs", asked).await.expect(201)["data"].clone();
    let path = format!("/ci-jobs/{}/edit", job["seq"]);
    let form = page(&service.server, &path).await;
    assert!(form.contains("deploy.sh") && form.contains("Show what changes"), "{form}");
    let send = async |seen: &str, scripts: &str| {
        let body = format!("pipeline=generated&scripts={scripts}&watch=on&seen={seen}");
        let request = service.server.stranger(Method::POST, &path);
        let request = request.bearer_auth(ADMIN_TOKEN);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        request.send().await.unwrap().text().await.unwrap()
    };
    let shown = send("", "release.sh").await;
    assert!(shown.contains("<ins>+") && shown.contains("release.sh"), "{shown}");
    assert!(!service.vendor.pipeline().contains("release.sh"), "nothing is done yet");
    let (_, rest) = shown.split_once("name=\"seen\" value=\"").unwrap();
    let seen = rest.split('"').next().unwrap();
    let other = send(seen, "another.sh").await;
    assert!(other.contains("<ins>+") && other.contains("another.sh"), "that was not looked at: {other}");
    send(seen, "release.sh").await;
    assert!(service.vendor.pipeline().contains("release.sh"));
    let after = page(&service.server, &format!("/ci-jobs/{}", job["seq"])).await;
    assert!(after.contains("Builds of others"), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_providers_jobs_and_a_build_with_its_log() {
    let service = Service::<Jenkins>::start().await;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    service.vendor.run();
    service.vendor.finish(true);
    service.settled("1").await;
    let all = page(&service.server, "/providers").await;
    assert!(all.contains("healthy") && all.contains("href=\"/providers/1\""), "{all}");
    let one = page(&service.server, "/providers/1").await;
    assert!(one.contains("href=\"/ci-builds/1\"") && one.contains("success"), "{one}");
    let build = page(&service.server, "/ci-builds/1").await;
    assert!(build.contains("it is deployed") && build.contains("TARGET = production"), "{build}");
    let deployment = page(&service.server, &format!("/deployments/{number}")).await;
    assert!(deployment.contains("it is deployed") && deployment.contains("<dd>ci</dd>"), "{deployment}");
    assert!(!deployment.contains("/pause"), "a provider cannot be paused");
    let planned = service.server.get("/api/v1/stacks/web/plan").await.expect(409);
    assert!(planned["error"].as_str().unwrap().contains("provider"), "{planned}");
}
