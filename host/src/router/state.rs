//! The router's one state: the table in use, kept on disk, and what is counted.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::access::AccessLog;
use super::certificates::Certificates;
use super::keep;
use super::live::{Live, Registry};
use super::report::{Health, ReleaseReport, RouteReport, Stats, TargetReport};
use super::upstream::lock;
use crate::config::RouterConfig;
use crate::domain::route::RouteTable;
use crate::error::{Error, Result};

pub struct Router {
    /// Where the table is kept.
    folder: PathBuf,
    pub live: Arc<ArcSwap<Live>>,
    registry: Mutex<Registry>,
    /// The version of the table, for those who wait for another one.
    pub changes: watch::Sender<u64>,
    /// Tables are applied one at a time; held by whoever hands over.
    pub applying: tokio::sync::Mutex<Owner>,
    pub access: Option<Arc<AccessLog>>,
    pub trust_forwarded: bool,
    /// Requests that no route is for.
    pub unrouted: AtomicU64,
    pub tunnels: TaskTracker,
    /// Another process has taken over: clients are asked to connect anew, and find that one.
    pub leaving: AtomicBool,
    started_at: i64,
    build: String,
}

/// Whether this process is the one that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    This,
    /// Another process has taken over; this one ends what it does.
    Another,
}

impl Router {
    /// With the table that is kept in `folder`, if there is one.
    ///
    /// # Errors
    /// If the access log cannot be opened.
    pub fn open(folder: &Path, config: &RouterConfig) -> Result<Self> {
        let access =
            AccessLog::open(&config.access_log, config.access_log_max_mib * 1024 * 1024)?.map(Arc::new);
        let mut registry = Registry::default();
        let live = match keep::load(folder) {
            Some(document) => {
                let certificates = Certificates::load_readable(&document.certificates);
                registry.adopt(document, certificates)
            }
            None => Live::default(),
        };
        let (changes, _) = watch::channel(live.document.version);
        Ok(Self {
            folder: folder.to_path_buf(),
            live: Arc::new(ArcSwap::from_pointee(live)),
            registry: Mutex::new(registry),
            changes,
            applying: tokio::sync::Mutex::new(Owner::This),
            access,
            trust_forwarded: config.trust_forwarded,
            unrouted: AtomicU64::default(),
            tunnels: TaskTracker::new(),
            leaving: AtomicBool::new(false),
            started_at: chrono::Utc::now().timestamp_millis(),
            build: build_of("/proc/self/exe"),
        })
    }

    /// Puts a table in the place of the one in use. From then on, every new request is decided by it.
    ///
    /// # Errors
    /// `Invalid` if it makes no sense, `Conflict` if it is not newer, `Unavailable` if it cannot be kept or another process
    /// has taken over. The table in use stays.
    pub async fn apply(&self, document: RouteTable) -> Result<()> {
        document.check()?;
        let certificates = Certificates::load(&document.certificates)?;
        let owner = self.applying.lock().await;
        if *owner == Owner::Another {
            return Err(Error::unavailable("another router process has taken over; ask again"));
        }
        let current = self.live.load_full();
        if document == current.document {
            // The same once more: whoever sent it may not have heard the answer.
            return Ok(());
        }
        if document.version <= current.document.version {
            return Err(Error::conflict(format!(
                "this table has version {}, and version {} is in use; read the table anew and decide again",
                document.version, current.document.version
            )));
        }
        let (folder, text) = (self.folder.clone(), document.clone());
        tokio::task::spawn_blocking(move || keep::store(&folder, &text)).await.map_err(Error::internal)??;
        let version = document.version;
        let live = lock(&self.registry).adopt(document, certificates);
        self.live.store(Arc::new(live));
        // The counterpart of the one in `Account::at`.
        fence(Ordering::SeqCst);
        self.changes.send_replace(version);
        tracing::info!(version, "[@router:table] applied");
        drop(owner);
        Ok(())
    }

    /// Numbers of every release that is in the table or still does something.
    pub fn stats(&self, seconds: usize) -> Stats {
        let live = self.live.load();
        let registry = lock(&self.registry);
        let mut releases: Vec<ReleaseReport> = registry
            .releases()
            .iter()
            .map(|release| {
                let route = live.routes.iter().find(|route| route.route.name == release.route);
                let share = route.and_then(|route| {
                    let at = route.route.releases.iter().position(|share| share.release == release.name)?;
                    Some((route.route.releases[at].weight, &route.releases[at].targets))
                });
                ReleaseReport {
                    route: release.route.clone(),
                    release: release.name.clone(),
                    weight: share.map(|(weight, _)| weight),
                    in_flight: release.stats.in_flight.load(Ordering::SeqCst),
                    total: release.stats.totals(),
                    window: release.stats.window(seconds),
                    targets: share.map_or_else(Vec::new, |(_, targets)| {
                        let report = |target: &Arc<super::upstream::Upstream>| TargetReport {
                            address: target.address,
                            healthy: target.is_healthy(),
                            reason: target.reason(),
                        };
                        targets.iter().map(report).collect()
                    }),
                }
            })
            .collect();
        let count = |target: &Arc<super::upstream::Upstream>| {
            let count = target.in_flight.load(Ordering::SeqCst);
            (count > 0).then_some((target.address, u64::from(count)))
        };
        let in_flight = registry.upstreams().filter_map(count).collect();
        drop(registry);
        releases.sort_by(|a, b| (&a.route, &a.release).cmp(&(&b.route, &b.release)));
        let held = |route: &Arc<super::live::LiveRoute>| RouteReport {
            route: route.route.name.clone(),
            held: route.waiting.load(Ordering::Relaxed),
        };
        Stats {
            health: self.health(),
            routes: live.routes.iter().map(held).collect(),
            releases,
            in_flight,
            unrouted: self.unrouted.load(Ordering::Relaxed),
            log_lines_dropped: self.access.as_ref().map_or(0, |log| log.dropped()),
        }
    }

    pub fn health(&self) -> Health {
        Health {
            pid: std::process::id(),
            build: self.build.clone(),
            version: self.live.load().document.version,
            started_at: self.started_at,
        }
    }

    /// Counts seconds, closes what was idle for too long, forgets what is over. Never ends.
    pub async fn upkeep(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            let mut registry = lock(&self.registry);
            registry.releases().iter().for_each(|release| release.stats.tick());
            registry.upstreams().for_each(|upstream| upstream.tidy());
            registry.forget();
        }
    }
}

/// Tells one build of the program from another: its version, and the file's size and time. Another program at the same path
/// differs from the one that runs.
pub fn build_of(program: impl AsRef<Path>) -> String {
    let file = std::fs::metadata(program).ok();
    let changed = file
        .as_ref()
        .and_then(|file| file.modified().ok())
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos());
    format!("{} {} {changed}", env!("CARGO_PKG_VERSION"), file.map_or(0, |file| file.len()))
}
