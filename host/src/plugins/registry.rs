//! From sources to a table of plugins. A plugin that does not load is listed with the reason and stops nobody.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::bindings;
use super::builtin::BUILTIN;
use super::cache::{Cache, Record};
use super::call::{Callee, Runtime};
use super::contract;
use super::engine::compatibility;
use super::guest::GuestState;
use super::kept::Kept;
use super::manifest;
use super::settings::{PluginSource, Settings, Source};
use super::source::{Origin, is_component, origin, source_name, sources};
use super::text;
use crate::domain::plugin::{PluginInfo, PluginKind, PluginStatus};
use crate::error::{Error, Result};

/// One plugin, ready to be called.
pub(super) struct Loaded {
    pub(super) info: PluginInfo,
    name: Arc<str>,
    digest: Arc<str>,
    pre: InstancePre<GuestState>,
}

impl Loaded {
    pub(super) fn callee(&self) -> Callee {
        Callee { name: self.name.clone(), digest: self.digest.clone(), pre: self.pre.clone() }
    }
}

pub(super) enum Entry {
    Loaded(Arc<Loaded>),
    Failed { source: String, digest: Option<String>, error: String },
}

/// All configured plugins by name. A new table replaces an old one as a whole; calls in flight finish on the old one.
pub(super) type Table = BTreeMap<String, Entry>;

/// Loads components. Lives as long as the server, so that a reload finds the cache open.
pub(super) struct Loader {
    pub(super) linker: Linker<GuestState>,
    pub(super) kept: Kept,
    cache: Option<Cache>,
    compatibility: String,
    contract: String,
}

impl Loader {
    pub(super) fn new(runtime: &Runtime, settings: &Settings) -> Result<Self> {
        let mut linker = Linker::new(&runtime.engine);
        bindings::base::windlass::host::log::add_to_linker::<GuestState, HasSelf<GuestState>>(
            &mut linker,
            |state| state,
        )
        .map_err(|error| Error::internal(format!("{error:#}")))?;
        let compatibility = compatibility(&runtime.engine);
        let cache = match Cache::open(&settings.folder) {
            Ok(cache) => {
                cache.prune(&compatibility);
                Some(cache)
            }
            Err(error) => {
                tracing::warn!(
                    "[@plugins:cache] {} cannot be used ({error}). Plugins are compiled at each start.",
                    settings.folder.display()
                );
                None
            }
        };
        let mut contract = Sha256::new();
        contract.update(env!("CARGO_PKG_VERSION"));
        bindings::CONTRACT.iter().for_each(|text| contract.update(text));
        let kept = Kept::new(&settings.folder);
        Ok(Self { linker, kept, cache, compatibility, contract: hex::encode(contract.finalize()) })
    }

    /// Loads everything there is. Blocks.
    pub(super) fn load_all(&self, runtime: &Runtime, settings: &Settings) -> Table {
        let mut table = Table::new();
        for source in sources(settings) {
            let entry = match self.load(runtime, &source) {
                Ok(plugin) => Entry::Loaded(Arc::new(plugin)),
                Err((digest, error)) => {
                    tracing::error!("[@plugins:registry] Plugin `{}` is not loaded: {error}", source.name);
                    Entry::Failed { source: source_name(&source.source), digest, error }
                }
            };
            table.insert(source.name, entry);
        }
        table
    }

