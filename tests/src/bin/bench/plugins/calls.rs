//! What a call into a plugin costs, each with a fresh instance: instantiate, call, drop.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use windlass::plugins::measure::{self, Percentiles};
use windlass::plugins::{PluginSource, Plugins, Settings, Source};
use windlass_tests::guests::{ANSWER, Guest};

use super::microseconds;
use crate::load::push_body;
use crate::report::{Goal, Report};

const ROUNDS: usize = 5000;
/// Bytes that go in and come out again where extism does the same work.
const ECHOED: usize = 1024;
const BARE_GOAL_US: f64 = 20.0;
const RAW_GOAL: f64 = 1.5;
const EXTISM_GOAL: f64 = 5.0;
/// Made by `scripts/setup-bench.sh`.
const EXTISM: &str = "tests/peers/extism/target/release/extism-peer";
/// Answers with its input where it lies, so nothing is copied that does not have to be.
const EXTISM_ECHO: &str = r#"(module
  (import "extism:host/env" "input_offset" (func $offset (result i64)))
  (import "extism:host/env" "input_length" (func $length (result i64)))
  (import "extism:host/env" "output_set" (func $answer (param i64 i64)))
  (memory (export "memory") 2)
  (func (export "echo") (result i32) (call $answer (call $offset) (call $length)) (i32.const 0)))"#;

pub async fn all(report: &mut Report) {
    report.section("Plugin calls, each with a fresh instance");
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path().join("plugins"));
    let path = folder.path().join("echo.wasm");
    echo().write(&path);
    settings.sources.push(PluginSource::new("echo", Source::Path(path)));
    let plugins = Plugins::start(settings).await.unwrap();
    // As in a server, somebody takes what is recorded.
    let mut recordings = plugins.recordings().unwrap();
    let taking = tokio::spawn(async move { while recordings.next().await.is_some() {} });
    let ours = beside_raw(report, &plugins, "echo", &[b'w'; ECHOED]).await;
    beside_extism(report, folder.path(), ours);
    beside_raw(report, &plugins, "standard", &[]).await;
    whole(report, plugins).await;
    taking.abort();
}

/// A strategy whose answer holds the memory that it was given, where it lies.
fn echo() -> Guest {
    let copied = |offset: usize| {
        format!("(i32.store (i32.const {}) (i32.load offset={offset} (local.get 0)))", ANSWER + 8 + offset)
    };
    Guest::strategy("echo", &format!("{} {} i32.const {ANSWER}", copied(0), copied(4)))
}

/// Our bare call and the same on plain wasmtime, by turns, so that both see the same machine.
async fn beside_raw(report: &mut Report, plugins: &Plugins, name: &str, memory: &[u8]) -> Duration {
    let (mut bare, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        bare.push(measure::bare_decide(plugins, name, memory, ROUNDS).await.unwrap());
        raw.push(measure::raw_decide(plugins, name, memory, ROUNDS).await.unwrap());
    }
    let [bare, raw] = [middle(bare), middle(raw)];
    show(report, &format!("{name}: bare call, without recorder"), bare, Goal::AtMost(BARE_GOAL_US));
    show(report, &format!("{name}: raw wasmtime, same engine"), raw, Goal::None);
    let times = microseconds(bare.p50) / microseconds(raw.p50);
    report.row(&format!("{name}: our p50 in raw ones"), times, "×", Goal::AtMost(RAW_GOAL), "");
    bare.p50
}

fn beside_extism(report: &mut Report, folder: &Path, ours: Duration) {
    if !Path::new(EXTISM).exists() {
        report.skip("extism", "it is not compiled; scripts/setup-bench.sh does that");
        return;
    }
    let module = folder.join("extism-echo.wasm");
    std::fs::write(&module, wat::parse_str(EXTISM_ECHO).unwrap()).unwrap();
    let (bytes, rounds) = (ECHOED.to_string(), ROUNDS.to_string());
    let output = Command::new(EXTISM).arg(&module).args(["echo", &bytes, &rounds]).output().unwrap();
    assert!(output.status.success(), "extism: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = said.split_whitespace().map(|number| Duration::from_nanos(number.parse().unwrap()));
    let took = Percentiles { p50: numbers.next().unwrap(), p99: numbers.next().unwrap() };
    show(report, &format!("echo: extism, the same {ECHOED} bytes"), took, Goal::None);
    let times = microseconds(took.p50) / microseconds(ours);
    report.row("echo: extism's p50 in ours", times, "×", Goal::AtLeast(EXTISM_GOAL), "");
}

/// From the adapter's function until its answer, with slots and recorder, on a thread of the runtime as in a server.
async fn whole(report: &mut Report, plugins: Plugins) {
    let measured = tokio::spawn(async move {
        let decide = measure::strategy_decide(&plugins, "standard", ROUNDS).await.unwrap();
        let headers = [("x-github-event".to_string(), "push".to_string())];
        let body = Bytes::from(push_body());
        let parse = measure::forge_parse(&plugins, "github", &headers, &body, ROUNDS).await.unwrap();
        (decide, parse, body.len())
    });
    let (decide, parse, bytes) = measured.await.unwrap();
    show(report, "standard: decide, whole call with recorder", decide, Goal::None);
    show(report, &format!("github: parse a push of {bytes} bytes, whole"), parse, Goal::None);
}

/// The one with the middle p50.
fn middle(mut all: Vec<Percentiles>) -> Percentiles {
    all.sort_by_key(|one| one.p50);
    all[all.len() / 2]
}

fn show(report: &mut Report, name: &str, took: Percentiles, goal: Goal) {
    let note = format!("p99 {:.0} µs, n {ROUNDS}", microseconds(took.p99));
    report.row(&format!("{name} (p50)"), microseconds(took.p50), "µs", goal, &note);
}
