//! The route table of this server: what its stacks' weights and containers say, kept in the router.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::App;
use super::certificate::certificate_files;
use super::target::{Bells, engine, stack_views, watch_all};
use crate::docker::ContainerView;
use crate::domain::Id;
use crate::domain::rollout::history::REMEMBERED_SECS;
use crate::domain::rollout::{Route, Sample, Weight};
use crate::domain::route::RouteTable;
use crate::domain::stack::Stack;
use crate::domain::traffic::{Reachable, Routed, Traffic, table};
use crate::error::{Error, Result};
use crate::router::report::Stats;
use crate::store::{self, deployments, releases, routes, stacks};

/// Changes of containers are taken together that come within this time.
const GATHER: Duration = Duration::from_millis(100);
/// The table is compared with what it should be this often, whatever happens.
const LOOK: Duration = Duration::from_secs(30);

/// What is known of the router's table.
#[derive(Default)]
pub struct Published(Mutex<State>);

#[derive(Default)]
struct State {
    /// With version 0.
    table: Option<RouteTable>,
    version: u64,
    /// Of stacks that are being rolled out: the containers that passed their gate. Only those get requests.
    proven: HashMap<Id, HashSet<String>>,
    /// Containers, by name, that get nothing new because they are about to stop.
    leaving: HashSet<String>,
    /// The last attempt to tell the router failed.
    behind: bool,
}

/// Whether requests reach the stack through the router.
pub fn is_routed(app: &App, stack: &Stack) -> bool {
    app.config.router.enabled && stack.traffic.is_routed()
}

/// How requests reach the stack, if it is through the router.
pub fn routed<'a>(app: &App, stack: &'a Stack) -> Option<&'a Traffic> {
    is_routed(app, stack).then_some(&stack.traffic)
}

/// Where users reach the stack, if it is through the router.
pub fn public_url(app: &App, stack: &Stack) -> Option<String> {
    let host = routed(app, stack)?.hosts.first()?;
    let router = &app.config.router;
    let (scheme, usual, listener) = match (router.https.first(), router.http.first()) {
        (Some(at), _) => ("https", 443, at),
        (None, Some(at)) => ("http", 80, at),
        (None, None) => return None,
    };
    let port = if listener.port() == usual { String::new() } else { format!(":{}", listener.port()) };
    Some(format!("{scheme}://{host}{port}/"))
}

/// Brings the router up to date. When this returns, new requests go where they should.
///
/// # Errors
/// `Unavailable` if the router does not answer.
pub async fn publish(app: &App) -> Result<()> {
    let mut state = app.published.0.lock().await;
    publish_locked(app, &mut state).await
}

/// The same for those who need not wait for the router: what fails is tried again by [`keep`].
pub async fn refresh(app: &App) {
    if app.config.router.enabled
        && let Err(error) = publish(app).await
    {
        tracing::debug!(error = error.for_log(), "[@router:table] the router is told later");
    }
}

/// While a stack is rolled out, only these containers of it get requests, until [`trust_all`].
///
/// # Errors
/// `Unavailable` if the router does not answer.
pub async fn prove(app: &App, stack: &Stack, containers: HashSet<String>) -> Result<()> {
    if !is_routed(app, stack) {
        return Ok(());
    }
    let mut state = app.published.0.lock().await;
    if !state.behind && state.proven.get(&stack.id) == Some(&containers) {
        return Ok(());
    }
    state.proven.insert(stack.id.clone(), containers);
    publish_locked(app, &mut state).await
}

/// The stack's rollout is over: every container of what serves gets requests again.
pub async fn trust_all(app: &App, stack: &Id) {
    let mut state = app.published.0.lock().await;
    state.proven.remove(stack);
    drop(state);
    refresh(app).await;
}

async fn publish_locked(app: &App, state: &mut State) -> Result<()> {
    state.behind = true;
    let served = app.router.table().await?;
    let version = served.version;
    let wanted = wanted(app, state, &served).await?;
    if version != state.version || state.table.as_ref() != Some(&wanted) {
        let numbered = RouteTable { version: version + 1, ..wanted.clone() };
        app.router.apply(&numbered).await?;
        state.version = numbered.version;
        state.table = Some(wanted);
    }
    state.behind = false;
    Ok(())
}

