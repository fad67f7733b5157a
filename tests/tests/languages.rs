//! Plugins in JavaScript and Python: the examples in real calls, how large and how fast they are beside Rust's, and the
//! projects that `plugin new` begins in these languages.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use windlass::domain::notification::{Notification, Severity};
use windlass::domain::plugin::PluginKind;
use windlass::plugins::measure::{self, Percentiles};
use windlass::plugins::{Connection, PluginSource, Plugins, Secret, Settings, Source, Target};
use windlass_tests::fixture::{Fixture, HEALTHY_WITHIN_S};
use windlass_tests::git_server::GitServer;
use windlass_tests::guests::trusted;
use windlass_tests::languages::{example, toolchain};
use windlass_tests::peer::{Peer, text};
use windlass_tests::server::{ADMIN_TOKEN, TestServer, program};

/// The program in a folder, without a server, with further folders in PATH; its standard output.
#[track_caller]
fn plugin(folder: &Path, path: &str, words: &[&str]) -> String {
    let output =
        command(folder, &format!("{path}:{}", std::env::var("PATH").unwrap()), words).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "windlass plugin {words:?}\n{out}\n{err}");
    out
}

fn command(folder: &Path, path: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg("plugin").args(words).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    command
}

#[track_caller]
fn check(component: &Path) {
    let report = plugin(Path::new("."), "", &["check", &component.to_string_lossy(), "-o", "json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["passed"], true, "{report:#}");
}

#[test]
fn the_notifier_in_javascript_passes_the_suite_in_both_engines() {
    let test = "the notifier in JavaScript passes the suite";
    for name in ["chat-room", "chat-room-starlingmonkey"] {
        let Some(component) = example("javascript", name, test) else { return };
        check(&component);
    }
}

#[test]
fn the_strategy_in_python_passes_the_suite_and_further_worlds() {
    let Some(component) =
        example("python", "one-at-a-time", "the strategy in Python passes the suite and the simulator")
    else {
        return;
    };
    check(&component);
    let component = component.to_string_lossy();
    for params in ["{}", r#"{"settle_ms": 2000}"#] {
        let words =
            ["simulate", &*component, "--seed", "5000", "--within", "10", "--params", params, "-o", "json"];
        let report: Value = serde_json::from_str(&plugin(Path::new("."), "", &words)).unwrap();
        assert_eq!(report["broken"], Value::Null, "{report:#}");
        assert!(report["succeeded"].as_u64() > Some(0), "{report:#}");
    }
}

fn event(severity: Severity) -> Notification {
    Notification {
        id: "e1".into(),
        kind: "deployment.failed".into(),
        at: 1_700_000_000_000,
        severity,
        title: "web was not deployed".into(),
        text: "The image names @all.".into(),
        stack: Some("web".into()),
        url: None,
        data: json!({}),
    }
}

#[tokio::test]
async fn a_notifier_in_javascript_reaches_a_chat_room() {
    let Some(component) = example("javascript", "chat-room", "a notifier in JavaScript reaches a chat room")
    else {
        return;
    };
    let peer = Peer::start(|_| text(200, "")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path());
    settings.builtin = false;
    settings.sources.push(trusted("chat-room", component));
    let plugins = Plugins::start(settings).await.unwrap();
    let connection = Connection::new("room", &format!("{}/hooks/7", peer.url())).unwrap();
    let connection = connection.secret("token", Secret::new("a-secret-of-the-room")).unwrap();
    let settings = json!({ "mention": "@here", "token": true, "from": "warning" });
    let target = Target { connection: Arc::new(connection), settings };

    let quiet = plugins.notifier_render("chat-room", &target, &event(Severity::Success)).await.unwrap();
    assert_eq!(quiet, [], "a success is less important than asked for");
    let requests = plugins.notifier_render("chat-room", &target, &event(Severity::Error)).await.unwrap();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(plugins.notifier_send("chat-room", &target, request, "e1").await.unwrap().status, 200);

    let seen = &peer.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/hooks/7"));
    assert_eq!(seen.header("authorization"), Some("Bearer a-secret-of-the-room"));
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body["text"], "@here ❌ **web was not deployed**\nThe image names @\u{200b}all.");
}

#[tokio::test]
async fn releases_come_into_service_by_a_strategy_in_python() {
    let test = "releases come into service by a strategy in Python";
    let Some(component) = example("python", "one-at-a-time", test) else { return };
    let (git, server) = (GitServer::start().await, TestServer::start().await);
    let request = server.stranger(reqwest::Method::POST, "/api/v1/plugins/install");
    let request = request.bearer_auth(ADMIN_TOKEN).header("content-type", "application/wasm");
    let request = request.timeout(Duration::from_secs(600)).body(fs::read(component).unwrap());
    let installed = request.send().await.unwrap().text().await.unwrap();
    assert!(installed.contains(r#""state":"enabled""#), "{installed}");
    let repo = git.create("app");
    let stack = json!({
        "name": "web",
        "repository": { "url": git.url("app"), "branch": "main", "provider": "github" },
        "build": { "healthCheckPath": "/health", "healthCheckTimeout": HEALTHY_WITHIN_S },
        "run": { "replicas": 2, "ports": [{ "container": 8080, "host": null }], "stopTimeoutSecs": 2 },
        "strategy": "one-at-a-time",
        "strategyParams": { "settle_ms": 100 },
    });
    let (webhook, secret) = server.create_stack(stack).await;
    let fixture = Fixture {
        git,
        repo,
        server,
        port: None,
        webhook,
        secret,
        extra: Vec::new(),
        extra_programs: Vec::new(),
        is_visited: false,
    };
    for version in ["first", "second"] {
        let (_, deployment) = fixture.deploy(version).await;
        assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
        let log = fixture.server.log_of(&deployment["seq"].to_string()).await;
        assert!(log.contains("one by one"), "{log}");
    }
    assert_eq!(fixture.server.containers().len(), 2, "the first release is gone");
}

/// What a component takes.
struct Cost {
    bytes: u64,
    /// In the compiling process, as a server does it.
    compile: Duration,
    /// From the cache, as at each further start.
    map: Duration,
    call: Percentiles,
}

async fn cost(source: PluginSource) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path());
    settings.compiler = Some(program());
    let started = Instant::now();
    drop(Plugins::open(source.clone(), settings.clone()).await.unwrap());
    let compile = started.elapsed();
    let started = Instant::now();
    let (plugins, info) = Plugins::open(source, settings).await.unwrap();
    let map = started.elapsed();
    let name = &info.manifest.name;
    let call = match info.kinds[0] {
        PluginKind::Notifier => {
            let connection = Connection::new("room", "https://chat.example/hooks").unwrap();
            let target = Target { connection: Arc::new(connection), settings: json!({}) };
            measure::notifier_render(&plugins, name, &target, &event(Severity::Error), 100).await
        }
        _ => measure::strategy_decide(&plugins, name, 100).await,
    };
    Cost { bytes: info.size_bytes, compile, map, call: call.unwrap() }
}

#[tokio::test]
async fn sizes_and_times_beside_rusts() {
    let test = "sizes and times beside Rust's";
    let builtin = |name: &str| Some(PluginSource::new(name, Source::Builtin));
    let file = |language, name| {
        let path: Option<PathBuf> = example(language, name, test);
        path.map(|path| PluginSource::new(name, Source::Path(path)))
    };
    let rows = [
        ("notifier, Rust", builtin("webhook-notify")),
        ("notifier, JavaScript (QuickJS)", file("javascript", "chat-room")),
        ("notifier, JavaScript (StarlingMonkey)", file("javascript", "chat-room-starlingmonkey")),
        ("strategy, Rust", builtin("standard")),
        ("strategy, Python", file("python", "one-at-a-time")),
    ];
    println!(
        "{:<38} {:>9} {:>11} {:>9} {:>10} {:>10}",
        "", "size", "compiled in", "mapped in", "call p50", "call p99"
    );
    for (what, source) in rows {
        let Some(source) = source else { continue };
        let cost = cost(source).await;
        let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        println!(
            "{what:<38} {:>6.2} MB {:>9.1} s {:>9} {:>10} {:>10}",
            cost.bytes as f64 / 1e6,
            cost.compile.as_secs_f64(),
            ms(cost.map),
            ms(cost.call.p50),
            ms(cost.call.p99)
        );
        let limits = windlass::plugins::Limits::default();
        assert!(cost.call.p99 < limits.cpu / 2, "{what}: a call comes close to the limit");
        assert!(cost.compile < limits.compile.wall, "{what}: it is compiled in time");
    }
}

const KINDS: [&str; 6] =
    ["notifier", "deployment-strategy", "git-forge", "build-planner", "pipeline-generator", "ci-provider"];

/// A project from nothing to a component that keeps the rules of its kind.
fn walk(language: &str, path: &str, kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let begun =
        plugin(folder.path(), path, &["new", "--kind", kind, "--lang", language, "mine", "-o", "json"]);
    let begun: Value = serde_json::from_str(&begun).unwrap();
    let wit = format!("wit/{kind}.wit");
    assert!(begun["files"].as_array().unwrap().contains(&json!(wit)), "{begun:#}");
    let project = folder.path().join("mine");
    let report = plugin(&project, path, &["test", "-o", "json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["passed"], true, "{report:#}");
    let docs = plugin(&project, path, &["docs", "mine.wasm"]);
    assert!(docs.starts_with("# mine\n") && docs.contains(kind), "{docs}");
    plugin(&project, path, &["pack", "--to", "mine.oci"]);
    assert!(project.join("mine.oci/index.json").is_file());
    if kind == "notifier" {
        let built: Value = serde_json::from_str(&plugin(&project, path, &["build", "-o", "json"])).unwrap();
        assert!(built["sizeBytes"].as_u64() > Some(1_000_000), "{built}");
    }
    if kind == "deployment-strategy" {
        let words = ["simulate", "mine.wasm", "--seed", "9000", "--within", "5", "-o", "json"];
        let report: Value = serde_json::from_str(&plugin(&project, path, &words)).unwrap();
        assert_eq!(report["broken"], Value::Null, "{report:#}");
    }
}

#[test]
fn a_project_in_javascript_builds_tests_and_documents_itself() {
    let test = "a project in JavaScript builds, tests and documents itself";
    let Some(path) = toolchain("javascript", test) else { return };
    for kind in KINDS {
        walk("javascript", &path, kind);
    }
}

#[test]
fn a_project_in_python_builds_tests_and_documents_itself() {
    let test = "a project in Python builds, tests and documents itself";
    let Some(path) = toolchain("python", test) else { return };
    // CPython is compiled anew for each; the guide's test walks through two further kinds.
    for kind in ["git-forge", "ci-provider"] {
        walk("python", &path, kind);
    }
}

#[test]
fn a_missing_tool_chain_is_named_with_what_to_install() {
    for (language, words) in [("javascript", ["npm", "Node.js"]), ("python", ["componentize-py", "pip"])] {
        let folder = tempfile::tempdir().unwrap();
        plugin(folder.path(), "", &["new", "--kind", "notifier", "--lang", language, "mine"]);
        let output = command(&folder.path().join("mine"), "/nonexistent", &["build"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}
