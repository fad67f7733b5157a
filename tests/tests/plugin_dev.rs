//! `windlass plugin dev` and `plugin test`: a real project, a real server, real edits.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use windlass_tests::anvil::{Anvil, TOKEN};
use windlass_tests::database::soon;
use windlass_tests::server::{ADMIN_TOKEN, TestServer, program};

/// A build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The program, whose projects share what cargo compiles of the SDK.
fn windlass(words: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(words)
        .env("CARGO_TARGET_DIR", program().parent().unwrap().join("../tmp/plugin-guide"))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null());
    command
}

/// A fresh project.
fn begun(folder: &Path, kind: &str, name: &str) -> PathBuf {
    let project = folder.join(name);
    let made = windlass(&["plugin", "new", "--kind", kind]).arg(&project).stdout(Stdio::null()).status();
    assert!(made.unwrap().success());
    project
}

struct Dev {
    child: Child,
    lines: Receiver<String>,
}

impl Dev {
    fn start(project: &Path, server: &TestServer) -> Self {
        let mut child = windlass(&["plugin", "dev", "-o", "json"])
            .arg(project)
            .env("WINDLASS_SERVER", &server.url)
            .env("WINDLASS_TOKEN", ADMIN_TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// What the next round came to.
    fn round(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("a round ends in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_edit_is_built_checked_and_swapped_and_a_bad_one_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let project = begun(folder.path(), "pipeline-generator", "teller");
    let server = TestServer::start().await;
    let mut dev = Dev::start(&project, &server);
    let first = dev.round();
    assert_eq!((&first["ok"], &first["plugin"]), (&Value::Bool(true), &Value::from("teller")), "{first}");
    let shown = server.get("/api/v1/plugins/teller").await.expect(200)["data"].clone();
    assert_eq!((&shown["digest"], &shown["conformity"]), (&first["sha256"], &Value::from("passed")));
    let path = project.join("src/lib.rs");
    let source = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{source}\nthis is no Rust")).unwrap();
    let broken = dev.round();
    assert_eq!((&broken["ok"], &broken["builtInMs"]), (&Value::Bool(false), &Value::Null), "{broken}");
    // What panics at every model with a name is built, and is no plugin for any server.
    let head = "fn generate(model: Model) -> Result<Vec<File>, Failure> {";
    assert!(source.contains(head));
    fs::write(&path, source.replace(head, &format!("{head}\n        assert!(model.name.is_empty());")))
        .unwrap();
    let held = dev.round();
    assert_eq!(held["ok"], false, "{held}");
    assert_eq!(held["broken"][0]["rule"], "generator-generates", "{held}");
    // One right after the other, so that they are one change.
    let edited = [source.replace("pub struct Plugin", "/// Edited.\npub struct Plugin"), bumped(&project)];
    for (path, text) in [path, project.join("Cargo.toml")].iter().zip(edited) {
        fs::write(path, text).unwrap();
    }
    let swapped = dev.round();
    assert_eq!(swapped["ok"], true, "{swapped}");
    let shown = server.get("/api/v1/plugins/teller").await.expect(200)["data"].clone();
    assert_eq!((&shown["digest"], &shown["version"]), (&swapped["sha256"], &Value::from("9.9.9")));
    let ended = Command::new("kill").args(["-INT", &dev.child.id().to_string()]).status().unwrap();
    assert!(ended.success());
    assert_eq!(dev.child.wait().unwrap().code(), Some(0));
}

/// The project's manifest with another version.
fn bumped(project: &Path) -> String {
    let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
    manifest.replacen("version = \"0.1.0\"", "version = \"9.9.9\"", 1)
}

/// Exit code and report of `plugin test`.
fn tested(project: &Path) -> (Option<i32>, Value) {
    let run = windlass(&["plugin", "test", "-o", "json"]).arg(project).output().unwrap();
    let report = serde_json::from_slice(&run.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&run.stderr)));
    (run.status.code(), report)
}

#[test]
fn the_cassettes_of_a_project_are_played_in_every_way_that_a_network_has() {
    let folder = tempfile::tempdir().unwrap();
    let project = begun(folder.path(), "git-forge", "listener");
    fs::create_dir_all(project.join("tests/cassettes")).unwrap();
    let write = |output: Value| {
        let delivery = json!({
            "headers": [["content-type", "application/json"]],
            "body": { "text": "{\"event\":\"ping\"}" },
        });
        let call = json!({
            "plugin": "listener",
            "digest": "0".repeat(64),
            "interface": "windlass:git-forge/forge@0.1.0",
            "function": "parse-webhook",
            "input": [delivery],
            "outcome": "ok",
            "output": output,
        });
        let cassette = json!({ "windlass-cassette": 1, "calls": [call] });
        fs::write(project.join("tests/cassettes/ping.json"), cassette.to_string()).unwrap();
    };
    let test = || tested(&project);
    write(json!({ "ok": "ping" }));
    let (code, report) = test();
    assert_eq!((code, &report["passed"]), (Some(0), &json!(true)), "{report:#}");
    let variants: Vec<&str> =
        report["takes"].as_array().unwrap().iter().map(|take| take["variant"].as_str().unwrap()).collect();
    let expected =
        ["as recorded", "half of the delivery", "in reverse order", "in reverse order, delivered again"];
    assert_eq!(variants, expected);
    assert_eq!(report["takes"][1]["outcome"], "failure", "half a delivery is malformed: {report:#}");
    // What was recorded of another version is another answer.
    write(json!({ "ok": { "unsupported": "ping" } }));
    let (code, report) = test();
    assert_eq!(
        (code, &report["passed"], &report["takes"][0]["passed"]),
        (Some(1), &json!(false), &json!(false))
    );
    assert!(!report["takes"][0]["problems"].as_array().unwrap().is_empty(), "{report:#}");
}

/// The project of the forge `mirror`, compiled.
fn mirror(folder: &Path) -> (PathBuf, PathBuf) {
    let project = begun(folder, "git-forge", "mirror");
    fs::write(project.join("src/lib.rs"), include_str!("../guests/mirror/src/lib.rs")).unwrap();
    let built = windlass(&["plugin", "build", "-o", "json"]).arg(&project).output().unwrap();
    let report: Value = serde_json::from_slice(&built.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&built.stderr)));
    let component = PathBuf::from(report["file"].as_str().unwrap());
    (project, component)
}

