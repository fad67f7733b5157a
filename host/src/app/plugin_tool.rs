//! Authors' tools that call a component: no server, no store, one component at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use windlass_sdk::testkit::{Report, Simulation};

use crate::domain::conformance::Conformance;
use crate::domain::plugin::PluginInfo;
use crate::error::{Error, Result};
use crate::plugins::{PluginSource, Plugins, Settings, Source, conformance};

/// Of compiled code; a component is two files.
const KEPT_FILES: usize = 32;

/// A component that was loaded to be looked at.
pub struct Opened {
    pub(super) plugins: Plugins,
    pub info: PluginInfo,
    /// Its compiled code, where that is not kept.
    _folder: Option<TempDir>,
}

/// A file, or else the name of a built-in plugin.
fn source(which: &str) -> PluginSource {
    let path = Path::new(which);
    let is_file = path.extension().is_some_and(|extension| extension == "wasm") || path.exists();
    let source = if is_file { Source::Path(path.to_owned()) } else { Source::Builtin };
    PluginSource::new(which, source)
}

/// Compiled code is kept for the author's next command in a folder of its own: nothing that an author makes becomes part of
/// a server's cache. Where there is no such folder, it is kept no longer than the command runs.
fn settings() -> Result<(Option<TempDir>, Settings)> {
    let (temporary, folder) = match kept() {
        Some(folder) => (None, folder),
        None => {
            let folder = tempfile::tempdir()
                .map_err(|error| Error::failed(format!("no temporary folder can be made: {error}")))?;
            let path = folder.path().to_owned();
            (Some(folder), path)
        }
    };
    let mut settings = Settings::new(folder);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = u32::try_from(processors).unwrap_or(u32::MAX).max(settings.limits.concurrent_calls);
    settings.limits.concurrent_calls = wanted.min(256);
    // Budgets are there for the others on a server. Here nobody else is, and 100,000 worlds take longer than a minute's.
    settings.limits.cpu_per_minute = Duration::MAX;
    settings.limits.wall_per_minute = Duration::MAX;
    Ok((temporary, settings))
}

/// `windlass/compiled` in the user's cache, with little enough in it.
fn kept() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    let folder = cache.is_absolute().then(|| cache.join("windlass/compiled"))?;
    fs::create_dir_all(&folder).ok()?;
    let entries = fs::read_dir(folder.join("cache")).into_iter().flatten().filter_map(|entry| entry.ok());
    let mut files: Vec<(SystemTime, PathBuf)> =
        entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    files.sort_unstable_by(|a, b| b.cmp(a));
    for (_, path) in files.iter().skip(KEPT_FILES) {
        // Whoever needs it compiles again.
        let _ = fs::remove_file(path);
    }
    Some(folder)
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
