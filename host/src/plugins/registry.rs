//! From sources to a table of plugins. A plugin that does not load is listed with the reason and stops nobody.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::admit::{Admitted, admit};
use super::bindings;
use super::broker::{Connection, Outbound};
use super::builtin::BUILTIN;
use super::cache::{Cache, Record};
use super::call::{Callee, Runtime};
use super::compile::{Compiled, compile};
use super::components::Components;
use super::contract;
use super::engine::{Layout, compatibility, loading_threads};
use super::guest::GuestState;
use super::manifest;
use super::schema::Schema;
use super::settings::{PluginSource, Settings, Source};
use super::source::{Origin, is_component, origin, sources};
use super::supervisor::{Purpose, Watch, lock};
use super::{text, wasi};
use crate::domain::breaker::BreakerStatus;
use crate::domain::plugin::{PluginAdmission, PluginHealth, PluginInfo, PluginKind, PluginStatus};
use crate::error::{Error, Result};

/// One plugin, ready to be called.
pub(super) struct Loaded {
    pub(super) info: PluginInfo,
    pub(super) schema: Schema,
    name: Arc<str>,
    digest: Arc<str>,
    imports_wasi: bool,
    pre: InstancePre<GuestState>,
    /// None for tools that call it thousands of times on purpose.
    watch: Option<Arc<Watch>>,
}

impl Loaded {
    /// The same component, held to account elsewhere.
    pub(super) fn watched_by(&self, watch: Arc<Watch>) -> Self {
        Self {
            info: self.info.clone(),
            schema: Schema::new(&self.info.manifest.settings_schema),
            name: self.name.clone(),
            digest: self.digest.clone(),
            imports_wasi: self.imports_wasi,
            pre: self.pre.clone(),
            watch: Some(watch),
        }
    }

    pub(super) fn callee(&self) -> Callee {
        Callee {
            name: self.name.clone(),
            pre: self.pre.clone(),
            digest: self.digest.clone(),
            outbound: None,
            imports_wasi: self.imports_wasi,
            watch: self.watch.clone(),
            purpose: Purpose::now(),
        }
    }

    /// A callee that may send requests to the connection, as far as its manifest asks for them. Faults count for this
    /// connection only.
    pub(super) fn callee_on(&self, connection: Arc<Connection>) -> Callee {
        let key = format!("{} {}", connection.id(), connection.base_url());
        let purpose = Purpose { connection: key.into(), ..Purpose::now() };
        Callee { outbound: Some(self.outbound(connection)), purpose, ..self.callee() }
    }

    /// What this plugin may send to the connection.
    pub(super) fn outbound(&self, connection: Arc<Connection>) -> Outbound {
        Outbound::new(connection, &self.info.manifest)
    }

    /// The addresses of the compiled code.
    pub(super) fn code(&self) -> Range<usize> {
        let code = self.pre.component().image_range();
        code.start.addr()..code.end.addr()
    }

    pub(super) fn breakers(&self) -> Vec<BreakerStatus> {
        self.watch.as_ref().map(|watch| watch.breakers()).unwrap_or_default()
    }
}

pub(super) enum Entry {
    Loaded(Arc<Loaded>),
    Failed { source: String, digest: Option<String>, error: String },
}

/// What became of one source.
pub(super) enum Found {
    Loaded(Arc<Loaded>),
    Failed { digest: Option<String>, error: String },
}

impl Found {
    pub(super) fn digest(&self) -> Option<String> {
        match self {
            Self::Loaded(plugin) => Some(plugin.info.digest.clone()),
            Self::Failed { digest, .. } => digest.clone(),
        }
    }
}

/// All configured plugins by name. A new table replaces an old one as a whole; calls in flight finish on the old one.
pub(super) type Table = BTreeMap<String, Entry>;

/// Loads components. Lives as long as the server, so that a reload finds the cache open.
pub(super) struct Loader {
    pub(super) linker: Linker<GuestState>,
    pub(super) called: Components,
    pub(super) cache: Option<Cache>,
    components: Components,
    compiler: Option<std::path::PathBuf>,
    layout: Layout,
    pub(super) tokio: Handle,
    pub(super) runtime: Arc<Runtime>,
    compatibility: String,
    pub(super) contract: String,
}

impl Loader {
    pub(super) fn new(
        runtime: Arc<Runtime>,
        settings: &Settings,
        layout: Layout,
        tokio: Handle,
    ) -> Result<Self> {
        let mut linker = Linker::new(&runtime.engine);
        link_host(&mut linker).map_err(|error| Error::internal(format!("{error:#}")))?;
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
        Ok(Self {
            linker,
            called: Components::called(&settings.folder),
            cache,
            components: Components::new(&settings.folder),
            // The compiling process knows two layouts; a watched server only exists in tests.
            compiler: settings.compiler.clone().filter(|_| layout != Layout::Watched),
            layout,
            tokio,
            runtime,
            compatibility,
            contract: hex::encode(contract.finalize()),
        })
    }

