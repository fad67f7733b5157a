//! The flight recorder: calls into plugins are kept, listed, replayed, and played back from cassettes.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use windlass::domain::Id;
use windlass::domain::cassette::{CassetteCall, Exchange};
use windlass::domain::recording::{Outcome, Recording, Subject, SubjectKind};
use windlass::domain::rollout::Situation;
use windlass::plugins::{
    Limits, PluginSource, Plugins, Recordings, Settings, Source, unrecorded, with_subject,
};
use windlass_tests::fixture::{Fixture, HEALTHY_WITHIN_S};
use windlass_tests::guests::{ANSWER, Guest};
use windlass_tests::sample;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};

/// One plugin `p` in a folder of its own.
struct Bench {
    folder: tempfile::TempDir,
    settings: Settings,
    plugins: Plugins,
    recordings: Recordings,
}

impl Bench {
    async fn start(guest: &Guest) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.wasm");
        guest.write(&path);
        let mut settings = Settings::new(folder.path().join("plugins"));
        settings.builtin = false;
        settings.limits =
            Limits { cpu: Duration::from_millis(200), concurrent_calls: 4, ..Limits::default() };
        settings.sources = vec![PluginSource::new("p", Source::Path(path))];
        let plugins = Plugins::start(settings.clone()).await.unwrap();
        let recordings = plugins.recordings().unwrap();
        Self { folder, settings, plugins, recordings }
    }

    /// What is recorded of one `decide`.
    async fn decide(&mut self, memory: Vec<u8>) -> Recording {
        let _ = self.plugins.strategy_decide("p", memory, &situation()).await;
        self.recordings.try_next().expect("the call is recorded when it has ended")
    }
}

/// Far in the future, so that the largest time is recorded too.
fn situation() -> Situation {
    Situation { now: i64::MAX, ..sample::situation() }
}

fn call(recording: &Recording) -> CassetteCall {
    CassetteCall {
        plugin: recording.plugin.clone(),
        digest: recording.digest.clone(),
        interface: recording.interface.clone(),
        function: recording.function.clone(),
        input: serde_json::from_str(&recording.input).unwrap(),
        exchange: serde_json::from_str(&recording.exchange).unwrap(),
        outcome: recording.outcome,
        error: recording.error.clone(),
        output: recording.output.as_deref().map(|text| serde_json::from_str(text).unwrap()),
    }
}

/// Logs its own memory's first bytes and answers with progress 40.
fn logging() -> Guest {
    let body = format!(
        "(call $log (i32.const 2) (i32.const 2048) (i32.const 1) (i32.const 0) (i32.const 0))
         (i32.store8 (i32.const {}) (i32.const 40)) i32.const {ANSWER}",
        ANSWER + 24
    );
    Guest::strategy("p", &body).with_log()
}

#[tokio::test]
async fn a_call_is_recorded_in_the_words_of_the_contract_and_replays_identically() {
    let mut bench = Bench::start(&logging()).await;
    let recording = bench.decide(b"\xff\x00 not text".to_vec()).await;
    let call = call(&recording);
    assert_eq!((recording.outcome, recording.cut), (Outcome::Ok, false));
    assert_eq!(call.interface, "windlass:deployment-strategy/strategy@0.1.0");
    assert_eq!(call.input[1]["step-started"], 1);
    assert_eq!(call.input[1]["stack"]["health-timeout-ms"], 60_000);
    assert_eq!(call.output.as_ref().unwrap()["ok"]["progress"], 40);
    assert_eq!(call.exchange.len(), 1);
    assert_eq!(call.exchange[0].import, "windlass:host/log@0.1.0#emit");
    assert_eq!(call.exchange[0].args, [json!("info"), json!("p"), json!("")]);
    let replay = bench.plugins.replay(call, None).await.unwrap();
    assert!(replay.identical, "{:?}", replay.differences);
    assert_eq!(
        replay.output.map(|text| serde_json::from_str::<Value>(&text).unwrap()).unwrap()["ok"]["progress"],
        40
    );
    assert!(bench.recordings.try_next().is_none(), "a replay is not recorded");
}

