//! The inbox under load: limits that say when to come back, and a storm in which nothing is lost and nothing is doubled.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use windlass_tests::docker::eventually;
use windlass_tests::git_server::GitServer;
use windlass_tests::server::{TestServer, push_body, sign};

const URL: &str = "https://git.example/team/app.git";

async fn start(webhooks: &str) -> (TestServer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("windlass.toml");
    std::fs::write(&config, format!("[webhooks]\n{webhooks}\n")).unwrap();
    (TestServer::start_with(&[("WINDLASS_CONFIG", &config.display().to_string())]).await, folder)
}

/// Status and `Retry-After` of a push that nobody wants.
async fn deliver(server: &TestServer, path: &str, secret: &str, delivery: &str) -> (u16, Option<u64>) {
    let body = push_body(URL, "other", &"a".repeat(40)).to_string();
    let response = server
        .stranger(Method::POST, path)
        .header("x-github-event", "push")
        .header("x-github-delivery", delivery)
        .header("x-hub-signature-256", sign(secret, body.as_bytes()))
        .body(body)
        .send()
        .await
        .unwrap();
    let pause = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    (response.status().as_u16(), pause)
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_deliveries_are_told_when_to_come_back_and_forged_ones_use_up_nothing_of_the_others() {
    let (server, _folder) = start("per_minute = 3\nrefused_per_minute = 2").await;
    let stack = |name: &str| json!({ "name": name, "repository": { "url": URL, "provider": "github" } });
    let (path, secret) = server.create_stack(stack("web")).await;
    let (other, other_secret) = server.create_stack(stack("other")).await;
    for n in 0..5 {
        let (status, pause) = deliver(&server, &path, "no secret of ours", &format!("f{n}")).await;
        assert_eq!(status, if n < 2 { 401 } else { 429 });
        assert_eq!(pause.is_some_and(|pause| (1..=60).contains(&pause)), n >= 2, "{pause:?}");
    }
    for n in 0..5 {
        let (status, pause) = deliver(&server, &path, &secret, &format!("d{n}")).await;
        assert_eq!((status, pause.is_some()), if n < 3 { (202, false) } else { (429, true) });
    }
    assert_eq!(deliver(&server, &other, &other_secret, "d0").await.0, 202, "each address has its own limit");
    let kept = server.get("/api/v1/webhooks").await.expect(200);
    assert_eq!(kept["data"]["items"].as_array().unwrap().len(), 2 + 3 + 1);
}

/// Sends all but the end of a delivery of a MiB, and keeps it there.
async fn stall(server: &TestServer, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nx-github-event: push\r\ncontent-length: 1048576\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![b' '; 1_048_000]).await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_find_no_room_wait_for_it_or_are_told_to_come_back() {
    let (server, _folder) = start("max_body_bytes = 1048576\nmax_buffered_bytes = 1114112").await;
    let stack = json!({ "name": "web", "repository": { "url": URL, "provider": "github" } });
    let (path, secret) = server.create_stack(stack).await;
    let mut first = stall(&server, &path).await;
    // There is no room for two such; one of them, whichever took less of it so far, is told so after a while.
    let mut second = stall(&server, &path).await;
    let (mut one, mut other) = (vec![0; 4096], vec![0; 4096]);
    let answered = async {
        tokio::select! {
            length = first.read(&mut one) => one.truncate(length.unwrap()),
            length = second.read(&mut other) => one = other[..length.unwrap()].to_vec(),
        }
    };
    tokio::time::timeout(Duration::from_secs(40), answered).await.unwrap();
    let answer = String::from_utf8_lossy(&one).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.to_lowercase().contains("retry-after"), "{answer}");
    drop((first, second));
    eventually("there is room again", async || deliver(&server, &path, &secret, "d1").await.0 == 202).await;
}

const DELIVERIES: usize = 10_000;
const DUPLICATES: usize = 3_000;
const FORGED: usize = 1_000;
const DISTINCT: usize = DELIVERIES - DUPLICATES - FORGED;
/// Pushes are sent by so many at a time.
const SENDERS: usize = 48;

struct Storm {
    server: TestServer,
    path: String,
    secret: String,
    url: String,
    next: AtomicUsize,
    counts: [AtomicUsize; 5],
}

/// What became of the deliveries, by place in `counts`.
const ACCEPTED: usize = 0;
const REPEATED: usize = 1;
const REFUSED: usize = 2;
const SLOWED: usize = 3;
const STRANGE: usize = 4;

