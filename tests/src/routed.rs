//! A stack behind the router, and people who visit it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use reqwest::Client;
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::fixture::Fixture;
use crate::port::free_port;

pub const HOST: &str = "app.windlass.test";

/// So many bad answers are enough to see what went wrong.
const MANY: usize = 20;

/// One stack named `web` whose requests go through the router.
pub struct Routed {
    pub fixture: Fixture,
    pub address: SocketAddr,
    /// What the server was started with.
    pub variables: Vec<(&'static str, String)>,
}

impl Routed {
    pub async fn start(extra: Value) -> Self {
        Self::start_with(&[], extra).await
    }

    /// With further variables for the server.
    pub async fn start_with(more: &[(&'static str, &str)], extra: Value) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut variables =
            vec![("WINDLASS_ROUTER", "true".to_string()), ("WINDLASS_ROUTER_HTTP", address.to_string())];
        variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_string())));
        let given: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut stack = json!({
            "traffic": { "hosts": [HOST] },
            "run": { "ports": [{ "container": 8080 }], "stopTimeoutSecs": 2 },
        });
        stack.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let fixture = Fixture::start_with(false, &given, stack).await;
        Self { fixture, address, variables }
    }

    fn client(&self) -> reqwest::Client {
        reqwest::Client::builder().resolve(HOST, self.address).timeout(PATIENCE).build().unwrap()
    }

    fn url(&self) -> String {
        format!("http://{HOST}:{}/", self.address.port())
    }

    /// What the page says, or why it does not.
    pub async fn page(&self) -> String {
        match self.client().get(self.url()).send().await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    /// A good release gets through a canary and through a rolling rollout of three instances while people visit it, and one
    /// that fails is taken back, wherever the stack runs.
    pub async fn goes_step_by_step(&self) {
        let fixture = &self.fixture;
        let canary = json!({
            "steps": [{ "weight": 20, "seconds": 2 }, { "weight": 60, "seconds": 2 }],
            "interval_s": 1, "min_requests": 20, "slower_ms": 5000, "bake_s": 1,
        });
        let rolling = json!({ "settle_s": 0 });
        for (strategy, params, replicas) in [("canary", canary, 1), ("rolling", rolling, 3)] {
            fixture
                .edit(|stack| {
                    (stack["strategy"], stack["strategyParams"]) = (strategy.into(), params);
                    stack["run"]["replicas"] = replicas.into();
                })
                .await;
            let (_, first) = fixture.deploy("first").await;
            assert_eq!(first["status"], "successful", "{}", fixture.explain(&first).await);
            let visitors = self.visitors();
            let (good, second) = fixture.deploy(&format!("good by {strategy}")).await;
            assert_eq!(second["status"], "successful", "{}", fixture.explain(&second).await);
            let (answered, lost) = visitors.leave().await;
            assert_eq!(lost, 0, "of {} requests by {strategy}", answered + lost);
            let steps = fixture.server.get(&format!("/api/v1/deployments/{}/steps", second["seq"])).await;
            let steps = steps.expect(200)["data"].as_array().unwrap().len();
            assert!(steps > 4, "{strategy} took only {steps} steps");
            // Nobody visits, so a canary has nothing to judge by but its health; both are taken back for it.
            let (_, broken) = fixture.deploy("broken").await;
            assert_eq!(broken["status"], "rolled_back", "{}", fixture.explain(&broken).await);
            assert!(self.page().await.contains(&good), "{}", self.page().await);
        }
    }

    /// Ask nearly without a pause, over kept connections, until told to stop.
    pub fn visitors(&self) -> Visitors {
        self.some_visitors(4, Duration::from_millis(5))
    }

    /// So many, with such a pause between two requests.
    pub fn some_visitors(&self, count: usize, pause: Duration) -> Visitors {
        let stop = Arc::new(AtomicBool::new(false));
        let good = Arc::new(AtomicU64::new(0));
        let bad = Arc::new(Mutex::new(Vec::new()));
        let tasks = (0..count)
            .map(|_| {
                let (client, url) = (self.client(), self.url());
                let (stop, good, bad) = (stop.clone(), good.clone(), bad.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let asked = Instant::now();
                        match visit(&client, &url).await {
                            Ok(()) => _ = good.fetch_add(1, Ordering::Relaxed),
                            Err(why) => {
                                let (waited, now) = (asked.elapsed(), SystemTime::now());
                                let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
                                bad.lock().unwrap().push(format!("{why} (at {now:.3}, after {waited:.3?})"));
                            }
                        }
                        tokio::time::sleep(pause).await;
                    }
                })
            })
            .collect();
        Visitors { stop, good, bad, tasks }
    }
}

/// A page, or why there is none.
async fn visit(client: &Client, url: &str) -> Result<(), String> {
    let answer = client.get(url).send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| format!("{status}: {error:?}"))?;
    if status.is_success() { Ok(()) } else { Err(format!("{status}: {}", text.trim_end())) }
}

pub struct Visitors {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    /// What was seen instead of a good answer.
    bad: Arc<Mutex<Vec<String>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Visitors {
    /// How many good answers they got, and how many others, of which the first are printed.
    pub async fn leave(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let bad = self.bad.lock().unwrap();
        for why in bad.iter().take(MANY) {
            println!("a visitor saw: {why}");
        }
        (self.good.load(Ordering::Relaxed), bad.len() as u64)
    }
}