#[tokio::test]
async fn random_numbers_of_a_call_come_again_in_its_replay() {
    let body = format!(
        "(i32.store8 (i32.const {}) (i32.wrap_i64 (i64.rem_u (call $random) (i64.const 101)))) i32.const {ANSWER}",
        ANSWER + 24
    );
    let guest = Guest::strategy("p", &body).with_import(
        "(import \"wasi:random/random@0.2.6\" \"get-random-u64\" (func $random (result i64)))",
        "import wasi:random/random@0.2.6;",
        Some("package wasi:random@0.2.6; interface random { get-random-u64: func() -> u64; }"),
    );
    let mut bench = Bench::start(&guest).await;
    for memory in [&b"one"[..], b"two", "\u{202e}three".as_bytes(), b"\xff"] {
        let call = call(&bench.decide(memory.to_vec()).await);
        let replay = bench.plugins.replay(call, None).await.unwrap();
        assert!(replay.identical, "{:?}", replay.differences);
    }
}

#[tokio::test]
async fn a_tampered_recording_is_reported_with_what_differs() {
    let mut bench = Bench::start(&logging()).await;
    let good = call(&bench.decide(Vec::new()).await);
    let mut output = good.clone();
    output.output.as_mut().unwrap()["ok"]["progress"] = json!(41);
    let mut exchange = good.clone();
    exchange.exchange[0].args[1] = json!("another message");
    let mut outcome = good.clone();
    outcome.outcome = Outcome::Trap;
    let cases = [
        (output, "output/ok/progress: recorded 41, now 40"),
        (exchange, "exchange/0/args/1: recorded \"another message\", now \"p\""),
    ];
    for (tampered, expected) in cases {
        let replay = bench.plugins.replay(tampered, None).await.unwrap();
        assert!(!replay.identical);
        assert_eq!(replay.differences, [expected]);
    }
    let mut input = good.clone();
    input.input[1]["now"] = json!("noon");
    let error = bench.plugins.replay(input, None).await.unwrap_err().to_string();
    assert!(error.contains("now: a whole number in its range is expected"), "{error}");
    let mut gone = good;
    gone.digest = "0".repeat(64);
    let error = bench.plugins.replay(gone, None).await.unwrap_err().to_string();
    assert!(error.contains("is gone") && error.contains(&"0".repeat(64)), "{error}");
}

#[tokio::test]
async fn a_call_of_a_replaced_plugin_replays_until_its_component_is_forgotten() {
    let mut bench = Bench::start(&logging()).await;
    let old = call(&bench.decide(Vec::new()).await);
    Guest::strategy("p", "unreachable").write(&bench.folder.path().join("p.wasm"));
    bench.plugins.reload(bench.settings.clone()).await.unwrap();
    assert_ne!(bench.plugins.digest("p"), Some(old.digest.clone()));
    assert!(bench.plugins.replay(old.clone(), None).await.unwrap().identical);
    let with_the_new_one = bench.plugins.replay(old.clone(), Some("p")).await.unwrap();
    assert_eq!((with_the_new_one.identical, with_the_new_one.outcome), (false, Outcome::Trap));
    bench.plugins.retain_components([old.digest.clone()].into());
    assert!(bench.plugins.replay(old.clone(), None).await.unwrap().identical);
    bench.plugins.retain_components(Default::default());
    let error = bench.plugins.replay(old, None).await.unwrap_err().to_string();
    assert!(error.contains("neither loaded nor kept"), "{error}");
}

