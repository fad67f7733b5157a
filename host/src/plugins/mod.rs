//! Plugins: WebAssembly components, loaded against the contract in `wit/` and called through one adapter per kind.
//!
//! Each call gets a fresh instance, so nothing survives it; its memory, processor time, clock time and answer are bounded;
//! and how it ends badly is a [`PluginError`] that names the plugin. Only this module knows of wasmtime.

mod admit;
mod answer;
mod bindings;
pub mod broker;
mod builtin;
mod cache;
mod call;
mod compile;
mod components;
pub mod conformance;
mod contract;
mod cosign;
mod delivery;
mod engine;
mod exports;
mod forge;
mod forge_api;
mod generator;
mod guest;
mod health;
mod manifest;
pub mod measure;
mod metrics;
mod notifier;
pub mod oci;
mod payer;
mod planner;
mod provider;
mod recorder;
mod registry;
mod schema;
mod settings;
pub mod signature;
mod simulate;
mod source;
mod strategy;
mod suite;
mod supervisor;
mod tape;
mod target;
mod text;
mod ticker;
mod wasi;
mod watch;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

pub use self::admit::{Admission, Admitted};
pub use self::broker::{Connection, Rotated, Rotation, Secret};
pub use self::compile::{COMMAND as COMPILE_COMMAND, CompileRequest, compile_child};
pub use self::components::Components;
pub use self::payer::{charged, payer_is};
pub use self::planner::planner_name;
pub use self::recorder::{Recordings, unrecorded, with_subject};
pub use self::schema::problems_by;
pub use self::settings::{CompileLimits, Limits, PluginSource, Settings, Source};
pub use self::supervisor::Notice;
pub use self::target::Target;
pub use self::watch::MemoryWatch;

use self::call::Runtime;
use self::registry::{Entry, Loaded, Loader, Table};
use crate::domain::plugin::{Ability, PluginInfo, PluginKind, PluginStatus, Problem, WebhookContract};
use crate::error::{Error, PluginError, PluginErrorKind, Result};
use crate::network::Policy;

/// All plugins of this server. Cheap to clone.
#[derive(Clone)]
pub struct Plugins {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Arc<Runtime>,
    loader: Arc<Loader>,
    table: ArcSwap<Table>,
    admitted: ArcSwap<Admitted>,
}

impl Plugins {
    /// Starts the engine and loads all plugins. Only an engine that does not start is an error: a plugin that does not load
    /// is listed with its reason.
    pub async fn start(settings: Settings) -> Result<Self> {
        let tokio = Handle::current();
        tokio::task::spawn_blocking(move || {
            let (engine, layout) = engine::build(&settings)?;
            let runtime = Arc::new(Runtime::new(engine, &settings)?);
            let loader = Arc::new(Loader::new(runtime.clone(), &settings, layout, tokio)?);
            let (table, admitted) = loader.load_all(&settings);
            let (table, admitted) = (ArcSwap::from_pointee(table), ArcSwap::from_pointee(admitted));
            Ok(Self { inner: Arc::new(Inner { runtime, loader, table, admitted }) })
        })
        .await
        .map_err(|error| Error::internal(format!("loading the plugins broke off: {error}")))?
    }

    /// Loads one component and nothing else, under the name that its manifest gives it: for the tools of authors, and
    /// before a component is taken in. `settings` says where compiled code is kept, and the limits.
    ///
    /// # Errors
    /// [`PluginErrorKind::Load`] if it does not load.
    pub async fn open(source: PluginSource, settings: Settings) -> Result<(Self, PluginInfo)> {
        let tokio = Handle::current();
        let opened = tokio::task::spawn_blocking(move || {
            let (engine, layout) = engine::build(&settings)?;
            let runtime = Arc::new(Runtime::new(engine, &settings)?);
            let loader = Arc::new(Loader::new(runtime.clone(), &settings, layout, tokio)?);
            let plugin = loader.load_alone(&source).map_err(|error| PluginError {
                plugin: text::line(&source.name, 128),
                call: "load",
                kind: PluginErrorKind::Load(error),
            })?;
            let info = plugin.info.clone();
            Ok::<_, Error>((Self::alone(runtime, loader, plugin), info))
        });
        opened.await.map_err(|error| Error::internal(format!("loading the plugin broke off: {error}")))?
    }

    /// With one plugin, under the name in its manifest.
    fn alone(runtime: Arc<Runtime>, loader: Arc<Loader>, plugin: Loaded) -> Self {
        let table = Table::from([(plugin.info.manifest.name.clone(), Entry::Loaded(Arc::new(plugin)))]);
        let (table, admitted) = (ArcSwap::from_pointee(table), ArcSwap::from_pointee(Admitted::default()));
        Self { inner: Arc::new(Inner { runtime, loader, table, admitted }) }
    }

