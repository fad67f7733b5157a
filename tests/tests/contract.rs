//! Every kind of plugin and every optional interface, end to end: guests on the SDK, called through the host's adapters.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use windlass::domain::ci::{CiEvent, CiJobSpec, CiStatus, CiTrigger};
use windlass::domain::forge::{CommitState, CommitStatus, PullRequestState};
use windlass::domain::notification::{Notification, Severity};
use windlass::domain::pipeline::{
    Environment, Parameter, PipelineHost, PipelineModel, PipelineRepository, Script,
};
use windlass::domain::plugin::{Ability, PluginKind};
use windlass::domain::rollout::StackFacts;
use windlass::domain::stack::RunSpec;
use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{Connection, PluginSource, Plugins, Secret, Settings, Source, Target, signature};
use windlass_tests::anvil::{ARTIFACT, Anvil, LOG, TOKEN};
use windlass_tests::components;
use windlass_tests::peer::{Peer, text};

/// Plugins from bytes, by name.
async fn plugins(guests: &[(&str, &[u8])]) -> (TempDir, Plugins) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.builtin = false;
    for (name, bytes) in guests {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).expect("a file");
        let source = Source::Path(Path::new(&path).to_owned());
        settings.sources.push(PluginSource { name: (*name).into(), source, sha256: None });
    }
    let plugins = Plugins::start(settings).await.expect("the engine starts");
    for status in plugins.list() {
        assert_eq!(status.error, None, "{} is loaded", status.name);
    }
    (folder, plugins)
}

/// A connection with a token, and settings.
fn target(base_url: &str, settings: Value) -> Target {
    let connection = Connection::new("test", base_url).expect("a base URL");
    let connection = connection.secret("token", Secret::new(TOKEN)).expect("a good secret");
    Target { connection: Arc::new(connection), settings }
}

/// The code of a plugin's failure.
fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result.expect_err("it fails") {
        Error::Plugin(error) => match error.kind {
            PluginErrorKind::Failure { code, .. } => code,
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

fn model() -> PipelineModel {
    let host = |name: &str, address: &str, environment: &str| PipelineHost {
        name: name.into(),
        address: address.into(),
        environment: environment.into(),
    };
    let environment =
        |name: &str| Environment { name: name.into(), variables: Vec::new(), approval: name == "prod" };
    PipelineModel {
        name: "shop".into(),
        repository: PipelineRepository {
            url: "https://forge.example/shop.git".into(),
            branch: "main".into(),
        },
        environments: vec![environment("test"), environment("prod")],
        hosts: vec![
            host("t", "10.0.0.1", "test"),
            host("a", "10.0.1.1", "prod"),
            host("b", "10.0.1.2", "prod"),
        ],
        scripts: vec![Script {
            path: "deploy.sh".into(),
            parameters: vec![Parameter { name: "TITLE".into(), value: "it's; rm -rf /".into() }],
        }],
        ..PipelineModel::default()
    }
}

fn invalid(error: Error) -> (String, String) {
    match error {
        Error::Invalid { field, message } => (field, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_component_may_be_of_two_kinds() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let info = plugins.inspect("lines").expect("it is listed").info.expect("it is loaded");
    assert_eq!(info.kinds, [PluginKind::PipelineGenerator, PluginKind::Notifier]);
    assert_eq!(info.manifest.kinds, ["pipeline-generator", "notifier"]);
    assert_eq!(info.abilities, []);
}

#[tokio::test]
async fn a_generator_makes_files_of_a_model() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let settings = json!({ "shell": "bash" });
    assert_eq!(plugins.generator_validate("lines", &model(), &settings).await.expect("an answer"), []);
    let files = plugins.generator_generate("lines", &model(), &settings).await.expect("files");
    let paths: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.executable)).collect();
    assert_eq!(paths, [("pipeline.sh", true), ("pipeline.txt", false)]);
    let lines: Vec<&str> = files[0].content.lines().collect();
    assert_eq!(
        lines,
        [
            "#!/usr/bin/env bash",
            "# test",
            r"on 10.0.0.1 ./deploy.sh 'it'\''s; rm -rf /'",
            "# prod",
            r"on 10.0.1.1 ./deploy.sh 'it'\''s; rm -rf /'",
            r"on 10.0.1.2 ./deploy.sh 'it'\''s; rm -rf /'",
        ]
    );
}

#[tokio::test]
async fn a_model_is_checked_by_the_host_the_schema_and_the_plugin_in_this_order() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let problems = async |model: &PipelineModel, settings: Value| {
        let problems = plugins.generator_validate("lines", model, &settings).await.expect("an answer");
        problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
    };
    let no_scripts = PipelineModel { scripts: Vec::new(), ..model() };
    assert_eq!(problems(&no_scripts, json!({})).await, ["/scripts"]);
    assert_eq!(problems(&no_scripts, json!({ "shell": "fish" })).await, ["/settings/shell"]);
    let mut strange = no_scripts.clone();
    strange.hosts[0].environment = "moon".into();
    assert_eq!(problems(&strange, json!({ "shell": "fish" })).await, ["/hosts/0/environment"]);

    let error = plugins.generator_generate("lines", &no_scripts, &json!({})).await.expect_err("no scripts");
    match error {
        Error::Plugin(error) => assert!(
            matches!(&error.kind, PluginErrorKind::Failure { code, .. } if code == "invalid-model"),
            "{error}"
        ),
        other => panic!("{other:?}"),
    }
    let error = plugins.generator_generate("lines", &model(), &json!({ "shell": "fish" })).await;
    let (field, message) = invalid(error.expect_err("the schema forbids it"));
    assert_eq!(field, "settings/shell");
    assert!(message.contains("`lines`") && message.contains("fish"), "{message}");
}

