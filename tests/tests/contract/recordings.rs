//! The flight recorder on calls that talk to another side: all of them are recorded, and replay without it.

use bytes::Bytes;
use serde_json::{Value, json};
use windlass::domain::cassette::{CassetteCall, Exchange, Fault};
use windlass::domain::ci::{CiJobSpec, CiTrigger};
use windlass::domain::forge::{CommitState, CommitStatus};
use windlass::domain::notification::{Notification, Severity};
use windlass::domain::pipeline::{PipelineModel, PipelineRepository};
use windlass::domain::recording::{Outcome, Recording};
use windlass::plugins::{Plugins, Recordings, Secret, Target};
use windlass_tests::anvil::{Anvil, TOKEN};
use windlass_tests::{components, sample};

use super::{plugins, target};

const HOOK: &str = "5ecret-of-the-webhook";

fn cassette(recording: &Recording) -> CassetteCall {
    let json = |text: &str| serde_json::from_str(text).expect("it is JSON");
    CassetteCall {
        plugin: recording.plugin.clone(),
        digest: recording.digest.clone(),
        interface: recording.interface.clone(),
        function: recording.function.clone(),
        input: serde_json::from_str(&recording.input).expect("a list"),
        exchange: serde_json::from_str(&recording.exchange).expect("a list"),
        outcome: recording.outcome,
        error: recording.error.clone(),
        output: recording.output.as_deref().map(json),
    }
}

/// Every function of a CI/CD provider, once.
async fn call_provider(plugins: &Plugins, target: &Target) {
    let spec = CiJobSpec {
        name: "sword".into(),
        description: String::new(),
        folder: None,
        repository_url: "https://forge.example/sword.git".into(),
        branch: "main".into(),
        pipeline: vec![("anvil.txt".into(), "strike twice".into())],
        parameters: Vec::new(),
    };
    let trigger = CiTrigger { ref_name: None, parameters: Vec::new(), idempotency_key: "k-1".into() };
    let ping = vec![("x-anvil-event".to_owned(), "ping".to_owned())];
    plugins.provider_test("anvil", target).await.expect("an account");
    plugins.provider_create_job("anvil", target, &spec).await.expect("a job");
    plugins.provider_trigger("anvil", target, "sword", &trigger).await.expect("a build");
    plugins.provider_job_status("anvil", target, "sword").await.expect("a job");
    plugins.provider_build_status("anvil", target, "sword", "1").await.expect("a build");
    plugins.provider_build_logs("anvil", target, "sword", "1", Some("16")).await.expect("a piece");
    plugins.provider_cancel("anvil", target, "sword", "1").await.expect("it is cancelled");
    plugins.provider_artifacts("anvil", target, "sword", "1").await.expect("artifacts");
    plugins.provider_artifact("anvil", target, ("sword", "1", "a1"), None).await.expect("a piece");
    plugins.provider_delete_job("anvil", target, "sword").await.expect("it is deleted");
    plugins.provider_job_status("anvil", target, "sword").await.expect_err("it is gone");
    plugins.provider_parse("anvil", ping, Bytes::new()).await.expect("an event");
}

/// Every function of a forge's optional interfaces, once.
async fn call_forge(plugins: &Plugins, target: &Target) {
    let status = CommitStatus {
        repository: "smith/blade".into(),
        commit: "0".repeat(40),
        state: CommitState::Success,
        context: "windlass".into(),
        description: "Deployed".into(),
        url: None,
    };
    let of = "smith/blade";
    let hook = (of, "https://windlass.example/hook");
    plugins.forge_default_branch("mirror", target, of).await.expect("a branch");
    plugins.forge_repository("mirror", target, of).await.expect("details");
    plugins.forge_register_hook("mirror", target, hook, &Secret::new(HOOK)).await.expect("a hook");
    plugins.forge_unregister_hook("mirror", target, of, "h1").await.expect("it is gone");
    plugins.forge_set_status("mirror", target, &status).await.expect("it is set");
    let placement = sample::placement(of, &"0".repeat(40));
    plugins.forge_set_deployment("mirror", target, &placement).await.expect("it is told");
    plugins.forge_open_pull_requests("mirror", target, of, Some("2")).await.expect("a page");
    plugins.forge_pull_request("mirror", target, of, 1).await.expect("one");
    plugins.forge_set_comment("mirror", target, (of, 1), "k", "It is **out**.").await.expect("it is left");
}

async fn call_generator_and_notifier(plugins: &Plugins, target: &Target) {
    let repository =
        PipelineRepository { url: "https://forge.example/shop.git".into(), branch: "main".into() };
    let model = PipelineModel { name: "shop".into(), repository, ..PipelineModel::default() };
    let event = Notification {
        id: "e1".into(),
        kind: "deployment.successful".into(),
        at: 1_700_000_000_000,
        severity: Severity::Success,
        title: "shop is out".into(),
        text: String::new(),
        stack: None,
        url: None,
        data: json!({}),
    };
    plugins.generator_validate("lines", &model, &json!({})).await.expect("an answer");
    plugins.generator_generate("lines", &model, &json!({})).await.expect_err("there are no scripts");
    plugins.notifier_render("lines", target, &event).await.expect("requests");
}

