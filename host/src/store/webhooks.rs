//! The way in for webhook deliveries: raw event and task in one durable commit, many callers' deliveries together.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use sqlx::Row as _;

use super::{
    Db, Tx,
    batch::Batch,
    counters,
    faults::fault,
    new_id, now, packed,
    rows::{Query, execute, id_text, json, plain, plain_opt, query},
    tasks, webhook_events,
    writer::Job,
};
use crate::{
    domain::{
        Id, UnixMs,
        task::{NewTask, Task},
        webhook::{MatchedSecret, Origin, ReasonCode},
    },
    error::{Error, Result},
    telemetry,
};

/// Bytes kept of a body that nobody vouches for.
const KEPT_OF_FORGED: usize = 4096;

/// A delivery as it came in.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// `None` for an address that serves all repositories of a provider.
    pub repository_id: Option<Id>,
    /// Name of the forge plugin.
    pub provider: String,
    pub event_type: String,
    /// The raw body.
    pub payload: Vec<u8>,
    /// Names in lower case, secrets already replaced.
    pub headers: Vec<(String, String)>,
    pub signature: Option<String>,
    /// Two verified deliveries of one provider and repository with the same id are one.
    pub delivery_id: Option<String>,
    /// Only a verified delivery gets a task and counts for deduplication.
    pub verified: bool,
    /// By which secret it is.
    pub matched_secret: Option<MatchedSecret>,
    /// The event that this is a copy of, to be read again.
    pub replay_of: Option<Id>,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingested {
    Stored {
        event_id: Id,
    },
    /// The same delivery came before. It is recorded, but nothing will be done.
    Duplicate {
        of: Id,
    },
}

/// A delivery as it will be written; made by the caller's task, to keep the writer's work small.
#[derive(Clone)]
pub(super) struct Delivery {
    id: Id,
    repository_id: Option<String>,
    provider: String,
    event_type: String,
    payload: Vec<u8>,
    headers: String,
    signature: Option<String>,
    delivery_id: Option<String>,
    dedupe_key: Option<String>,
    verified: bool,
    matched_secret: Option<MatchedSecret>,
    replay_of: Option<Id>,
    origin: Origin,
    received_at: UnixMs,
    /// Of the request that brought it.
    trace: Option<String>,
    /// Set for what ends as soon as it is stored.
    reason: Option<ReasonCode>,
    detail: Option<String>,
}

/// Stores a delivery and, if it is verified and new, the task that reads it. Durable when this returns.
pub async fn ingest(db: &Db, new: NewDelivery) -> Result<Ingested> {
    let delivery = Box::new(prepare(new, None).await?);
    db.submit(|reply| Job::Delivery(delivery, reply)).await
}

/// Records a delivery that nobody vouches for, `BadSignature` or `WrongProvider`: the newest 1,000 of each, 4 KiB of each
/// body.
pub async fn reject(db: &Db, new: NewDelivery, reason: ReasonCode, detail: &str) -> Result<Id> {
    record(db, NewDelivery { verified: false, matched_secret: None, ..new }, reason, detail).await
}

/// A push that this server found itself, ready to be stored.
#[derive(Clone)]
pub struct FoundPush(Delivery);

/// The record of a push to a repository that was found by `origin`; `payload` says what was pushed.
pub async fn found(repository: &Id, provider: &str, origin: Origin, payload: Vec<u8>) -> Result<FoundPush> {
    let new = NewDelivery {
        repository_id: Some(repository.clone()),
        provider: provider.to_owned(),
        event_type: "push".to_owned(),
        payload,
        headers: Vec::new(),
        signature: None,
        delivery_id: None,
        // The git server itself has said so.
        verified: true,
        matched_secret: None,
        replay_of: None,
        origin,
    };
    Ok(FoundPush(prepare(new, None).await?))
}

/// Stores it with the task that acts on it, in the caller's transaction, and answers with its number.
pub async fn insert_found(tx: &mut Tx, push: &FoundPush) -> Result<i64> {
    insert_all(tx, std::slice::from_ref(&push.0)).await?;
    webhook_events::find(tx, push.0.id.as_str()).await.map(|event| event.seq)
}

