//! Plugins: WebAssembly components, loaded against the contract in `wit/` and called through one adapter per kind.
//!
//! Each call gets a fresh instance, so nothing survives it; its memory, processor time, clock time and answer are bounded;
//! and how it ends badly is a [`PluginError`] that names the plugin. Only this module knows of wasmtime.

mod admit;
mod bindings;
mod builtin;
mod cache;
mod call;
mod compile;
mod components;
mod contract;
mod cosign;
mod engine;
mod forge;
mod guest;
mod health;
mod manifest;
pub mod measure;
mod metrics;
pub mod oci;
mod planner;
mod registry;
mod settings;
pub mod signature;
mod source;
mod strategy;
mod supervisor;
mod text;
mod ticker;

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

pub use self::admit::{Admission, Admitted};
pub use self::compile::{COMMAND as COMPILE_COMMAND, CompileRequest, compile_child};
pub use self::planner::planner_name;
pub use self::settings::{CompileLimits, Limits, PluginSource, Settings, Source};
pub use self::supervisor::Notice;

use self::call::Runtime;
use self::registry::{Entry, Loaded, Loader, Table};
use crate::domain::plugin::{PluginInfo, PluginKind, PluginStatus, WebhookContract};
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
    admitted: ArcSwap<Admitted>,
}

impl Plugins {
    /// Starts the engine and loads all plugins. Only an engine that does not start is an error: a plugin that does not load
    /// is listed with its reason.
    pub async fn start(settings: Settings) -> Result<Self> {
        let tokio = Handle::current();
        tokio::task::spawn_blocking(move || {
            let (engine, layout) = engine::build(&settings.limits)?;
            let runtime = Arc::new(Runtime::new(engine, settings.limits.clone())?);
            let loader = Loader::new(runtime.clone(), &settings, layout, tokio)?;
            let (table, admitted) = loader.load_all(&settings);
            let (table, admitted) = (ArcSwap::from_pointee(table), ArcSwap::from_pointee(admitted));
            Ok(Self { inner: Arc::new(Inner { runtime, loader, table, admitted }) })
        })
        .await
        .map_err(|error| Error::internal(format!("loading the plugins broke off: {error}")))?
    }

    /// Loads all sources anew and puts the result in place at once. Calls in flight finish on what they began with. The
    /// limits stay what they were at start.
    pub async fn reload(&self, settings: Settings) -> Result<()> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || {
            let (table, admitted) = inner.loader.load_all(&settings);
            inner.admitted.store(Arc::new(admitted));
            inner.table.store(Arc::new(table));
        })
        .await
        .map_err(|error| Error::internal(format!("loading the plugins broke off: {error}")))
    }

    /// Keeps a component's bytes in the plugins' folder and returns their sha256 in hex.
    pub async fn keep(&self, component: Vec<u8>) -> Result<String> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || inner.loader.components().keep(&component))
            .await
            .map_err(|error| Error::internal(format!("keeping a component broke off: {error}")))?
            .map_err(Error::unavailable)
    }

    /// What a component says about itself, without putting it in place. Its code runs once, with nothing granted.
    pub async fn examine(&self, component: Vec<u8>) -> Result<PluginInfo, String> {
        let inner = self.inner.clone();
        let examined = tokio::task::spawn_blocking(move || inner.loader.examine(component)).await;
        examined.unwrap_or_else(|error| Err(format!("examining the component broke off: {error}")))
    }

    /// The next thing the server should know; waits for one. For one listener.
    pub async fn notice(&self) -> Option<Notice> {
        self.inner.runtime.supervisor.notice().await
    }

    /// What was decided about each plugin when it was loaded, and about which component.
    pub fn admitted(&self) -> Arc<Admitted> {
        self.inner.admitted.load_full()
    }

    /// All configured plugins, those that failed to load as well.
    pub fn list(&self) -> Vec<PluginStatus> {
        self.inner.table.load().iter().map(|(name, entry)| self.status(name, entry)).collect()
    }

    pub fn inspect(&self, name: &str) -> Result<PluginStatus> {
        match self.inner.table.load().get(name) {
            Some(entry) => Ok(self.status(name, entry)),
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

    pub fn register_metrics(&self, registry: &mut Registry) {
        self.inner.runtime.metrics.register(registry);
    }

    fn status(&self, name: &str, entry: &Entry) -> PluginStatus {
        let mut status = registry::status(name, entry);
        if let Some(admitted) = self.inner.admitted.load().get(name) {
            status.admission = admitted.shown(status.digest.as_deref());
            status.source.clone_from(&admitted.source);
        }
        let ledger = self.inner.runtime.supervisor.ledger(name);
        status.health = supervisor::lock(&ledger).health();
        if let Entry::Loaded(plugin) = entry {
            status.health.breakers = plugin.breakers();
        }
        status
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