#[tokio::test]
async fn calls_that_end_badly_are_recorded_and_end_as_badly_again() {
    let cases = [
        ("unreachable", Outcome::Trap, "unreachable"),
        ("(loop $l (br $l)) unreachable", Outcome::Timeout, "was stopped after"),
        ("(drop (memory.grow (i32.const 4096))) unreachable", Outcome::Memory, "bytes of memory"),
        // A length of 4 GiB for the label.
        ("(i32.store (i32.const 4116) (i32.const -1)) i32.const 4096", Outcome::Nonsense, "makes no sense"),
    ];
    for (body, outcome, words) in cases {
        let mut bench = Bench::start(&Guest::strategy("p", body)).await;
        let recording = bench.decide(b"{}".to_vec()).await;
        assert_eq!(recording.outcome, outcome, "{body}");
        assert!(recording.error.as_ref().unwrap().contains(words), "{recording:?}");
        assert_eq!(recording.output, None);
        let call = call(&recording);
        assert_eq!(call.input[0], json!({ "text": "{}" }));
        let replay = bench.plugins.replay(call, None).await.unwrap();
        assert!(replay.identical, "{body}: {:?}", replay.differences);
    }
}

#[tokio::test]
async fn an_answer_that_the_host_refuses_is_the_same_nonsense_in_a_replay() {
    let body = format!("(i32.store8 (i32.const {}) (i32.const 101)) i32.const {ANSWER}", ANSWER + 24);
    let mut bench = Bench::start(&Guest::strategy("p", &body)).await;
    let recording = bench.decide(Vec::new()).await;
    assert_eq!(recording.outcome, Outcome::Nonsense);
    assert!(recording.output.as_ref().unwrap().contains("\"progress\":101"), "{recording:?}");
    assert!(bench.plugins.replay(call(&recording), None).await.unwrap().identical);
}

#[tokio::test]
async fn what_is_too_large_is_cut_and_says_so() {
    let mut bench = Bench::start(&logging()).await;
    let recording = bench.decide(vec![b'x'; 2 << 20]).await;
    assert!(recording.cut && recording.input.len() < 600_000, "{} bytes", recording.input.len());
    assert!(serde_json::from_str::<Value>(&recording.input).is_ok(), "what is left is still JSON");
}

#[tokio::test]
async fn a_call_knows_what_it_was_made_for() {
    let mut bench = Bench::start(&logging()).await;
    let subject = Subject { kind: SubjectKind::Deployment, id: Id::from_text("d1") };
    assert_eq!(with_subject(subject.clone(), bench.decide(Vec::new())).await.subject, Some(subject));
    assert_eq!(bench.decide(Vec::new()).await.subject, None);
    let situation = situation();
    unrecorded(bench.plugins.strategy_decide("p", Vec::new(), &situation)).await.unwrap();
    assert!(bench.recordings.try_next().is_none());
}

/// A guest that asks the host a question, of which the contract knows nothing: a component like it is only reachable
/// because it was kept.
fn asking(bench: &Bench) -> CassetteCall {
    let body =
        format!("(i32.store8 (i32.const {}) (call $ask (i32.const 7))) i32.const {ANSWER}", ANSWER + 24);
    let component = Guest::strategy("p", &body)
        .with_import(
            "(import \"windlass:host/oracle@0.9.0\" \"ask\" (func $ask (param i32) (result i32)))",
            "import windlass:host/oracle@0.9.0;",
            Some("package windlass:host@0.9.0; interface oracle { ask: func(n: u32) -> u32; }"),
        )
        .build();
    let digest = hex::encode(Sha256::digest(&component));
    let kept = bench.folder.path().join("plugins/called");
    std::fs::write(kept.join(format!("{digest}.wasm")), component).unwrap();
    let import = "windlass:host/oracle@0.9.0#ask".to_owned();
    CassetteCall {
        digest,
        exchange: vec![Exchange { import, args: vec![json!(7)], result: Some(json!(42)) }],
        ..template()
    }
}

fn template() -> CassetteCall {
    CassetteCall {
        plugin: "p".into(),
        digest: String::new(),
        interface: "windlass:deployment-strategy/strategy@0.1.0".into(),
        function: "decide".into(),
        input: Vec::new(),
        exchange: Vec::new(),
        outcome: Outcome::Ok,
        error: None,
        output: None,
    }
}