fn taken(recordings: &mut Recordings) -> Vec<Recording> {
    std::iter::from_fn(|| recordings.try_next()).collect()
}

#[tokio::test]
async fn calls_of_every_kind_are_recorded_and_replay_without_the_other_side() {
    let guests = [("anvil", components::ANVIL), ("mirror", components::MIRROR), ("lines", components::LINES)];
    let (_folder, plugins) = plugins(&guests).await;
    let mut recordings = plugins.recordings().expect("nobody else asked");
    let anvil = Anvil::start().await;
    call_provider(&plugins, &target(&anvil.url, json!({ "folder": "blades" }))).await;
    call_forge(&plugins, &target(&anvil.url, json!({}))).await;
    call_generator_and_notifier(&plugins, &target("https://board.example", json!({}))).await;
    let sent = anvil.seen().len();
    drop(anvil);

    let calls = taken(&mut recordings);
    assert_eq!(calls.len(), 24, "each call is one recording");
    let requests = calls.iter().flat_map(|call| cassette(call).exchange);
    assert_eq!(requests.filter(|exchange| exchange.import.ends_with("#send")).count(), sent);
    for call in &calls {
        for secret in [TOKEN, HOOK] {
            let kept = format!("{}{}{:?}", call.input, call.exchange, call.output);
            assert!(!call.cut && !kept.contains(secret), "{kept}");
        }
        let replay = plugins.replay(cassette(call), None).await.expect("it can be replayed");
        assert!(replay.identical, "{}: {:?}", call.function, replay.differences);
        assert_eq!(replay.outcome, call.outcome);
    }
    let failed: Vec<&str> = calls
        .iter()
        .filter(|call| call.outcome == Outcome::Failure)
        .map(|call| call.function.as_str())
        .collect();
    assert_eq!(failed, ["get-job-status", "generate"]);
    assert!(taken(&mut recordings).is_empty(), "a replay is not recorded");
}

/// The recording of one `get-job-status`, and the plugins that made it.
async fn one_status(job: &str) -> (tempfile::TempDir, Plugins, CassetteCall) {
    let anvil = Anvil::start().await;
    let (folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let mut recordings = plugins.recordings().expect("nobody else asked");
    let _ = plugins.provider_job_status("anvil", &target(&anvil.url, json!({})), job).await;
    let call = cassette(&taken(&mut recordings)[0]);
    (folder, plugins, call)
}

fn request(call: &mut CassetteCall) -> &mut Exchange {
    call.exchange.iter_mut().find(|exchange| exchange.import.ends_with("#send")).expect("a request")
}

#[tokio::test]
async fn a_replay_notices_another_request_and_another_answer() {
    let (_folder, plugins, call) = one_status("sword").await;
    let mut other = call.clone();
    request(&mut other).args[0]["path"] = json!("/jobs/shield");
    let replay = plugins.replay(other, None).await.expect("it can be replayed");
    let said = replay.error.expect("it asked for something else");
    assert!(said.contains("args/0/path: recorded \"/jobs/shield\", now \"/jobs/sword\""), "{said}");

    let mut changed = call.clone();
    request(&mut changed).result.as_mut().expect("an answer")["ok"]["status"] = json!(500);
    let replay = plugins.replay(changed, None).await.expect("it can be replayed");
    assert!(!replay.identical);
    assert!(replay.differences.iter().any(|line| line.starts_with("output/err/code")), "{replay:?}");
}

#[tokio::test]
async fn a_fault_put_into_a_recorded_answer_is_a_typed_failure() {
    let (_folder, plugins, call) = one_status("sword").await;
    let limited = call.with_fault(Fault::TooManyRequests, 0).expect("it has a response");
    let replay = plugins.replay(limited, None).await.expect("it can be replayed");
    let output: Value = serde_json::from_str(&replay.output.expect("an answer")).expect("it is JSON");
    assert_eq!(output["err"]["disposition"], json!({ "rate-limited": 7 }), "{output}");
    let silent = call.with_fault(Fault::Timeout, 0).expect("it has a response");
    let replay = plugins.replay(silent, None).await.expect("it can be replayed");
    assert_eq!(replay.outcome, Outcome::Failure, "{replay:?}");
}

#[tokio::test]
async fn a_call_that_ran_out_of_time_over_a_request_does_so_in_its_replay() {
    let (_folder, plugins, mut call) = one_status("sword").await;
    // As it is recorded when the call's time ends while the other side is silent.
    request(&mut call).result = None;
    (call.outcome, call.output) = (Outcome::Timeout, None);
    call.error = Some("it was stopped after 30000 ms".into());
    let replay = plugins.replay(call, None).await.expect("it can be replayed");
    assert!(replay.identical, "{replay:?}");
}
