//! What strangers, forges and users get wrong: each gets its clear error, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::docker::eventually;
use windlass_tests::fixture::Fixture;
use windlass_tests::git_server::GitServer;
use windlass_tests::port::free_port;
use windlass_tests::server::{TestServer, docker, push_body, sign};

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
const URL: &str = "https://forge.example/team/app.git";

/// A stack that nothing is ever built of.
fn stack(name: &str) -> Value {
    json!({ "name": name, "repository": { "url": URL, "provider": "github", "webhookSecret": "s3cret-s3cret" } })
}

/// Posts a signed delivery and waits for its reason code.
async fn reason(server: &TestServer, path: &str, event: &str, body: &str) -> Value {
    let response = server
        .stranger(Method::POST, path)
        .header("x-github-event", event)
        .header("content-type", "application/json")
        .header("x-hub-signature-256", sign("s3cret-s3cret", body.as_bytes()))
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 202);
    let id = response.json::<Value>().await.unwrap()["event_id"].as_str().unwrap().to_string();
    server.wait_webhook(&id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_prove_nothing_are_refused_and_recorded() {
    let server = TestServer::start().await;
    let (path, secret) = server.create_stack(stack("web")).await;
    let body = push_body(URL, "main", SHA).to_string();
    let good = sign(&secret, body.as_bytes());
    let post =
        |body: String| server.stranger(Method::POST, &path).header("x-github-event", "push").body(body);
    let header = "x-hub-signature-256";
    for (what, request) in [
        ("unsigned", post(body.clone())),
        ("another secret", post(body.clone()).header(header, sign("other", body.as_bytes()))),
        ("another body", post(format!("{body} ")).header(header, &good)),
        ("no prefix", post(body.clone()).header(header, &good[7..])),
        ("the old sha1 header", post(body.clone()).header("x-hub-signature", "sha1=00")),
        ("two signatures", post(body.clone()).header(header, &good).header(header, &good)),
        ("cut short", post(body.clone()).header(header, &good[..40])),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 401, "{what}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(
            (answer["success"].as_bool(), answer["code"].as_str()),
            (Some(false), Some("unauthenticated")),
            "{what}"
        );
    }
    let inbox = server.get("/api/v1/webhooks").await.expect(200);
    let rows = inbox["data"]["items"].as_array().unwrap();
    assert_eq!(rows.len(), 7);
    assert!(rows.iter().all(|row| row["reason"] == "bad_signature" && row["verified"] == false), "{rows:#?}");
    assert_eq!(server.get("/api/v1/deployments").await.expect(200)["data"]["items"], json!([]));
    // The right one still gets in.
    let response = post(body).header(header, good).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_to_nobody_and_one_that_is_too_large_are_not_read() {
    let server = TestServer::start().await;
    let (path, _) = server.create_stack(stack("web")).await;
    let nobody = server.stranger(Method::POST, "/api/webhooks/nobody").body("{}").send().await.unwrap();
    assert_eq!(nobody.status().as_u16(), 404);
    let limit = 26_214_400;
    let large = server.stranger(Method::POST, &path).body(vec![b' '; limit + 1]).send().await;
    // The server may close the connection while the body is still on its way.
    if let Ok(response) = large {
        assert_eq!(response.status().as_u16(), 413);
        assert!(response.text().await.unwrap().contains("26214400"));
    }
    let inbox = server.get("/api/v1/webhooks").await.expect(200);
    assert_eq!(inbox["data"]["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_ends_too_early_leaves_nothing_behind() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = TestServer::start().await;
    let (path, _) = server.create_stack(stack("web")).await;
    let address = server.url.strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nx-github-event: push\r\ncontent-length: 5000\r\n\r\n{{\"ref\":"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.contains("422"), "{answer}");
    assert_eq!(server.get("/api/v1/webhooks").await.expect(200)["data"]["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_that_is_not_deployed_says_why() {
    let server = TestServer::start().await;
    let (path, _) = server.create_stack(stack("web")).await;
    let push = |branch: &str| push_body(URL, branch, SHA);
    let with = |changes: Value| {
        let mut body = push("main");
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body.to_string()
    };
    let skip =
        json!({ "head_commit": { "id": SHA, "message": "docs [skip ci]", "author": { "name": "Ada" } } });
    for (wanted, event, body) in [
        ("malformed", "push", "{ not json".to_string()),
        ("malformed", "push", "[]".to_string()),
        ("ping", "ping", json!({ "zen": "x", "hook_id": 1 }).to_string()),
        ("unsupported_event", "star", json!({ "action": "created" }).to_string()),
        ("invalid_ref", "push", push("-h").to_string()),
        ("invalid_ref", "push", push("a..b").to_string()),
        ("branch_mismatch", "push", push("dev").to_string()),
        (
            "branch_deleted",
            "push",
            with(json!({ "deleted": true, "after": "0".repeat(40), "head_commit": null })),
        ),
        ("tag_ignored", "push", with(json!({ "ref": "refs/tags/v1" }))),
        ("skip_ci", "push", with(skip)),
    ] {
        let row = reason(&server, &path, event, &body).await;
        assert_eq!(row["reason"], wanted, "{body}: {row:#}");
        assert!(!row["detail"].as_str().unwrap().is_empty(), "{row:#}");
        assert_eq!(row["payload"], body, "the raw body is kept");
    }
    assert_eq!(server.get("/api/v1/deployments").await.expect(200)["data"]["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_address_finds_its_stack_by_url_or_says_that_there_is_none() {
    let server = TestServer::start_with(&[("WEBHOOK_SECRET", "s3cret-s3cret")]).await;
    let other = push_body("https://forge.example/nobody/knows.git", "main", SHA).to_string();
    let row = reason(&server, "/v1/webhooks/github", "push", &other).await;
    assert_eq!(row["reason"], "no_mapping", "{row:#}");
    server.create_stack(stack("web")).await;
    let known = push_body("git@forge.example:team/app.git", "dev", SHA).to_string();
    let row = reason(&server, "/v1/webhooks/github", "push", &known).await;
    assert_eq!(row["reason"], "branch_mismatch", "{row:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_cannot_work_is_refused_with_its_field() {
    let server = TestServer::start().await;
    server.create_stack(stack("taken")).await;
    let build = |settings: Value| json!({ "name": "web", "build": settings });
    let run = |spec: Value| json!({ "name": "web", "run": spec });
    let repository = |url: &str| json!({ "name": "web", "repository": { "url": url } });
    for (field, input) in [
        ("name", json!({ "name": "Web" })),
        ("name", json!({ "name": "-h" })),
        ("name", json!({ "name": "../x" })),
        ("build.dockerfilePath", build(json!({ "dockerfilePath": "../../etc/passwd" }))),
        ("build.dockerfilePath", build(json!({ "dockerfilePath": "/etc/passwd" }))),
        ("build.contextPath", build(json!({ "contextPath": "a/../../b" }))),
        ("build.contextPath", build(json!({ "contextPath": ".git" }))),
        ("build.timeout", build(json!({ "timeout": 0 }))),
        ("build.buildArgs", build(json!({ "buildArgs": [{ "name": "A B", "value": "" }] }))),
        ("build.autoDeployBranches", build(json!({ "autoDeployBranches": ["("] }))),
        ("build.healthCheckPath", build(json!({ "healthCheckPath": "health" }))),
        ("run.replicas", run(json!({ "replicas": 0 }))),
        ("run.replicas", run(json!({ "replicas": 2, "ports": [{ "container": 80, "host": 8080 }] }))),
        ("run.ports", run(json!({ "ports": [{ "container": 0 }] }))),
        ("run.ports", run(json!({ "ports": [{ "container": 80, "address": "here" }] }))),
        ("run.volumes", run(json!({ "volumes": [{ "name": "data", "path": "relative" }] }))),
        ("run.volumes", run(json!({ "volumes": [{ "name": "/etc", "path": "/x" }] }))),
        ("repository.url", repository("ext::sh -c id")),
        ("repository.url", repository("file:///etc")),
        ("repository.url", repository("ssh://-oProxyCommand=id/x")),
        ("repository.branch", json!({ "name": "web", "repository": { "url": URL, "branch": "-h" } })),
    ] {
        let answer = server.post("/api/v1/stacks", input.clone()).await;
        assert_eq!(answer.status, 422, "{input}: {}", answer.text);
        assert_eq!(answer.json["field"], field, "{input}: {}", answer.text);
    }
    for (part, input) in [
        ("nmae", json!({ "nmae": "web" })),
        ("replica", run(json!({ "replica": 1 }))),
        ("port", run(json!({ "ports": [{ "container": 70000 }] }))),
        (
            "no-such-forge",
            json!({ "name": "web", "repository": { "url": URL, "provider": "no-such-forge" } }),
        ),
        ("standard", json!({ "name": "web", "strategy": "standart" })),
        ("settle_ms", json!({ "name": "web", "strategyParams": { "setle_ms": 1 } })),
        ("no_such_type", build(json!({ "buildType": "no_such_type" }))),
    ] {
        let answer = server.post("/api/v1/stacks", input.clone()).await;
        assert_eq!(answer.status, 422, "{input}: {}", answer.text);
        let text = answer.text.replace('-', "_");
        assert!(text.contains(&part.replace('-', "_")), "{input}: {}", answer.text);
    }
    assert_eq!(server.post("/api/v1/stacks", stack("taken")).await.status, 409);
    let stacks = server.get("/api/v1/stacks").await.expect(200);
    assert_eq!(stacks["data"]["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_token_and_every_answer_says_what_is_wrong() {
    let server = TestServer::start().await;
    let document = server.get("/api/v1/openapi.json").await.expect(200);
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation["security"] == json!([{}]) {
                continue;
            }
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.replace(['{', '}'], "");
            let request =
                server.stranger(method.clone(), &path).header("content-type", "application/json").body("{}");
            let status = request.bearer_auth("wl_wrong").send().await.unwrap().status().as_u16();
            assert_eq!(status, 401, "{method} {path}");
            asked += 1;
        }
    }
    assert!(asked >= 25, "only {asked} operations need a token");
    for (status, path) in
        [(404, "/api/v1/stacks/none"), (404, "/api/v1/deployments/99"), (404, "/api/v1/plugins/none")]
    {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
    let answer = server.post("/api/v1/stacks/none/deploy", json!({})).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
    server.create_stack(stack("web")).await;
    for (status, path, body) in [
        (409, "/api/v1/stacks/web/rollback", json!({})),
        (404, "/api/v1/stacks/web/deploy", json!({ "imageTag": "no-such-image:latest" })),
        (422, "/api/v1/stacks/web/deploy", json!({ "gitRef": "--upload-pack=id" })),
        (422, "/v1/cicd/services/web/build", json!({ "dockerfile": "../x" })),
        (422, "/v1/cicd/services/web/deploy", json!({})),
    ] {
        let answer = server.post(path, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(!answer.json["error"].as_str().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_repository_is_said_by_the_deployment() {
    let fixture = Fixture::start(true).await;
    let link = fixture.repo.commit_files(
        "link",
        &[windlass_tests::git_server::File { path: "Dockerfile", mode: "120000", content: b"/etc/passwd" }],
        "a link out of the repository",
    );
    fixture.repo.commit("empty", &[("README", "nothing to build")], "no Dockerfile");
    fixture.repo.commit("fails", &[("Dockerfile", "FROM scratch\nRUN [\"/no-such-program\"]\n")], "fails");
    for (git_ref, words) in [
        ("link", "Dockerfile"),
        ("empty", "Dockerfile"),
        ("fails", "no-such-program"),
        ("no-such-branch", "no-such-branch"),
        (SHA, SHA),
    ] {
        let row =
            fixture.server.post("/api/v1/stacks/web/deploy", json!({ "gitRef": git_ref })).await.expect(202);
        let deployment = fixture.server.wait_deployment(&row["data"]["seq"].to_string()).await;
        assert_eq!(deployment["status"], "failed", "{git_ref}: {deployment:#}");
        assert!(deployment["error"].as_str().unwrap().contains(words), "{git_ref}: {deployment:#}");
    }
    assert!(!link.is_empty());
    assert_eq!(fixture.server.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_git_token_is_named_and_never_shown() {
    let git = GitServer::start_with_token("right-token-0815").await;
    git.create("app").commit("main", &[("Dockerfile", "FROM scratch\n")], "one");
    let server = TestServer::start().await;
    let credentials = json!({ "username": "ci", "token": "wrong-token-4711" });
    let repository = json!({ "url": git.url("app"), "authType": "http_token", "credentials": credentials });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    let row = server.post("/api/v1/stacks/web/deploy", json!({})).await.expect(202)["data"].clone();
    let deployment = server.wait_deployment(&row["seq"].to_string()).await;
    assert_eq!(deployment["status"], "failed", "{deployment:#}");
    let everything = format!(
        "{deployment}{}{}{}",
        server.log_of(&row["seq"].to_string()).await,
        std::fs::read_to_string(server.server_log()).unwrap(),
        server.get("/api/v1/stacks/web").await.text
    );
    assert!(!everything.contains("wrong-token-4711"), "{everything}");
    assert!(deployment["error"].as_str().unwrap().contains("credential"), "{deployment:#}");
    let database = std::fs::read(server.data().join("windlass.db")).unwrap();
    assert!(!database.windows(16).any(|window| window == b"wrong-token-4711"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_never_gets_healthy_or_ends_at_once_says_how() {
    let fixture = Fixture::start(true).await;
    fixture.loses_patience().await;
    let (_, sick) = fixture.deploy("sick").await;
    assert_eq!(sick["status"], "failed", "{}", fixture.explain(&sick).await);
    assert!(sick["error"].as_str().unwrap().contains("404"), "{sick:#}");
    fixture.commit("one");
    let sha = fixture.repo.commit("main", &[("start.sh", "echo cannot go on; exit 3\n")], "ends at once");
    let number = fixture.push(&sha).await;
    let ended = fixture.server.wait_deployment(&number).await;
    assert_eq!(ended["status"], "failed", "{ended:#}");
    let log = fixture.server.log_of(&number).await;
    assert!(log.contains("cannot go on"), "{log}");
    assert_eq!(fixture.server.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_somebody_else_holds_is_named() {
    let port = free_port();
    let holder = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let ports = json!({ "run": { "ports": [{ "container": 8080, "host": port }] } });
    let fixture = Fixture::start_with(true, &[], ports).await;
    let (_, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "failed", "{}", fixture.explain(&deployment).await);
    assert!(deployment["error"].as_str().unwrap().contains(&port.to_string()), "{deployment:#}");
    drop(holder);
    let (_, deployment) = fixture.deploy("two").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_in_the_middle_is_waited_for() {
    let engine = EngineProxy::start().await;
    let fixture = Fixture::start_with(true, &[("DOCKER_HOST", &engine.url())], json!({})).await;
    fixture.deploy("one").await;
    let sha = fixture.commit("two");
    let number = fixture.push(&sha).await;
    fixture
        .server
        .wait_event("the second rollout", |event| {
            (event["kind"] == "deployment.status"
                && event["data"]["status"] == "deploying"
                && event["data"]["commit"] == sha.as_str())
            .then_some(())
        })
        .await;
    engine.cut(true);
    let lost = async || fixture.server.get("/readyz").await.text.contains("unavailable");
    eventually("the server notices that the engine is gone", lost).await;
    engine.cut(false);
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert!(fixture.page().await.contains(&sha));
    assert_eq!(fixture.server.containers().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_says_why_and_what_to_do() {
    let mut server = TestServer::start().await;
    server.kill();
    let file = server.folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let inside = file.join("x").display().to_string();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let no_database = format!("sqlite:{inside}");
    for (variable, value) in [
        ("WINDLASS_DATA_DIR", inside.as_str()),
        ("BUILD_LOG_DIR", &inside),
        ("WINDLASS_LISTEN", &taken),
        ("WINDLASS_LISTEN", "nowhere"),
        ("WINDLASS_DATABASE_URL", &no_database),
        ("WINDLASS_DATABASE_URL", "mysql://x"),
        ("JOB_WORKERS", "many"),
        ("WINDLASS_ADMIN_TOKEN", "short"),
        ("DOCKER_HOST", "ftp://x"),
    ] {
        std::fs::write(server.server_log(), "").unwrap();
        let why = server.launch(&[(variable, value)]).await.unwrap_err();
        assert!(why.contains("windlass:") && !why.contains("panicked"), "{variable}={value}: {why}");
        let named = why.contains(value.split('/').next_back().unwrap()) || why.contains(variable);
        assert!(named, "{variable}={value}: {why}");
    }
}

/// Between the server and the engine, so that the engine can go away for one server only.
struct EngineProxy {
    port: u16,
    cut: tokio::sync::watch::Sender<bool>,
}

impl EngineProxy {
    async fn start() -> Self {
        let port = free_port();
        let cut = tokio::sync::watch::Sender::new(false);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let state = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut is_cut = state.subscribe();
                tokio::spawn(async move {
                    if *is_cut.borrow() {
                        return;
                    }
                    let Ok(mut engine) = tokio::net::UnixStream::connect("/var/run/docker.sock").await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut engine) => {}
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        assert!(!docker(&["version"]).is_empty());
        Self { port, cut }
    }

    fn url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}