fn event(kind: &str) -> Notification {
    Notification {
        id: "e1".into(),
        kind: kind.into(),
        at: 1_700_000_000_000,
        severity: Severity::Success,
        title: "shop is out".into(),
        text: String::new(),
        stack: Some("shop".into()),
        url: None,
        data: json!({}),
    }
}

#[tokio::test]
async fn a_notifier_says_what_to_send_and_may_have_nothing_to_say() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let target = target("https://board.example/x/", json!({}));
    let requests = plugins.notifier_render("lines", &target, &event("deployment.successful")).await;
    let requests = requests.expect("requests");
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/lines"));
    assert_eq!(requests[0].credential.as_deref(), Some("secret"));
    assert_eq!(requests[0].body, b"https://board.example/x deployment.successful shop is out\n");
    let none = plugins.notifier_render("lines", &target, &event("deployment.progressed")).await;
    assert_eq!(none.expect("an answer"), []);
}

#[tokio::test]
async fn settings_that_the_schema_forbids_never_reach_the_plugin() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let target = target("https://board.example", json!({ "shell": 7 }));
    let error =
        plugins.notifier_render("lines", &target, &event("x")).await.expect_err("the schema forbids it");
    assert_eq!(invalid(error).0, "settings/shell");
    let problems = plugins.settings_problems("lines", &json!({ "shell": 7 })).expect("it is loaded");
    assert_eq!(problems[0].path, "/shell");
    assert!(matches!(plugins.settings_problems("nobody", &json!({})), Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn optional_interfaces_are_found_in_the_components_type() {
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL), ("mirror", components::MIRROR)]).await;
    let abilities =
        |name: &str| plugins.inspect(name).expect("it is listed").info.expect("it is loaded").abilities;
    assert_eq!(abilities("anvil"), [Ability::Webhooks, Ability::Artifacts]);
    assert_eq!(
        abilities("mirror"),
        [Ability::Repository, Ability::WebhookAdmin, Ability::CommitStatus, Ability::PullRequests]
    );
}

