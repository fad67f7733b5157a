//! The text of `/metrics`: what is counted as it happens, and what is looked up when somebody asks.

use prometheus_client::encoding::text::{encode_eof, encode_registry};

use super::{CiLabels, HostLabels, Metrics, TaskLabels};
use crate::app::doctor::Verdict;
use crate::app::{App, backup};
use crate::domain::access::Reach;
use crate::domain::backup::BackupStatus;
use crate::domain::page::PageRequest;
use crate::error::{Error, Result};
use crate::store::{
    self, Conn, backups, certificates, ci_builds, cicd_providers, notification_deliveries, targets,
    task_stats,
};

/// What the router's latencies are about.
const ROUTER_WINDOW_SECS: usize = 60;

/// What is known of providers and of the builds at them.
async fn show_ci(metrics: &Metrics, conn: &mut Conn) -> Result<()> {
    metrics.ci_builds_open.clear();
    for (provider, status, count) in ci_builds::count(conn).await? {
        let labels = CiLabels { provider, status: status.as_str() };
        metrics.ci_builds_open.get_or_create(&labels).set(count);
    }
    metrics.provider_state.clear();
    metrics.provider_seconds.clear();
    metrics.provider_errors.clear();
    metrics.provider_limit.clear();
    metrics.provider_remaining.clear();
    for provider in &cicd_providers::list(conn, PageRequest::first(200), &Reach::EVERYTHING).await?.items {
        metrics.show_provider(provider);
    }
    Ok(())
}

async fn show_backups(app: &App, conn: &mut Conn) -> Result<()> {
    let metrics = &app.metrics;
    if let Some(good) = backups::latest(conn, BackupStatus::Successful).await? {
        metrics.backup_success.set(good.started_at / 1000);
        let took = good.finished_at.unwrap_or(good.started_at) - good.started_at;
        metrics.backup_seconds.set(took as f64 / 1000.0);
        metrics.backup_bytes.set(good.bytes.unwrap_or_default());
    }
    let check = backup::backup_check(app, conn, store::now()).await?;
    metrics.backup_failing.set(i64::from(check.is_some_and(|check| check.verdict != Verdict::Ok)));
    Ok(())
}

/// The text of `/metrics`.
pub async fn metrics_text(app: &App) -> Result<String> {
    let mut conn = app.db.read().await?;
    let depth = task_stats::depth(&mut conn).await?;
    let oldest = task_stats::oldest_due(&mut conn, store::now()).await?;
    let open = task_stats::oldest_open(&mut conn).await?;
    show_ci(&app.metrics, &mut conn).await?;
    let certificates = certificates::list(&mut conn).await?;
    app.metrics.target_state.clear();
    app.metrics.target_seconds.clear();
    for target in &targets::list(&mut conn).await? {
        app.metrics.show_target(target);
    }
    app.metrics.notifications_open.set(notification_deliveries::count_open(&mut conn).await?);
    show_backups(app, &mut conn).await?;
    drop(conn);
    let metrics = &app.metrics;
    metrics.tasks.clear();
    for count in &depth {
        let labels = TaskLabels { kind: count.kind.clone(), status: count.status.as_str().to_string() };
        metrics.tasks.get_or_create(&labels).set(count.count);
    }
    metrics.oldest_task_seconds.set(oldest.map_or(0, |at| (store::now() - at) / 1000));
    metrics.oldest_open_seconds.set(open.map_or(0, |at| (store::now() - at) / 1000));
    if let Some(free) = crate::app::doctor::free_bytes(&app.config.server.data_dir) {
        metrics.disk_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
    }
    metrics.certificate_expiry.clear();
    for row in certificates {
        let expiry = metrics.certificate_expiry.get_or_create(&HostLabels { host: row.host }).clone();
        expiry.set(row.not_after.unwrap_or_default() / 1000);
    }
    metrics.uptime.set((store::now() - app.started_at) / 1000);
    let mut text = String::new();
    encode_registry(&mut text, &metrics.registry).map_err(Error::internal)?;
    if app.config.router.enabled {
        // A router that does not answer now is told by its absence; the rest is worth having.
        if let Ok(stats) = app.router.stats(ROUTER_WINDOW_SECS).await {
            encode_registry(&mut text, &crate::app::router::registry(&stats)).map_err(Error::internal)?;
        }
    }
    encode_eof(&mut text).map_err(Error::internal)?;
    Ok(text)
}
