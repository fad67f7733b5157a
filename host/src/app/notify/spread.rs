//! Reads the outbox, and makes deliveries of what rules want. It never stands in the way of whoever writes events.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::delivery::fresh;
use super::{key, task, tell};
use crate::app::App;
use crate::domain::access::Reach;
use crate::domain::notify::{Outcome, Rule, Telling, verdict};
use crate::error::Result;
use crate::queue;
use crate::store::{
    self, Tx, events, notification_channels as channels, notification_deliveries as deliveries,
};

/// A safety net: whatever happens is heard of at once.
const PAUSE: Duration = Duration::from_secs(5);
/// Events of one transaction.
const BATCH: i64 = 100;
/// A delivery that is late by so much has lost its task.
const LATE_MS: i64 = 600_000;
/// What an event about the installation joins by.
const INSTALLATION: &str = "installation";

/// Follows the outbox until `stop`.
pub async fn spread_keep(app: App, stop: CancellationToken) {
    let mut news = app.db.subscribe_events();
    while !stop.is_cancelled() {
        match spread(&app).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!("[@service:notify] events could not be told: {}", error.for_log());
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
            () = heard(&mut news) => {}
        }
    }
}

/// Until something happens that may be worth telling.
async fn heard(news: &mut tokio::sync::broadcast::Receiver<std::sync::Arc<crate::domain::event::Event>>) {
    loop {
        match news.recv().await {
            Ok(event) if tell::may_tell(event.kind) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // The server stops, which the caller hears of as well.
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// Takes the next events; true if there may be more.
async fn spread(app: &App) -> Result<bool> {
    let mut conn = app.db.read().await?;
    let from = deliveries::cursor(&mut conn).await?;
    let found = events::list_after(&mut conn, from, BATCH, None, &Reach::EVERYTHING).await?;
    let Some(to) = found.last().map(|event| event.seq) else {
        drop(conn);
        return resume(app).await.map(|()| false);
    };
    let rules = channels::rules_in_force(&mut conn).await?;
    let mut wanted = Vec::new();
    if !rules.is_empty() {
        for event in &found {
            let Some(telling) = tell::telling(&mut conn, event, &app.config.public_url()).await? else {
                continue;
            };
            let concerned =
                rules.iter().filter(|(rule, team)| rule.plan.enabled && telling.concerns(rule, team));
            wanted.extend(concerned.map(|(rule, _)| (rule.clone(), telling.clone())));
        }
    }
    drop(conn);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                // Another node was faster: these events are told by it.
                if !deliveries::advance(tx, from, to).await? {
                    return Ok(());
                }
                for (rule, telling) in &wanted {
                    deliver(tx, rule, telling).await?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(true)
}

async fn deliver(tx: &mut Tx, rule: &Rule, telling: &Telling) -> Result<()> {
    let now = store::now();
    let before = channels::trouble(tx, &rule.id, &telling.subject).await?;
    let found = verdict(&rule.plan, telling, before.clone(), now);
    if found.trouble != before {
        channels::trouble_put(tx, &rule.id, &telling.subject, found.trouble.as_ref()).await?;
    }
    let topic = telling.about.as_ref().map_or(INSTALLATION, |about| about.stack_id.as_str());
    let wait = rule.plan.wait_ms(telling.outcome);
    if let Some(told) = found.told
        && !(wait > 0 && deliveries::join(tx, &rule.id, topic, &told, now).await?)
    {
        let delivery = fresh(&rule.channel_id, Some(&rule.id), topic, vec![told], now + wait);
        let delivery = deliveries::insert(tx, delivery).await?;
        queue::enqueue(tx, &task(&delivery.id, delivery.next_at)).await?;
    }
    if telling.outcome != Outcome::OnTheWay {
        // What led to this has waited for it, whether the rule wants this or not.
        for id in deliveries::bring_forward(tx, &rule.id, topic, now + wait).await? {
            queue::hasten(tx, &key(&id)).await?;
        }
    }
    Ok(())
}

/// Deliveries that are long due have lost their task, as when the queue gave it up for faults of the server's own.
async fn resume(app: &App) -> Result<()> {
    let late = deliveries::late(&mut *app.db.read().await?, store::now() - LATE_MS).await?;
    if late.is_empty() {
        return Ok(());
    }
    app.db
        .write(move |tx| {
            Box::pin(async move {
                for id in &late {
                    queue::enqueue(tx, &task(id, store::now())).await?;
                }
                Ok(())
            })
        })
        .await
}
