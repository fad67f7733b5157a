//! Table `notification_deliveries`, and how far the outbox has been read for it.

use super::{
    Conn, counters,
    faults::fault,
    rows::{
        Entity, Row, as_seq, below, execute, fetch_opt, fetch_page, found, id_text, json, over, plain,
        plain_opt, query,
    },
};
use crate::{
    domain::{
        Id, UnixMs,
        notification::Notification,
        notify::{Delivery, DeliveryStatus, MOST_JOINED},
        page::{Page, PageRequest},
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, channel_id, rule_id, topic, told, status, attempts, requests_sent, last_status, reason, \
             next_at, deadline_at, created_at, finished_at FROM notification_deliveries ",
            $tail
        )
    };
}

impl Entity for Delivery {
    const WHAT: &'static str = "notification delivery";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            channel_id: row.id("channel_id")?,
            rule_id: row.id_opt("rule_id")?,
            topic: row.text("topic")?,
            told: row.json("told")?,
            status: row.word("status", DeliveryStatus::parse)?,
            attempts: row.int("attempts")?,
            requests_sent: row.int("requests_sent")?,
            last_status: row.int_opt("last_status")?,
            reason: row.text_opt("reason")?,
            next_at: row.int("next_at")?,
            deadline_at: row.int("deadline_at")?,
            created_at: row.int("created_at")?,
            finished_at: row.int_opt("finished_at")?,
        })
    }
}

/// Stores it under the next number.
pub async fn insert(conn: &mut Conn, mut new: Delivery) -> Result<Delivery> {
    new.seq = counters::take(conn, "notification_deliveries", 1).await?;
    let statement = query(
        "INSERT INTO notification_deliveries (id, seq, channel_id, rule_id, topic, told, status, attempts, requests_sent, \
         next_at, deadline_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(new.id.as_str())
    .bind(new.seq)
    .bind(new.channel_id.as_str())
    .bind(id_text(new.rule_id.as_ref()))
    .bind(plain(&new.topic))
    .bind(plain(&json(&new.told)?))
    .bind(new.status.as_str())
    .bind(new.attempts)
    .bind(new.requests_sent)
    .bind(new.next_at)
    .bind(new.deadline_at)
    .bind(new.created_at);
    execute(conn, statement).await?;
    Ok(new)
}

/// Adds an event to the message of the same rule and topic that nobody has tried to send yet; false if there is none.
pub async fn join(conn: &mut Conn, rule: &Id, topic: &str, told: &Notification, now: UnixMs) -> Result<bool> {
    let query = query(select!(
        "WHERE rule_id = $1 AND topic = $2 AND status = 'pending' AND attempts = 0 AND next_at > $3 \
         ORDER BY seq DESC LIMIT 1"
    ))
    .bind(rule.as_str())
    .bind(plain(topic))
    .bind(now);
    let Some(mut open) = fetch_opt::<Delivery>(conn, query).await? else { return Ok(false) };
    if open.told.len() >= MOST_JOINED {
        return Ok(false);
    }
    open.told.push(told.clone());
    let statement = self::query(
        "UPDATE notification_deliveries SET told = $1 WHERE id = $2 AND status = 'pending' AND attempts = 0",
    )
    .bind(plain(&json(&open.told)?))
    .bind(open.id.as_str());
    Ok(execute(conn, statement).await? > 0)
}

/// Has what waits longer for other events of the same rule and topic sent at that time already. Answers their ids.
pub async fn bring_forward(conn: &mut Conn, rule: &Id, topic: &str, to: UnixMs) -> Result<Vec<Id>> {
    let rows = query(
        "UPDATE notification_deliveries SET next_at = $1 WHERE rule_id = $2 AND topic = $3 AND status = 'pending' \
         AND attempts = 0 AND next_at > $1 RETURNING id",
    )
    .bind(to)
    .bind(rule.as_str())
    .bind(plain(topic))
    .fetch_all(conn)
    .await
    .map_err(fault)?;
    rows.iter().map(|row| Row(row).id("id")).collect()
}

/// Begins an attempt: from here on no event joins. False if it has ended meanwhile.
pub async fn begin(conn: &mut Conn, id: &Id) -> Result<bool> {
    let statement = query(
        "UPDATE notification_deliveries SET attempts = attempts + 1 \
         WHERE id = $1 AND status IN ('pending', 'retrying')",
    );
    Ok(execute(conn, statement.bind(id.as_str())).await? > 0)
}

/// Remembers that one more of its requests was taken.
pub async fn sent(conn: &mut Conn, id: &Id, requests: i64) -> Result<()> {
    let statement = query("UPDATE notification_deliveries SET requests_sent = $1 WHERE id = $2");
    execute(conn, statement.bind(requests).bind(id.as_str())).await.map(|_| ())
}

/// Writes how an attempt ended, or that it is to be sent once more.
pub async fn update(conn: &mut Conn, delivery: &Delivery) -> Result<()> {
    let statement = query(
        "UPDATE notification_deliveries SET status = $1, attempts = $2, last_status = $3, reason = $4, next_at = $5, \
         deadline_at = $6, finished_at = $7 WHERE id = $8",
    )
    .bind(delivery.status.as_str())
    .bind(delivery.attempts)
    .bind(delivery.last_status)
    .bind(plain_opt(delivery.reason.as_deref()))
    .bind(delivery.next_at)
    .bind(delivery.deadline_at)
    .bind(delivery.finished_at)
    .bind(delivery.id.as_str());
    execute(conn, statement).await.map(|_| ())
}

/// `None` if it is gone, as with its channel.
pub async fn find_opt(conn: &mut Conn, id: &Id) -> Result<Option<Delivery>> {
    fetch_opt(conn, query(select!("WHERE id = $1")).bind(id.as_str())).await
}

/// Of this channel; `key` is an id or a number.
pub async fn find(conn: &mut Conn, channel: &Id, key: &str) -> Result<Delivery> {
    let query = match as_seq(key) {
        Some(seq) => query(select!("WHERE channel_id = $1 AND seq = $2")).bind(channel.as_str()).bind(seq),
        None => query(select!("WHERE channel_id = $1 AND id = $2")).bind(channel.as_str()).bind(plain(key)),
    };
    found(fetch_opt(conn, query).await?, key)
}

/// Newest first.
pub async fn list(conn: &mut Conn, channel: &Id, page: PageRequest) -> Result<Page<Delivery>> {
    let query = query(select!("WHERE channel_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"))
        .bind(channel.as_str())
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |row: &Delivery| row.seq).await
}

