//! What the dispatcher does from time to time: heartbeats, rescues, cancellations, pruning.

use super::{
    attempt::CancelReason,
    dispatcher::{AHEAD_PATIENCE, Dispatcher},
    outcome::millis,
};
use crate::{
    domain::Id,
    store::{now, tasks},
};

/// Rows a statement removes.
const PRUNE_CHUNK: i64 = 1000;

impl Dispatcher {
    /// Prolongs what this node holds, and takes over what silent nodes hold.
    pub(super) async fn beat(&mut self) {
        if self.ready_since.elapsed() > AHEAD_PATIENCE {
            self.give_back_ready();
        }
        let held: Vec<(Id, i64)> = self.running.iter().map(|(id, task)| (id.clone(), task.fence)).collect();
        let lease = millis(self.config.lease);
        let beaten = self
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let until = now() + lease;
                    let mut answers = Vec::with_capacity(held.len());
                    for (id, fence) in held {
                        let answer = tasks::heartbeat(tx, &id, fence, until).await?;
                        answers.push((id, answer));
                    }
                    let rescued = tasks::rescue_expired(tx, now()).await?;
                    Ok((answers, rescued))
                })
            })
            .await;
        let (answers, rescued) = match beaten {
            Ok(beaten) => beaten,
            Err(error) => return tracing::warn!(error = error.for_log(), "no heartbeat"),
        };
        if rescued != tasks::Rescued::default() {
            tracing::warn!(
                queued = rescued.queued,
                ended = rescued.ended,
                "took over tasks of a silent node"
            );
        }
        for (id, answer) in answers {
            let Some(running) = self.running.get(&id) else { continue };
            match answer {
                Some(false) => {}
                Some(true) => running.cancel.because(CancelReason::Requested),
                None => running.cancel.because(CancelReason::LeaseLost),
            }
        }
    }

    pub(super) async fn deliver_cancellations(&mut self) {
        let wanted = async {
            let mut conn = self.db.read().await?;
            tasks::list_to_cancel(&mut conn, &self.config.node).await
        };
        match wanted.await {
            Ok(wanted) => {
                for (id, fence) in wanted {
                    if let Some(running) = self.running.get(&id).filter(|running| running.fence == fence) {
                        running.cancel.because(CancelReason::Requested);
                    }
                }
            }
            // The next heartbeat brings them as well.
            Err(error) => tracing::warn!(error = error.for_log(), "cancellations cannot be read"),
        }
    }

    pub(super) async fn prune(&self) {
        let before = now() - millis(self.config.keep);
        loop {
            let pruned = self
                .db
                .write(move |tx| Box::pin(async move { tasks::prune(tx, before, PRUNE_CHUNK).await }))
                .await;
            match pruned {
                Ok(count) if count >= PRUNE_CHUNK.unsigned_abs() => {}
                Ok(_) => return,
                Err(error) => {
                    return tracing::warn!(error = error.for_log(), "finished tasks were not pruned");
                }
            }
        }
    }
}
