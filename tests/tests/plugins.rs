//! Plugins from outside: what is built in, what is hostile, and what lies on the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use windlass::domain::plugin::{PluginKind, PluginStatus};
use windlass::domain::rollout::Step;
use windlass::domain::webhook::ForgeEvent;
use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{Limits, PluginSource, Plugins, Settings, Source};
use windlass_tests::guests::{ANSWER, Guest};
use windlass_tests::sample::situation;

/// A folder, the guests in it, and settings with little patience.
struct Bench {
    folder: TempDir,
    settings: Settings,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut settings = Settings::new(folder.path().join("plugins"));
        settings.builtin = false;
        settings.limits = Limits {
            cpu: Duration::from_millis(200),
            wall: Duration::from_secs(10),
            concurrent_calls: 4,
            ..Limits::default()
        };
        Self { folder, settings }
    }

    fn with(mut self, name: &str, guest: &Guest) -> Self {
        let path = self.folder.path().join(format!("{name}.wasm"));
        guest.write(&path);
        let source = PluginSource::new(name, Source::Path(path));
        self.settings.sources.push(source);
        self
    }

    async fn start(&self) -> Plugins {
        Plugins::start(self.settings.clone()).await.expect("the engine starts")
    }

    /// Files of the cache that end like this.
    fn cached(&self, end: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.settings.folder.join("cache")).expect("the cache's folder");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.retain(|path| path.to_string_lossy().ends_with(end));
        paths.sort();
        paths
    }
}

/// One plugin alone.
async fn only(name: &str, guest: &Guest) -> (Bench, Plugins) {
    let bench = Bench::new().with(name, guest);
    let plugins = bench.start().await;
    (bench, plugins)
}

async fn decide(plugins: &Plugins, name: &str) -> Result<Step, PluginErrorKind> {
    plugins.strategy_decide(name, Vec::new(), &situation()).await.map_err(|error| match error {
        Error::Plugin(error) => {
            assert_eq!(error.plugin, name, "the error names the plugin");
            error.kind
        }
        other => panic!("{other:?}"),
    })
}

fn error_of(status: &PluginStatus) -> &str {
    status.error.as_deref().unwrap_or("it is loaded")
}

/// Answers with a progress: byte 24 of a good answer.
fn progress(value: &str) -> String {
    format!("(i32.store8 (i32.const {}) {value}) i32.const {ANSWER}", ANSWER + 24)
}

fn counting() -> String {
    format!(
        "(global.set $count (i32.add (global.get $count) (i32.const 1))) {}",
        progress("(global.get $count)")
    )
}

/// Everything the server logs while these tests run.
fn log() -> String {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    #[derive(Clone)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("the log").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = LOG.get_or_init(|| {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Lines(lines.clone());
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
        lines
    });
    String::from_utf8_lossy(&log.lock().expect("the log")).into_owned()
}