fn spec() -> CiJobSpec {
    CiJobSpec {
        name: "sword".into(),
        description: String::new(),
        folder: None,
        repository_url: "https://forge.example/sword.git".into(),
        branch: "main".into(),
        pipeline: vec![("anvil.txt".into(), "strike twice".into())],
        parameters: Vec::new(),
    }
}

fn trigger(key: &str) -> CiTrigger {
    CiTrigger {
        ref_name: Some("main".into()),
        parameters: vec![("EDGE".into(), "sharp".into())],
        idempotency_key: key.into(),
    }
}

#[tokio::test]
async fn a_provider_makes_a_job_runs_it_and_says_how_it_ended() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let target = target(&anvil.url, json!({ "folder": "blades/long" }));
    let account = plugins.provider_test("anvil", &target).await.expect("it answers");
    assert_eq!((account.name.as_str(), account.server_version.as_str()), ("smith", "3.1"));

    let job = plugins.provider_create_job("anvil", &target, &spec()).await.expect("a job");
    assert_eq!((job.id.as_str(), job.url.as_deref()), ("sword", Some("https://anvil.example/sword")));
    let build = plugins.provider_trigger("anvil", &target, "sword", &trigger("k-1")).await.expect("a build");
    assert_eq!((build.id.as_str(), build.status), ("1", CiStatus::Pending));
    let again = plugins.provider_trigger("anvil", &target, "sword", &trigger("k-1")).await.expect("a build");
    assert_eq!(again.id, build.id, "the same key starts no second build");

    for (word, status) in
        [("forging", CiStatus::Running), ("hot", CiStatus::Unknown), ("good", CiStatus::Success)]
    {
        anvil.finish_build(word);
        let build = plugins.provider_build_status("anvil", &target, "sword", "1").await.expect("a build");
        assert_eq!(build.status, status);
        assert_eq!(build.status_word.as_deref(), (status == CiStatus::Unknown).then_some("hot"));
        assert_eq!((build.started_at, build.poll_after_secs), (Some(1_700_000_000_000), Some(2)));
    }
    let job = plugins.provider_job_status("anvil", &target, "sword").await.expect("a job");
    assert_eq!(job.last_build.map(|build| build.status), Some(CiStatus::Success));

    plugins.provider_trigger("anvil", &target, "sword", &trigger("k-2")).await.expect("a build");
    plugins.provider_cancel("anvil", &target, "sword", "2").await.expect("it is cancelled");
    let build = plugins.provider_build_status("anvil", &target, "sword", "2").await.expect("a build");
    assert_eq!(build.status, CiStatus::Cancelled);

    plugins.provider_delete_job("anvil", &target, "sword").await.expect("it is deleted");
    plugins.provider_delete_job("anvil", &target, "sword").await.expect("and is so a second time");
    assert_eq!(code(plugins.provider_job_status("anvil", &target, "sword").await), "no-such-job");
    let put = anvil.seen().into_iter().find(|seen| seen.method == "PUT").expect("the job was made");
    assert!(put.body.contains("strike twice") && put.body.contains("blades/long"), "{}", put.body);
}

#[tokio::test]
async fn a_log_and_an_artifact_are_read_piece_by_piece() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let target = target(&anvil.url, json!({}));
    let (mut log, mut cursor, mut pieces) = (String::new(), None, 0);
    loop {
        let chunk = plugins.provider_build_logs("anvil", &target, "sword", "1", cursor.as_deref()).await;
        let chunk = chunk.expect("a piece");
        log.push_str(&chunk.text);
        cursor = Some(chunk.cursor);
        pieces += 1;
        assert!(pieces < 10, "it ends");
        if chunk.complete {
            break;
        }
    }
    assert_eq!((log.as_str(), pieces), (LOG, LOG.len().div_ceil(16)));

    let artifacts = plugins.provider_artifacts("anvil", &target, "sword", "1").await.expect("artifacts");
    assert_eq!((artifacts[0].id.as_str(), artifacts[0].size_bytes), ("a1", Some(ARTIFACT.len() as u64)));
    let of = ("sword", "1", "a1");
    let first = plugins.provider_artifact("anvil", &target, of, None).await.expect("a piece");
    let last =
        plugins.provider_artifact("anvil", &target, of, first.cursor.as_deref()).await.expect("a piece");
    assert_eq!([first.bytes, last.bytes].concat(), ARTIFACT);
    assert_eq!(last.cursor, None);
}