/// Records a delivery that was acted on as it came in. Of those that nobody vouches for, the newest 1,000 with 4 KiB of each
/// body are kept.
pub async fn record(db: &Db, mut new: NewDelivery, reason: ReasonCode, detail: &str) -> Result<Id> {
    if !new.verified {
        new.payload.truncate(KEPT_OF_FORGED);
    }
    let mut delivery = Box::new(prepare(new, Some(reason)).await?);
    delivery.detail = Some(plain(detail));
    match db.submit(|reply| Job::Delivery(delivery, reply)).await? {
        Ingested::Stored { event_id } => Ok(event_id),
        Ingested::Duplicate { of } => Ok(of),
    }
}

async fn prepare(new: NewDelivery, reason: Option<ReasonCode>) -> Result<Delivery> {
    let dedupe_key = match &new.delivery_id {
        Some(delivery) if new.verified => {
            Some(dedupe_key(&new.provider, new.repository_id.as_ref(), delivery))
        }
        _ => None,
    };
    Ok(Delivery {
        id: new_id(),
        repository_id: id_text(new.repository_id.as_ref()),
        provider: new.provider,
        event_type: plain(&new.event_type),
        payload: packed::pack(new.payload).await?,
        headers: json(&new.headers)?,
        signature: plain_opt(new.signature.as_deref()),
        delivery_id: plain_opt(new.delivery_id.as_deref()),
        dedupe_key,
        verified: new.verified,
        matched_secret: new.matched_secret,
        replay_of: new.replay_of,
        origin: new.origin,
        received_at: now(),
        trace: telemetry::current(),
        reason,
        detail: None,
    })
}

/// A hash, since the parts come from outside and may be of any length. Half of SHA-256 is plenty to tell deliveries apart
/// that somebody with the secret has signed, and keeps an index small whose every page is written to at random.
fn dedupe_key(provider: &str, repository: Option<&Id>, delivery: &str) -> String {
    let mut hash = Sha256::new();
    for part in [provider, repository.map_or("", Id::as_str), delivery] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..16])
}

static INSERT: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new(
        "INSERT INTO webhook_events (id, seq, repository_id, provider, event_type, payload, headers, signature, \
         delivery_id, dedupe_key, verified, matched_secret, processed, reason, detail, received_at, processed_at, replay_of, \
         origin)",
        19,
        "",
        "ON CONFLICT (dedupe_key) DO NOTHING",
    )
});

