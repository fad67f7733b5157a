//! Secrets at rest: ten thousand of them move to a new master key while everything goes on, and also after a SIGKILL.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use windlass::app::{App, stack};
use windlass::config::Config;
use windlass::domain::Id;
use windlass::domain::compose::ComposeRelease;
use windlass::store::releases;
use windlass_tests::sample;
use windlass_tests::server::{TestServer, program};

const STACKS: usize = 50;
const EACH: usize = 200;
const URL: &str = "https://git.example/team/app.git";

fn value(stack: usize, n: usize) -> String {
    format!("planted-{stack}-{n}-{}", "x".repeat(n % 40))
}

/// With `EACH` secret variables and a repository whose credentials are secret as well.
fn input(stack: usize, description: &str) -> Value {
    let variables: Vec<Value> = (0..EACH)
        .map(|n| json!({ "name": format!("SECRET_{n}"), "value": value(stack, n), "secret": true }))
        .collect();
    json!({
        "name": format!("stack-{stack}"),
        "description": description,
        "build": { "environmentVariables": variables },
        "repository": {
            "url": URL, "provider": "github", "authType": "http_token",
            "credentials": { "token": format!("token-{stack}") },
        },
    })
}

async fn rotation(server: &TestServer) -> Value {
    server.get("/api/v1/secrets").await.expect(200)["data"].clone()
}

async fn finished(server: &TestServer) -> Value {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    loop {
        let status = rotation(server).await;
        if status["rotation"]["status"] == "finished" {
            return status;
        }
        assert!(tokio::time::Instant::now() < deadline, "it goes on and on: {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What users do meanwhile: look, change, rotate webhook secrets. Answers how much was done; every failure is an error.
async fn traffic(server: &TestServer, stop: &AtomicBool, done: &AtomicU32) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let stack = n % STACKS;
        server.get(&format!("/api/v1/stacks/stack-{stack}")).await.expect(200);
        if n % 5 == 0 {
            let path = format!("/api/v1/stacks/stack-{stack}");
            server.put(&path, input(stack, &format!("changed {n}"))).await.expect(200);
            server.post(&format!("{path}/rotate-webhook-secret"), json!({})).await.expect(200);
        }
        done.fetch_add(1, Ordering::Relaxed);
        n += 1;
    }
}

/// Runs `work` with traffic beside it, and asserts that there was some.
async fn under_traffic<T>(server: &TestServer, work: impl Future<Output = T>) -> T {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), AtomicU32::new(0));
    let busy = async {
        let ended = work.await;
        stop.store(true, Ordering::Relaxed);
        ended
    };
    let (ended, ()) = tokio::join!(busy, traffic(server, &stop, &done));
    assert!(done.load(Ordering::Relaxed) >= 3, "there was hardly any traffic");
    ended
}

/// The server's own parts on the same data, while the server itself is down.
async fn open(server: &TestServer) -> App {
    let folder = server.folder.path();
    let variable = |name: &str| match name {
        "WINDLASS_DATA_DIR" => Some(folder.join("data").display().to_string()),
        "BUILD_LOG_DIR" => Some(folder.join("logs").display().to_string()),
        _ => None,
    };
    App::open(Config::load(None, variable).unwrap(), Some(program())).await.unwrap()
}