/// The table as it should be, `served` being the one in use.
async fn wanted(app: &App, state: &State, served: &RouteTable) -> Result<RouteTable> {
    let mut conn = app.db.read().await?;
    let known = stacks::list_routed(&mut conn).await?;
    let rolling = deployments::list_nonterminal(&mut conn).await?;
    let rolling: HashMap<Id, Option<Id>> = rolling
        .into_iter()
        .filter(|row| row.rollout.rollout_started_at.is_some())
        .map(|row| (row.stack_id, row.release_id))
        .collect();
    let mut routed = Vec::new();
    for stack in known {
        let weights = routes::get(&mut conn, &stack.id).await?.map(|route| route.weights).unwrap_or_default();
        let candidate = rolling.get(&stack.id).cloned().flatten();
        let releases = weights.iter().map(|weight| &weight.release).chain(&candidate);
        let paths = health_paths(&mut conn, releases).await?;
        routed.push((stack, weights, candidate, paths));
    }
    drop(conn);
    let found = join_all(routed.iter().map(|(stack, ..)| stack_views(app, stack))).await;
    let mut all = Vec::new();
    for ((stack, weights, candidate, paths), found) in routed.into_iter().zip(found) {
        let held = rolling.contains_key(&stack.id);
        let mut views = match found {
            Ok(views) => views,
            // What runs there runs on without us, and so do its requests.
            Err(error) if stack.target.is_some() => {
                tracing::debug!(stack = %stack.name, error = error.for_log(), "[@router:table] a target does not answer");
                let instances = known_instances(served, &stack.name).collect();
                all.push(Routed {
                    name: stack.name,
                    traffic: stack.traffic,
                    weights,
                    instances,
                    candidate,
                    held,
                });
                continue;
            }
            Err(error) => return Err(error),
        };
        views.retain(|view| !state.leaving.contains(&view.container.name));
        // Where nothing is known, as of what another server rolls out, all are trusted.
        if let Some(proven) = state.proven.get(&stack.id).filter(|_| held) {
            retain_ready(&mut views, proven, known_instances(served, &stack.name));
        }
        let instances = views.iter().filter_map(|view| reachable(view, &paths)).collect();
        all.push(Routed { name: stack.name, traffic: stack.traffic, weights, instances, candidate, held });
    }
    let certificates = certificate_files(app).await?;
    Ok(RouteTable { certificates, challenges: app.challenges.list(), ..table(&all) })
}

async fn health_paths(
    conn: &mut crate::store::Conn,
    releases: impl Iterator<Item = &Id>,
) -> Result<HashMap<Id, Option<String>>> {
    let mut paths = HashMap::new();
    for release in releases {
        if let Some(release) = releases::find_opt(conn, release.as_str()).await? {
            paths.insert(release.id, release.spec.health.path);
        }
    }
    Ok(paths)
}

fn reachable(view: &ContainerView, paths: &HashMap<Id, Option<String>>) -> Option<Reachable> {
    if !view.container.running {
        return None;
    }
    let release = &view.container.release;
    let address = view.address()?;
    let health_path = paths.get(release).cloned().flatten();
    Some(Reachable { release: release.clone(), address, health_path })
}

/// Of a stack that this server rolls out, the containers that passed their gate. While there are none, those that get requests
/// already do so, because an answer of something sick is better than none; one that was started meanwhile does not listen yet.
fn retain_ready(
    views: &mut Vec<ContainerView>,
    proven: &HashSet<String>,
    served: impl Iterator<Item = Reachable>,
) {
    let is_proven = |view: &ContainerView| proven.contains(&view.container.id);
    if views.iter().any(is_proven) {
        views.retain(is_proven);
        return;
    }
    let served: HashSet<(Id, SocketAddr)> =
        served.map(|instance| (instance.release, instance.address)).collect();
    views.retain(|view| {
        view.address().is_some_and(|address| served.contains(&(view.container.release.clone(), address)))
    });
}