#[tokio::test]
async fn a_wrong_token_is_a_failure_of_its_own_and_is_not_in_the_error() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let connection = Connection::new("test", &anvil.url).expect("a base URL");
    let connection = connection.secret("token", Secret::new("wrong-token-0815")).expect("a secret");
    let target = Target { connection: Arc::new(connection), settings: json!({}) };
    let error = plugins.provider_test("anvil", &target).await.expect_err("nobody knows it");
    assert!(error.to_string().contains("status-401") && !error.to_string().contains("0815"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_providers_webhook_is_verified_by_the_host_and_read_by_the_plugin() {
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let contract = plugins.provider_webhook_contract("anvil").expect("it declares one");
    assert!(plugins.webhook_contract("anvil").is_err(), "it is no forge");
    let body = br#"{ "job": "sword", "build": { "id": "7", "state": "cracked" } }"#;
    let mut headers: Vec<(String, String)> = [("webhook-id", "m1"), ("X-Anvil-Event", "build")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    // Anyone can post; without a signature nothing is believed.
    assert!(signature::verify(&contract, &headers, body, &[b"whsec_c2VjcmV0"], 0).is_err());
    headers.push(("webhook-signature".into(), "v1,AAAA".into()));
    assert!(signature::verify(&contract, &headers, body, &[b"whsec_c2VjcmV0"], 0).is_err());

    let event = plugins.provider_parse("anvil", headers, Bytes::from_static(body)).await.expect("an event");
    let CiEvent::Builds(builds) = event else { panic!("{event:?}") };
    assert_eq!((builds[0].0.as_str(), builds[0].1.status), ("sword", CiStatus::Failure));
    let ping = vec![("x-anvil-event".to_owned(), "ping".to_owned())];
    assert_eq!(
        plugins.provider_parse("anvil", ping.clone(), Bytes::new()).await.expect("an event"),
        CiEvent::Ping
    );
    let broken = vec![("x-anvil-event".to_owned(), "build".to_owned())];
    assert_eq!(code(plugins.provider_parse("anvil", broken, Bytes::new()).await), "malformed-payload");
}

#[tokio::test]
async fn a_forge_tells_about_repositories_and_odd_answers_are_nonsense() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("mirror", components::MIRROR)]).await;
    let target = target(&anvil.url, json!({}));
    let branch = async |name: &str| plugins.forge_default_branch("mirror", &target, name).await;
    assert_eq!(branch("smith/blade").await.expect("a branch"), "trunk");
    assert_eq!(code(branch("smith/empty").await), "empty-repository");
    assert_eq!(code(branch("smith/none").await), "no-such-repository");
    let odd = code(branch("smith/odd").await);
    assert!(odd.contains("--upload-pack") && odd.contains("no sense"), "{odd}");

    let details = plugins.forge_repository("mirror", &target, "smith/blade").await.expect("details");
    assert_eq!(details.default_branch.as_deref(), Some("trunk"));
    assert_eq!(details.web_url, None, "a link to a script is no link");
    let empty = plugins.forge_repository("mirror", &target, "smith/empty").await.expect("details");
    assert_eq!(empty.default_branch, None);
}

