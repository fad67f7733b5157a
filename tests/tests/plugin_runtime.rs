//! Hostile guests, and what the server does about them: compiling apart, budgets, breakers, returns and approvals.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use windlass::domain::breaker::BreakerRules;
use windlass::domain::rollout::Step;
use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{CompileLimits, Notice, PluginSource, Plugins, Settings, Source};
use windlass_tests::PATIENCE;
use windlass_tests::guests::{ANSWER, Guest};
use windlass_tests::sample::situation;
use windlass_tests::server::{Answer, TestServer, program};

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
    plugins.strategy_decide("guest", Vec::new(), &situation()).await.map_err(|error| match error {
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
        BreakerRules { faults: 3, first_pause_ms: 2000, longest_pause_ms: 60_000, ..BreakerRules::default() };
    let plugins = bench.start().await;
    for _ in 0..3 {
        assert!(matches!(decide(&plugins).await, Err(PluginErrorKind::Trap(_))));
    }
    let opened = Instant::now();
    match decide(&plugins).await {
        Err(kind @ PluginErrorKind::Suspended { .. }) => {
            assert!(kind.to_string().contains("trapped"), "{kind}");
            assert!(kind.pause_ms().is_some_and(|pause| pause <= 2000));
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
                assert!(opened.elapsed() < PATIENCE);
                tokio::time::sleep(Duration::from_millis(free_in_ms)).await;
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(probed >= Duration::from_millis(1990), "{probed:?}");
    match decide(&plugins).await {
        Err(PluginErrorKind::Suspended { free_in_ms, .. }) => assert!(free_in_ms > 2000, "{free_in_ms}"),
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

/// A server with one plugin of a file, which need not pass the suite: what happens later is what the tests are about.
async fn server_with(guest: &Guest) -> (TestServer, TempDir) {
    server_saying(guest, "skip_conformance = true").await
}

/// A server with one plugin of a file, with what else its section says.
async fn server_saying(guest: &Guest, more: &str) -> (TestServer, TempDir) {
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
    call_of(server, "guest", n).await
}

async fn call_of(server: &TestServer, strategy: &str, n: usize) -> u16 {
    let stack = json!({ "name": format!("stack-{n}"), "strategy": strategy });
    server.post("/api/v1/stacks", stack).await.status
}

fn validating(body: &str) -> Guest {
    guest(GOOD).validating(body)
}

#[tokio::test]
async fn an_upgrade_that_traps_gives_way_to_the_last_good_component() {
    let (server, folder) = server_with(&validating(GOOD)).await;
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
    let (mut server, folder) = server_with(&validating(GOOD)).await;
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
    let (server, folder) = server_with(&validating(GOOD)).await;
    let old = shown(&server).await["digest"].clone();
    validating(GOOD).asking("token").version("2.0.0").write(&folder.path().join("guest.wasm"));
    server.post("/api/v1/plugins/reload", Value::Null).await.expect(200);
    let plugin = shown(&server).await;
    assert_eq!((&plugin["state"], &plugin["digest"]), (&json!("awaiting_approval"), &old));
    assert_eq!(plugin["missing"], json!(["credential:token"]));
    assert_eq!(plugin["change"], json!({ "new": ["credential:token"], "gone": [] }));
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
    assert_eq!(plugin["change"], json!({ "new": [], "gone": [] }), "nothing waits any more");
    let lock = std::fs::read_to_string(folder.path().join("windlass.lock")).unwrap();
    assert!(lock.contains("credential:token") && lock.contains(held.as_str().unwrap()), "{lock}");
}

#[tokio::test]
async fn the_lock_file_carries_an_approval_to_another_machine() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("guest.wasm");
    validating(GOOD).asking("token").write(&path);
    let source = format!("path:{}", path.display());
    std::fs::write(
        folder.path().join("windlass.toml"),
        format!("[plugins.guest]\nsource = \"{source}\"\nskip_conformance = true\n"),
    )
    .unwrap();
    let file = folder.path().join("windlass.toml").display().to_string();
    let server = TestServer::start_with(&[("WINDLASS_CONFIG", &file)]).await;
    assert_eq!(shown(&server).await["state"], "awaiting_approval");
    server.post("/api/v1/plugins/guest/approve", json!({})).await.expect(200);
    // Another data folder, the same configuration and lock.
    let other = TestServer::start_with(&[("WINDLASS_CONFIG", &file)]).await;
    assert_eq!(shown(&other).await["state"], "enabled");
}

async fn install(server: &TestServer, component: Vec<u8>) -> Answer {
    server.post_component("/api/v1/plugins/install", component).await
}

#[tokio::test]
async fn a_plugin_is_installed_disabled_enabled_and_removed_from_outside() {
    let mut server = TestServer::start().await;
    assert_eq!(install(&server, b"rubbish".to_vec()).await.status, 422);
    // A strategy that passes the suite, under the name of a built-in one.
    let component = include_bytes!("../corpus/0.1.0/standard.wasm").to_vec();
    let installed = install(&server, component.clone()).await.expect(200)["data"].clone();
    assert_eq!((&installed["state"], &installed["source"]), (&json!("enabled"), &json!("upload")));
    assert_eq!(installed["conformity"], "passed", "{installed}");
    assert_eq!(call_of(&server, "standard", 0).await, 201);
    let disabled =
        server.post("/api/v1/plugins/standard/disable", Value::Null).await.expect(200)["data"].clone();
    assert_eq!(disabled["state"], "disabled");
    assert!(disabled["reason"].as_str().unwrap().starts_with("disabled by "), "{disabled}");
    assert_eq!(call_of(&server, "standard", 1).await, 502);
    assert_eq!(server.post("/api/v1/plugins/standard/disable", Value::Null).await.status, 409);
    assert_eq!(server.post("/api/v1/plugins/nothing/enable", Value::Null).await.status, 404);
    server.kill();
    server.launch(&[]).await.unwrap();
    let state = |plugin: Value| plugin["data"]["state"].clone();
    assert_eq!(state(server.get("/api/v1/plugins/standard").await.expect(200)), "disabled", "it stays so");
    server.post("/api/v1/plugins/standard/enable", Value::Null).await.expect(200);
    assert_eq!(call_of(&server, "standard", 2).await, 201);
    // A stack uses it, but what is removed leaves the built-in plugin of that name.
    server.delete("/api/v1/plugins/standard").await.expect(204);
    let left = server.get("/api/v1/plugins/standard").await.expect(200)["data"].clone();
    assert_eq!(left["source"], "builtin");
    assert_eq!(call_of(&server, "standard", 3).await, 201);
    assert!(!kept(&server, &component), "nobody would return to it");
    let refused = server.delete("/api/v1/plugins/standard").await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("is built in"), "{}", refused.text);
}

/// Whether the server still has the component.
fn kept(server: &TestServer, component: &[u8]) -> bool {
    let digest = hex::encode(Sha256::digest(component));
    server.data().join(format!("plugins/components/{digest}.wasm")).exists()
}

/// The built-in strategy of an earlier release, under a name of the same length.
fn calmness() -> Vec<u8> {
    let mut component = include_bytes!("../corpus/0.1.0/standard.wasm").to_vec();
    for at in 0..component.len() - 8 {
        if &component[at..at + 8] == b"standard" {
            component[at..at + 8].copy_from_slice(b"calmness");
        }
    }
    component
}

#[tokio::test]
async fn a_plugin_is_not_removed_while_a_stack_needs_it_or_the_configuration_names_it() {
    let server = TestServer::start().await;
    install(&server, calmness()).await.expect(200);
    assert_eq!(call_of(&server, "calmness", 0).await, 201);
    let refused = server.delete("/api/v1/plugins/calmness").await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("stack `stack-0` uses it as its deployment strategy"), "{}", refused.text);
    server.delete("/api/v1/stacks/stack-0").await.expect(204);
    server.delete("/api/v1/plugins/calmness").await.expect(204);
    assert_eq!(server.get("/api/v1/plugins/calmness").await.status, 404);
    assert_eq!(call_of(&server, "calmness", 1).await, 422);
    assert!(!kept(&server, &calmness()), "nobody would return to it");
    assert_eq!(server.delete("/api/v1/plugins/calmness").await.status, 404);
    let (server, _folder) = server_with(&validating(GOOD)).await;
    let refused = server.delete("/api/v1/plugins/guest").await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("is in the configuration file"), "{}", refused.text);
}

#[tokio::test]
async fn what_breaks_a_rule_of_the_suite_never_runs_and_the_earlier_component_does() {
    let (mut server, folder) = server_saying(&Guest::good("guest"), "").await;
    let good = shown(&server).await;
    assert_eq!((&good["state"], &good["conformity"]), (&json!("enabled"), &json!("passed")));
    let path = folder.path().join("guest.wasm");
    let trapping = Guest::notifier("guest", "unreachable").version("2.0.0");
    trapping.write(&path);
    server.post("/api/v1/plugins/reload", Value::Null).await.expect(200);
    let plugin = shown(&server).await;
    assert_eq!((&plugin["state"], &plugin["conformity"]), (&json!("quarantined"), &json!("failed")));
    assert_eq!(plugin["digest"], good["digest"], "the earlier one runs on");
    let reason = plugin["reason"].as_str().unwrap();
    assert!(reason.contains("`notifier-renders`") && reason.contains("unreachable"), "{reason}");
    // Another chance is another run of the suite, with the same result.
    let again = server.post("/api/v1/plugins/guest/enable", Value::Null).await.expect(200)["data"].clone();
    assert_eq!(again["state"], "quarantined", "{again}");
    let runs = |server: &TestServer| {
        let log = std::fs::read_to_string(server.server_log()).unwrap();
        log.lines().filter(|line| line.contains("[@plugins:suite] Plugin `guest`")).count()
    };
    assert_eq!(runs(&server), 3);
    // A start repeats neither what passed nor what failed.
    server.kill();
    server.launch(&[]).await.unwrap();
    assert_eq!((&shown(&server).await["state"], runs(&server)), (&json!("quarantined"), 3));
    // The operator knows better.
    let config = folder.path().join("windlass.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "skip_conformance = true\n").unwrap();
    let plugin = server.post("/api/v1/plugins/guest/enable", Value::Null).await.expect(200)["data"].clone();
    assert_eq!((&plugin["state"], &plugin["conformity"]), (&json!("enabled"), &json!("skipped")));
    assert_ne!(plugin["digest"], good["digest"]);
}

#[tokio::test]
async fn a_first_component_that_breaks_a_rule_is_quarantined_and_the_server_serves() {
    let (server, folder) = server_saying(&Guest::notifier("guest", LOOP), "").await;
    let plugin = shown(&server).await;
    assert_eq!((&plugin["state"], &plugin["digest"]), (&json!("quarantined"), &plugin["heldDigest"]));
    assert!(plugin["error"].as_str().unwrap().contains("`notifier-renders`"), "{plugin}");
    assert_eq!(server.get("/api/v1/plugins/standard").await.expect(200)["data"]["state"], "enabled");
    // Its budget in the suite was one of its own.
    assert_eq!(plugin["health"]["cpuUsLastMinute"], 0, "{plugin}");
    Guest::good("guest").write(&folder.path().join("guest.wasm"));
    server.post("/api/v1/plugins/reload", Value::Null).await.expect(200);
    assert_eq!(shown(&server).await["state"], "enabled");
}

#[tokio::test]
async fn the_server_maps_what_another_process_compiled_and_stays_small() {
    let server = TestServer::start().await;
    let own = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    // Whatever was borrowed from earlier servers, these have to be compiled. With the first one come the threads and buffers
    // that an installation needs, to stay.
    install(&server, Guest::good("guest").version("9.9.8").build()).await.expect(200);
    let before = own();
    install(&server, Guest::good("guest").version("9.9.9").build()).await.expect(200);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    assert!(maps.contains(".cwasm"), "its code is mapped from the cache");
    let more = own().saturating_sub(before);
    assert!(more < 8 << 10, "{more} kB more of its own");
    assert!(!Path::new(&server.data().join("plugins/cache")).read_dir().unwrap().any(|entry| {
        // Nothing of the compiling process is left behind.
        entry.unwrap().file_name().to_string_lossy().starts_with(".tmp")
    }));
}