/// The newest that has ended or was tried; none if there never was one.
pub async fn last(conn: &mut Conn, channel: &Id) -> Result<Option<Delivery>> {
    let query = query(select!("WHERE channel_id = $1 AND attempts > 0 ORDER BY seq DESC LIMIT 1"));
    fetch_opt(conn, query.bind(channel.as_str())).await
}

/// How many have not ended.
pub async fn count_open(conn: &mut Conn) -> Result<i64> {
    let row =
        query("SELECT COUNT(*) AS n FROM notification_deliveries WHERE status IN ('pending', 'retrying')")
            .fetch_one(conn)
            .await
            .map_err(fault)?;
    Row(&row).int("n")
}

/// Removes those that ended and are older than `before`, at most `limit`, and answers how many.
pub async fn prune(conn: &mut Conn, before: UnixMs, limit: i64) -> Result<u64> {
    let statement = query(
        "DELETE FROM notification_deliveries WHERE id IN (SELECT id FROM notification_deliveries WHERE created_at < $1 \
         AND status NOT IN ('pending', 'retrying') ORDER BY created_at LIMIT $2)",
    );
    execute(conn, statement.bind(before).bind(limit)).await
}

/// Number of the last event that rules were asked about.
pub async fn cursor(conn: &mut Conn) -> Result<i64> {
    let row =
        query("SELECT value FROM counters WHERE name = 'notified'").fetch_one(conn).await.map_err(fault)?;
    Row(&row).int("value")
}

/// Moves it; false if another node has done so meanwhile, and then nothing of this transaction may stay.
pub async fn advance(conn: &mut Conn, from: i64, to: i64) -> Result<bool> {
    let statement = query("UPDATE counters SET value = $1 WHERE name = 'notified' AND value = $2");
    Ok(execute(conn, statement.bind(to).bind(from)).await? > 0)
}

/// Ids of those that should have been tried before that time, at most 100.
pub async fn late(conn: &mut Conn, before: UnixMs) -> Result<Vec<Id>> {
    let rows = query(
        "SELECT id FROM notification_deliveries WHERE status IN ('pending', 'retrying') AND next_at < $1 \
         ORDER BY next_at LIMIT 100",
    )
    .bind(before)
    .fetch_all(conn)
    .await
    .map_err(fault)?;
    rows.iter().map(|row| Row(row).id("id")).collect()
}
