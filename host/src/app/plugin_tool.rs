//! Authors' tools that call a component: no server, no store, one component at a time.

use std::path::Path;

use tempfile::TempDir;
use windlass_sdk::testkit::{Report, Simulation};

use crate::domain::conformance::Conformance;
use crate::domain::plugin::PluginInfo;
use crate::error::{Error, Result};
use crate::plugins::{PluginSource, Plugins, Settings, Source, conformance};

/// A component that was loaded to be looked at.
pub struct Opened {
    pub(super) plugins: Plugins,
    pub info: PluginInfo,
    /// Its compiled code.
    _folder: TempDir,
}

/// A file, or else the name of a built-in plugin.
fn source(which: &str) -> PluginSource {
    let path = Path::new(which);
    let is_file = path.extension().is_some_and(|extension| extension == "wasm") || path.exists();
    let source = if is_file { Source::Path(path.to_owned()) } else { Source::Builtin };
    PluginSource::new(which, source)
}

/// Compiled code is kept no longer than the command runs: nothing that an author makes becomes part of a server's cache.
fn settings() -> Result<(TempDir, Settings)> {
    let folder = tempfile::tempdir()
        .map_err(|error| Error::failed(format!("no temporary folder can be made: {error}")))?;
    let mut settings = Settings::new(folder.path());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = u32::try_from(processors).unwrap_or(u32::MAX).max(settings.limits.concurrent_calls);
    settings.limits.concurrent_calls = wanted.min(256);
    Ok((folder, settings))
}

/// Loads a component from a file, or a built-in one by its name.
pub async fn plugin_open(which: &str) -> Result<Opened> {
    let (folder, settings) = settings()?;
    let (plugins, info) = Plugins::open(source(which), settings).await?;
    Ok(Opened { plugins, info, _folder: folder })
}

/// Runs the conformance suite.
pub async fn plugin_check(which: &str) -> Result<Conformance> {
    let (_folder, settings) = settings()?;
    conformance::check_component(source(which), settings).await
}

/// Puts a strategy into simulated worlds.
pub async fn plugin_simulate(which: &str, simulation: Simulation) -> Result<Report> {
    let opened = plugin_open(which).await?;
    opened.plugins.strategy_simulate(&opened.info.manifest.name, simulation).await
}
