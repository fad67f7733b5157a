//! Authors' tools, run as a process: what they find in good and in bad components, and what they make.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use windlass_tests::cli::{NOBODY, Run, command, run};
use windlass_tests::components;
use windlass_tests::guests::{ANSWER, Guest};
use windlass_tests::ordering::{Order, strategy_ordering};

/// The program in a folder, without a server.
fn plugin_in(folder: &Path, words: &[&str]) -> Run {
    let mut command = command(NOBODY, "", &[&["plugin"], words].concat());
    command.current_dir(folder);
    run(command)
}

/// A guest as a file.
fn written(guest: &Guest) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    guest.write(&path);
    (folder, path)
}

fn tool(command: &str, guest: &Guest, more: &[&str]) -> Run {
    let (folder, path) = written(guest);
    let path = path.to_string_lossy();
    let mut words = vec![command, &*path, "-o", "json"];
    words.extend(more);
    plugin_in(folder.path(), &words)
}

/// Worlds that begin with an ordinary one: another release serves, without a fixed port or a volume.
const ORDINARY: &[&str] = &["--worlds", "50", "--seed", "3"];

/// The rule that a strategy breaks, with the whole report.
#[track_caller]
fn broken_rule(guest: &Guest) -> (String, Value) {
    let report = tool("simulate", guest, ORDINARY).expect(1).json();
    let rule = report["broken"]["rule"].as_str().unwrap_or_else(|| panic!("{report:#}")).to_owned();
    assert!(!report["broken"]["timeline"].as_array().unwrap().is_empty() || rule == "answers", "{report:#}");
    (rule, report)
}

#[test]
fn a_strategy_that_routes_too_early_is_caught() {
    let orders = [Order::Scale("new", 1), Order::Route(&[("new", 100)])];
    let guest = strategy_ordering("early", &orders, "");
    let (rule, report) = broken_rule(&guest);
    assert_eq!(rule, "routes-to-healthy", "{report:#}");
}

#[test]
fn a_strategy_that_removes_what_serves_is_caught() {
    let (rule, report) = broken_rule(&strategy_ordering("rash", &[Order::Scale("old", 0)], ""));
    assert_eq!(rule, "keeps-serving", "{report:#}");
}

#[test]
fn a_strategy_that_drains_what_serves_is_caught() {
    let (rule, report) = broken_rule(&strategy_ordering("dry", &[Order::Drain("old")], ""));
    assert_eq!(rule, "keeps-serving", "{report:#}");
}

#[test]
fn a_strategy_that_declares_success_without_service_is_caught() {
    let (rule, report) = broken_rule(&strategy_ordering("liar", &[Order::Succeed], ""));
    assert_eq!(rule, "tells-the-truth", "{report:#}");
}

#[test]
fn a_strategy_that_always_gives_up_is_caught() {
    let (rule, report) = broken_rule(&strategy_ordering("tired", &[Order::Fail("no wish to")], ""));
    assert_eq!(rule, "succeeds", "{report:#}");
}

#[test]
fn a_strategy_that_only_waits_is_caught() {
    let (rule, report) = broken_rule(&strategy_ordering("patient", &[], ""));
    assert_eq!(rule, "ends", "{report:#}");
    // What repeats itself is told once.
    assert_eq!(report["broken"]["timeline"].as_array().unwrap().len(), 1, "{report:#}");
}

#[test]
fn a_strategy_that_orders_what_no_host_knows_is_caught() {
    let (rule, report) = broken_rule(&strategy_ordering("odd", &[Order::Other("dance")], ""));
    assert_eq!(rule, "makes-sense", "{report:#}");
}

#[test]
fn a_strategy_that_names_a_strange_release_is_caught() {
    let (rule, report) = broken_rule(&strategy_ordering("lost", &[Order::Scale("other", 1)], ""));
    assert_eq!(rule, "makes-sense", "{report:#}");
}

#[test]
fn a_strategy_that_loses_its_memory_is_caught() {
    // The arguments begin with the memory's address and length. With a memory it forgets everything and begins again;
    // without one it remembers four bytes and is half done.
    let body = format!(
        "(if (i32.load offset=4 (local.get 0))
           (then (i32.store (i32.const {len}) (i32.const 0)) (i32.store8 (i32.const {progress}) (i32.const 0)))
           (else (i32.store (i32.const {len}) (i32.const 4)) (i32.store8 (i32.const {progress}) (i32.const 50))))
         (i32.store (i32.const {at}) (i32.const {ANSWER}))",
        at = ANSWER + 8,
        len = ANSWER + 12,
        progress = ANSWER + 24,
    );
    let (rule, report) = broken_rule(&strategy_ordering("forgetful", &[], &body));
    assert_eq!(rule, "progress-never-falls", "{report:#}");
}