#[tokio::test]
async fn built_in_plugins_load_and_are_what_their_exports_say() {
    let mut bench = Bench::new();
    bench.settings.builtin = true;
    let plugins = bench.start().await;
    let kinds: Vec<(String, Vec<PluginKind>)> = plugins
        .list()
        .into_iter()
        .map(|status| {
            let error = error_of(&status).to_owned();
            (status.name, status.info.unwrap_or_else(|| panic!("{error}")).kinds)
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("auto".to_owned(), vec![PluginKind::BuildPlanner]),
            ("bitbucket".to_owned(), vec![PluginKind::GitForge]),
            ("blue-green".to_owned(), vec![PluginKind::DeploymentStrategy]),
            ("canary".to_owned(), vec![PluginKind::DeploymentStrategy]),
            ("circleci".to_owned(), vec![PluginKind::CiProvider]),
            ("circleci-config".to_owned(), vec![PluginKind::PipelineGenerator]),
            ("compose-only".to_owned(), vec![PluginKind::BuildPlanner]),
            ("discord".to_owned(), vec![PluginKind::Notifier]),
            ("docker-build".to_owned(), vec![PluginKind::BuildPlanner]),
            ("email".to_owned(), vec![PluginKind::Notifier]),
            ("generic".to_owned(), vec![PluginKind::GitForge]),
            ("gitea".to_owned(), vec![PluginKind::GitForge]),
            ("github".to_owned(), vec![PluginKind::CiProvider, PluginKind::GitForge]),
            ("github-workflow".to_owned(), vec![PluginKind::PipelineGenerator]),
            ("gitlab".to_owned(), vec![PluginKind::CiProvider, PluginKind::GitForge]),
            ("gitlab-ci".to_owned(), vec![PluginKind::PipelineGenerator]),
            ("gotify".to_owned(), vec![PluginKind::Notifier]),
            ("jenkins".to_owned(), vec![PluginKind::CiProvider]),
            ("jenkins-pipeline".to_owned(), vec![PluginKind::PipelineGenerator]),
            ("ntfy".to_owned(), vec![PluginKind::Notifier]),
            ("rolling".to_owned(), vec![PluginKind::DeploymentStrategy]),
            ("script".to_owned(), vec![PluginKind::BuildPlanner]),
            ("slack".to_owned(), vec![PluginKind::Notifier]),
            ("standard".to_owned(), vec![PluginKind::DeploymentStrategy]),
            ("webhook-notify".to_owned(), vec![PluginKind::Notifier]),
        ]
    );
    assert!(!plugins.webhook_contract("github").expect("a contract").schemes.is_empty());
    let headers = vec![("x-github-event".to_owned(), "ping".to_owned())];
    let body = Bytes::from_static(include_bytes!("../../plugins/github/fixtures/ping.00.json"));
    let event = plugins.forge_parse("github", headers, body).await.expect("an event");
    assert_eq!(event, ForgeEvent::Ping);
    assert_eq!(bench.cached(".cwasm").len(), kinds.len());
}

#[tokio::test]
async fn without_a_pool_of_address_space_plugins_work_as_well() {
    let mut bench = Bench::new().with("counter", &Guest::strategy("counter", &counting()));
    bench.settings.limits.pooling = false;
    assert_eq!(decide(&bench.start().await, "counter").await.expect("a step").progress, 1);
}

#[tokio::test]
async fn no_state_survives_a_call() {
    let (_bench, plugins) = only("counter", &Guest::strategy("counter", &counting())).await;
    for _ in 0..3 {
        assert_eq!(decide(&plugins, "counter").await.expect("a step").progress, 1);
    }
}

#[tokio::test]
async fn an_endless_loop_ends_at_its_deadline() {
    let mut bench = Bench::new().with("loop", &Guest::strategy("loop", "(loop $l (br $l)) unreachable"));
    bench.settings.limits.wall = Duration::from_millis(200);
    let plugins = bench.start().await;
    // The machine may be busy with other tests: the best of a few attempts is what the host is responsible for.
    let mut took = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        let error = decide(&plugins, "loop").await.expect_err("it never ends");
        assert!(matches!(error, PluginErrorKind::Timeout { milliseconds } if milliseconds >= 190), "{error}");
        took = took.min(started.elapsed());
    }
    assert!(took <= Duration::from_millis(250), "{took:?}");
}

#[tokio::test]
async fn a_loop_holds_up_neither_the_reactor_nor_other_plugins() {
    let bench = Bench::new()
        .with("loop", &Guest::strategy("loop", "(loop $l (br $l)) unreachable"))
        .with("counter", &Guest::strategy("counter", &counting()));
    let plugins = bench.start().await;
    let looping = tokio::spawn({
        let plugins = plugins.clone();
        async move { decide(&plugins, "loop").await }
    });
    tokio::task::yield_now().await;
    // This runtime has one thread only, and the ticks of the looping call must not count for this one.
    for _ in 0..20 {
        decide(&plugins, "counter").await.expect("a step");
    }
    assert!(matches!(looping.await.expect("the task"), Err(PluginErrorKind::Timeout { .. })));
}

