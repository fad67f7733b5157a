//! Use cases: a file per noun, the same verb on every floor. This is where transactions begin and end.

pub mod access;
pub mod account;
mod api_limits;
pub mod apply;
pub mod approval;
pub mod artifact;
pub mod audit;
pub mod backup;
pub mod badge;
pub mod build;
pub mod certificate;
pub mod cicd;
pub mod code;
pub mod compose;
pub mod crash;
mod credential;
pub mod deployment;
pub mod doctor;
pub mod event;
pub mod forge;
mod gate;
pub mod health;
pub mod host_key;
pub mod housekeeping;
mod lately;
pub mod login;
pub mod login_limits;
pub mod logs;
pub mod look;
pub mod metrics;
pub mod notify;
pub mod overview;
pub mod password;
pub mod people;
pub mod pipeline;
pub mod plan;
pub mod plugin;
mod plugin_lock;
pub mod plugin_nodes;
pub mod plugin_pack;
pub mod plugin_rehearsal;
pub mod plugin_tool;
pub mod preview;
pub mod protection;
mod rates;
pub mod recorder;
pub mod recover;
pub mod registry;
pub mod repository;
pub mod rollout;
pub mod router;
pub mod schedule;
pub mod second_factor;
pub mod sign_on;
pub mod stack;
pub mod target;
pub mod task;
pub mod template;
pub mod token;
pub mod traffic;
pub mod vault;
pub mod webhook;
pub mod webhook_secret;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::docker::Docker;
use crate::domain::Id;
use crate::domain::rollout::Weight;
use crate::error::{Error, Result};
use crate::git::{Git, HostKeys};
use crate::network::{Outgoing, Policy};
use crate::plugins::Plugins;
use crate::router::client::RouterClient;
use crate::store::{self, Db, DbConfig, routes};
use logs::Logs;
use metrics::Metrics;
use vault::Vault;
use webhook::{Endpoints, Limits};

/// Everything a use case may need. Cheap to clone, no global state.
#[derive(Clone)]
pub struct App(Arc<Parts>);

pub struct Parts {
    pub config: Config,
    pub db: Db,
    pub plugins: Plugins,
    /// Plugins are changed by one at a time.
    plugin_changes: tokio::sync::Mutex<()>,
    /// The program that compiles plugins.
    compiler: Option<PathBuf>,
    pub git: Git,
    /// The local engine; [`target::engine`] says which one is a stack's.
    pub docker: Docker,
    /// The others.
    engines: target::Engines,
    /// The pinned ssh host keys of theirs.
    target_keys: Arc<HostKeys>,
    /// The router of this data folder, whether it runs or not.
    pub router: RouterClient,
    pub vault: Vault,
    pub auditor: audit::Auditor,
    pub backups: backup::Settings,
    pub logs: Logs,
    pub metrics: Arc<Metrics>,
    pub endpoints: Endpoints,
    pub limits: Limits,
    pub api_limits: api_limits::ApiLimits,
    /// Receivers of notifications that are talked to at the same time.
    notify_room: tokio::sync::Semaphore,
    /// Bytes of deliveries that may be in memory, in KiB.
    pub delivery_room: tokio::sync::Semaphore,
    pub login_limits: login_limits::LoginLimits,
    pub passwords: password::Passwords,
    pub sign_on: sign_on::SignOn,
    published: traffic::Published,
    seen: rollout::Seen,
    histories: rollout::Histories,
    /// How safely the installation is set up, as one check among others.
    security_seen: lately::Lately<(), doctor::Check>,
    /// Logs of builds at providers that grow.
    ci_logs: cicd::Live,
    /// How many requests providers still take.
    ci_budgets: Arc<cicd::Budgets>,
    /// What the router answers to ACME servers now.
    challenges: certificate::Challenges,
    /// Somebody wants a certificate now.
    wake_certificates: tokio::sync::Notify,
    /// Tells this server, its containers and its tasks from those of another one. Lives as long as the data folder.
    pub instance: String,
    /// When this process began.
    pub started_at: i64,
}