#[test]
fn a_strategy_that_traps_is_caught_and_the_world_is_made_simple() {
    let (rule, report) = broken_rule(&Guest::strategy("broken", "unreachable"));
    assert_eq!(rule, "answers");
    assert!(report["broken"]["why"].as_str().unwrap().contains("unreachable"), "{report:#}");
    assert_eq!(report["broken"]["scenario"]["interruptions"], json!([]), "{report:#}");
}

#[test]
fn a_strategy_that_loops_forever_is_stopped_and_caught() {
    let guest = Guest::strategy("endless", &format!("(loop (br 0)) i32.const {ANSWER}"));
    let report = tool("simulate", &guest, &["--worlds", "2"]).expect(1).json();
    assert_eq!(report["broken"]["rule"], "answers", "{report:#}");
    assert!(report["broken"]["why"].as_str().unwrap().contains("was stopped after"), "{report:#}");
}

#[test]
fn the_built_in_strategy_keeps_its_promises_as_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["simulate", "standard", "--worlds", "300", "--seed", "77", "-o", "json"];
    let report = plugin_in(folder.path(), &words).expect(0).json();
    assert_eq!((&report["worlds"], &report["broken"]), (&json!(300), &Value::Null));
    assert!(
        report["succeeded"].as_u64() > Some(75) && report["rolledBack"].as_u64() > Some(30),
        "{report:#}"
    );
}

#[test]
fn parameters_that_a_strategy_refuses_are_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["simulate", "standard", "--worlds", "20", "--params", r#"{"settle":1}"#];
    let run = plugin_in(folder.path(), &words).expect(1);
    assert!(run.err.contains("refused these parameters"), "{run:#?}");
    plugin_in(folder.path(), &["simulate", "standard", "--params", "{"]).expect(2);
}

#[test]
fn a_broken_world_is_told_as_a_story_with_its_seed() {
    let guest = strategy_ordering("rash", &[Order::Scale("old", 0)], "");
    let (folder, path) = written(&guest);
    let run = plugin_in(folder.path(), &["simulate", &path.to_string_lossy(), "--seed", "3"]).expect(1);
    for words in ["keeps-serving", "scale old to 0", "The world of seed", "a second"] {
        assert!(run.out.contains(words), "{run:#?}");
    }
    assert!(run.err.contains("--worlds 1"), "{run:#?}");
}

/// The rules that a component breaks, by name.
#[track_caller]
fn failures(guest: &Guest) -> Vec<String> {
    let report = tool("check", guest, &[]).expect(1).json();
    assert_eq!(report["passed"], false);
    let findings = report["findings"].as_array().unwrap();
    let failed = findings.iter().filter(|finding| finding["passed"] == false);
    failed.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_built_in_plugin_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let names =
        std::fs::read_dir(plugins).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| name != "examples").collect();
    assert!(names.len() >= 25, "{names:?}");
    for name in &names {
        let report = plugin_in(folder.path(), &["check", name, "-o", "json"]).expect(0).json();
        assert_eq!((&report["passed"], &report["plugin"]["manifest"]["name"]), (&json!(true), &json!(name)));
    }
}

#[test]
fn a_strategy_that_breaks_a_promise_fails_the_suite() {
    let orders = [Order::Scale("new", 1), Order::Route(&[("new", 100)])];
    assert_eq!(failures(&strategy_ordering("early", &orders, "")), ["strategy-keeps-its-promises"]);
}

#[test]
fn a_strategy_that_traps_on_garbage_fails_the_suite() {
    let body = "(if (i32.load offset=4 (local.get 0)) (then unreachable))";
    let failed = failures(&strategy_ordering("fragile", &[], body));
    assert!(failed.contains(&"strategy-survives-garbage".to_owned()), "{failed:?}");
}

#[test]
fn a_forge_that_takes_everything_for_a_ping_fails_the_suite() {
    let failed = failures(&Guest::forge("gullible", &format!("i32.const {ANSWER}")));
    assert_eq!(failed, ["forge-declares-webhooks", "forge-refuses-malformed"]);
}

#[test]
fn a_forge_that_traps_fails_the_suite() {
    let failed = failures(&Guest::forge("fragile", "unreachable"));
    assert!(failed.contains(&"forge-refuses-malformed".to_owned()), "{failed:?}");
}

#[test]
fn a_provider_that_takes_any_answer_for_a_good_one_fails_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("careless.wasm"), components::CARELESS).unwrap();
    let report = plugin_in(folder.path(), &["check", "careless.wasm", "-o", "json"]).expect(1).json();
    let failed: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["passed"] == false).collect();
    let rules: Vec<&Value> = failed.iter().map(|finding| &finding["rule"]).collect();
    assert_eq!(rules, ["provider-tells-trouble"], "{report:#}");
    // It says which call, which request, what was answered and what was expected; nothing that was right is told.
    let detail = failed[0]["detail"].as_str().unwrap();
    let wanted = "trigger-job: request 1 (POST /builds) was answered with 401, and it succeeded; expected is a failure \
                  `auth-required`";
    assert_eq!(detail, wanted);
}

