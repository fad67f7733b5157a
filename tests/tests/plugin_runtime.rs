//! Hostile guests, and what the server does about them: compiling apart, budgets, breakers, returns and approvals.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use windlass::domain::Id;
use windlass::domain::breaker::BreakerRules;
use windlass::domain::rollout::{ReleaseFacts, Situation, StackFacts, Step};
use windlass::domain::stack::RunSpec;
use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{CompileLimits, Notice, PluginSource, Plugins, Settings, Source};
use windlass_tests::guests::{ANSWER, Guest};
use windlass_tests::server::{ADMIN_TOKEN, TestServer, program};

const GOOD: &str = "i32.const 4096";
const LOOP: &str = "(loop $l (br $l)) unreachable";

/// A strategy and where it lies.
struct Bench {
    folder: TempDir,
    settings: Settings,
}

impl Bench {
    fn new(guest: &Guest) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("guest.wasm");
        guest.write(&path);
        let mut settings = Settings::new(folder.path().join("plugins"));
        settings.builtin = false;
        settings.compiler = Some(program());
        settings.limits.concurrent_calls = 4;
        settings.limits.cpu = Duration::from_millis(100);
        settings.sources.push(PluginSource::new("guest", Source::Path(path)));
        Self { folder, settings }
    }

    async fn start(&self) -> Plugins {
        Plugins::start(self.settings.clone()).await.unwrap()
    }
}

fn guest(body: &str) -> Guest {
    assert_eq!(ANSWER, 4096, "the bodies here answer there");
    Guest::strategy("guest", body)
}

async fn decide(plugins: &Plugins) -> Result<Step, PluginErrorKind> {
    let situation = Situation {
        stack: StackFacts {
            name: "shop".into(),
            run: RunSpec::default(),
            health_timeout_ms: 60_000,
            rollback_on_failure: true,
        },
        target: ReleaseFacts {
            id: Id::from_text("r1"),
            image: "shop@sha256:00".into(),
            commit: String::new(),
            created: 1,
        },
        stable: None,
        params: "{}".into(),
        now: 2,
        started: 1,
        step_started: 1,
        fleet: Vec::new(),
        traffic: Vec::new(),
        approval: None,
        abort_requested: false,
    };
    plugins.strategy_decide("guest", Vec::new(), &situation).await.map_err(|error| match error {
        Error::Plugin(error) => error.kind,
        other => panic!("{other:?}"),
    })
}

async fn load_error(guest: &Guest, limits: CompileLimits) -> String {
    let mut bench = Bench::new(guest);
    bench.settings.limits.compile = limits;
    bench.start().await.inspect("guest").unwrap().error.unwrap_or_else(|| "it is loaded".into())
}

/// Takes long to compile: one function of so many additions, each of which is a value of its own.
fn bulky(steps: usize) -> Guest {
    let work = "(local.set $x (i32.rotl (i32.mul (local.get $x) (i32.load (local.get $x))) (local.get $x)))"
        .repeat(steps);
    let bodies: String = (0..8)
        .map(|n| format!("(func $bulk{n} (param $x i32) (result i32) {work} (local.get $x))"))
        .collect();
    guest(GOOD).with_functions(&bodies)
}

#[tokio::test]
async fn a_component_is_compiled_by_another_process_and_runs_in_this_one() {
    let plugins = Bench::new(&guest(GOOD)).start().await;
    assert_eq!(decide(&plugins).await.unwrap().progress, 0);
    // What the other process does not have is a compiler's error, in its own words.
    let mut bench = Bench::new(&guest(GOOD));
    bench.settings.compiler = Some("/does/not/exist".into());
    let error = bench.start().await.inspect("guest").unwrap().error.unwrap();
    assert!(error.contains("the compiling process cannot be started"), "{error}");
    std::fs::write(bench.folder.path().join("guest.wasm"), b"\0asm\x0d\0\x01\0rubbish").unwrap();
    bench.settings.compiler = Some(program());
    let error = bench.start().await.inspect("guest").unwrap().error.unwrap();
    assert!(error.contains("it does not compile"), "{error}");
}