#[tokio::test]
async fn a_webhook_is_registered_with_a_secret_that_the_plugin_never_has() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("mirror", components::MIRROR)]).await;
    let target = target(&anvil.url, json!({}));
    let register = async |secret: &str| {
        let hook = ("smith/blade", "https://windlass.example/hook");
        plugins.forge_register_hook("mirror", &target, hook, &Secret::new(secret)).await
    };
    let secret = "5ecret-of-the-webhook";
    let hook = register(secret).await.expect("it is registered");
    assert_eq!(hook, "h1");
    assert_eq!(anvil.hooks()[0], json!({ "url": "https://windlass.example/hook", "secret": secret }));
    plugins.forge_unregister_hook("mirror", &target, "smith/blade", &hook).await.expect("it is gone");
    plugins.forge_unregister_hook("mirror", &target, "smith/blade", &hook).await.expect("it still is");
    assert!(anvil.hooks().is_empty());
    for odd in ["with \"quotes\" in it", "short"] {
        assert_eq!(invalid(register(odd).await.expect_err("it is odd")).0, "secret");
    }
}

#[tokio::test]
async fn commit_statuses_and_pull_requests_go_both_ways() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("mirror", components::MIRROR)]).await;
    let target = target(&anvil.url, json!({}));
    let status = CommitStatus {
        repository: "smith/blade".into(),
        commit: "0".repeat(40),
        state: CommitState::Success,
        context: "windlass/shop".into(),
        description: "Deployed".into(),
        url: None,
    };
    plugins.forge_set_status("mirror", &target, &status).await.expect("it is set");
    let seen = anvil.seen().pop().expect("a request");
    assert!(seen.path.ends_with("/commits/0000000000000000000000000000000000000000/status"), "{}", seen.path);
    assert!(seen.body.contains("good") && seen.body.contains("windlass/shop"), "{}", seen.body);

    let page =
        plugins.forge_open_pull_requests("mirror", &target, "smith/blade", None).await.expect("a page");
    assert_eq!((page.items.len(), page.cursor.as_deref()), (2, Some("2")));
    let last = plugins.forge_open_pull_requests("mirror", &target, "smith/blade", Some("2")).await;
    assert_eq!(last.expect("a page").cursor, None);
    let pull = plugins.forge_pull_request("mirror", &target, "smith/blade", 1).await.expect("one");
    assert_eq!((pull.state, pull.head_branch.as_str()), (PullRequestState::Merged, "sharper"));
    let missing = plugins.forge_pull_request("mirror", &target, "smith/blade", 99).await;
    assert_eq!(code(missing), "no-such-pull-request");
    plugins
        .forge_set_comment("mirror", &target, ("smith/blade", 1), "preview", "It is **out**.")
        .await
        .expect("it is left");
    let seen = anvil.seen().pop().expect("a request");
    assert!(seen.path.ends_with("/pulls/1/comments/preview") && seen.body.contains("**out**"), "{seen:?}");
}

#[tokio::test]
async fn what_a_plugin_does_not_export_is_missing_and_named() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES), ("anvil", components::ANVIL)]).await;
    let target = target("https://forge.example", json!({}));
    let result = plugins.provider_artifacts("lines", &target, "a", "1").await;
    assert!(code(result).contains("no ci-provider"));
    let result = plugins.forge_default_branch("anvil", &target, "a/b").await;
    assert!(code(result).contains("no git-forge"));
}