impl Storm {
    /// Which push the `n`th delivery is about, and whether it is forged. Three of ten repeat one from two places before, one of
    /// ten is forged.
    fn plan(n: usize) -> (usize, bool) {
        match n % 10 {
            3 | 6 | 9 => (n - 2, false),
            5 => (n, true),
            _ => (n, false),
        }
    }

    async fn send(&self, n: usize) {
        let (which, forged) = Self::plan(n);
        let body = push_body(&self.url, &format!("b/{which}"), &format!("{:040x}", which + 1)).to_string();
        let secret = if forged { "no secret of ours" } else { &self.secret };
        let response = self
            .server
            .stranger(Method::POST, &self.path)
            .header("x-github-event", "push")
            .header("x-github-delivery", format!("delivery-{which}"))
            .header("x-hub-signature-256", sign(secret, body.as_bytes()))
            .body(body)
            .send()
            .await
            .unwrap();
        let pause = response.headers().contains_key("retry-after");
        let place = match (response.status().as_u16(), forged) {
            (401, true) => REFUSED,
            (429, true) if pause => SLOWED,
            (202, false) => match response.json::<Value>().await.unwrap()["duplicate"].as_bool() {
                Some(true) => REPEATED,
                _ => ACCEPTED,
            },
            _ => STRANGE,
        };
        self.counts[place].fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, place: usize) -> usize {
        self.counts[place].load(Ordering::Relaxed)
    }

    /// Most memory that the server ever had, in MiB.
    fn peak(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    }

    /// Deliveries that ended with a reason.
    async fn processed(&self, reason: &str) -> usize {
        let metrics = self.server.get("/metrics").await.text;
        let name = format!("windlass_webhooks_processed_total{{reason=\"{reason}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    /// Branch and commit of every deployment.
    async fn deployed(&self) -> Vec<(String, String)> {
        let (mut found, mut before) = (Vec::new(), String::new());
        loop {
            let page = self
                .server
                .get(&format!("/api/v1/stacks/web/deployments?limit=200{before}"))
                .await
                .expect(200);
            for item in page["data"]["items"].as_array().unwrap() {
                let text = |name: &str| item[name].as_str().unwrap().to_owned();
                found.push((text("branch"), text("commitSha")));
            }
            match page["data"]["next"].as_i64() {
                Some(next) => before = format!("&before={next}"),
                None => return found,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_deliveries_during_a_build_is_answered_and_each_change_is_built_once() {
    let git = GitServer::start().await;
    let repo = git.create("app");
    let first = repo.commit("main", &[("Dockerfile", "FROM scratch\n")], "first");
    git.delay_packs(Duration::from_secs(1200));
    let server = TestServer::start().await;
    let input = json!({
        "name": "web",
        "repository": { "url": git.url("app"), "branch": "main", "provider": "github" },
        "build": { "autoDeployBranches": ["main", "b/[0-9]+"] },
    });
    let (path, secret) = server.create_stack(input).await;
    let event = server.push_webhook(&path, &secret, &git.url("app"), "main", &first).await;
    let running = server.wait_webhook(&event).await["deploymentId"].as_str().unwrap().to_owned();
    let storm = Arc::new(Storm {
        server,
        path,
        secret,
        url: git.url("app"),
        next: AtomicUsize::new(0),
        counts: Default::default(),
    });
    let status = async || {
        storm.server.get(&format!("/api/v1/deployments/{running}")).await.expect(200)["data"]["status"]
            .clone()
    };
    eventually("the first build runs", async || status().await == "building").await;
    let before = storm.peak();

    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let storm = storm.clone();
        senders.spawn(async move {
            loop {
                let n = storm.next.fetch_add(1, Ordering::Relaxed);
                if n >= DELIVERIES {
                    return;
                }
                storm.send(n).await;
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    assert_eq!(status().await, "building", "the build was going on all the while");
    assert_eq!(storm.count(STRANGE), 0, "each delivery is answered as it should be");
    assert_eq!(storm.count(REFUSED) + storm.count(SLOWED), FORGED);
    assert_eq!((storm.count(ACCEPTED), storm.count(REPEATED)), (DISTINCT, DUPLICATES));

    eventually("all are read", async || storm.processed("deployed").await == DISTINCT + 1).await;
    let deployed = storm.deployed().await;
    let distinct: HashSet<&(String, String)> = deployed.iter().collect();
    assert_eq!((deployed.len(), distinct.len()), (DISTINCT + 1, DISTINCT + 1));
    let grown = storm.peak() - before;
    assert!(grown < 256, "the server took {grown} MiB more");
}