    /// Loads everything there is and checks what is new, with as many threads as there are processors: each may wait for
    /// a compiling process. Blocks.
    pub(super) fn load_all(self: &Arc<Self>, settings: &Settings) -> (Table, Admitted) {
        let sources = sources(settings);
        let threads = sources.len().min(loading_threads() as usize);
        let next = AtomicUsize::new(0);
        let found = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let loaded = self.load(source);
                        let checked = self.checked(settings, source, &loaded);
                        lock(&found).insert(source.name.clone(), (loaded, checked));
                    }
                });
            }
        });
        let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = sources.into_iter().filter_map(|source| {
            let (loaded, checked) = found.remove(&source.name)?;
            Some((source, loaded, checked))
        });
        let (table, admitted) = admit(self, settings, found.collect());
        self.runtime.supervisor.retain(|plugin, digest| {
            matches!(table.get(plugin), Some(Entry::Loaded(loaded)) if loaded.info.digest == digest)
        });
        (table, admitted)
    }

    pub(super) fn components(&self) -> &Components {
        &self.components
    }

    /// What a component says about itself.
    pub(super) fn examine(&self, component: Vec<u8>) -> Result<PluginInfo, String> {
        let digest = hex::encode(Sha256::digest(&component));
        let origin = Origin { source: "upload".into(), digest, bytes: component.into() };
        self.load_origin("unnamed", &origin).map(|plugin| plugin.info)
    }

    pub(super) fn load(&self, source: &PluginSource) -> Found {
        match self.try_load(source) {
            Ok(plugin) => Found::Loaded(Arc::new(plugin)),
            Err((digest, error)) => Found::Failed { digest, error },
        }
    }

    fn try_load(&self, source: &PluginSource) -> Result<Loaded, (Option<String>, String)> {
        let origin = origin(source, &self.components, &self.tokio).map_err(|error| (None, error))?;
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
        let plugin = self.load_origin(&source.name, &origin).map_err(failed)?;
        if !matches!(source.source, Source::Builtin)
            && let Err(error) = self.called.keep_as(&origin.digest, &origin.bytes)
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
        // It may be what is returned to one day, when the file or the program has changed.
        if let Err(error) = self.components.keep_as(&origin.digest, &origin.bytes) {
            tracing::warn!("[@plugins:components] Plugin `{}` cannot be kept: {error}", source.name);
        }
        Ok(plugin)
    }

    /// Loads one component under whatever name its manifest gives it.
    pub(super) fn load_alone(&self, source: &PluginSource) -> Result<Loaded, String> {
        let origin = origin(source, &self.components, &self.tokio)?;
        let mut plugin = self.load_origin(&source.name, &origin)?;
        plugin.name = plugin.info.manifest.name.as_str().into();
        plugin.watch = None;
        Ok(plugin)
    }

    fn load_origin(&self, name: &str, origin: &Origin) -> Result<Loaded, String> {
        let started = Instant::now();
        let stem = self.stem(&origin.digest);
        if let Some((component, record)) = self.cached(name, &stem) {
            let plugin = self.link(name, origin, &component, Some(record))?.0;
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
        let (component, code) = self.compile(&origin.bytes)?;
        let (plugin, record) = self.link(name, origin, &component, None)?;
        let milliseconds = started.elapsed().as_millis();
        tracing::info!(
            "[@plugins:registry] Plugin `{name}` {} compiled in {milliseconds} ms",
            plugin.info.manifest.version
        );
        // What was just compiled lies in memory; mapped from its file, it only takes what is used of it.
        match self.store(&stem, code, record) {
            Some((component, record)) => {
                self.link(name, origin, &component, Some(record)).map(|linked| linked.0)
            }
            None => Ok(plugin),
        }
    }

    /// Name of a component's entry in the cache.
    pub(super) fn stem(&self, digest: &str) -> String {
        format!("{digest}-{}", self.compatibility)
    }

    /// In a process of its own, or in this one if no program was named for it.
    fn compile(&self, component: &[u8]) -> Result<(Component, Compiled), String> {
        let engine = &self.runtime.engine;
        let folder = self.cache.as_ref().map(Cache::folder);
        let failed = |error: String| format!("it does not compile: {}", text::line(&error, 1024));
        let Some(compiler) = &self.compiler else {
            let component =
                Component::new(engine, component).map_err(|error| failed(format!("{error:#}")))?;
            let code = Compiled::here(&component, folder).map_err(|error| failed(error.to_string()))?;
            return Ok((component, code));
        };
        let limits = &self.runtime.limits.compile;
        let code = compile(&self.tokio, compiler, folder, self.layout, limits, component)?;
        Ok((code.map(engine)?, code))
    }

    /// The component of a digest, wherever it still is: loaded, in the program, or kept.
    pub(super) fn component(&self, table: &Table, digest: &str) -> Result<Component> {
        let loaded = table.values().find_map(|entry| match entry {
            Entry::Loaded(plugin) if plugin.info.digest == digest => Some(plugin.pre.component().clone()),
            _ => None,
        });
        if let Some(component) = loaded {
            return Ok(component);
        }
        let builtin = BUILTIN.iter().find(|builtin| builtin.sha256 == digest);
        let bytes = builtin
            .map(|builtin| builtin.bytes.into())
            .or_else(|| self.called.read(digest).ok().map(Cow::Owned));
        let Some(bytes) = bytes else {
            return Err(Error::conflict(format!(
                "the component with sha256 {} that was called is gone: it is neither loaded nor kept. Please configure \
                 it again to replay its calls",
                text::line(digest, 64)
            )));
        };
        if let Some((component, _)) = self.cached(digest, &self.stem(digest)) {
            return Ok(component);
        }
        self.compile(&bytes).map(|(component, _)| component).map_err(Error::failed)
    }

    /// A usable entry of the cache. One that is not is removed and said so.
    fn cached(&self, name: &str, stem: &str) -> Option<(Component, Record)> {
        let cache = self.cache.as_ref()?;
        match cache.load(&self.runtime.engine, stem) {
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

    fn store(&self, stem: &str, code: Compiled, record: Record) -> Option<(Component, Record)> {
        let cache = self.cache.as_ref()?;
        let stored = cache
            .store(stem, code.into_file(), record)
            .map_err(|error| error.to_string())
            .and_then(|()| cache.load(&self.runtime.engine, stem));
        stored.unwrap_or_else(|error| {
            tracing::warn!("[@plugins:cache] Compiled code cannot be kept: {error}");
            None
        })
    }

    /// Checks the component's type and what it says about itself. With a record nothing is instantiated.
    fn link(
        &self,
        name: &str,
        origin: &Origin,
        component: &Component,
        record: Option<Record>,
    ) -> Result<(Loaded, Record), String> {
        let shape = contract::check(&self.runtime.engine, component)?;
        let pre = self
            .linker
            .instantiate_pre(component)
            .map_err(|error| format!("it cannot be linked: {}", text::line(&format!("{error:#}"), 1024)))?;
        // The answer of `describe` has no arguments, so what WASI makes up is the same each time.
        let callee = Callee {
            name: name.into(),
            pre,
            digest: origin.digest.as_str().into(),
            outbound: None,
            imports_wasi: false,
            watch: None,
            purpose: Purpose::now(),
        };
        let record = match record {
            Some(record) => record,
            None => {
                let manifest = manifest::read(&self.runtime, &callee).map_err(|error| error.to_string())?;
                Record { contract: self.contract.clone(), code: String::new(), manifest, conforms: false }
            }
        };
        manifest::check(&record.manifest, &shape.kinds, &shape.abilities)?;
        let info = PluginInfo {
            manifest: record.manifest.clone(),
            digest: origin.digest.clone(),
            source: origin.source.clone(),
            kinds: shape.kinds,
            abilities: shape.abilities,
            imports: shape.imports,
            exports: shape.exports,
            size_bytes: origin.bytes.len() as u64,
        };
        let schema = Schema::new(&info.manifest.settings_schema);
        let watch = self.runtime.supervisor.watch(name, &origin.digest);
        let imports_wasi = info.imports.iter().any(|name| name.starts_with("wasi:"));
        let Callee { name, digest, pre, .. } = callee;
        Ok((Loaded { info, schema, name, digest, imports_wasi, pre, watch: Some(watch) }, record))
    }
}

/// Everything that a guest may import. What a kind may not import is refused by [`contract`].
fn link_host(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    use bindings::base::windlass::host;
    host::log::add_to_linker::<GuestState, HasSelf<GuestState>>(linker, |state| state)?;
    host::http::add_to_linker::<GuestState, HasSelf<GuestState>>(linker, |state| state)?;
    wasi::add_to_linker(linker)
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
            admission: PluginAdmission::default(),
            health: PluginHealth::default(),
        },
        Entry::Failed { source, digest, error } => PluginStatus {
            name: name.to_owned(),
            source: source.clone(),
            digest: digest.clone(),
            info: None,
            error: Some(error.clone()),
            admission: PluginAdmission::default(),
            health: PluginHealth::default(),
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