    fn load(&self, runtime: &Runtime, source: &PluginSource) -> Result<Loaded, (Option<String>, String)> {
        let origin = origin(source).map_err(|error| (None, error))?;
        let failed = |error| (Some(origin.digest.clone()), error);
        if let Some(expected) = &source.sha256
            && !expected.eq_ignore_ascii_case(&origin.digest)
        {
            return Err(failed(format!(
                "its sha256 is {}, and the configuration wants {}. Please check where the file came from; if it is \
                 what you want, change the configuration",
                origin.digest,
                text::line(expected, 128)
            )));
        }
        let plugin = self.load_origin(runtime, &source.name, &origin).map_err(failed)?;
        if !matches!(source.source, Source::Builtin)
            && let Err(error) = self.kept.keep(&origin.digest, &origin.bytes)
        {
            tracing::warn!(
                "[@plugins:registry] Plugin `{}` cannot be kept for replays: {error}",
                source.name
            );
        }
        if plugin.info.manifest.name != source.name {
            return Err(failed(format!(
                "it is configured as `{}`, and its manifest calls it `{}`. Please configure it by that name",
                source.name.escape_debug(),
                plugin.info.manifest.name,
            )));
        }
        Ok(plugin)
    }

    fn load_origin(&self, runtime: &Runtime, name: &str, origin: &Origin) -> Result<Loaded, String> {
        let started = Instant::now();
        let stem = format!("{}-{}", origin.digest, self.compatibility);
        if let Some((component, record)) = self.cached(runtime, name, &stem) {
            let plugin = self.link(runtime, name, origin, &component, Some(record))?.0;
            tracing::debug!(
                "[@plugins:registry] Plugin `{name}` mapped in {:.2} ms",
                started.elapsed().as_secs_f64() * 1e3
            );
            return Ok(plugin);
        }
        if !is_component(&origin.bytes) {
            return Err(
                "the file is no WebAssembly component. Please build the plugin with windlass-sdk, or turn a \
                        core module into a component with `wasm-tools component new`"
                    .into(),
            );
        }
        let component = Component::new(&runtime.engine, &origin.bytes)
            .map_err(|error| format!("it does not compile: {}", text::line(&format!("{error:#}"), 1024)))?;
        let (plugin, record) = self.link(runtime, name, origin, &component, None)?;
        let milliseconds = started.elapsed().as_millis();
        tracing::info!(
            "[@plugins:registry] Plugin `{name}` {} compiled in {milliseconds} ms",
            plugin.info.manifest.version
        );
        // What was just compiled lies in memory; mapped from its file, it only takes what is used of it.
        match self.store(runtime, &stem, &component, record) {
            Some((component, record)) => {
                self.link(runtime, name, origin, &component, Some(record)).map(|linked| linked.0)
            }
            None => Ok(plugin),
        }
    }

    /// The component of a digest, wherever it still is: loaded, in the program, or kept.
    pub(super) fn component(&self, runtime: &Runtime, table: &Table, digest: &str) -> Result<Component> {
        let loaded = table.values().find_map(|entry| match entry {
            Entry::Loaded(plugin) if plugin.info.digest == digest => Some(plugin.pre.component().clone()),
            _ => None,
        });
        if let Some(component) = loaded {
            return Ok(component);
        }
        let builtin = BUILTIN.iter().find(|builtin| builtin.sha256 == digest);
        let bytes =
            builtin.map(|builtin| builtin.bytes.into()).or_else(|| self.kept.read(digest).map(Cow::Owned));
        let Some(bytes) = bytes else {
            return Err(Error::conflict(format!(
                "the component with sha256 {} that was called is gone: it is neither loaded nor kept. Please configure \
                 it again to replay its calls",
                text::line(digest, 64)
            )));
        };
        if let Some((component, _)) =
            self.cached(runtime, digest, &format!("{digest}-{}", self.compatibility))
        {
            return Ok(component);
        }
        Component::new(&runtime.engine, &bytes).map_err(|error| Error::internal(format!("{error:#}")))
    }

    /// A usable entry of the cache. One that is not is removed and said so.
    fn cached(&self, runtime: &Runtime, name: &str, stem: &str) -> Option<(Component, Record)> {
        let cache = self.cache.as_ref()?;
        match cache.load(&runtime.engine, stem) {
            Ok(Some((component, record))) if record.contract == self.contract => Some((component, record)),
            Ok(_) => None,
            Err(reason) => {
                tracing::warn!(
                    "[@plugins:cache] The compiled code of plugin `{name}` was discarded: {reason}. The plugin is \
                     compiled again."
                );
                cache.discard(stem);
                None
            }
        }
    }

