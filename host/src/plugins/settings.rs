//! Which plugins to load, from where, and what a call may use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::watch::MemoryWatch;
use crate::config::Config;
use crate::domain::admission::PluginRecord;
use crate::domain::breaker::BreakerRules;
use crate::network::{Network, System};

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where compiled components and the cache's key are kept: `<data>/plugins`.
    pub folder: PathBuf,
    /// What the operator configured. A source of the same name as a built-in plugin replaces it.
    pub sources: Vec<PluginSource>,
    /// Whether the plugins inside the program are loaded.
    pub builtin: bool,
    pub limits: Limits,
    /// How names are resolved and connections made. Tests put in a network of their own.
    pub network: Arc<dyn Network>,
    /// Who sees each guest's memory at the end of its life, for tests. Without a pool, since it brings its own memory.
    pub watch: Option<Arc<dyn MemoryWatch>>,
    /// The `windlass` program, which compiles components in a process of its own. Without it they are compiled in this
    /// one, with nothing that bounds it: for tests and tools that embed the host.
    pub compiler: Option<PathBuf>,
    /// What is remembered of plugins from before.
    pub records: Vec<PluginRecord>,
    /// Whether calls are recorded.
    pub record: bool,
    /// Whether what is not built in has to pass the conformance suite before it runs. A server wants that; tools that
    /// load a component in order to look at it do not.
    pub conformance: bool,
}

impl Settings {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            sources: Vec::new(),
            builtin: true,
            limits: Limits::default(),
            network: Arc::new(System),
            watch: None,
            compiler: None,
            records: Vec::new(),
            record: true,
            conformance: false,
        }
    }

    /// What the configuration says; it has checked the sources' form.
    pub fn from_config(config: &Config) -> Self {
        let mut settings = Self::new(config.server.data_dir.join("plugins"));
        settings.sources = config
            .plugins
            .iter()
            .map(|(name, plugin)| PluginSource {
                name: name.clone(),
                source: Source::parse(&plugin.source),
                sha256: plugin.sha256.clone(),
                grant: plugin.grant.clone(),
                cosign_key: plugin.cosign_key.clone(),
                skip_conformance: plugin.skip_conformance,
            })
            .collect();
        let limits = &config.plugin_limits;
        settings.limits.cpu_per_minute = Duration::from_secs(limits.cpu_seconds_per_minute);
        settings.limits.wall_per_minute = Duration::from_secs(limits.wall_seconds_per_minute);
        settings.limits.team_factor = limits.team_factor;
        settings.record = config.recorder.keep_days > 0;
        settings.conformance = true;
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
    /// What it may ask for; see [`crate::domain::admission::asks`].
    pub grant: Vec<String>,
    /// Public key in PEM by which its signature in the registry has to verify.
    pub cosign_key: Option<PathBuf>,
    /// Runs without having passed the conformance suite.
    pub skip_conformance: bool,
}

impl PluginSource {
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        Self {
            name: name.into(),
            source,
            sha256: None,
            grant: Vec::new(),
            cosign_key: None,
            skip_conformance: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The plugin of that name inside the program.
    Builtin,
    /// A component in a file.
    Path(PathBuf),
    /// A component in a registry, by a reference that ends in a digest.
    Oci(String),
    /// A component in our own folder, by its sha256, and where it came from.
    Kept { digest: String, source: String },
}

impl Source {
    /// `builtin`, `path:<file>` or `oci:<reference>`, as the configuration has it.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some(("path", path)) => Self::Path(path.into()),
            Some(("oci", reference)) => Self::Oci(reference.into()),
            _ => Self::Builtin,
        }
    }
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
    /// Processor and clock time that all calls of one plugin may use in any minute.
    pub cpu_per_minute: Duration,
    pub wall_per_minute: Duration,
    /// A team may use this many times what one plugin may.
    pub team_factor: u32,
    pub breaker: BreakerRules,
    pub compile: CompileLimits,
}

/// What compiling one component may use.
#[derive(Debug, Clone)]
pub struct CompileLimits {
    /// Whole seconds on the processor.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// Address space of the compiling process.
    pub memory_bytes: u64,
    /// Compiled code.
    pub file_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            // CPython, the largest that the languages' tool chains make, takes 15 s; it is minutes where the machine is busy.
            cpu: Duration::from_secs(60),
            wall: Duration::from_secs(300),
            memory_bytes: 1 << 30,
            file_bytes: 256 << 20,
        }
    }
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
            cpu_per_minute: Duration::from_secs(30),
            wall_per_minute: Duration::from_secs(300),
            team_factor: 4,
            breaker: BreakerRules::default(),
            compile: CompileLimits::default(),
        }
    }
}