/// Where the router sends a stack's requests by its table.
fn known_instances(table: &RouteTable, stack: &str) -> impl Iterator<Item = Reachable> {
    let routes = table.routes.iter().filter(move |route| route.name == stack);
    let shares = routes.flat_map(|route| &route.releases);
    let targets = shares.flat_map(|share| share.targets.iter().map(move |target| (share, target)));
    targets.map(|(share, target)| Reachable {
        release: Id::from_text(share.release.clone()),
        address: target.address,
        health_path: target.probe.as_ref().map(|probe| probe.path.clone()),
    })
}

/// What the router counted of a stack's releases since their shares last changed.
pub async fn samples(app: &App, stack: &Stack, route: &Route) -> Vec<Sample> {
    let seconds = ((store::now() - route.updated_at) / 1000).clamp(1, REMEMBERED_SECS);
    let stats = match app.router.stats(usize::try_from(seconds).unwrap_or(1)).await {
        Ok(stats) => stats,
        Err(error) => {
            tracing::debug!(error = error.for_log(), "[@router:stats] the router tells nothing");
            return Vec::new();
        }
    };
    samples_of(stats, &stack.name, &route.weights)
}

/// What these numbers say of the releases that share a route's requests.
pub fn samples_of(stats: Stats, route: &str, shares: &[Weight]) -> Vec<Sample> {
    let is_own = |release: &str| shares.iter().any(|weight| weight.release.as_str() == release);
    stats
        .releases
        .into_iter()
        .filter(|report| report.route == route && is_own(&report.release))
        .map(|report| Sample {
            release: Id::from_text(report.release),
            requests: report.window.requests,
            errors_5xx: report.window.errors_5xx + report.window.broken,
            p50_ms: report.window.p50_ms,
            p95_ms: report.window.p95_ms,
            p99_ms: report.window.p99_ms,
        })
        .collect()
}

/// Keeps the router up to date with what nobody ordered: containers that end or are restarted, and the router itself.
pub async fn keep(app: App, stop: CancellationToken) {
    let mut bells = None;
    let mut failing = false;
    loop {
        bells = watch_all(&app, bells.take()).await.ok();
        match publish(&app).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(error = error.for_log(), "[@router:table] the router is not up to date");
            }
            Err(_) => {}
        }
        let pause = if failing { Duration::from_secs(1) } else { LOOK };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = rung(bells.as_ref()) => tokio::time::sleep(GATHER).await,
        }
    }
}

async fn rung(bells: Option<&Bells>) {
    match bells {
        Some(bells) => bells.changed().await,
        None => std::future::pending().await,
    }
}

/// Sends a container nothing new, and waits until it has answered what it has, at most for `patience`. Answers whether it
/// has. Where nothing else of the stack is healthy, the router holds its requests from now on.
///
/// # Errors
/// `Unavailable` if engine or router do not answer.
pub async fn leave(app: &App, stack: &Stack, container: &str, patience: Duration) -> Result<bool> {
    let mut state = app.published.0.lock().await;
    state.leaving.insert(container.to_owned());
    publish_locked(app, &mut state).await?;
    drop(state);
    let views = engine(app, stack).await?.list(&stack.name).await?;
    let address = views.iter().find(|view| view.container.name == container).and_then(ContainerView::address);
    let Some(address) = address else { return Ok(true) };
    let answered = async {
        loop {
            match app.router.in_flight(address).await {
                Ok(0) => return true,
                Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                // Without a router nothing is in flight that could be waited for.
                Err(Error::Unavailable(_)) => return true,
                Err(_) => return false,
            }
        }
    };
    Ok(tokio::time::timeout(patience, answered).await.unwrap_or(false))
}

/// What [`leave`] said of a container is over: it was stopped, so it gets nothing anyhow, until it is started again.
pub async fn left(app: &App, container: &str) {
    app.published.0.lock().await.leaving.remove(container);
}
