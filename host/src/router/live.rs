//! The table in use: the document with everything that lives longer than one document.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::certificates::Certificates;
use super::probe;
use super::stats::ReleaseStats;
use super::upstream::{Upstream, lock};
use crate::domain::route::choice::Index;
use crate::domain::route::{Route, RouteTable};

/// One table, ready to be used. Never changes; another one takes its place.
#[derive(Debug, Default)]
pub struct Live {
    pub document: RouteTable,
    pub index: Index,
    pub routes: Vec<Arc<LiveRoute>>,
    pub certificates: Certificates,
}

#[derive(Debug)]
pub struct LiveRoute {
    pub route: Route,
    /// In the order of `route.releases`.
    pub releases: Vec<LiveRelease>,
    /// Requests and new clients so far.
    pub turn: AtomicU64,
    /// Requests that are held; goes on from table to table.
    pub waiting: Arc<AtomicU32>,
}

#[derive(Debug)]
pub struct LiveRelease {
    pub release: Arc<Release>,
    pub targets: Vec<Arc<Upstream>>,
    turn: AtomicUsize,
}

/// A release of a route, as long as anything of it is in flight or of interest.
#[derive(Debug)]
pub struct Release {
    pub route: String,
    pub name: String,
    pub stats: ReleaseStats,
    /// Cuts the connections of a release that was drained for too long.
    pub cut: CancellationToken,
    drain: Mutex<Option<AbortHandle>>,
}

/// What outlives a table.
#[derive(Debug, Default)]
pub struct Registry {
    releases: HashMap<(String, String), Arc<Release>>,
    upstreams: HashMap<SocketAddr, Arc<Upstream>>,
    /// Those that left the table and still answer.
    left: Vec<Arc<Upstream>>,
    waiting: HashMap<String, Arc<AtomicU32>>,
}

impl LiveRelease {
    /// A healthy target. A client that stays with its release stays with its target as well, as long as those are the same.
    pub fn target(&self, seat: Option<u8>) -> Option<&Arc<Upstream>> {
        let count = self.targets.len();
        if count == 1 {
            return self.targets.first().filter(|target| target.is_healthy());
        }
        let first = seat.map_or_else(|| self.turn.fetch_add(1, Ordering::Relaxed), usize::from);
        (0..count).map(|n| &self.targets[first.wrapping_add(n) % count]).find(|target| target.is_healthy())
    }
}

impl Registry {
    /// Puts a checked document to work. What it shares with the table before goes on: counts, connections, probes.
    pub fn adopt(&mut self, document: RouteTable, certificates: Certificates) -> Live {
        let routes = document.routes.iter().map(|route| Arc::new(self.route(route))).collect();
        self.retire(&document);
        Live { index: Index::new(&document.routes), routes, certificates, document }
    }

    fn route(&mut self, route: &Route) -> LiveRoute {
        let releases = route
            .releases
            .iter()
            .map(|share| {
                let targets = share
                    .targets
                    .iter()
                    .map(|target| {
                        let upstream = self
                            .upstreams
                            .entry(target.address)
                            .or_insert_with(|| Arc::new(Upstream::new(target.address)));
                        probe::watch(upstream, target.probe.as_ref());
                        upstream.clone()
                    })
                    .collect();
                let release = self.release(&route.name, &share.release);
                LiveRelease { release, targets, turn: AtomicUsize::default() }
            })
            .collect();
        let waiting = self.waiting.entry(route.name.clone()).or_default().clone();
        LiveRoute { route: route.clone(), releases, turn: AtomicU64::default(), waiting }
    }

    fn release(&mut self, route: &str, name: &str) -> Arc<Release> {
        let key = (route.to_string(), name.to_string());
        if let Some(known) = self.releases.get(&key) {
            if let Some(drain) = lock(&known.drain).take() {
                drain.abort();
            }
            if !known.cut.is_cancelled() {
                return known.clone();
            }
        }
        let release = Arc::new(Release {
            route: route.to_string(),
            name: name.to_string(),
            stats: ReleaseStats::default(),
            cut: CancellationToken::new(),
            drain: Mutex::default(),
        });
        self.releases.insert(key, release.clone());
        release
    }

    /// What the document no longer has finishes what it does, until its deadline.
    fn retire(&mut self, document: &RouteTable) {
        let shares = || {
            document.routes.iter().flat_map(|route| route.releases.iter().map(move |share| (route, share)))
        };
        let addresses: HashSet<SocketAddr> =
            shares().flat_map(|(_, share)| share.targets.iter().map(|target| target.address)).collect();
        let left = self.upstreams.extract_if(|address, _| !addresses.contains(address));
        for (_, upstream) in left {
            upstream.close();
            self.left.push(upstream);
        }
        let named: HashSet<(&str, &str)> =
            shares().map(|(route, share)| (route.name.as_str(), share.release.as_str())).collect();
        for ((route, name), release) in &self.releases {
            if named.contains(&(route.as_str(), name.as_str())) {
                continue;
            }
            let mut drain = lock(&release.drain);
            if drain.is_none() {
                // A route that is gone has no timeouts any more; the release keeps the usual ones.
                let timeouts =
                    document.routes.iter().find(|entry| entry.name == *route).map(|entry| entry.timeouts);
                let patience = Duration::from_millis(timeouts.unwrap_or_default().drain_ms);
                let cut = release.cut.clone();
                let task = tokio::spawn(async move {
                    tokio::time::sleep(patience).await;
                    cut.cancel();
                });
                *drain = Some(task.abort_handle());
            }
        }
        let names: HashSet<&str> = document.routes.iter().map(|route| route.name.as_str()).collect();
        self.waiting
            .retain(|name, waiting| names.contains(name.as_str()) || waiting.load(Ordering::Relaxed) > 0);
    }

    pub fn releases(&self) -> Vec<Arc<Release>> {
        self.releases.values().cloned().collect()
    }

    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values().chain(&self.left)
    }

    /// Forgets what left the table and is of no interest any more.
    pub fn forget(&mut self) {
        self.left.retain(|upstream| upstream.in_flight.load(Ordering::SeqCst) > 0);
        self.releases.retain(|_, release| {
            let retired = lock(&release.drain).is_some();
            let of_interest = release.stats.in_flight.load(Ordering::SeqCst) > 0
                || release.stats.window(super::stats::LONGEST_WINDOW).requests > 0;
            !retired || of_interest
        });
    }
}