#[tokio::test]
async fn a_replay_gives_the_recorded_answers_and_notices_other_questions() {
    let mut bench = Bench::start(&logging()).await;
    let input = call(&bench.decide(Vec::new()).await).input;
    let output =
        json!({ "ok": { "memory": [], "label": "", "progress": 42, "actions": [], "wake-after": null } });
    let call = CassetteCall { input, output: Some(output), ..asking(&bench) };
    let replay = bench.plugins.replay(call.clone(), None).await.unwrap();
    assert!(replay.identical, "{:?}", replay.differences);
    let mut other = call.clone();
    other.exchange[0].args = vec![json!(8)];
    let replay = bench.plugins.replay(other, None).await.unwrap();
    assert!(!replay.identical);
    assert!(replay.error.as_ref().unwrap().contains("args/0: recorded 8, now 7"), "{replay:?}");
    let mut silent = call;
    silent.exchange.clear();
    let replay = bench.plugins.replay(silent, None).await.unwrap();
    assert!(replay.error.as_ref().unwrap().contains("no more answers were recorded"), "{replay:?}");
}

/// Asks until the list has what is wanted: recordings are stored a moment after their calls.
async fn calls(server: &TestServer, query: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let path = format!("/api/v1/plugins/calls?limit=200&{query}");
    let asking = async {
        let mut again = tokio::time::interval(Duration::from_millis(50));
        loop {
            again.tick().await;
            let list = server.get(&path).await.expect(200)["data"]["items"].as_array().unwrap().clone();
            if wanted(&list) {
                return list;
            }
        }
    };
    windlass_tests::database::soon("the recording of the calls", asking).await
}

fn stack(name: &str) -> Value {
    json!({
        "name": name,
        "repository": { "url": "https://git.example/web.git", "branch": "main", "provider": "github" },
        "build": {},
        "run": { "ports": [{ "container": 8080 }] },
    })
}

fn config(folder: &Path, text: &str) -> String {
    let path = folder.join("windlass.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_deployment_is_listed_and_replays_identically_without_any_secret() {
    const PLANTED: &str = "planted-7f3a9c-secret";
    let extra = json!({ "build": {
        "healthCheckPath": "/health", "healthCheckTimeout": HEALTHY_WITHIN_S,
        "environmentVariables": [{ "name": "PASSWORD", "value": PLANTED, "secret": true }],
    } });
    let fixture = Fixture::start_with(true, &[], extra).await;
    let (_, deployment) = fixture.deploy("one").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    let server = &fixture.server;
    let decided = calls(server, "deployment=1", |calls| calls.len() >= 2).await;
    assert!(decided.iter().all(|call| call["function"] == "decide" && call["plugin"] == "standard"));
    assert!(decided.iter().all(|call| call["subject"]["id"] == deployment["id"]));
    let all = calls(server, "", |calls| {
        ["parse-webhook", "plan", "decide", "validate"]
            .iter()
            .all(|function| calls.iter().any(|call| call["function"] == *function))
    })
    .await;
    let mut secrets = vec![PLANTED.to_owned(), fixture.secret.clone(), ADMIN_TOKEN.to_owned()];
    let encoded: Vec<String> = secrets
        .iter()
        .flat_map(|secret| [base64::engine::general_purpose::STANDARD.encode(secret), hex::encode(secret)])
        .collect();
    secrets.extend(encoded);
    for call in &all {
        let path = format!("/api/v1/plugins/calls/{}", call["seq"]);
        let recording = server.get(&path).await.expect(200).to_string();
        assert!(secrets.iter().all(|secret| !recording.contains(secret)), "{recording}");
        let replay = server.post(&format!("{path}/replay"), json!({})).await.expect(200);
        assert_eq!(replay["data"]["identical"], true, "{call:#}\n{replay:#}");
    }
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("windlass_plugin_calls_dropped_total 0"), "{metrics}");

    let seq = decided[0]["seq"].to_string();
    server.cli(&["plugin", "replay", &seq]).expect(0);
    let run = server.cli(&["plugin", "call", &seq]);
    let (code, shown) = (run.code, run.said());
    assert!(code == 0 && shown.contains("step-started"), "{shown}");
    let run = server.cli(&["plugin", "calls", "--deployment", "1", "--outcome", "ok"]);
    let (code, list) = (run.code, run.said());
    assert!(code == 0 && list.contains("decide"), "{list}");
    a_cassette_of_it_plays_without_the_server(&fixture);
}

