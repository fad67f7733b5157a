//! Whether the server can work, and how much it has to do.

use askama::Template;
use axum::extract::State;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::ui::{Badge, Tone, When, duration};
use crate::app::{App, health, task};

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    frame: Frame,
    version: &'static str,
    started: When,
    parts: Vec<Part>,
    queue: Vec<QueueRow>,
    oldest: String,
    workers: usize,
}

struct Part {
    name: &'static str,
    purpose: &'static str,
    badge: Badge,
    problem: String,
}

/// Tasks of one kind, with a bar in thousandths of the longest.
struct QueueRow {
    kind: String,
    queued: i64,
    running: i64,
    failed: i64,
    done: i64,
    queued_bar: i64,
    running_bar: i64,
}

pub async fn show(State(app): State<App>, session: Session) -> PageResult {
    let (found, stats) = (health::check(&app).await, task::queue_stats(&app).await?);
    let parts = found.into_iter().map(|(name, state)| {
        let ok = state == "ok";
        let (tone, word) = if ok { (Tone::Good, "works") } else { (Tone::Bad, "does not work") };
        let (name, purpose) = described(&name);
        Part { name, purpose, badge: Badge { tone, word }, problem: if ok { String::new() } else { state } }
    });
    let mut queue: Vec<QueueRow> = ["webhook", "build", "deploy"]
        .into_iter()
        .map(|kind| {
            let count = |status: &str| {
                let fits = |row: &&task::QueueCount| row.kind == kind && row.status == status;
                stats.counts.iter().filter(fits).map(|row| row.count).sum::<i64>()
            };
            let (queued, running, failed) = (count("queued"), count("running"), count("failed"));
            let done = count("success") + count("cancelled");
            QueueRow { kind: kind.into(), queued, running, failed, done, queued_bar: 0, running_bar: 0 }
        })
        .collect();
    let longest = queue.iter().map(|row| row.queued + row.running).max().unwrap_or(0).max(10);
    for row in &mut queue {
        row.queued_bar = row.queued * 1000 / longest;
        row.running_bar = row.running * 1000 / longest;
    }
    let page = StatusPage {
        frame: Frame::new(&session, "status", "Status"),
        version: env!("CARGO_PKG_VERSION"),
        started: When::new(app.started_at),
        parts: parts.collect(),
        queue,
        oldest: stats.oldest_unfinished_ms.map_or(String::new(), duration),
        workers: app.config.jobs.workers,
    };
    render(&page)
}

fn described(name: &str) -> (&'static str, &'static str) {
    match name {
        "database" => ("Database", "Stacks, deployments, the queue and the webhook inbox"),
        "docker" => ("Docker Engine", "Builds images and runs containers"),
        "plugins" => ("Plugins", "Forges, build planners and deployment strategies"),
        _ => ("Other", ""),
    }
}