/// How a task's work ended, where that is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Finished,
    /// The server stops, or another node has taken over: to be resumed from what is stored.
    Interrupted,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Opens the data folder, the database, the plugins and the connections to git and Docker. The engine need not answer
    /// yet. `compiler` is the `windlass` program, which compiles plugins in a process of its own.
    pub async fn open(config: Config, compiler: Option<PathBuf>) -> Result<Self> {
        let data = config.server.data_dir.clone();
        private_folder(&data)?;
        backup::refuse_unfinished(&data)?;
        let backups = backup::Settings::of(&config)?;
        let vault = Vault::open(&config.master_key, &data)?;
        let logs = Logs::open(&config.build.log_dir)?;
        let database = DbConfig::new(config.database_url());
        let db = Db::open(&database).await?;
        let auditor = audit::Auditor::open(&db, &vault).await?;
        let plugins = Plugins::start(plugin::settings(&config, compiler.clone(), &db).await?).await?;
        let git = Git::open(data.join("git"), Outgoing::new(outgoing_policy(&config)))?;
        let host = Some(config.docker.host.as_str()).filter(|host| !host.is_empty());
        let instance = instance_id(&data)?;
        let docker = Docker::connect(host, &instance)?;
        let metrics = Arc::new(Metrics::new(&plugins));
        let counted = Arc::clone(&metrics);
        db.at_end_of_deployments(Box::new(move |deployment| counted.deployment_ended(deployment)));
        let sign_on = sign_on::SignOn::of(&config)?;
        let router = RouterClient::new(&data);
        let webhooks = &config.webhooks;
        let delivery_room = tokio::sync::Semaphore::new(webhooks.max_buffered_bytes / 1024);
        let api_limits = api_limits::ApiLimits::new(config.server.requests_per_minute);
        let limits = Limits::new(webhooks.per_minute, webhooks.refused_per_minute);
        Ok(Self(Arc::new(Parts {
            config,
            db,
            plugins,
            plugin_changes: tokio::sync::Mutex::default(),
            compiler,
            git,
            docker,
            engines: target::Engines::default(),
            target_keys: host_key::of_targets(&data),
            router,
            vault,
            auditor,
            backups,
            logs,
            metrics,
            endpoints: Endpoints::default(),
            limits,
            api_limits,
            notify_room: tokio::sync::Semaphore::new(notify::AT_ONCE),
            delivery_room,
            login_limits: login_limits::LoginLimits::default(),
            passwords: password::Passwords::default(),
            sign_on,
            published: traffic::Published::default(),
            seen: rollout::Seen::default(),
            histories: rollout::Histories::new(rollout::GOOD_FOR),
            security_seen: lately::Lately::new(doctor::SECURITY_GOOD_FOR),
            ci_logs: cicd::Live::default(),
            ci_budgets: Arc::default(),
            challenges: certificate::Challenges::default(),
            wake_certificates: tokio::sync::Notify::new(),
            instance,
            started_at: store::now(),
        })))
    }

    /// Who gets a stack's requests now; empty if nothing serves.
    pub async fn route_weights(&self, stack_id: &Id) -> Result<Vec<Weight>> {
        let mut conn = self.db.read().await?;
        Ok(routes::get(&mut conn, stack_id).await?.map(|route| route.weights).unwrap_or_default())
    }
}

/// Where this server goes for URLs that people of a team have written.
fn outgoing_policy(config: &Config) -> Policy {
    Policy::new(&config.outgoing.private_networks)
}

fn instance_id(data: &Path) -> Result<String> {
    let path = data.join("instance");
    if let Ok(text) = std::fs::read_to_string(&path)
        && !text.trim().is_empty()
    {
        return Ok(text.trim().to_string());
    }
    let id = store::new_id().to_string();
    std::fs::write(&path, &id)
        .map_err(|error| Error::unavailable(format!("{} cannot be written: {error}", path.display())))?;
    Ok(id)
}

fn private_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let failed = |error: std::io::Error| {
        Error::unavailable(format!(
            "the data folder {} cannot be used: {error}; set server.data_dir (WINDLASS_DATA_DIR) to a writable one",
            path.display()
        ))
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed)
}
