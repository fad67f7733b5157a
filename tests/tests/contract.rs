//! Every kind of plugin and every optional interface, end to end: guests on the SDK, called through the host's adapters.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use windlass::domain::notification::{Notification, Severity};
use windlass::domain::pipeline::{
    Environment, Parameter, PipelineHost, PipelineModel, PipelineRepository, Script,
};
use windlass::domain::plugin::{Ability, PluginKind};
use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{PluginSource, Plugins, Settings, Source, Target};
use windlass_tests::components;

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
    let target = Target { base_url: "https://board.example/x/".into(), settings: json!({}) };
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
    let target = Target { base_url: "https://board.example".into(), settings: json!({ "shell": 7 }) };
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