fn by_version(status: &Value, version: u32) -> u64 {
    let keys = status["keys"].as_array().unwrap();
    keys.iter().find(|key| key["version"] == version).map_or(0, |key| key["secrets"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_secrets_move_under_traffic_and_after_a_kill() {
    let mut server = TestServer::start().await;
    for stack in 0..STACKS {
        server.post("/api/v1/stacks", input(stack, "new")).await.expect(201);
    }
    let provider = json!({
        "type": "jenkins", "name": "ci", "url": "http://127.0.0.1:9", "credentials": { "token": "of-the-provider" },
    });
    server.post("/api/v1/providers", provider).await.expect(201);
    let registry = json!({
        "name": "images", "address": "registry.example", "username": "robot", "password": "of-the-registry",
    });
    server.post("/api/v1/registries", registry).await.expect(201);
    // Variables, credentials and webhook secrets, those of the provider, the registry's, and the seed of the record.
    let all = (STACKS * (EACH + 2) + 4) as u64;
    let before = rotation(&server).await;
    assert_eq!((by_version(&before, 1), &before["rotation"]), (all, &Value::Null), "{before}");

    // Killed in the middle of a batch, it goes on by itself after the restart.
    server.kill();
    let release = release_with_secrets(&server).await;
    server.launch(&[("WINDLASS_CRASH_AT", "31")]).await.unwrap();
    server.post("/api/v1/secrets/rotate", json!({})).await.expect(202);
    tokio::task::block_in_place(|| assert!(server.wait(), "it was not killed"));
    server.launch(&[]).await.unwrap();
    let status = under_traffic(&server, finished(&server)).await;
    assert_eq!((status["rotation"]["failed"].as_u64(), by_version(&status, 1)), (Some(0), 0), "{status}");
    assert!(by_version(&status, 2) >= all, "{status}");

    // New data keys as well, with the command line, under traffic from beginning to end.
    let status = under_traffic(&server, async {
        let output = server.cli(&["secrets", "rotate", "--data-keys"]).expect(0).out;
        assert!(output.contains("version 3"), "{output}");
        finished(&server).await
    })
    .await;
    assert_eq!((by_version(&status, 2), status["rotation"]["failed"].as_u64()), (0, Some(0)), "{status}");
    // Every change while traffic ran kept the secret that was there before as the previous one.
    assert!(by_version(&status, 3) >= all, "{status}");
    let output = server.cli(&["secrets", "status"]).expect(0).out;
    assert!(output.contains("seals") && output.contains("finished"), "{output}");

    server.terminate();
    tokio::task::block_in_place(|| server.wait());
    let app = open(&server).await;
    for stack in 0..STACKS {
        let view = stack::stack_view(&app, &format!("stack-{stack}")).await.unwrap();
        let variables = view.build.settings.environment_variables;
        assert_eq!(variables.len(), EACH);
        for (n, variable) in variables.iter().enumerate() {
            assert_eq!(variable.value, value(stack, n), "stack {stack}");
        }
        let view = stack::stack_view(&app, &format!("stack-{stack}")).await.unwrap();
        let secrets = windlass::app::build::secrets_of(&app, &view).await;
        assert!(secrets.unwrap().contains(&format!("token-{stack}")));
    }
    let mut conn = app.db.read().await.unwrap();
    let release = releases::find(&mut conn, release.as_str()).await.unwrap();
    drop(conn);
    let variables = windlass::app::deployment::environment_of(&app, &release).unwrap();
    assert_eq!(variables[0].value, "planted in a release");
    let compose = release.spec.compose.unwrap();
    assert!(compose.sealed_file.starts_with("x2:3:"), "{}", compose.sealed_file);
    let context = windlass::app::compose::file_context(&release.id);
    assert_eq!(*app.vault.open_sealed(&context, &compose.sealed_file).unwrap(), b"{}");
    app.db.close().await;
}

/// As a deployment would leave it: an environment and a compose file, both sealed in one column of JSON.
async fn release_with_secrets(server: &TestServer) -> Id {
    let app = open(server).await;
    let stack = stack::stack_view(&app, "stack-0").await.unwrap().stack;
    let mut release = sample::release(&stack, None);
    let environment = json!([{ "name": "A", "value": "planted in a release", "secret": true }]);
    let context = format!("releases/{}/environment", release.id);
    release.spec.sealed_environment =
        Some(app.vault.seal(&context, environment.to_string().as_bytes()).unwrap());
    let context = windlass::app::compose::file_context(&release.id);
    let sealed_file = app.vault.seal(&context, b"{}").unwrap();
    release.spec.compose = Some(ComposeRelease { service: "web".into(), sealed_file, services: Vec::new() });
    let id = release.id.clone();
    app.db
        .write(move |tx| Box::pin(async move { releases::insert(tx, release).await.map(|_| ()) }))
        .await
        .unwrap();
    app.db.close().await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_the_environment_takes_over_and_the_server_leaves_it_alone() {
    let mut server = TestServer::start().await;
    server.post("/api/v1/stacks", input(0, "new")).await.expect(201);
    let old = std::fs::read_to_string(server.data().join("secret.key")).unwrap();
    server.terminate();
    tokio::task::block_in_place(|| server.wait());
    std::fs::remove_file(server.data().join("secret.key")).unwrap();
    let refused = server.launch(&[("WINDLASS_MASTER_KEY", &"22".repeat(32))]).await.unwrap_err();
    assert!(refused.contains("another master key"), "{refused}");
    let keys = server.folder.path().join("keys");
    std::fs::write(&keys, format!("1:{old}\n")).unwrap();
    let given = [("WINDLASS_MASTER_KEY_FILE", keys.to_str().unwrap())];
    server.launch(&given).await.unwrap();
    server.get("/api/v1/stacks/stack-0").await.expect(200);
    let refused = server.post("/api/v1/secrets/rotate", json!({})).await.expect(409).to_string();
    assert!(refused.contains("add a line"), "{refused}");
    // The file is read again when somebody has added to it.
    std::fs::write(&keys, format!("1:{old}\n2:{}\n", "22".repeat(32))).unwrap();
    server.post("/api/v1/secrets/rotate", json!({})).await.expect(202);
    let status = finished(&server).await;
    assert_eq!((by_version(&status, 1), status["rotation"]["version"].as_u64()), (0, Some(2)), "{status}");
    assert!(!server.data().join("secret.key").exists());
    server.get("/api/v1/stacks/stack-0").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_and_its_memory_leave_no_core_file() {
    let server = TestServer::start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
}