#[tokio::test]
async fn too_much_memory_is_refused_whether_it_is_wanted_now_or_from_the_start() {
    let bomb = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let (_bench, plugins) = only("bomb", &Guest::strategy("bomb", bomb)).await;
    let error = decide(&plugins, "bomb").await.expect_err("it wants too much");
    assert!(matches!(error, PluginErrorKind::Memory { limit_bytes: 67_108_864 }), "{error}");

    let (_bench, plugins) = only("fat", &Guest::strategy("fat", &counting()).with_pages(2000)).await;
    let status = plugins.inspect("fat").expect("it is listed");
    assert!(error_of(&status).contains("memory"), "{}", error_of(&status));
}

#[tokio::test]
async fn a_trap_is_an_error_with_its_reason() {
    let (_bench, plugins) = only("trap", &Guest::strategy("trap", "unreachable")).await;
    match decide(&plugins, "trap").await {
        Err(PluginErrorKind::Trap(reason)) => assert!(reason.contains("unreachable"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_beyond_the_contract_are_nonsense() {
    let store = |offset: usize, value: u32| {
        format!("(i32.store (i32.const {}) (i32.const {value})) i32.const {ANSWER}", ANSWER + offset)
    };
    let cases = [
        ("progress", progress("(i32.const 101)"), "progress of 101"),
        ("memory", store(12, 70_000), "memory of 70000 bytes"),
        // Without an address of its own the list would be read from the manifest.
        ("actions", format!("{} drop {}", store(28, 20_000), store(32, 65)), "step of 65 actions"),
        ("pointer", store(16, u32::MAX), ""),
        ("variant", store(0, 77), ""),
        ("address", "i32.const 0x7ffffff0".to_owned(), ""),
    ];
    for (name, body, message) in cases {
        let (_bench, plugins) = only(name, &Guest::strategy(name, &body).with_pages(3)).await;
        match decide(&plugins, name).await {
            Err(PluginErrorKind::Nonsense(text)) => assert!(text.contains(message), "{name}: {text}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_foreign_import_is_refused_with_its_name_and_what_to_do() {
    let guest = Guest::strategy("foreign", "unreachable").with_import(
        "(import \"other:host/files@0.2.6\" \"names\" (func (param i32)))",
        "import other:host/files@0.2.6;",
        Some("package other:host@0.2.6; interface files { names: func() -> list<string>; }"),
    );
    let (_bench, plugins) = only("foreign", &guest).await;
    let status = plugins.inspect("foreign").expect("it is listed");
    let error = error_of(&status);
    assert!(error.contains("other:host/files@0.2.6"), "{error}");
    assert!(error.contains("windlass:host/log@0.1.0") && error.contains("Please"), "{error}");
    assert!(matches!(decide(&plugins, "foreign").await, Err(PluginErrorKind::Load(text)) if text == error));
}

#[tokio::test]
async fn another_shape_is_refused_with_interface_function_and_field() {
    let guest = Guest::strategy("wide", "unreachable").replacing("progress: u8", "progress: u16");
    let (_bench, plugins) = only("wide", &guest).await;
    let status = plugins.inspect("wide").expect("it is listed");
    for part in ["windlass:deployment-strategy/strategy@0.1.0", "`decide`", "progress", "`u8`", "`u16`"] {
        assert!(error_of(&status).contains(part), "{part}: {}", error_of(&status));
    }

    let guest = Guest::strategy("renamed", "unreachable").replacing("wake-after", "sleep-for");
    let (_bench, plugins) = only("renamed", &guest).await;
    let status = plugins.inspect("renamed").expect("it is listed");
    assert!(error_of(&status).contains("expected record field named wake-after, found sleep-for"));
}

#[tokio::test]
async fn another_version_is_refused_with_both_versions() {
    let guest = Guest::strategy("newer", "unreachable").replacing("@0.1.0", "@0.2.0");
    let (_bench, plugins) = only("newer", &guest).await;
    let status = plugins.inspect("newer").expect("it is listed");
    for part in ["strategy` 0.2.0", "this host has version 0.1.0", "Please install"] {
        assert!(error_of(&status).contains(part), "{part}: {}", error_of(&status));
    }
}

#[tokio::test]
async fn a_later_patch_of_the_contract_is_taken() {
    let guest = Guest::strategy("patched", &counting()).replacing("@0.1.0", "@0.1.7");
    let (_bench, plugins) = only("patched", &guest).await;
    assert_eq!(decide(&plugins, "patched").await.expect("a step").progress, 1);
}

#[tokio::test]
async fn a_manifest_that_contradicts_the_exports_or_the_configuration_is_refused() {
    // Of the same length, since the manifest's addresses are fixed.
    let liar = Guest::strategy("liar", "unreachable")
        .replacing("testsdeployment-strategy", "testsdeployment-strategx");
    let bench = Bench::new().with("liar", &liar).with("alias", &Guest::strategy("name", "unreachable"));
    let plugins = bench.start().await;
    let status = plugins.inspect("liar").expect("it is listed");
    assert!(error_of(&status).contains("its exports say [deployment-strategy]"), "{}", error_of(&status));
    let status = plugins.inspect("alias").expect("it is listed");
    assert!(error_of(&status).contains("calls it `name`"), "{}", error_of(&status));
}

#[tokio::test]
async fn what_is_no_component_or_not_the_expected_one_is_refused() {
    let mut bench = Bench::new().with("pinned", &Guest::strategy("pinned", &counting()));
    let wrong = "00".repeat(32);
    bench.settings.sources[0].sha256 = Some(wrong.clone());
    let path = bench.folder.path().join("text.wasm");
    fs::write(&path, "#!/bin/sh").expect("a file");
    let source = |name: &str, path: &Path| PluginSource::new(name, Source::Path(path.into()));
    bench.settings.sources.push(source("text", &path));
    bench.settings.sources.push(source("absent", Path::new("/nowhere/plugin.wasm")));
    let plugins = bench.start().await;
    let status = plugins.inspect("pinned").expect("it is listed");
    let digest = status.digest.clone().expect("its digest is known");
    assert!(error_of(&status).contains(&wrong) && error_of(&status).contains(&digest));
    let status = plugins.inspect("text").expect("it is listed");
    assert!(error_of(&status).contains("no WebAssembly component"));
    let status = plugins.inspect("absent").expect("it is listed");
    assert!(error_of(&status).contains("/nowhere/plugin.wasm"));
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_answered_with_those_that_are() {
    let bench = Bench::new()
        .with("blue-green", &Guest::strategy("blue-green", &counting()))
        .with("forge", &Guest::forge("forge", &format!("i32.const {ANSWER}")));
    let plugins = bench.start().await;
    match decide(&plugins, "blue-gren").await {
        Err(PluginErrorKind::Missing(text)) => {
            assert!(text.contains("did you mean `blue-green`?") && !text.contains("forge"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    match decide(&plugins, "forge").await {
        Err(PluginErrorKind::Missing(text)) => assert!(text.contains("a git-forge"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_damaged_cache_entry_is_compiled_again() {
    let bench = Bench::new().with("counter", &Guest::strategy("counter", &counting()));
    log();
    bench.start().await;
    for end in [".cwasm", ".json"] {
        let path = bench.cached(end).remove(0);
        let whole = fs::read(&path).expect("an entry");
        for damaged in [whole[..whole.len() / 2].to_vec(), Vec::new(), flipped(&whole)] {
            overwrite(&path, &damaged);
            let plugins = bench.start().await;
            assert_eq!(decide(&plugins, "counter").await.expect("a step").progress, 1);
            assert_ne!(fs::read(&path).expect("an entry"), damaged, "it was replaced");
        }
    }
    assert!(log().contains("The compiled code of plugin `counter` was discarded"));
}

#[tokio::test]
async fn code_that_was_compiled_for_another_plugin_is_not_run() {
    let one = Guest::strategy("one", &progress("(i32.const 1)"));
    let two = Guest::strategy("two", &progress("(i32.const 2)"));
    let bench = Bench::new().with("one", &one).with("two", &two);
    let plugins = bench.start().await;
    let digest = plugins.digest("one").expect("it is loaded");
    drop(plugins);
    // Both entries are genuine, each under its own name.
    for end in [".cwasm", ".json"] {
        let paths = bench.cached(end);
        let (of_one, of_two): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|path| path.to_string_lossy().contains(&digest));
        overwrite(&of_one[0], &fs::read(&of_two[0]).expect("an entry"));
        let plugins = bench.start().await;
        assert_eq!(decide(&plugins, "one").await.expect("a step").progress, 1);
    }
}

#[tokio::test]
async fn with_another_key_no_entry_is_believed() {
    let bench = Bench::new().with("counter", &Guest::strategy("counter", &counting()));
    bench.start().await;
    let path = bench.cached(".cwasm").remove(0);
    let modified = || fs::metadata(&path).and_then(|data| data.modified()).expect("a time");
    let before = modified();
    bench.start().await;
    assert_eq!(modified(), before, "a good entry is used as it is");
    let key = bench.settings.folder.join("cache.key");
    assert_eq!(fs::metadata(&key).expect("a key").permissions().mode() & 0o777, 0o600);
    fs::remove_file(&key).expect("the key can be removed");
    bench.start().await;
    assert_ne!(modified(), before, "it was compiled anew");
}

#[tokio::test]
async fn a_reload_puts_the_new_component_in_place() {
    let bench = Bench::new().with("mine", &Guest::strategy("mine", &progress("(i32.const 1)")));
    let plugins = bench.start().await;
    let before = plugins.digest("mine");
    Guest::strategy("mine", &progress("(i32.const 2)")).write(&bench.folder.path().join("mine.wasm"));
    assert_eq!(decide(&plugins, "mine").await.expect("a step").progress, 1, "not before it is told");
    plugins.reload(bench.settings.clone()).await.expect("it reloads");
    assert_eq!(decide(&plugins, "mine").await.expect("a step").progress, 2);
    assert_ne!(plugins.digest("mine"), before);
}

#[tokio::test]
async fn a_chatty_plugin_is_cut_short_and_cannot_forge_lines() {
    // 300 messages of 60,000 times `a`; the last byte before them is an escape.
    let body = format!(
        "(memory.fill (i32.const 5000) (i32.const 97) (i32.const 60000))
         (i32.store8 (i32.const 5001) (i32.const 10)) (i32.store8 (i32.const 5002) (i32.const 27))
         (loop $l
           (call $log (i32.const 3) (i32.const 5000) (i32.const 60000) (i32.const 0) (i32.const 0))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $i) (i32.const 300))))
         i32.const {ANSWER}"
    );
    log();
    let mut bench = Bench::new().with("chatty", &Guest::forge("chatty", &body).with_log());
    // Scrubbing that much text takes a debug build a while.
    bench.settings.limits.cpu = Duration::from_secs(10);
    let plugins = bench.start().await;
    let event = plugins.forge_parse("chatty", Vec::new(), Bytes::new()).await.expect("an event");
    assert_eq!(event, ForgeEvent::Ping);
    let log = log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("[@plugin:chatty] a aaaa")).collect();
    assert_eq!(lines.len(), 256);
    assert!(lines.iter().all(|line| line.len() < 4096 + 200));
    assert!(log.contains("44 more messages of this call were not kept"));
    assert!(!log.contains('\x1b'));
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

/// In place and with the old mode, as somebody would who wants to go unnoticed.
fn overwrite(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
    fs::write(path, bytes).expect("an entry");
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).expect("a mode");
}