#[tokio::test]
async fn a_component_that_takes_too_much_to_compile_is_refused_with_what_it_took() {
    let bulky = bulky(4_000);
    let enough = CompileLimits::default();
    let error = load_error(&bulky, CompileLimits { wall: Duration::from_millis(50), ..enough.clone() }).await;
    assert!(error.contains("more time to compile than a plugin may"), "{error}");
    // The system counts in whole seconds.
    let long = self::bulky(25_000);
    let error = load_error(&long, CompileLimits { cpu: Duration::from_secs(1), ..enough.clone() }).await;
    assert!(error.contains("more processor time to compile"), "{error}");
    let error = load_error(&bulky, CompileLimits { file_bytes: 4096, ..enough.clone() }).await;
    assert!(error.contains("more compiled code than a plugin may (4096 bytes)"), "{error}");
    let error = load_error(&bulky, CompileLimits { memory_bytes: 48 << 20, ..enough }).await;
    assert!(error.contains("more memory to compile"), "{error}");
}

#[tokio::test]
async fn a_budget_that_is_used_up_says_when_it_is_free_and_whose_it_was() {
    let mut bench = Bench::new(&guest(LOOP));
    bench.settings.limits.cpu_per_minute = Duration::from_millis(150);
    // Only the budget is to stop it.
    bench.settings.limits.breaker = BreakerRules { faults: 1000, ..BreakerRules::default() };
    let plugins = bench.start().await;
    // Each call is charged what it used although it ends in a trap.
    for _ in 0..10 {
        if let Err(kind @ PluginErrorKind::Budget { .. }) = decide(&plugins).await {
            let text = kind.to_string();
            assert!(
                text.contains("the processor time of this plugin") && text.contains("UTC, in "),
                "{text}"
            );
            assert!(kind.pause_ms().is_some_and(|pause| (1..=60_000).contains(&pause)), "{kind:?}");
            let health = plugins.inspect("guest").unwrap().health;
            assert!(health.cpu_us_last_minute >= 150_000, "{health:?}");
            return;
        }
    }
    panic!("ten calls of 100 ms each fit into 150 ms");
}

