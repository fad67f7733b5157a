//! Plugins: WebAssembly components, loaded against the contract in `wit/` and called through one adapter per kind.
//!
//! Each call gets a fresh instance, so nothing survives it; its memory, processor time, clock time and answer are bounded;
//! and how it ends badly is a [`PluginError`] that names the plugin. Only this module knows of wasmtime.

mod bindings;
mod builtin;
mod cache;
mod call;
mod contract;
mod engine;
mod forge;
mod guest;
mod kept;
mod manifest;
pub mod measure;
mod metrics;
mod planner;
mod recorder;
mod registry;
mod settings;
pub mod signature;
mod source;
mod strategy;
mod tape;
mod text;
mod ticker;

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;

pub use self::planner::planner_name;
pub use self::recorder::{Recordings, unrecorded, with_subject};
pub use self::settings::{Limits, PluginSource, Settings, Source};

use self::call::Runtime;
use self::registry::{Entry, Loaded, Loader, Table};
use crate::domain::plugin::{PluginKind, PluginStatus, WebhookContract};
use crate::error::{Error, PluginError, PluginErrorKind, Result};

/// All plugins of this server. Cheap to clone.
#[derive(Clone)]
pub struct Plugins {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Arc<Runtime>,
    loader: Loader,
    table: ArcSwap<Table>,
}

impl Plugins {
    /// Starts the engine and loads all plugins. Only an engine that does not start is an error: a plugin that does not load
    /// is listed with its reason.
    pub async fn start(settings: Settings) -> Result<Self> {
        tokio::task::spawn_blocking(move || {
            let engine = engine::build(&settings.limits)?;
            let runtime = Runtime::new(engine, &settings)?;
            let loader = Loader::new(&runtime, &settings)?;
            let table = loader.load_all(&runtime, &settings);
            let inner = Inner { runtime: Arc::new(runtime), loader, table: ArcSwap::from_pointee(table) };
            Ok(Self { inner: Arc::new(inner) })
        })
        .await
        .map_err(|error| Error::internal(format!("loading the plugins broke off: {error}")))?
    }

    /// Loads all sources anew and puts the result in place at once. Calls in flight finish on what they began with. The
    /// limits stay what they were at start.
    pub async fn reload(&self, settings: Settings) -> Result<()> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || {
            let table = inner.loader.load_all(&inner.runtime, &settings);
            inner.table.store(Arc::new(table));
        })
        .await
        .map_err(|error| Error::internal(format!("loading the plugins broke off: {error}")))
    }

    /// All configured plugins, those that failed to load as well.
    pub fn list(&self) -> Vec<PluginStatus> {
        self.inner.table.load().iter().map(|(name, entry)| registry::status(name, entry)).collect()
    }

    pub fn inspect(&self, name: &str) -> Result<PluginStatus> {
        match self.inner.table.load().get(name) {
            Some(entry) => Ok(registry::status(name, entry)),
            None => Err(Error::not_found("plugin", name)),
        }
    }

    /// sha256 of the component that runs under this name, if one is loaded.
    pub fn digest(&self, name: &str) -> Option<String> {
        match self.inner.table.load().get(name) {
            Some(Entry::Loaded(plugin)) => Some(plugin.info.digest.clone()),
            _ => None,
        }
    }

    /// How deliveries for this forge prove that they are genuine.
    pub fn webhook_contract(&self, name: &str) -> Result<WebhookContract> {
        let call = "webhook-contract";
        let plugin = self.find(name, PluginKind::GitForge, call)?;
        plugin.info.manifest.webhooks.clone().ok_or_else(|| {
            let kind = PluginErrorKind::Missing("it declares no webhooks".into());
            PluginError { plugin: name.to_owned(), call, kind }.into()
        })
    }

    /// Says whether a plugin of that name and kind is loaded, and if not, what is.
    pub fn check(&self, name: &str, kind: PluginKind) -> Result<()> {
        self.find(name, kind, "find").map(|_| ())
    }

    /// Forgets components that were kept for replays, except those that are loaded or have calls on record.
    pub fn retain_components(&self, mut recorded: HashSet<String>) {
        recorded.extend(self.list().into_iter().filter_map(|plugin| plugin.digest));
        self.inner.loader.kept.retain(&recorded);
    }

    /// What the flight recorder takes down from now on, for the first who asks.
    pub fn recordings(&self) -> Option<Recordings> {
        self.inner.runtime.recorder.take()
    }

    pub fn register_metrics(&self, registry: &mut Registry) {
        self.inner.runtime.metrics.register(registry);
        self.inner.runtime.recorder.register(registry);
    }

    fn runtime(&self) -> &Arc<Runtime> {
        &self.inner.runtime
    }

    fn find(&self, name: &str, kind: PluginKind, call: &'static str) -> Result<Arc<Loaded>> {
        let table = self.inner.table.load();
        let kind = match table.get(name) {
            Some(Entry::Loaded(plugin)) if plugin.info.kinds.contains(&kind) => return Ok(plugin.clone()),
            Some(Entry::Failed { error, .. }) => PluginErrorKind::Load(error.clone()),
            _ => PluginErrorKind::Missing(registry::missing(&table, name, kind)),
        };
        Err(PluginError { plugin: text::line(name, 128), call, kind }.into())
    }
}
