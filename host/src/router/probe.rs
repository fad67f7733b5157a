//! The router's own look at its targets: one that fails several times in a row gets no more requests until it answers again.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, header};

use super::upstream::{Outgoing, Upstream, lock};
use crate::domain::route::Probe;

/// Starts, changes or ends the watch over a target, as a new table wants it.
pub fn watch(upstream: &Arc<Upstream>, wanted: Option<&Probe>) {
    let mut probing = lock(&upstream.probing);
    if probing.as_ref().map(|(probe, _)| probe) == wanted {
        return;
    }
    if let Some((_, task)) = probing.take() {
        task.abort();
        upstream.set_health(Ok(()));
    }
    if let Some(probe) = wanted {
        let task = tokio::spawn(keep_probing(Arc::downgrade(upstream), probe.clone()));
        *probing = Some((probe.clone(), task.abort_handle()));
    }
}

async fn keep_probing(upstream: std::sync::Weak<Upstream>, probe: Probe) {
    let mut ticks = tokio::time::interval(Duration::from_millis(probe.interval_ms));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut failures, mut successes) = (0, 0);
    loop {
        ticks.tick().await;
        let Some(upstream) = upstream.upgrade() else { return };
        match look(&upstream, &probe).await {
            Ok(()) => {
                (failures, successes) = (0, successes + 1);
                if !upstream.is_healthy() && successes >= probe.healthy_after {
                    tracing::info!(target = %upstream.address, "[@router:probe] answers again");
                    upstream.set_health(Ok(()));
                }
            }
            Err(reason) => {
                (failures, successes) = (failures + 1, 0);
                if failures >= probe.unhealthy_after && upstream.is_healthy() {
                    tracing::warn!(target = %upstream.address, reason, "[@router:probe] is taken out of rotation");
                    upstream.set_health(Err(reason));
                }
            }
        }
    }
}

/// One look, over a connection of its own.
async fn look(upstream: &Upstream, probe: &Probe) -> Result<(), String> {
    let patience = Duration::from_millis(probe.timeout_ms);
    let asking = async {
        let mut line = upstream.connect(patience).await.map_err(|error| error.to_string())?;
        let request = Request::get(&probe.path)
            .header(header::HOST, upstream.address.to_string())
            .header(header::USER_AGENT, "windlass-router")
            .body(Outgoing::default())
            .map_err(|error| error.to_string())?;
        let answer = line.send(request).await.map_err(|error| error.into_error().to_string())?;
        match answer.status().as_u16() {
            200..400 => Ok(()),
            status => Err(format!("answers with {status}")),
        }
    };
    tokio::time::timeout(patience, asking)
        .await
        .unwrap_or_else(|_| Err(format!("does not answer within {} ms", probe.timeout_ms)))
}