/// Writes deliveries and their tasks, and answers for each in order.
pub(super) async fn insert_all(tx: &mut Tx, deliveries: &[Delivery]) -> Result<Vec<Ingested>> {
    let all: Vec<&Delivery> = deliveries.iter().collect();
    let originals = insert(tx, &all).await?;
    let (mut outcomes, mut tasks, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
    for (delivery, original) in deliveries.iter().zip(originals) {
        match original {
            None => {
                if delivery.verified && delivery.reason.is_none() {
                    tasks.push(task_of(delivery));
                }
                outcomes.push(Ingested::Stored { event_id: delivery.id.clone() });
            }
            Some(of) => {
                repeats.push(repeat(delivery, &of));
                outcomes.push(Ingested::Duplicate { of });
            }
        }
    }
    if !tasks.is_empty() {
        tasks::insert_all(tx, &tasks).await?;
    }
    if !repeats.is_empty() {
        insert(tx, &repeats.iter().collect::<Vec<_>>()).await?;
        execute(tx, query(TRIM_REPEATED)).await?;
    }
    if deliveries.iter().any(|delivery| delivery.reason.is_some()) {
        execute(tx, query(TRIM_FORGED)).await?;
        execute(tx, query(TRIM_MISDIRECTED)).await?;
        execute(tx, query(TRIM_HINTS)).await?;
    }
    Ok(outcomes)
}

/// Answers for each what it repeats, if it does; all others are stored.
async fn insert(tx: &mut Tx, deliveries: &[&Delivery]) -> Result<Vec<Option<Id>>> {
    let count = i64::try_from(deliveries.len()).map_err(Error::internal)?;
    let mut seq = counters::take(tx, "webhook_events", count).await?;
    let mut originals = Vec::with_capacity(deliveries.len());
    for (text, rows) in INSERT.split(tx, deliveries) {
        let mut query = query(text);
        for delivery in rows {
            query = bind(query, delivery, seq);
            seq += 1;
        }
        let stored = execute(tx, query).await?;
        // Asking the database for the ids of what it stored would cost as much as storing it; repetitions are rare.
        if stored == rows.len() as u64 {
            originals.extend(rows.iter().map(|_| None));
            continue;
        }
        for delivery in rows {
            originals.push(original(tx, delivery).await?);
        }
    }
    Ok(originals)
}

fn bind(query: Query, delivery: &Delivery, seq: i64) -> Query {
    let done = delivery.reason.is_some();
    query
        .bind(delivery.id.as_str())
        .bind(seq)
        .bind(delivery.repository_id.clone())
        .bind(delivery.provider.as_str())
        .bind(delivery.event_type.as_str())
        .bind(delivery.payload.clone())
        .bind(delivery.headers.as_str())
        .bind(delivery.signature.clone())
        .bind(delivery.delivery_id.clone())
        .bind(delivery.dedupe_key.clone())
        .bind(i64::from(delivery.verified))
        .bind(delivery.matched_secret.map(|secret| secret.as_str().to_owned()))
        .bind(i64::from(done))
        .bind(delivery.reason.map(|reason| reason.as_str().to_owned()))
        .bind(delivery.detail.clone())
        .bind(delivery.received_at)
        .bind(done.then_some(delivery.received_at))
        .bind(id_text(delivery.replay_of.as_ref()))
        .bind(delivery.origin.as_str())
}

/// The delivery that came first under the same key; none if that is this one.
async fn original(tx: &mut Tx, delivery: &Delivery) -> Result<Option<Id>> {
    if delivery.dedupe_key.is_none() {
        return Ok(None);
    }
    let row = query("SELECT id FROM webhook_events WHERE dedupe_key = $1")
        .bind(delivery.dedupe_key.clone())
        .fetch_optional(&mut **tx)
        .await
        .map_err(fault)?;
    // It can only be missing if it was removed between the two statements.
    let row = row.ok_or_else(|| Error::unavailable("the delivery's first copy was just removed"))?;
    let id = Id::from_text(row.try_get::<String, _>(0).map_err(fault)?);
    Ok(Some(id).filter(|id| *id != delivery.id))
}

/// The record of a repeated delivery: a row of its own, without the body that the original has.
fn repeat(delivery: &Delivery, of: &Id) -> Delivery {
    Delivery {
        id: delivery.id.clone(),
        repository_id: delivery.repository_id.clone(),
        provider: delivery.provider.clone(),
        event_type: delivery.event_type.clone(),
        payload: Vec::new(),
        headers: delivery.headers.clone(),
        signature: delivery.signature.clone(),
        delivery_id: delivery.delivery_id.clone(),
        dedupe_key: None,
        verified: delivery.verified,
        matched_secret: delivery.matched_secret,
        replay_of: None,
        origin: delivery.origin,
        received_at: delivery.received_at,
        trace: None,
        reason: Some(ReasonCode::DuplicateOf),
        detail: Some(of.as_str().to_owned()),
    }
}

fn task_of(delivery: &Delivery) -> NewTask {
    NewTask {
        id: new_id(),
        task: Task::Webhook { event_id: delivery.id.clone() },
        priority: 0,
        unique_key: None,
        concurrency_key: None,
        run_at: None,
        trace: delivery.trace.clone(),
    }
}

/// Strangers decide how many forged, misdirected and repeated deliveries there are, so only the newest 1,000 of each are kept.
const TRIM_FORGED: &str = "DELETE FROM webhook_events WHERE reason = 'bad_signature' AND seq <= (SELECT seq FROM webhook_events \
     WHERE reason = 'bad_signature' ORDER BY seq DESC LIMIT 1 OFFSET 1000)";
const TRIM_MISDIRECTED: &str = "DELETE FROM webhook_events WHERE reason = 'wrong_provider' AND seq <= (SELECT seq FROM webhook_events \
     WHERE reason = 'wrong_provider' ORDER BY seq DESC LIMIT 1 OFFSET 1000)";
const TRIM_HINTS: &str = "DELETE FROM webhook_events WHERE reason = 'ci_hint' AND seq <= (SELECT seq FROM webhook_events \
     WHERE reason = 'ci_hint' ORDER BY seq DESC LIMIT 1 OFFSET 1000)";
const TRIM_REPEATED: &str = "DELETE FROM webhook_events WHERE reason = 'duplicate_of' AND seq <= (SELECT seq FROM webhook_events \
     WHERE reason = 'duplicate_of' ORDER BY seq DESC LIMIT 1 OFFSET 1000)";
