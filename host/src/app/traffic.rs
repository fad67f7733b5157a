//! The route table of this server: what its stacks' weights and containers say, kept in the router.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::docker::ContainerView;
use crate::domain::Id;
use crate::domain::rollout::Weight;
use crate::domain::route::RouteTable;
use crate::domain::stack::Stack;
use crate::domain::traffic::{Reachable, Routed, table};
use crate::error::{Error, Result};
use crate::store::{deployments, releases, routes, stacks};

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
    /// Of stacks whose requests wait: the containers that are about to go, so that something else has to come.
    held: HashMap<Id, HashSet<String>>,
}

/// Whether requests reach the stack through the router.
pub fn is_routed(app: &App, stack: &Stack) -> bool {
    app.config.router.enabled && stack.traffic.is_routed()
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

/// While a stack is rolled out, only these containers of it get requests. `None` ends that.
///
/// # Errors
/// `Unavailable` if the router does not answer.
pub async fn prove(app: &App, stack: &Stack, containers: Option<HashSet<String>>) -> Result<()> {
    if !is_routed(app, stack) {
        return Ok(());
    }
    let mut state = app.published.0.lock().await;
    if state.proven.get(&stack.id) == containers.as_ref() {
        return Ok(());
    }
    match containers {
        Some(containers) => {
            if let Some(leaving) = state.held.get_mut(&stack.id) {
                // Once it was away, it may come back.
                leaving.retain(|id| containers.contains(id));
            }
            state.proven.insert(stack.id.clone(), containers);
        }
        None => {
            state.proven.remove(&stack.id);
            state.held.remove(&stack.id);
        }
    }
    publish_locked(app, &mut state).await
}

/// Requests of a stack wait from here on, until something that is routed and is not there now has passed its gate.
///
/// # Errors
/// `Unavailable` if the router does not answer.
pub async fn hold(app: &App, stack: &Stack) -> Result<()> {
    if !is_routed(app, stack) {
        return Ok(());
    }
    let leaving = app.docker.list(&stack.name).await?.into_iter().filter(|view| view.container.running);
    let leaving = leaving.map(|view| view.container.id).collect();
    let mut state = app.published.0.lock().await;
    state.held.insert(stack.id.clone(), leaving);
    publish_locked(app, &mut state).await
}

async fn publish_locked(app: &App, state: &mut State) -> Result<()> {
    let wanted = wanted(app, state).await?;
    let version = app.router.health().await?.version;
    if version == state.version && state.table.as_ref() == Some(&wanted) {
        return Ok(());
    }
    let numbered = RouteTable { version: version + 1, ..wanted.clone() };
    app.router.apply(&numbered).await?;
    state.version = numbered.version;
    state.table = Some(wanted);
    Ok(())
}

async fn wanted(app: &App, state: &mut State) -> Result<RouteTable> {
    let mut conn = app.db.read().await?;
    let known = stacks::list_routed(&mut conn).await?;
    let mut routed = Vec::new();
    for stack in known {
        let weights = routes::get(&mut conn, &stack.id).await?.map(|route| route.weights).unwrap_or_default();
        let paths = health_paths(&mut conn, &weights).await?;
        routed.push((stack, weights, paths));
    }
    let rolling = deployments::list_nonterminal(&mut conn).await?;
    drop(conn);
    let mut all = Vec::new();
    for (stack, weights, paths) in routed {
        let is_rolling =
            rolling.iter().any(|row| row.stack_id == stack.id && row.rollout.rollout_started_at.is_some());
        let views = app.docker.list(&stack.name).await?;
        let hold = is_rolling && !weights.is_empty() && !is_served(state, &stack.id, &weights, &views);
        if !hold {
            state.held.remove(&stack.id);
        }
        let instances =
            instances(state, &stack.id, views).iter().filter_map(|view| reachable(view, &paths)).collect();
        all.push(Routed { name: stack.name, traffic: stack.traffic, weights, instances, hold });
    }
    Ok(table(&all))
}

fn is_proven(state: &State, stack: &Id, view: &ContainerView) -> bool {
    state.proven.get(stack).is_none_or(|known| known.contains(&view.container.id))
}

/// Whether something that has a share of the requests is there for them.
fn is_served(state: &State, stack: &Id, weights: &[Weight], views: &[ContainerView]) -> bool {
    let has_share =
        |release: &Id| weights.iter().any(|weight| weight.percent > 0 && weight.release == *release);
    let mut serving =
        views.iter().filter(|view| view.container.running && has_share(&view.container.release));
    match state.held.get(stack) {
        Some(leaving) => {
            serving.any(|view| is_proven(state, stack, view) && !leaving.contains(&view.container.id))
        }
        // Requests wait on when this server comes back in the middle of a pause and knows nothing of it.
        None => serving.next().is_some(),
    }
}

/// What may get requests. Where nothing is healthy any more, an answer of something sick is better than none.
fn instances(state: &State, stack: &Id, mut views: Vec<ContainerView>) -> Vec<ContainerView> {
    if views.iter().any(|view| is_proven(state, stack, view)) {
        views.retain(|view| is_proven(state, stack, view));
    }
    views
}

async fn health_paths(
    conn: &mut crate::store::Conn,
    weights: &[Weight],
) -> Result<HashMap<Id, Option<String>>> {
    let mut paths = HashMap::new();
    for weight in weights {
        if let Some(release) = releases::find_opt(conn, weight.release.as_str()).await? {
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
    let address = SocketAddr::new(view.ip?, view.port?);
    let health_path = paths.get(release).cloned().flatten();
    Some(Reachable { release: release.clone(), address, health_path })
}

/// Keeps the router up to date with what nobody ordered: containers that end or are restarted, and the router itself.
pub async fn keep(app: App, stop: CancellationToken) {
    let watch = app.docker.watch(None);
    let mut failing = false;
    loop {
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
            () = watch.changed() => tokio::time::sleep(GATHER).await,
        }
    }
}

/// Waits until a release that gets no requests any more has answered those it has, at most for `patience`. Answers
/// whether it has.
pub async fn drain(app: &App, stack: &Stack, release: &Id, patience: Duration) -> bool {
    let drained = async {
        loop {
            match app.router.drained(&stack.name, release.as_str()).await {
                Ok(true) => return true,
                Ok(false) => tokio::time::sleep(Duration::from_millis(50)).await,
                // Without a router nothing is in flight that could be waited for.
                Err(Error::Unavailable(_)) => return true,
                Err(_) => return false,
            }
        }
    };
    tokio::time::timeout(patience, drained).await.unwrap_or(false)
}