#[test]
fn the_guests_that_talk_to_a_server_pass_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    for (name, component) in [("anvil", components::ANVIL), ("mirror", components::MIRROR)] {
        fs::write(folder.path().join(format!("{name}.wasm")), component).unwrap();
        let report = plugin_in(folder.path(), &["check", &format!("{name}.wasm"), "-o", "json"]);
        let report = report.expect(0).json();
        let rules = report["findings"].as_array().unwrap().iter();
        assert!(rules.clone().any(|found| found["rule"].as_str().unwrap().ends_with("-tells-trouble")));
    }
}

#[test]
fn what_does_not_load_fails_the_suite_with_the_difference() {
    let guest =
        Guest::strategy("old", &format!("i32.const {ANSWER}")).replacing("step-started", "step-begun");
    let report = tool("check", &guest, &[]).expect(1).json();
    assert_eq!(report["findings"][0]["rule"], "loads");
    assert!(report["findings"][0]["detail"].as_str().unwrap().contains("step-started"), "{report:#}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text.wasm"), "no component").unwrap();
    let run = plugin_in(folder.path(), &["check", "text.wasm"]).expect(1);
    assert!(run.out.contains("no WebAssembly component"), "{run:#?}");
}

#[test]
fn a_file_is_inspected_without_a_server() {
    let guest = strategy_ordering("looked-at", &[], "");
    let (folder, path) = written(&guest);
    let info = plugin_in(folder.path(), &["inspect", "guest.wasm", "-o", "json"]).expect(0).json();
    assert_eq!(
        (&info["manifest"]["name"], &info["kinds"]),
        (&json!("looked-at"), &json!(["deployment-strategy"]))
    );
    assert_eq!(info["digest"], json!(hex::encode(Sha256::digest(fs::read(path).unwrap()))));
    let text = plugin_in(folder.path(), &["inspect", "guest.wasm"]).expect(0).out;
    assert!(text.contains("looked-at") && text.contains("deployment-strategy/strategy"), "{text}");
    plugin_in(folder.path(), &["inspect", "missing.wasm"]).expect(1);
}

#[test]
fn the_reference_of_the_settings_is_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let text = plugin_in(folder.path(), &["docs", "standard"]).expect(0).out;
    assert!(text.contains("| `settle_ms` | integer, 0 to 600000 | `0` |"), "{text}");
}

#[test]
fn a_packed_component_is_an_image_layout_whose_digests_are_right() {
    let (folder, _) = written(&strategy_ordering("packed", &[], ""));
    let packed = plugin_in(folder.path(), &["pack", "guest.wasm", "-o", "json"]).expect(0).json();
    let layout = folder.path().join("guest.oci");
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    assert_eq!(read(&layout.join("oci-layout"))["imageLayoutVersion"], "1.0.0");
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
        let bytes = fs::read(layout.join("blobs/sha256").join(&digest)).unwrap();
        assert_eq!(hex::encode(Sha256::digest(&bytes)), digest);
        assert_eq!(descriptor["size"], json!(bytes.len()));
        bytes
    };
    let image = read(&layout.join("index.json"))["manifests"][0].clone();
    assert_eq!((&image["digest"], &packed["tag"]), (&packed["digest"], &json!("1.0.0")));
    let manifest: Value = serde_json::from_slice(&blob(&image)).unwrap();
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(blob(&manifest["layers"][0]), fs::read(folder.path().join("guest.wasm")).unwrap());
    let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
    assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    let exports = config["component"]["exports"].as_array().unwrap();
    assert!(exports.contains(&json!("windlass:deployment-strategy/strategy@0.1.0")), "{config:#}");
    // What is there is never overwritten.
    plugin_in(folder.path(), &["pack", "guest.wasm"]).expect(1);
}

#[test]
fn a_new_project_never_touches_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious"), "mine").unwrap();
    let run = plugin_in(folder.path(), &["new", "--kind", "notifier", "--name", "mine", "."]).expect(1);
    assert!(run.err.contains("not empty"), "{run:#?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    plugin_in(folder.path(), &["new", "--kind", "notifier", "Not A Name"]).expect(2);
    plugin_in(folder.path(), &["new", "--kind", "no-such-kind", "x"]).expect(2);
}

#[test]
fn a_folder_without_a_project_is_told_how_to_begin() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["build", "test"] {
        let run = plugin_in(folder.path(), &[command]).expect(1);
        assert!(run.err.contains("plugin new"), "{run:#?}");
    }
}
