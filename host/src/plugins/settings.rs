//! Which plugins to load, from where, and what a call may use.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where compiled components and the cache's key are kept: `<data>/plugins`.
    pub folder: PathBuf,
    /// What the operator configured. A source of the same name as a built-in plugin replaces it.
    pub sources: Vec<PluginSource>,
    /// Whether the plugins inside the program are loaded.
    pub builtin: bool,
    pub limits: Limits,
    /// Whether calls are recorded.
    pub record: bool,
}

impl Settings {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            sources: Vec::new(),
            builtin: true,
            limits: Limits::default(),
            record: true,
        }
    }

    /// What the configuration says; it has checked the sources' form.
    pub fn from_config(config: &Config) -> Self {
        let mut settings = Self::new(config.server.data_dir.join("plugins"));
        for (name, plugin) in &config.plugins {
            let source = match plugin.source.strip_prefix("path:") {
                Some(path) => Source::Path(path.into()),
                None => Source::Builtin,
            };
            settings.sources.push(PluginSource { name: name.clone(), source, sha256: plugin.sha256.clone() });
        }
        settings.record = config.recorder.keep_days > 0;
        settings
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSource {
    /// Has to be the name in the plugin's manifest.
    pub name: String,
    pub source: Source,
    /// Digest in hex that the component has to have.
    pub sha256: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The plugin of that name inside the program.
    Builtin,
    /// A component in a file.
    Path(PathBuf),
}

/// What one call may use. The defaults are the contract's.
#[derive(Debug, Clone)]
pub struct Limits {
    /// All linear memories of an instance together.
    pub memory_bytes: usize,
    /// Time on the processor, counted in ticks of the epoch.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// Bytes that a guest may hand over in one answer or host call.
    pub answer_bytes: usize,
    /// Calls at the same time; more wait for their turn.
    pub concurrent_calls: u32,
    /// Whether to reserve address space for instances beforehand. Where that does not work it is done on demand.
    pub pooling: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            cpu: Duration::from_secs(2),
            wall: Duration::from_secs(30),
            answer_bytes: 16 << 20,
            concurrent_calls: 16,
            pooling: true,
        }
    }
}
