//! What was released stays: the contract's types, and the components that were built against them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use windlass::domain::plugin::{Ability, PluginKind, PluginStatus};
use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{Connection, PluginSource, Plugins, Settings, Source, Target};
use windlass_tests::calls::every_call;
use windlass_tests::frozen::{Contract, texts};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a workspace").to_owned()
}

/// The folders below one, each named after a version.
fn versions(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).expect("the releases can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.is_dir()).collect()
}

#[test]
fn nothing_that_was_released_has_changed() {
    let now = Contract::read(&texts(&root().join("wit")));
    let releases = versions("wit/released");
    assert!(!releases.is_empty(), "there is a release");
    for release in releases {
        let broken = now.broken(&Contract::read(&texts(&release)));
        assert!(
            broken.is_empty(),
            "components built against {} would stop working:\n- {}\ndocs/plugins.md says how the contract may grow",
            release.display(),
            broken.join("\n- ")
        );
    }
}

/// What is said when this text of the contract is replaced by that one.
fn said(from: &str, to: &str) -> Vec<String> {
    let before = texts(&root().join("wit"));
    let changed: BTreeMap<String, String> =
        before.iter().map(|(name, text)| (name.clone(), text.replacen(from, to, 1))).collect();
    assert_ne!(before, changed, "`{from}` occurs");
    Contract::read(&changed).broken(&Contract::read(&before))
}

#[test]
fn every_change_of_something_published_is_found_and_named() {
    for (from, to, message) in [
        ("progress: u8,", "progress: u16,", "strategy.step has `progress` as `u16`, which was `u8`"),
        ("    progress: u8,\n", "", "strategy.step has lost `progress`"),
        ("    progress: u8,\n", "    progress: u8,\n    mood: u8,\n", "strategy.step has got `mood`"),
        ("    permanent,\n", "    permanent,\n    hopeless,\n", "types.disposition has got `hopeless`"),
        (
            "    requests: u64,\n    errors-5xx: u64,\n",
            "    errors-5xx: u64,\n    requests: u64,\n",
            "strategy.sample has its parts in another order",
        ),
        ("record problem {", "record finding {\n    a: u8,\n  }\n\n  record problem {", ""),
        (
            "enum level { trace, debug,",
            "enum level { debug, trace,",
            "log.level has its parts in another order",
        ),
        (
            "validate: func(config: build-config)",
            "check: func(config: build-config)",
            "planner.validate is gone",
        ),
        (
            "plan: func(context: context)",
            "plan-more: func(context: context) -> bool;\n  plan: func(context: context)",
            "planner has the new function plan-more",
        ),
        ("  emit: func(", "  flush: func();\n  emit: func(", ""),
        (
            "describe: func() -> manifest;",
            "describe: func() -> result<manifest>;",
            "manifest.describe has `the result` as",
        ),
        ("  import windlass:host/log@0.1.0;\n", "", "no longer imports windlass:host/log"),
        ("  export planner;\n", "  export planner;\n  import windlass:host/log@0.1.0;\n", ""),
        (
            "  export planner;\n",
            "  export planner;\n  export planner-too: func();\n",
            "now wants the export planner-too",
        ),
        ("package windlass:build-planner@0.1.0;", "package windlass:build-planner@0.1.3;", ""),
    ] {
        let found = said(from, to).join("\n");
        let fits = if message.is_empty() { found.is_empty() } else { found.contains(message) };
        assert!(fits, "{to}: {found}");
    }
}

#[test]
fn a_package_that_leaves_its_line_may_break() {
    let before = texts(&root().join("wit"));
    let mut changed = before.clone();
    let text = changed.get_mut("build-planner.wit").expect("the planner's contract");
    *text = text.replace("build-planner@0.1.0", "build-planner@0.2.0").replace("tag(image-tag),", "");
    let found = Contract::read(&changed).broken(&Contract::read(&before));
    assert_eq!(found, Vec::<String>::new());
    changed.remove("build-planner.wit");
    let found = Contract::read(&changed).broken(&Contract::read(&before));
    assert_eq!(found, ["the package windlass:build-planner is gone"]);
}

async fn start(folder: &Path, sources: &[PluginSource]) -> Plugins {
    let mut settings = Settings::new(folder);
    settings.builtin = false;
    settings.sources = sources.to_vec();
    Plugins::start(settings).await.expect("the engine starts")
}

/// Every component of the corpus, by the version of the SDK it was built with.
async fn corpus() -> (TempDir, Vec<(String, Plugins, PluginStatus)>) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut loaded = Vec::new();
    for release in versions("tests/corpus") {
        let version = release.file_name().expect("a version").to_string_lossy().into_owned();
        let mut sources = Vec::new();
        for entry in std::fs::read_dir(&release).expect("a release can be read") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "wasm") {
                let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                sources.push(PluginSource::new(name, Source::Path(path)));
            }
        }
        // They are granted whatever they ask for, which is known once they were read.
        let asking = start(&folder.path().join("asking"), &sources).await;
        for source in &mut sources {
            source.grant = asking.inspect(&source.name).expect("it is listed").admission.missing;
        }
        let plugins = start(&folder.path().join(&version), &sources).await;
        for status in plugins.list() {
            loaded.push((version.clone(), plugins.clone(), status));
        }
    }
    (folder, loaded)
}

#[tokio::test]
async fn every_component_built_with_a_released_sdk_still_loads_and_answers() {
    let (_folder, corpus) = corpus().await;
    let (mut kinds, mut abilities) = (BTreeSet::new(), BTreeSet::new());
    for (version, plugins, status) in corpus {
        let name = status.name.as_str();
        let info = status.info.clone().unwrap_or_else(|| {
            panic!("{name}, built with SDK {version}, no longer loads: {}", status.error.unwrap_or_default())
        });
        for kind in info.kinds {
            kinds.insert(kind);
            for said in every_call(&plugins, name, kind, &nobody()).await {
                // Nobody answers it, and what it does not export it cannot be asked; saying so is an answer.
                let fits = match &said.error {
                    // What it wants sent needs a secret that it was not given.
                    None | Some(Error::Forbidden(_)) => true,
                    Some(Error::Plugin(error)) => {
                        matches!(error.kind, PluginErrorKind::Failure { .. } | PluginErrorKind::Missing(_))
                    }
                    Some(_) => false,
                };
                assert!(fits, "{name}, built with SDK {version}, no longer answers: {}", said.text);
            }
        }
        abilities.extend(info.abilities);
    }
    assert_eq!(kinds, BTreeSet::from(PluginKind::ALL), "there is a component of each kind");
    assert_eq!(abilities, BTreeSet::from(Ability::ALL), "and one with each optional interface");
}

/// A connection to where nobody listens, on which nothing is granted.
fn nobody() -> Target {
    let connection = Connection::new("corpus", "http://127.0.0.1:1").expect("this is a base URL");
    Target { connection: Arc::new(connection.grant(&[])), settings: json!({}) }
}
