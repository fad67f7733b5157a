//! Canaries judged by real requests: the strategy's component decides, the router splits and counts, and programs answer well,
//! with 5 % errors, or late. Sixty rollouts at a time on one router. Containers have no part in a verdict, so there are none.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use windlass_tests::PATIENCE;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use windlass::app::traffic::samples_of;
use windlass::domain::Id;
use windlass::domain::rollout::{
    Action, Instance, InstanceState, Outcome, ReleaseFacts, Sample, Situation, Weight,
};
use windlass::domain::route::RouteTable;
use windlass::plugins::{Plugins, Settings, unrecorded};
use windlass_tests::crossing::ask_once;
use windlass_tests::router::{TestRouter, parse, table};
use windlass_tests::sample::situation;

const EACH: usize = 20;
const LOOK: Duration = Duration::from_secs(1);
/// Most requests are the new release's, so that there are enough of them soon.
const FIRST_STEP: u32 = 70;
/// Clients of each stack. They ask again as soon as they have their answer.
const CLIENTS: usize = 2;

/// How a release answers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Within 90 to 270 milliseconds: long enough that a busy machine does not matter.
    Well,
    /// Every twentieth with an error.
    WithErrors,
    /// Everything takes twice as long.
    Late,
    /// Every eighth takes twice the longest time of before: the 95th percentile doubles, and the median does not move.
    SometimesLate,
}

impl Manner {
    fn of(self, n: u64) -> (StatusCode, Duration) {
        // Multiples of the golden ratio are spread evenly.
        let part = (n as f64 * 0.618_034).fract();
        let usual = Duration::from_millis(90) + Duration::from_millis(180).mul_f64(part);
        match self {
            Self::WithErrors if n.is_multiple_of(20) => (StatusCode::INTERNAL_SERVER_ERROR, usual),
            Self::Late => (StatusCode::OK, usual * 2),
            Self::SometimesLate if n.is_multiple_of(8) => (StatusCode::OK, Duration::from_millis(540)),
            _ => (StatusCode::OK, usual),
        }
    }
}

async fn program(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let answer = move || {
        let (status, time) = manner.of(count.fetch_add(1, Ordering::Relaxed));
        async move {
            tokio::time::sleep(time).await;
            status
        }
    };
    let paths = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, paths).await });
    address
}

/// What all rollouts share.
struct Rig {
    router: TestRouter,
    table: Mutex<RouteTable>,
    plugins: Plugins,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plugins = Plugins::start(Settings::new(folder.path())).await.unwrap();
        let table = Mutex::new(RouteTable::default());
        Self { router: TestRouter::start().await, table, plugins, _folder: folder }
    }

    /// Gives a stack's releases these shares.
    async fn route(&self, stack: &str, shares: &[(&str, u8, &[SocketAddr])]) {
        let mut table = self.table.lock().await;
        let mut route = parse(&self::table(1, shares)).routes.remove(0);
        (route.name, route.hosts) = (stack.to_owned(), vec![stack.to_owned()]);
        table.routes.retain(|known| known.name != stack);
        table.routes.push(route);
        table.version += 1;
        self.router.client.apply(&table).await.unwrap();
    }
}