fn a_cassette_of_it_plays_without_the_server(fixture: &Fixture) {
    let server = &fixture.server;
    let run = server.cli(&["plugin", "record", "--deployment", "1", "--last", "3"]);
    let (code, cassette) = (run.code, run.said());
    assert_eq!(code, 0, "{cassette}");
    let path = server.folder.path().join("cassette.json");
    std::fs::write(&path, &cassette).unwrap();
    let path = path.display().to_string();
    let play = ["plugin", "replay", "--server", "http://127.0.0.1:1", "--cassette", &path];
    let run = server.cli(&play);
    let (code, played) = (run.code, run.said());
    assert!(code == 0 && played.contains("identical"), "{played}");
    let mut tampered: Value = serde_json::from_str(&cassette).unwrap();
    tampered["calls"][0]["output"]["ok"]["label"] = json!("something else");
    std::fs::write(&path, tampered.to_string()).unwrap();
    let run = server.cli(&play);
    let (code, played) = (run.code, run.said());
    assert!(code == 1 && played.contains("output/ok/label: recorded \"something else\""), "{played}");
    let run = server.cli(&[&play[..], &["--fault", "429"]].concat());
    let (code, played) = (run.code, run.said());
    assert!(code == 1 && played.contains("no call of the cassette has a response"), "{played}");
    tampered["windlass-cassette"] = json!(2);
    std::fs::write(&path, tampered.to_string()).unwrap();
    let run = server.cli(&play);
    let (code, played) = (run.code, run.said());
    assert!(code == 1 && played.contains("version 2"), "{played}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_during_a_deployment_is_found_by_its_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("broken.wasm");
    Guest::strategy("broken", "unreachable").write(&component);
    let text =
        format!("[plugins.broken]\nsource = \"path:{}\"\nskip_conformance = true\n", component.display());
    let config = config(folder.path(), &text);
    let fixture =
        Fixture::start_with(true, &[("WINDLASS_CONFIG", &config)], json!({ "strategy": "broken" })).await;
    let (_, deployment) = fixture.deploy("one").await;
    assert_ne!(deployment["status"], "successful");
    let trapped = calls(&fixture.server, "outcome=trap&deployment=1", |calls| !calls.is_empty()).await;
    assert_eq!((&trapped[0]["plugin"], &trapped[0]["function"]), (&json!("broken"), &json!("decide")));
    assert!(trapped[0]["error"].as_str().unwrap().contains("unreachable"), "{trapped:?}");
    let path = format!("/api/v1/plugins/calls/{}/replay", trapped[0]["seq"]);
    let replay = fixture.server.post(&path, json!({})).await.expect(200);
    assert_eq!(replay["data"]["identical"], true, "{replay:#}");
    let unknown = fixture.server.get("/api/v1/plugins/calls?outcome=odd").await.expect(422);
    assert!(unknown.to_string().contains("timeout"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_loses_no_recording_and_a_recorder_turned_off_keeps_none() {
    let mut server = TestServer::start().await;
    server.create_stack(stack("one")).await;
    server.terminate();
    server.wait();
    server.launch(&[]).await.unwrap();
    let kept = calls(&server, "function=validate", |_| true).await;
    assert!(kept.iter().any(|call| call["plugin"] == "standard"), "{kept:?}");
    server.terminate();
    server.wait();
    let config = config(server.folder.path(), "[recorder]\nkeep_days = 0\n");
    server.launch(&[("WINDLASS_CONFIG", &config)]).await.unwrap();
    calls(&server, "", <[Value]>::is_empty).await;
    server.create_stack(stack("two")).await;
    server.terminate();
    server.wait();
    server.launch(&[]).await.unwrap();
    assert_eq!(calls(&server, "", |_| true).await, Vec::<Value>::new());
}