#[tokio::test]
async fn a_plugin_that_faults_again_and_again_is_left_alone_and_tried_once() {
    let mut bench = Bench::new(&guest("unreachable"));
    bench.settings.limits.breaker =
        BreakerRules { faults: 3, first_pause_ms: 300, longest_pause_ms: 60_000, ..BreakerRules::default() };
    let plugins = bench.start().await;
    for _ in 0..3 {
        assert!(matches!(decide(&plugins).await, Err(PluginErrorKind::Trap(_))));
    }
    let opened = Instant::now();
    match decide(&plugins).await {
        Err(kind @ PluginErrorKind::Suspended { .. }) => {
            assert!(kind.to_string().contains("trapped"), "{kind}");
            assert!(kind.pause_ms().is_some_and(|pause| pause <= 300));
        }
        other => panic!("{other:?}"),
    }
    let status = plugins.inspect("guest").unwrap();
    assert!(status.health.is_suspended(), "{:?}", status.health);
    assert_eq!(status.health.failures.len(), 3, "what was not called has not failed");
    assert!(matches!(plugins.notice().await, Some(Notice::Opened { plugin, .. }) if plugin == "guest"));
    // The probe goes through when the pause is over, and its fault doubles the pause.
    let probed = loop {
        match decide(&plugins).await {
            Err(PluginErrorKind::Trap(_)) => break opened.elapsed(),
            Err(PluginErrorKind::Suspended { free_in_ms, .. }) => {
                assert!(opened.elapsed() < Duration::from_secs(10));
                tokio::time::sleep(Duration::from_millis(free_in_ms)).await;
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(probed >= Duration::from_millis(290), "{probed:?}");
    match decide(&plugins).await {
        Err(PluginErrorKind::Suspended { free_in_ms, .. }) => assert!(free_in_ms > 300, "{free_in_ms}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_in_flight_ends_on_the_component_it_began_with() {
    let mut bench = Bench::new(&guest("(loop $l (br $l)) unreachable"));
    bench.settings.limits.cpu = Duration::from_secs(2);
    let plugins = bench.start().await;
    let before = plugins.digest("guest");
    let old = tokio::spawn({
        let plugins = plugins.clone();
        async move { decide(&plugins).await }
    });
    tokio::task::yield_now().await;
    guest(GOOD).version("2.0.0").write(&bench.folder.path().join("guest.wasm"));
    plugins.reload(bench.settings.clone()).await.unwrap();
    assert_ne!(plugins.digest("guest"), before);
    decide(&plugins).await.unwrap();
    let ended = old.await.unwrap();
    assert!(matches!(ended, Err(PluginErrorKind::Timeout { .. })), "{ended:?}");
}

/// A server with one plugin of a file, with what else its section says.
async fn server_with(guest: &Guest, more: &str) -> (TestServer, TempDir) {
    let folder = TempDir::new().unwrap();
    guest.write(&folder.path().join("guest.wasm"));
    let path = folder.path().join("guest.wasm");
    let config = format!("[plugins.guest]\nsource = \"path:{}\"\n{more}\n", path.display());
    std::fs::write(folder.path().join("windlass.toml"), config).unwrap();
    let file = folder.path().join("windlass.toml").display().to_string();
    (TestServer::start_with(&[("WINDLASS_CONFIG", &file)]).await, folder)
}

async fn shown(server: &TestServer) -> Value {
    server.get("/api/v1/plugins/guest").await.expect(200)["data"].clone()
}

/// Waits until the server has seen a plugin change as wanted.
async fn wait_state(server: &TestServer, state: &str) -> Value {
    server
        .wait_event(&format!("plugin state {state}"), |event| {
            let is_wanted = event["kind"] == "plugin.changed" && event["data"]["state"] == state;
            is_wanted.then_some(())
        })
        .await;
    shown(server).await
}

/// A stack that uses the strategy, so that its `validate` is called each time.
async fn call(server: &TestServer, n: usize) -> u16 {
    let stack = json!({ "name": format!("stack-{n}"), "strategy": "guest" });
    server.post("/api/v1/stacks", stack).await.status
}

fn validating(body: &str) -> Guest {
    guest(GOOD).validating(body)
}

#[tokio::test]
async fn an_upgrade_that_traps_gives_way_to_the_last_good_component() {
    let (server, folder) = server_with(&validating(GOOD), "").await;
    let good = shown(&server).await["digest"].clone();
    assert_eq!(call(&server, 0).await, 201);
    validating("unreachable").version("2.0.0").write(&folder.path().join("guest.wasm"));
    server.post("/api/v1/plugins/reload", Value::Null).await.expect(200);
    let bad = shown(&server).await["digest"].clone();
    assert_ne!(bad, good);
    for n in 1..=5 {
        assert_eq!(call(&server, n).await, 502);
    }
    let plugin = wait_state(&server, "quarantined").await;
    assert_eq!(plugin["state"], "quarantined");
    assert_eq!((&plugin["digest"], &plugin["heldDigest"]), (&good, &bad));
    assert!(plugin["reason"].as_str().unwrap().contains("trapped"), "{plugin}");
    // The server returns to it as soon as the state is stored; the answer says which one runs.
    assert_eq!(call(&server, 6).await, 201);
    // It stays quarantined over a reload, and gets another chance when somebody says so.
    server.post("/api/v1/plugins/reload", Value::Null).await.expect(200);
    assert_eq!(shown(&server).await["digest"], good);
    let plugin = server.post("/api/v1/plugins/guest/enable", Value::Null).await.expect(200)["data"].clone();
    assert_eq!((&plugin["digest"], &plugin["state"]), (&bad, &json!("enabled")));
}

#[tokio::test]
async fn what_does_not_load_leaves_the_earlier_component_running_over_a_restart() {
    let (mut server, folder) = server_with(&validating(GOOD), "").await;
    let good = shown(&server).await["digest"].clone();
    std::fs::write(folder.path().join("guest.wasm"), "rubbish").unwrap();
    // SIGHUP is how an operator without a token says it.
    let signalled = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap();
    assert!(signalled.success());
    let plugin = wait_state(&server, "quarantined").await;
    assert_eq!(plugin["digest"], good);
    assert!(plugin["reason"].as_str().unwrap().contains("no WebAssembly component"), "{plugin}");
    server.kill();
    server.launch(&[]).await.unwrap();
    assert_eq!(shown(&server).await["digest"], good, "it is found in the data folder");
    assert_eq!(call(&server, 0).await, 201);
    assert_eq!(server.get("/readyz").await.json["parts"]["plugins"], "ok");
}

#[tokio::test]
async fn an_upgrade_that_asks_for_more_waits_for_an_approval() {
    let (server, folder) = server_with(&validating(GOOD), "").await;
    let old = shown(&server).await["digest"].clone();
    validating(GOOD).asking("token").version("2.0.0").write(&folder.path().join("guest.wasm"));
    server.post("/api/v1/plugins/reload", Value::Null).await.expect(200);
    let plugin = shown(&server).await;
    assert_eq!((&plugin["state"], &plugin["digest"]), (&json!("awaiting_approval"), &old));
    assert_eq!(plugin["missing"], json!(["credential:token"]));
    assert_eq!(call(&server, 0).await, 201, "the old one runs on");
    // Somebody looked at another component than the one that asks now.
    let answer = server.post("/api/v1/plugins/guest/approve", json!({ "digest": old })).await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    let held = plugin["heldDigest"].clone();
    let plugin =
        server.post("/api/v1/plugins/guest/approve", json!({ "digest": held })).await.expect(200)["data"]
            .clone();
    assert_eq!((&plugin["state"], &plugin["digest"]), (&json!("enabled"), &held));
    assert_eq!(plugin["granted"], json!(["credential:token"]));
    let lock = std::fs::read_to_string(folder.path().join("windlass.lock")).unwrap();
    assert!(lock.contains("credential:token") && lock.contains(held.as_str().unwrap()), "{lock}");
}

#[tokio::test]
async fn the_lock_file_carries_an_approval_to_another_machine() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("guest.wasm");
    validating(GOOD).asking("token").write(&path);
    let source = format!("path:{}", path.display());
    std::fs::write(folder.path().join("windlass.toml"), format!("[plugins.guest]\nsource = \"{source}\"\n"))
        .unwrap();
    let file = folder.path().join("windlass.toml").display().to_string();
    let server = TestServer::start_with(&[("WINDLASS_CONFIG", &file)]).await;
    assert_eq!(shown(&server).await["state"], "awaiting_approval");
    server.post("/api/v1/plugins/guest/approve", json!({})).await.expect(200);
    // Another data folder, the same configuration and lock.
    let other = TestServer::start_with(&[("WINDLASS_CONFIG", &file)]).await;
    assert_eq!(shown(&other).await["state"], "enabled");
}

#[tokio::test]
async fn a_plugin_is_installed_disabled_and_enabled_from_outside() {
    let mut server = TestServer::start().await;
    let component = validating(GOOD).build();
    let install = |bytes: Vec<u8>| {
        let request = server.stranger(reqwest::Method::POST, "/api/v1/plugins/install");
        request.bearer_auth(ADMIN_TOKEN).header("content-type", "application/wasm").body(bytes).send()
    };
    assert_eq!(install(b"rubbish".to_vec()).await.unwrap().status(), 422);
    let installed: Value = install(component).await.unwrap().json().await.unwrap();
    assert_eq!(installed["data"]["state"], "enabled", "{installed}");
    assert_eq!(installed["data"]["source"], "upload");
    assert_eq!(call(&server, 0).await, 201);
    let disabled =
        server.post("/api/v1/plugins/guest/disable", Value::Null).await.expect(200)["data"].clone();
    assert_eq!(disabled["state"], "disabled");
    assert!(disabled["reason"].as_str().unwrap().starts_with("disabled by "), "{disabled}");
    assert_eq!(call(&server, 1).await, 502);
    assert_eq!(server.post("/api/v1/plugins/guest/disable", Value::Null).await.status, 409);
    assert_eq!(server.post("/api/v1/plugins/nothing/enable", Value::Null).await.status, 404);
    server.kill();
    server.launch(&[]).await.unwrap();
    assert_eq!(shown(&server).await["state"], "disabled", "it stays so");
    server.post("/api/v1/plugins/guest/enable", Value::Null).await.expect(200);
    assert_eq!(call(&server, 2).await, 201);
}

#[tokio::test]
async fn the_server_maps_what_another_process_compiled_and_stays_small() {
    let server = TestServer::start().await;
    // Whatever was borrowed from earlier servers, this one has to be compiled.
    let bytes = guest(GOOD).version("9.9.9").build();
    let request = server.stranger(reqwest::Method::POST, "/api/v1/plugins/install");
    let request = request.bearer_auth(ADMIN_TOKEN).header("content-type", "application/wasm").body(bytes);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    assert!(maps.contains(".cwasm"), "its code is mapped from the cache");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let own: u64 = own.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(own < 18 << 10, "{own} kB of its own; a compiler would have left more");
    assert!(!Path::new(&server.data().join("plugins/cache")).read_dir().unwrap().any(|entry| {
        // Nothing of the compiling process is left behind.
        entry.unwrap().file_name().to_string_lossy().starts_with(".tmp")
    }));
}