fn params() -> Value {
    // Without a verdict nothing goes on: `extend` waits for it.
    json!({
        "steps": [{ "weight": FIRST_STEP, "seconds": 3 }], "interval_s": 1, "min_requests": 50,
        "low_traffic": "extend", "extend_s": 90, "bake_s": 0,
    })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn weight(release: &str, percent: u32) -> Weight {
    Weight { release: Id::from_text(release), percent }
}

/// What the host would tell the strategy at the beginning.
fn first_situation(stack: &str) -> Situation {
    let mut start = situation();
    let release = |id: &str| ReleaseFacts { id: Id::from_text(id), ..start.target.clone() };
    let healthy = |id: &str| Instance {
        release: Id::from_text(id),
        id: format!("{stack}-{id}"),
        state: InstanceState::Healthy,
        since: now(),
        restarts: 0,
        reason: String::new(),
    };
    start.fleet = vec![healthy("old"), healthy("new")];
    (start.stable, start.target) = (Some(release("old")), release("new"));
    (start.stack.name, start.stack.can_split) = (stack.to_owned(), true);
    (start.params, start.started, start.step_started) = (params().to_string(), now(), now());
    start.traffic = vec![weight("old", 100)];
    start
}

/// One rollout to its end: how it ended, the largest share that the new release got, and the last samples of a step.
async fn roll_out(rig: &Rig, stack: &str, old: SocketAddr, new: SocketAddr) -> (Outcome, u32, Vec<Sample>) {
    rig.route(stack, &[("old", 100, &[old])]).await;
    let (mut situation, mut memory, mut most) = (first_situation(stack), Vec::new(), 0);
    let (begun, mut moved, mut judged) = (Instant::now(), Instant::now(), Vec::new());
    loop {
        assert!(begun.elapsed() < PATIENCE, "{stack} does not end");
        situation.now = now();
        let seconds = moved.elapsed().as_secs().max(1);
        let stats = rig.router.client.stats(usize::try_from(seconds).unwrap()).await.unwrap();
        situation.samples = samples_of(stats, stack, &situation.traffic);
        if situation.samples.len() == 2 {
            judged.clone_from(&situation.samples);
        }
        let deciding = rig.plugins.strategy_decide("canary", memory, &situation);
        let step = unrecorded(deciding).await.unwrap();
        memory = step.memory;
        for action in step.actions {
            match action {
                Action::Finish { outcome } => return (outcome, most, judged),
                Action::Route { weights } => {
                    let share = |id: &str| {
                        let own = weights.iter().filter(|weight| weight.release.as_str() == id);
                        own.map(|weight| weight.percent).sum::<u32>()
                    };
                    let parts = [("old", share("old"), old), ("new", share("new"), new)];
                    let shares: Vec<(&str, u8, &[SocketAddr])> = parts
                        .iter()
                        .map(|(id, percent, address)| {
                            (*id, u8::try_from(*percent).unwrap(), std::slice::from_ref(address))
                        })
                        .collect();
                    rig.route(stack, &shares).await;
                    most = most.max(share("new"));
                    (situation.traffic, situation.step_started) = (weights, now());
                    moved = Instant::now();
                }
                Action::Scale { release, count: 0 } => {
                    situation.fleet.retain(|instance| instance.release != release);
                }
                _ => {}
            }
        }
        tokio::time::sleep(LOOK.min(Duration::from_millis(step.wake_after.unwrap_or(100).max(10)))).await;
    }
}

/// Asks until the rollout is over.
async fn clients(address: SocketAddr, stack: String, over: Arc<AtomicBool>) {
    let mut line = None;
    while !over.load(Ordering::Relaxed) {
        ask_once(&mut line, address, &stack).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_with_errors_or_twice_the_latency_are_taken_back_and_good_ones_are_not() {
    let rig = Arc::new(Rig::start().await);
    let [well, errors, late, sometimes] =
        [Manner::Well, Manner::WithErrors, Manner::Late, Manner::SometimesLate].map(program);
    let (old, good) = tokio::join!(well, program(Manner::Well));
    let (errors, late, sometimes) = tokio::join!(errors, late, sometimes);
    let rollouts = (0..3 * EACH).map(|n| {
        let (is_good, new) = match n % 3 {
            0 => (true, good),
            1 => (false, errors),
            _ if n % 2 == 0 => (false, late),
            _ => (false, sometimes),
        };
        let rig = rig.clone();
        tokio::spawn(async move {
            let stack = format!("canary-{n}.test");
            let over = Arc::new(AtomicBool::new(false));
            let asking: Vec<_> = (0..CLIENTS)
                .map(|_| tokio::spawn(clients(rig.router.address, stack.clone(), over.clone())))
                .collect();
            let ended = roll_out(&rig, &stack, old, new).await;
            over.store(true, Ordering::Relaxed);
            for client in asking {
                client.await.unwrap();
            }
            (stack, is_good, ended)
        })
    });
    let mut wrong = Vec::new();
    for rollout in rollouts.collect::<Vec<_>>() {
        let (stack, is_good, (outcome, most, judged)) = rollout.await.unwrap();
        let is_right = match &outcome {
            Outcome::Succeeded => is_good,
            // At its first step: it never got more than that.
            Outcome::RolledBack(_) | Outcome::Failed(_) => !is_good && most == FIRST_STEP,
        };
        if !is_right {
            wrong.push(format!(
                "{stack} (good: {is_good}) ended with {outcome:?} after {most} % and {judged:?}"
            ));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