    fn store(
        &self,
        runtime: &Runtime,
        stem: &str,
        component: &Component,
        record: Record,
    ) -> Option<(Component, Record)> {
        let cache = self.cache.as_ref()?;
        let stored = component
            .serialize()
            .map_err(|error| format!("{error:#}"))
            .and_then(|code| cache.store(stem, &code, record).map_err(|error| error.to_string()))
            .and_then(|()| cache.load(&runtime.engine, stem));
        stored.unwrap_or_else(|error| {
            tracing::warn!("[@plugins:cache] Compiled code cannot be kept: {error}");
            None
        })
    }

    /// Checks the component's type and what it says about itself. With a record nothing is instantiated.
    fn link(
        &self,
        runtime: &Runtime,
        name: &str,
        origin: &Origin,
        component: &Component,
        record: Option<Record>,
    ) -> Result<(Loaded, Record), String> {
        let shape = contract::check(&runtime.engine, component)?;
        let pre = self
            .linker
            .instantiate_pre(component)
            .map_err(|error| format!("it cannot be linked: {}", text::line(&format!("{error:#}"), 1024)))?;
        let callee = Callee { name: name.into(), digest: origin.digest.as_str().into(), pre };
        let record = match record {
            Some(record) => record,
            None => {
                let manifest = manifest::read(runtime, &callee).map_err(|error| error.to_string())?;
                Record { contract: self.contract.clone(), code: String::new(), manifest }
            }
        };
        manifest::check(&record.manifest, &shape.kinds)?;
        let info = PluginInfo {
            manifest: record.manifest.clone(),
            digest: origin.digest.clone(),
            source: origin.source.clone(),
            kinds: shape.kinds,
            imports: shape.imports,
            exports: shape.exports,
            size_bytes: origin.bytes.len() as u64,
        };
        Ok((Loaded { info, name: callee.name, digest: callee.digest, pre: callee.pre }, record))
    }
}

/// One line of a list.
pub(super) fn status(name: &str, entry: &Entry) -> PluginStatus {
    match entry {
        Entry::Loaded(plugin) => PluginStatus {
            name: name.to_owned(),
            source: plugin.info.source.clone(),
            digest: Some(plugin.info.digest.clone()),
            info: Some(plugin.info.clone()),
            error: None,
        },
        Entry::Failed { source, digest, error } => PluginStatus {
            name: name.to_owned(),
            source: source.clone(),
            digest: digest.clone(),
            info: None,
            error: Some(error.clone()),
        },
    }
}

/// Why there is no such plugin, and what there is instead.
pub(super) fn missing(table: &Table, name: &str, kind: PluginKind) -> String {
    let of_kind: Vec<&str> = table
        .iter()
        .filter_map(|(name, entry)| match entry {
            Entry::Loaded(plugin) if plugin.info.kinds.contains(&kind) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let there_is = match of_kind.as_slice() {
        [] => format!("no {} is loaded", kind.as_str()),
        names => format!("loaded as {}: {}", kind.as_str(), names.join(", ")),
    };
    let nearest = of_kind
        .iter()
        .map(|candidate| (strsim::jaro_winkler(candidate, name), *candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = nearest.map(|(_, name)| format!("; did you mean `{name}`?")).unwrap_or_default();
    match table.get(name) {
        Some(Entry::Loaded(plugin)) => {
            let kinds: Vec<&str> = plugin.info.kinds.iter().map(|kind| kind.as_str()).collect();
            format!("it is no {}, but a {}; {there_is}", kind.as_str(), kinds.join(" and "))
        }
        _ => format!("there is no plugin of that name; {there_is}{hint}"),
    }
}
