//! Every kind of plugin and every optional interface, end to end: guests on the SDK, called through the host's adapters.

mod forges;
mod generators;
mod notifiers;
mod providers;
mod recordings;

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use windlass::domain::plugin::Ability;
use windlass::domain::rollout::StackFacts;
use windlass::domain::stack::RunSpec;
use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{Connection, Plugins, Secret, Settings, Target};
use windlass_tests::anvil::TOKEN;
use windlass_tests::components;
use windlass_tests::guests::trusted;

/// Plugins from bytes, by name.
async fn plugins(guests: &[(&str, &[u8])]) -> (TempDir, Plugins) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.builtin = false;
    for (name, bytes) in guests {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).expect("a file");
        settings.sources.push(trusted(name, path));
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

fn invalid(error: Error) -> (String, String) {
    match error {
        Error::Invalid { field, message } => (field, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn optional_interfaces_are_found_in_the_components_type() {
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL), ("mirror", components::MIRROR)]).await;
    let abilities =
        |name: &str| plugins.inspect(name).expect("it is listed").info.expect("it is loaded").abilities;
    assert_eq!(abilities("anvil"), [Ability::Webhooks, Ability::Artifacts]);
    assert_eq!(
        abilities("mirror"),
        [
            Ability::Repository,
            Ability::WebhookAdmin,
            Ability::CommitStatus,
            Ability::PullRequests,
            Ability::Deployments
        ]
    );
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
async fn a_strategys_own_words_come_before_those_of_its_schema() {
    let folder = TempDir::new().expect("a temporary folder");
    let plugins = Plugins::start(Settings::new(folder.path())).await.expect("the engine starts");
    let stack = StackFacts {
        name: "shop".into(),
        run: RunSpec::default(),
        health_timeout_ms: 60_000,
        rollback_on_failure: true,
        can_split: false,
        can_preview: false,
    };
    let problems = plugins.strategy_validate("standard", r#"{ "settle_ms": "long" }"#, &stack).await;
    let problems = problems.expect("an answer");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("whole number"), "{}", problems[0].message);
    let by_schema =
        plugins.settings_problems("standard", &json!({ "settle_ms": "long" })).expect("it is loaded");
    assert_eq!((by_schema[0].path.as_str(), problems[0].path.as_str()), ("/settle_ms", "/settle_ms"));
}