    /// Whether a plugin says the same about itself as when it was loaded.
    async fn describe_again(&self, name: &str) -> Result<bool> {
        let plugin = match self.inner.table.load().get(name) {
            Some(Entry::Loaded(plugin)) => plugin.clone(),
            _ => return Err(Error::not_found("plugin", name)),
        };
        let runtime = self.runtime().clone();
        let again = tokio::task::spawn_blocking(move || {
            manifest::read(&runtime, &plugin.callee()).map(|again| again == plugin.info.manifest)
        });
        again.await.map_err(|error| Error::internal(format!("a plugin call broke off: {error}")))?
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

    /// Calls `act` with where the code of the loaded plugins is mapped. It stays there at least until `act` returns.
    pub fn with_code<T>(&self, act: impl FnOnce(&[Range<usize>]) -> T) -> T {
        let table = self.inner.table.load_full();
        let loaded = table.values().filter_map(|entry| match entry {
            Entry::Loaded(plugin) => Some(plugin.code()),
            Entry::Failed { .. } => None,
        });
        act(&loaded.collect::<Vec<_>>())
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

    /// Whether the program itself brings a plugin of that name.
    pub fn is_builtin(name: &str) -> bool {
        builtin::BUILTIN.iter().any(|builtin| builtin.name == name)
    }

    /// The component of a plugin that the program itself brings.
    pub fn builtin(name: &str) -> Option<&'static [u8]> {
        builtin::BUILTIN.iter().find(|builtin| builtin.name == name).map(|builtin| builtin.bytes)
    }

    /// What the operator lets a plugin do, as a connection that is made for it takes it: the configuration's grant and
    /// what was approved since.
    pub fn granted(&self, name: &str) -> Vec<String> {
        let admitted = self.inner.admitted.load();
        let mut granted: Vec<String> = admitted
            .get(name)
            .into_iter()
            .flat_map(|admission| &admission.verdict.granted)
            .map(|grant| match grant.strip_prefix("http:") {
                // The manifest says which requests to the connection's own address these are.
                Some(request) if !request.contains("://") => "http:self".to_owned(),
                _ => grant.clone(),
            })
            .collect();
        granted.dedup();
        granted
    }

    /// A request of the server itself to an address that somebody has written down. It is resolved once and every address
    /// checked by the policy; no redirect is followed. `trusted` are further authorities in PEM.
    ///
    /// # Errors
    /// `Unavailable` with what refused it, or why there was no answer.
    pub async fn fetch(
        &self,
        request: http::Request<Vec<u8>>,
        policy: Policy,
        trusted: Option<&str>,
    ) -> Result<http::Response<Vec<u8>>> {
        let answer = self.runtime().fetch(request, policy, trusted).await;
        answer.map_err(|refusal| Error::unavailable(refusal.said))
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

    /// Whether a plugin of that name is loaded that can do this beyond its kind.
    pub fn has_ability(&self, name: &str, ability: Ability) -> bool {
        match self.inner.table.load().get(name) {
            Some(Entry::Loaded(plugin)) => plugin.info.abilities.contains(&ability),
            _ => false,
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
        self.webhook_contract_of(name, PluginKind::GitForge, None)
    }

    /// How deliveries for this CI/CD provider prove that they are genuine.
    pub fn provider_webhook_contract(&self, name: &str) -> Result<WebhookContract> {
        self.webhook_contract_of(name, PluginKind::CiProvider, Some(Ability::Webhooks))
    }

    fn webhook_contract_of(
        &self,
        name: &str,
        kind: PluginKind,
        ability: Option<Ability>,
    ) -> Result<WebhookContract> {
        let call = "webhook-contract";
        let plugin = self.find_able(name, kind, ability, call)?;
        plugin.info.manifest.webhooks.clone().ok_or_else(|| {
            let kind = PluginErrorKind::Missing("it declares no webhooks".into());
            PluginError { plugin: name.to_owned(), call, kind }.into()
        })
    }

    /// Says whether a plugin of that name and kind is loaded, and if not, what is.
    pub fn check(&self, name: &str, kind: PluginKind) -> Result<()> {
        self.find(name, kind, "find").map(|_| ())
    }

    /// What is wrong with settings or parameters by the plugin's own schema; nothing if they fit.
    pub fn settings_problems(&self, name: &str, settings: &serde_json::Value) -> Result<Vec<Problem>> {
        match self.inner.table.load().get(name) {
            Some(Entry::Loaded(plugin)) => Ok(plugin.schema.problems(settings)),
            Some(Entry::Failed { error, .. }) => {
                let kind = PluginErrorKind::Load(error.clone());
                Err(PluginError { plugin: text::line(name, 128), call: "settings", kind }.into())
            }
            None => Err(Error::not_found("plugin", name)),
        }
    }

    /// Forgets components that were kept for replays, except those that are loaded or have calls on record.
    pub fn retain_components(&self, mut recorded: BTreeSet<String>) {
        recorded.extend(self.list().into_iter().filter_map(|plugin| plugin.digest));
        self.inner.loader.called.prune(&recorded);
    }

    /// What the flight recorder takes down from now on, for the first who asks.
    pub fn recordings(&self) -> Option<Recordings> {
        self.inner.runtime.recorder.take()
    }

    pub fn register_metrics(&self, registry: &mut Registry) {
        self.inner.runtime.metrics.register(registry);
        self.inner.runtime.recorder.register(registry);
    }

    fn status(&self, name: &str, entry: &Entry) -> PluginStatus {
        let mut status = registry::status(name, entry);
        if let Some(admitted) = self.inner.admitted.load().get(name) {
            status.admission = admitted.shown(status.digest.as_deref(), status.info.as_ref());
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

    /// As `find`, and the plugin can do that as well.
    fn find_able(
        &self,
        name: &str,
        kind: PluginKind,
        ability: Option<Ability>,
        call: &'static str,
    ) -> Result<Arc<Loaded>> {
        let plugin = self.find(name, kind, call)?;
        match ability {
            Some(ability) if !plugin.info.abilities.contains(&ability) => {
                let kind = PluginErrorKind::Missing(format!(
                    "it does not export the optional interface `{}`, so it cannot do that",
                    ability.interface()
                ));
                Err(PluginError { plugin: text::line(name, 128), call, kind }.into())
            }
            _ => Ok(plugin),
        }
    }
}