#[tokio::test]
async fn a_notification_arrives_once_signed_and_the_receiver_can_tell() {
    let statuses = [204, 503, 410];
    let count = Arc::new(AtomicUsize::new(0));
    let peer = Peer::start(move |_| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        text(statuses[n.min(2)], "")
    })
    .await;
    let folder = TempDir::new().expect("a temporary folder");
    let plugins = Plugins::start(Settings::new(folder.path())).await.expect("the engine starts");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let connection = Connection::new("board", &format!("{}/hooks/7", peer.url())).expect("a base URL");
    let connection = connection.secret("signing", Secret::new(secret)).expect("a secret");
    let target = Target { connection: Arc::new(connection), settings: json!({ "events": ["deployment.*"] }) };
    let event = event("deployment.successful");
    let requests = plugins.notifier_render("webhook-notify", &target, &event).await.expect("requests");
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    let send = async || plugins.notifier_send("webhook-notify", &target, request, &event.id).await;
    assert_eq!(send().await.expect("it is taken"), 204);
    assert!(send().await.expect_err("not now").is_transient());
    assert!(!send().await.expect_err("never again").is_transient());

    let seen = &peer.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/hooks/7"));
    assert_eq!((seen.header("webhook-id"), seen.header("idempotency-key")), (Some("e1"), Some("e1")));
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!((&body["type"], &body["title"]), (&json!("deployment.successful"), &json!("shop is out")));
    // The receiver knows the same scheme: it is the one that a provider of the tests declares.
    let (_folder, others) = self::plugins(&[("anvil", components::ANVIL)]).await;
    let contract = others.provider_webhook_contract("anvil").expect("it declares one");
    let headers: Vec<(String, String)> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .iter()
        .map(|name| ((*name).to_owned(), seen.header(name).unwrap_or_default().to_owned()))
        .collect();
    let sent: i64 = headers[1].1.parse().expect("a time");
    assert_eq!(signature::verify(&contract, &headers, &seen.body, &[secret.as_bytes()], sent * 1000), Ok(()));
    let other = signature::verify(&contract, &headers, &seen.body, &[b"whsec_b3RoZXI="], sent * 1000);
    assert!(other.is_err(), "{other:?}");
}

#[tokio::test]
async fn a_notification_that_may_not_be_sent_is_refused_with_the_reason() {
    let folder = TempDir::new().expect("a temporary folder");
    let plugins = Plugins::start(Settings::new(folder.path())).await.expect("the engine starts");
    let target = target("https://board.example", json!({}));
    let event = event("deployment.successful");
    let requests = plugins.notifier_render("webhook-notify", &target, &event).await.expect("requests");
    let error =
        plugins.notifier_send("webhook-notify", &target, &requests[0], "e1").await.expect_err("no secret");
    assert!(matches!(&error, Error::Forbidden(said) if said.contains("`signing`")), "{error:?}");
}

#[tokio::test]
async fn a_strategys_own_words_come_before_those_of_its_schema() {
    let folder = TempDir::new().expect("a temporary folder");
    let plugins = Plugins::start(Settings::new(folder.path())).await.expect("the engine starts");
    let stack = StackFacts {
        name: "shop".into(),
        run: RunSpec::default(),
        health_timeout_ms: 60_000,
        rollback_on_failure: true,
    };
    let problems = plugins.strategy_validate("standard", r#"{ "settle_ms": "long" }"#, &stack).await;
    let problems = problems.expect("an answer");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("whole number"), "{}", problems[0].message);
    let by_schema =
        plugins.settings_problems("standard", &json!({ "settle_ms": "long" })).expect("it is loaded");
    assert_eq!((by_schema[0].path.as_str(), problems[0].path.as_str()), ("/settle_ms", "/settle_ms"));
}

#[tokio::test]
async fn a_log_that_does_not_move_on_and_files_out_of_place_are_nonsense() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL), ("lines", components::LINES)]).await;
    let target = target(&anvil.url, json!({}));
    let first = plugins.provider_build_logs("anvil", &target, "stuck", "1", None).await.expect("a piece");
    let second = plugins.provider_build_logs("anvil", &target, "stuck", "1", Some(&first.cursor)).await;
    assert!(code(second).contains("does not move on"));

    for (path, message) in
        [("../evil", "`../evil`"), ("/etc/cron.d/x", "relative path"), ("./pipeline.txt", "twice")]
    {
        let model = PipelineModel { template: Some(path.into()), ..model() };
        let said = code(plugins.generator_generate("lines", &model, &json!({})).await);
        assert!(said.contains("makes no sense") && said.contains(message), "{said}");
    }
}
