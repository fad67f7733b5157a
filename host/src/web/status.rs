//! Whether the server can work, and how much it has to do.

use askama::Template;
use axum::extract::State;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::ui::{Badge, Tone, When};
use crate::app::{App, health};

/// A bar that fills its track means at least so many tasks.
const SCALE: i64 = 10;

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    frame: Frame,
    version: &'static str,
    started: When,
    parts: Vec<Part>,
    queue: Vec<QueueRow>,
    workers: usize,
}

struct Part {
    name: &'static str,
    purpose: &'static str,
    badge: Badge,
    problem: String,
}

/// Tasks of one kind, with bars in thousandths of the longest.
struct QueueRow {
    name: &'static str,
    depth: health::QueueDepth,
    queued_bar: i64,
    running_bar: i64,
}

pub async fn show(State(app): State<App>, session: Session) -> PageResult {
    let found = health::check(&app).await;
    let parts = found.into_iter().map(|(name, state)| {
        let ok = state == "ok";
        let (tone, word) = if ok { (Tone::Good, "works") } else { (Tone::Bad, "does not work") };
        let (name, purpose) = described(&name);
        Part { name, purpose, badge: Badge { tone, word }, problem: if ok { String::new() } else { state } }
    });
    let mut depths = Vec::new();
    for (kind, name) in [("webhook", "Webhooks"), ("build", "Builds"), ("deploy", "Rollouts")] {
        depths.push((name, health::queue_depth(&app, kind).await?));
    }
    let longest = depths.iter().map(|(_, depth)| depth.queued + depth.running).max().unwrap_or(0).max(SCALE);
    let queue = depths.into_iter().map(|(name, depth)| QueueRow {
        name,
        queued_bar: depth.queued * 1000 / longest,
        running_bar: depth.running * 1000 / longest,
        depth,
    });
    let page = StatusPage {
        frame: Frame::new(&session, "status", "Status"),
        version: env!("CARGO_PKG_VERSION"),
        started: When::new(app.started_at),
        parts: parts.collect(),
        queue: queue.collect(),
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
