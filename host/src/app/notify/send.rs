//! Carries a delivery out: rendered by the plugin, sent by the broker, tried again until it was taken or is given up.

use std::time::Duration;

use super::channel::target;
use crate::app::App;
use crate::domain::Id;
use crate::domain::notify::{Channel, Delivery, DeliveryStatus, Patience, Rule, retry_ms};
use crate::error::{Error, Result};
use crate::queue::{Done, TaskContext};
use crate::store::{self, notification_channels as channels, notification_deliveries as deliveries};

/// How an attempt ended.
enum Ended {
    Delivered(Option<u16>),
    /// The plugin has nothing to say about it.
    Skipped,
    Failed(Failure),
}

struct Failure {
    why: String,
    /// Whether trying again makes sense.
    may_change: bool,
    status: Option<u16>,
    asked_secs: Option<u32>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let may_change = error.is_transient() || matches!(error, Error::Timeout { .. });
        Self { why: error.to_string(), may_change, status: None, asked_secs: None }
    }
}

/// The task of one delivery. It waits for others, so it takes no worker away from builds.
pub async fn delivery_run(app: &App, context: &TaskContext, id: &Id) -> Result<Done> {
    let _aside = context.step_aside();
    let row = deliveries::find_opt(&mut *app.db.read().await?, id).await?;
    let Some(row) = row.filter(|row| !row.status.is_final()) else { return Ok(Done::Finished) };
    if let Some(wait) = wait(row.next_at) {
        return Ok(Done::Snooze(wait));
    }
    let config = &app.config.notifications;
    let patience = Patience { first_secs: config.retry_secs, attempts: config.attempts };
    let place = app.notify_room.acquire().await.map_err(Error::internal)?;
    let ended = attempt(app, id, patience).await?;
    drop(place);
    Ok(match ended {
        Some(row) if !row.status.is_final() => Done::Snooze(wait(row.next_at).unwrap_or(Duration::ZERO)),
        _ => Done::Finished,
    })
}

fn wait(until: i64) -> Option<Duration> {
    u64::try_from(until - store::now()).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// One attempt, and what becomes of the delivery. `None` if it is gone or has ended.
pub(super) async fn attempt(app: &App, id: &Id, patience: Patience) -> Result<Option<Delivery>> {
    let begun = id.clone();
    let row = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                if !deliveries::begin(tx, &begun).await? {
                    return Ok(None);
                }
                deliveries::find_opt(tx, &begun).await
            })
        })
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut conn = app.db.read().await?;
    let Some(channel) = channels::find_opt(&mut conn, row.channel_id.as_str()).await? else {
        return Ok(None);
    };
    let rule = match &row.rule_id {
        Some(rule) => channels::rule_opt(&mut conn, rule).await?,
        None => None,
    };
    drop(conn);
    let ended = match channel.enabled {
        true => tell(app, &channel, &row, rule.as_ref()).await.unwrap_or_else(Ended::Failed),
        false => Ended::Failed(Error::conflict("the channel is switched off").into()),
    };
    let row = judged(row, ended, patience);
    report(app, &channel, &row);
    let written = row.clone();
    app.db.write(move |tx| Box::pin(async move { deliveries::update(tx, &written).await })).await?;
    // Of its requests, what was taken was counted while it was sent.
    deliveries::find_opt(&mut *app.db.read().await?, &row.id).await
}

async fn tell(app: &App, channel: &Channel, row: &Delivery, rule: Option<&Rule>) -> Result<Ended, Failure> {
    let usual = row.message();
    // The rule's words were checked when they were written.
    let message = match rule {
        Some(rule) => rule.plan.worded(usual)?,
        None => usual,
    };
    let target = target(app, channel)?;
    let requests = app.plugins.notifier_render(&channel.plugin, &target, &message).await?;
    if requests.is_empty() {
        return Ok(Ended::Skipped);
    }
    let done = usize::try_from(row.requests_sent).unwrap_or(0);
    let mut status = None;
    for (n, request) in requests.iter().enumerate().skip(done) {
        let key = if n == 0 { message.id.clone() } else { format!("{}-{n}", message.id) };
        let answer = app.plugins.notifier_send(&channel.plugin, &target, request, &key).await?;
        if !answer.is_good() {
            return Ok(Ended::Failed(Failure {
                why: answer.said(),
                may_change: answer.may_change(),
                status: Some(answer.status),
                asked_secs: answer.retry_after_secs,
            }));
        }
        status = Some(answer.status);
        let (id, sent) = (row.id.clone(), i64::try_from(n + 1).unwrap_or(i64::MAX));
        app.db.write(move |tx| Box::pin(async move { deliveries::sent(tx, &id, sent).await })).await?;
    }
    Ok(Ended::Delivered(status))
}

/// The row after an attempt.
fn judged(row: Delivery, ended: Ended, patience: Patience) -> Delivery {
    let now = store::now();
    match ended {
        Ended::Delivered(status) => Delivery {
            status: DeliveryStatus::Delivered,
            last_status: status.map(i64::from).or(row.last_status),
            reason: None,
            finished_at: Some(now),
            ..row
        },
        Ended::Skipped => Delivery {
            status: DeliveryStatus::Skipped,
            reason: Some("the plugin has nothing to say about it".into()),
            finished_at: Some(now),
            ..row
        },
        Ended::Failed(failure) => {
            let jitter = getrandom::u32().map_or(500, |random| i64::from(random % 1000));
            let pause = retry_ms(patience, row.attempts, failure.asked_secs, jitter);
            let next = pause.map(|ms| now + ms).filter(|next| failure.may_change && *next < row.deadline_at);
            Delivery {
                status: if next.is_some() { DeliveryStatus::Retrying } else { DeliveryStatus::Dead },
                last_status: failure.status.map(i64::from),
                reason: Some(failure.why),
                next_at: next.unwrap_or(row.next_at),
                finished_at: if next.is_some() { None } else { Some(now) },
                ..row
            }
        }
    }
}

fn report(app: &App, channel: &Channel, row: &Delivery) {
    app.metrics.notified(&channel.plugin, row.status.as_str());
    let why = row.reason.as_deref().unwrap_or_default();
    match row.status {
        DeliveryStatus::Dead => tracing::warn!(
            channel = channel.name,
            delivery = row.seq,
            attempts = row.attempts,
            why,
            "[@service:notify] a message was given up"
        ),
        DeliveryStatus::Retrying => {
            tracing::info!(
                channel = channel.name,
                delivery = row.seq,
                why,
                "[@service:notify] a message has to wait"
            );
        }
        _ => {}
    }
}
