//! Deliveries, as people see them: listed, sent once more, and the test.

use super::channel::channel_view;
use super::send::attempt;
use super::{DEADLINE_MS, key as key_of, task};
use crate::app::App;
use crate::domain::Id;
use crate::domain::notification::Notification;
use crate::domain::notify::{Delivery, DeliveryStatus, Patience};
use crate::domain::page::{Page, PageRequest};
use crate::domain::task::NewTask;
use crate::error::{Error, Result};
use crate::queue;
use crate::store::{self, notification_deliveries as deliveries};

/// Newest first.
pub async fn delivery_list(app: &App, channel: &str, page: PageRequest) -> Result<Page<Delivery>> {
    let channel = channel_view(app, channel).await?;
    deliveries::list(&mut *app.db.read().await?, &channel.id, page).await
}

/// `key` is an id or a number.
pub async fn delivery_view(app: &App, channel: &str, key: &str) -> Result<Delivery> {
    let channel = channel_view(app, channel).await?;
    deliveries::find(&mut *app.db.read().await?, &channel.id, key).await
}

/// The last one that was tried.
pub async fn delivery_last(app: &App, channel: &Id) -> Result<Option<Delivery>> {
    deliveries::last(&mut *app.db.read().await?, channel).await
}

/// Sends the same message once more, under the same id, with all attempts before it.
///
/// # Errors
/// `Conflict` while it is still being tried.
pub async fn delivery_replay(app: &App, channel: &str, key: &str) -> Result<Delivery> {
    let old = delivery_view(app, channel, key).await?;
    if !old.status.is_final() {
        return Err(Error::conflict(format!(
            "delivery {} is still being tried; wait for how it ends",
            old.seq
        )));
    }
    let now = store::now();
    // The task of the last attempt may not have ended yet, so this one has a key of its own: the same for two who ask at once.
    let unique_key = Some(format!("{}:{}", key_of(&old.id), old.finished_at.unwrap_or_default()));
    let again = Delivery {
        status: DeliveryStatus::Retrying,
        attempts: 0,
        requests_sent: 0,
        next_at: now,
        deadline_at: now + DEADLINE_MS,
        finished_at: None,
        ..old
    };
    let changed = again.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                deliveries::update(tx, &changed).await?;
                deliveries::sent(tx, &changed.id, 0).await?;
                let task = NewTask { unique_key, ..task(&changed.id, now) };
                queue::enqueue(tx, &task).await.map(|_| ())
            })
        })
        .await?;
    Ok(again)
}

/// Tells the channel that this is a test, once and now, and answers with how it went.
pub async fn channel_test(app: &App, key: &str) -> Result<Delivery> {
    let channel = channel_view(app, key).await?;
    if !channel.enabled {
        return Err(Error::conflict(format!(
            "channel `{}` is switched off; switch it on first",
            channel.name
        )));
    }
    let now = store::now();
    let told = vec![Notification { at: now, url: Some(app.config.public_url()), ..Notification::sample() }];
    let delivery = fresh(&channel.id, None, "test", told, now);
    let stored =
        app.db.write(move |tx| Box::pin(async move { deliveries::insert(tx, delivery).await })).await?;
    let once = Patience { first_secs: 1, attempts: 1 };
    let ended = attempt(app, &stored.id, once).await?;
    ended.ok_or_else(|| Error::not_found("notification channel", key))
}

/// A delivery that is due at `next_at`.
pub(super) fn fresh(
    channel: &Id,
    rule: Option<&Id>,
    topic: &str,
    told: Vec<Notification>,
    next_at: i64,
) -> Delivery {
    Delivery {
        id: store::new_id(),
        seq: 0,
        channel_id: channel.clone(),
        rule_id: rule.cloned(),
        topic: topic.to_owned(),
        told,
        status: DeliveryStatus::Pending,
        attempts: 0,
        requests_sent: 0,
        last_status: None,
        reason: None,
        next_at,
        deadline_at: next_at + DEADLINE_MS,
        created_at: store::now(),
        finished_at: None,
    }
}
