//! A thousand builds at a provider that run on and on, each in a job of its own that is watched for builds of others: what
//! following and watching them costs.
//!
//! `WATCHED_JOBS` is another number of them, for a look at whether the benchmark works.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use windlass::store::{Db, DbConfig, ci_builds, cicd_jobs, now};
use windlass_tests::vendors::jenkins::{Jenkins, TOKEN};

use crate::machine::{cpu_time, load};
use crate::process::{Server, data};
use crate::report::{Goal, Report};

const JOBS: usize = 1000;
const GOAL_PERCENT: f64 = 2.0;
/// Jobs that are made at the same time.
const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(900);
/// Each build has been looked at since the start, and waits.
const SETTLED: Duration = Duration::from_secs(75);
/// The longest pause between two looks at a build, so each is looked at once in it.
const WINDOW: Duration = Duration::from_secs(300);
/// For how long the builds have been silent, in milliseconds: then they are looked at as seldom as ever.
const SILENCE_MS: i64 = 3_600_000;

pub async fn watching(report: &mut Report) {
    let jobs = std::env::var("WATCHED_JOBS").ok().and_then(|text| text.parse().ok()).unwrap_or(JOBS);
    report.section(&format!("{jobs} jobs under watch at a provider, each with a build that runs"));
    let vendor = Jenkins::start().await;
    vendor.world().eager = true;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::launch(folder.path());
    start_all(&server, &vendor, jobs).await;
    server.stop();
    fall_silent(folder.path()).await;

    let server = Server::launch(folder.path());
    tokio::time::sleep(SETTLED).await;
    vendor.fake.forget();
    let (before, began) = (cpu_time(server.pid()), Instant::now());
    tokio::time::sleep(WINDOW).await;
    let (used, took) = (cpu_time(server.pid()) - before, began.elapsed());
    let requests = vendor.fake.seen().len();
    let percent = 100.0 * used.as_secs_f64() / took.as_secs_f64();
    report.row("processor, of one core", percent, "%", Goal::AtMost(GOAL_PERCENT), "");
    let rate = requests as f64 / took.as_secs_f64();
    report.row(
        "requests to the provider",
        rate,
        "1/s",
        Goal::None,
        "status and log of each build, and its job",
    );
    let each = used.as_secs_f64() * 1e6 / requests.max(1) as f64;
    report.row("processor for each request", each, "µs", Goal::None, "");
    assert_eq!(open(&server, "running").await, jobs, "all of them are followed still");
    report.note(&format!("load average {}", load()));
    server.stop();
}

async fn start_all(server: &Server, vendor: &Jenkins, jobs: usize) {
    let (username, token) = TOKEN.split_once(':').unwrap();
    let provider = json!({
        "type": "jenkins", "name": "ci", "url": vendor.fake.url, "credentials": { "username": username, "token": token },
    });
    server.post_json("/api/v1/providers", &provider).await;
    let numbers: Vec<usize> = (0..jobs).collect();
    for some in numbers.chunks(AT_ONCE) {
        futures_util::future::join_all(some.iter().map(|n| async move {
            let job = json!({
                "provider": "ci", "name": format!("job-{n}"),
                "repository": { "url": "https://git.example/team/app.git", "branch": "main" },
                "scripts": [{ "path": "deploy.sh" }], "watch": true,
            });
            let made = server.post_json("/api/v1/ci/jobs", &job).await;
            let path = format!("/api/v1/ci/jobs/{}/trigger", made["data"]["seq"]);
            server.post_json(&path, &json!({ "timeout_secs": 604_800 })).await;
        }))
        .await;
    }
    let began = Instant::now();
    while open(server, "running").await < jobs {
        assert!(began.elapsed() < PATIENCE, "the builds do not all begin");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Builds of a status that are followed, as the server's metrics have it.
async fn open(server: &Server, status: &str) -> usize {
    let name = format!("windlass_ci_builds_open{{provider=\"jenkins\",status=\"{status}\"}} ");
    let metrics = server.get("/metrics").await;
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

/// As if nothing had happened at any of them for an hour.
async fn fall_silent(folder: &Path) {
    let url = format!("sqlite:{}", data(folder).join("windlass.db").display());
    let db = Db::open(&DbConfig::new(&url)).await.unwrap();
    let age = db.write(|tx| {
        Box::pin(async move {
            for mut build in ci_builds::list_open(tx).await? {
                build.updated_at = now() - SILENCE_MS;
                ci_builds::update(tx, &build).await?;
                cicd_jobs::set_status(tx, &build.job_id, build.status, &build.number, build.updated_at)
                    .await?;
            }
            Ok(())
        })
    });
    age.await.unwrap();
}
