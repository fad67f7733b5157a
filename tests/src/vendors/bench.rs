//! The vendors' plugins in a host of their own, and what they are asked with.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use windlass::domain::ci::{CiJobSpec, CiTrigger};
use windlass::domain::recording::Recording;
use windlass::plugins::{Connection, PluginSource, Plugins, Recordings, Secret, Settings, Source, Target};

const VENDORS: [&str; 2] = ["github", "gitlab"];

pub struct Bench {
    pub plugins: Plugins,
    recordings: Recordings,
    _folder: TempDir,
}

impl Bench {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut settings = Settings::new(folder.path().join("plugins"));
        // Only these: compiling all that are built in would take a test many seconds.
        settings.builtin = false;
        settings.sources = VENDORS.map(|name| PluginSource::new(name, Source::Builtin)).to_vec();
        change(&mut settings);
        let plugins = Plugins::start(settings).await.expect("the engine starts");
        let recordings = plugins.recordings().expect("nobody else takes them");
        Self { plugins, recordings, _folder: folder }
    }

    /// With `UPDATE_CASSETTES` set, writes the first recorded call of each function to `plugins/<plugin>/fixtures/life.json`,
    /// which the plugin's own tests replay.
    pub fn update_cassette(&mut self, plugin: &str) {
        if std::env::var_os("UPDATE_CASSETTES").is_none() {
            return;
        }
        let mut calls: Vec<Value> = Vec::new();
        while let Some(recording) = self.recordings.try_next() {
            let is_new = calls.iter().all(|call| call["function"] != recording.function);
            if recording.error.is_none() && is_new {
                let read = |text: &str| serde_json::from_str::<Value>(text).expect("recordings are JSON");
                calls.push(json!({
                    "plugin": recording.plugin, "interface": recording.interface, "function": recording.function,
                    "input": read(&recording.input), "exchange": read(&recording.exchange), "outcome": "ok",
                    "output": recording.output.as_deref().map(read),
                }));
            }
        }
        let text = serde_json::to_string(&json!({ "windlass-cassette": 1, "calls": calls })).expect("JSON");
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        let path = root.join(format!("plugins/{plugin}/fixtures/life.json"));
        std::fs::write(&path, text + "\n").expect("the fixture can be written");
    }

    /// The newest recording; those before it are gone.
    pub fn last_recording(&mut self) -> Recording {
        let mut last = None;
        while let Some(recording) = self.recordings.try_next() {
            last = Some(recording);
        }
        last.expect("the call is recorded")
    }
}

/// A vendor's server at this URL, with the token in the slot `token`.
pub fn target(url: &str, token: &str) -> Target {
    target_with(url, token, json!({}))
}

pub fn target_with(url: &str, token: &str, settings: Value) -> Target {
    let connection = Connection::new("test", url).expect("a base URL");
    let connection = connection.secret("token", Secret::new(token)).expect("a secret");
    Target { connection: Arc::new(connection), settings }
}

/// A job of one file on the branch `main`.
pub fn spec(repository_url: &str, path: &str, content: &str) -> CiJobSpec {
    CiJobSpec {
        name: "Deploy shop".into(),
        description: String::new(),
        folder: None,
        repository_url: repository_url.into(),
        branch: "main".into(),
        pipeline: vec![(path.into(), content.into())],
        parameters: Vec::new(),
    }
}

pub fn trigger(key: &str, parameters: &[(&str, &str)]) -> CiTrigger {
    let parameters = parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    CiTrigger { ref_name: None, parameters, idempotency_key: key.into() }
}