#[tokio::test(flavor = "multi_thread")]
async fn real_traffic_of_a_server_becomes_fixtures_of_a_project() {
    let folder = tempfile::tempdir().unwrap();
    let (project, component) = mirror(folder.path());
    let config = folder.path().join("windlass.toml");
    let source = component.display();
    let grant = "grant = [\"http:self\", \"credential:token\"]";
    fs::write(&config, format!("[plugins.mirror]\nsource = \"path:{source}\"\n{grant}\n")).unwrap();
    let anvil = Anvil::start().await;
    let server = TestServer::start_with(&[("WINDLASS_CONFIG", &config.display().to_string())]).await;
    let repository = json!({
        "url": format!("{}/smith/blade.git", anvil.url), "provider": "mirror", "authType": "http_token",
        "credentials": { "username": "smith", "token": TOKEN },
    });
    server.create_stack(json!({ "name": "blade", "repository": repository })).await;
    server.get("/api/v1/stacks/blade/repository").await.expect(200);

    let recorded = soon("the recording", async {
        let record = ["plugin", "record", "--plugin", "mirror", "--server", &server.url];
        loop {
            let run = windlass(&record).env("WINDLASS_TOKEN", ADMIN_TOKEN).output().unwrap();
            if run.status.success() {
                return String::from_utf8(run.stdout).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let cassette = recorded.await;
    assert!(cassette.contains("http@0.1.0#send") && !cassette.contains(TOKEN), "{cassette}");
    fs::create_dir_all(project.join("tests/cassettes")).unwrap();
    fs::write(project.join("tests/cassettes/details.json"), &cassette).unwrap();
    let (code, report) = tested(&project);
    assert_eq!((code, &report["passed"]), (Some(0), &json!(true)), "{report:#}");
    let takes = report["takes"].as_array().unwrap();
    for (variant, outcome) in [
        ("as recorded", "ok"),
        ("429 in response 1", "failure"),
        ("timeout in response 1", "failure"),
        ("truncated-body in response 1", "failure"),
    ] {
        assert!(
            takes.iter().any(|take| take["variant"] == variant && take["outcome"] == outcome),
            "{variant}: {report:#}"
        );
    }
    // A plugin that asks for something else is told what it asked before.
    let elsewhere =
        include_str!("../guests/mirror/src/lib.rs").replace("\"/repos/{}{rest}\"", "\"/other/{}{rest}\"");
    fs::write(project.join("src/lib.rs"), elsewhere).unwrap();
    let (code, report) = tested(&project);
    assert_eq!(code, Some(1), "{report:#}");
    let problems = report["takes"][0]["problems"].to_string();
    assert!(problems.contains("recorded") && problems.contains("/other/"), "{problems}");
}
