//! Table `webhook_events`. How deliveries get in is in `webhooks`.

use super::{
    Conn,
    faults::fault,
    id_at,
    rows::{
        Entity, Row, as_seq, below, execute, fetch_opt, fetch_page, found, hit, id_text, json, over,
        plain_opt, query,
    },
};
use crate::{
    domain::{
        Id, UnixMs,
        access::Reach,
        page::{Page, PageRequest},
        webhook::{MatchedSecret, Origin, ReasonCode, StackOutcome, WebhookEvent},
    },
    error::{Error, Result},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, repository_id, provider, event_type, payload, headers, signature, delivery_id, \
             verified, matched_secret, processed, reason, detail, deployment_id, received_at, processed_at, error, \
             replay_of, origin, outcomes FROM webhook_events ",
            $tail
        )
    };
}

impl Entity for WebhookEvent {
    const WHAT: &'static str = "webhook event";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        let unknown = |column: &str, word: &str| {
            Error::internal(format!("column {column} holds the unknown word `{word}`"))
        };
        let reason = row
            .text_opt("reason")?
            .map(|word| ReasonCode::parse(&word).ok_or_else(|| unknown("reason", &word)));
        let matched = row
            .text_opt("matched_secret")?
            .map(|word| MatchedSecret::parse(&word).ok_or_else(|| unknown("matched_secret", &word)));
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            repository_id: row.id_opt("repository_id")?,
            provider: row.text("provider")?,
            event_type: row.text("event_type")?,
            payload: row.packed("payload")?,
            headers: row.json("headers")?,
            signature: row.text_opt("signature")?,
            delivery_id: row.text_opt("delivery_id")?,
            verified: row.flag("verified")?,
            matched_secret: matched.transpose()?,
            replay_of: row.id_opt("replay_of")?,
            processed: row.flag("processed")?,
            reason: reason.transpose()?,
            detail: row.text_opt("detail")?,
            deployment_id: row.id_opt("deployment_id")?,
            received_at: row.int("received_at")?,
            processed_at: row.int_opt("processed_at")?,
            error: row.text_opt("error")?,
            origin: row.word("origin", Origin::parse)?,
            outcomes: match row.text_opt("outcomes")? {
                Some(_) => row.json("outcomes")?,
                None => Vec::new(),
            },
        })
    }
}

/// `key` is an id or a number.
pub async fn find(conn: &mut Conn, key: &str) -> Result<WebhookEvent> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id or a number.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<WebhookEvent>> {
    match as_seq(key) {
        Some(seq) => fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await,
        None => fetch_opt(conn, query(select!("WHERE id = $1")).bind(key)).await,
    }
}

/// The repository of an event, which has none if it came to an address that many share; `key` is an id or a number.
pub async fn repository_opt(conn: &mut Conn, key: &str) -> Result<Option<Option<Id>>> {
    let statement = match as_seq(key) {
        Some(seq) => query("SELECT repository_id FROM webhook_events WHERE seq = $1").bind(seq),
        None => query("SELECT repository_id FROM webhook_events WHERE id = $1").bind(key),
    };
    let row = statement.fetch_optional(conn).await.map_err(fault)?;
    row.map(|row| super::rows::Row(&row).id_opt("repository_id")).transpose()
}

/// Newest first.
pub async fn list(
    conn: &mut Conn,
    page: PageRequest,
    repository: Option<&Id>,
    reach: &Reach,
) -> Result<Page<WebhookEvent>> {
    let query = match repository {
        None => query(select!(
            "WHERE seq < $1 AND ($3 = '' OR EXISTS (SELECT 1 FROM git_repositories r \
             JOIN stacks s ON s.id = r.stack_id JOIN token_projects v ON v.project_id = s.project_id \
             WHERE r.id = webhook_events.repository_id AND v.token_id = $3)) ORDER BY seq DESC LIMIT $2"
        ))
        .bind(below(page))
        .bind(over(page)),
        Some(repository) => query(select!(
            "WHERE repository_id = $1 AND seq < $2 AND ($4 = '' OR EXISTS (SELECT 1 FROM git_repositories r \
             JOIN stacks s ON s.id = r.stack_id JOIN token_projects v ON v.project_id = s.project_id \
             WHERE r.id = webhook_events.repository_id AND v.token_id = $4)) ORDER BY seq DESC LIMIT $3"
        ))
        .bind(repository.as_str())
        .bind(below(page))
        .bind(over(page)),
    }
    .bind(reach.as_str().to_owned());
    fetch_page(conn, page, query, |event: &WebhookEvent| event.seq).await
}

/// How an event ended. `error` is for what failed, `detail` for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    pub reason: ReasonCode,
    pub detail: Option<String>,
    pub deployment_id: Option<Id>,
    pub error: Option<String>,
    /// Empty where the reason says it all.
    pub outcomes: Vec<StackOutcome>,
}

/// Writes the reason an event ended with. `Conflict` if it has ended already: exactly one reason for each event.
pub async fn finish(conn: &mut Conn, id: &Id, finish: &Finish, now: UnixMs) -> Result<()> {
    let statement = query(
        "UPDATE webhook_events SET processed = 1, reason = $1, detail = $2, deployment_id = $3, error = $4, \
         processed_at = $5, outcomes = $6 WHERE id = $7 AND processed = 0",
    )
    .bind(finish.reason.as_str())
    .bind(plain_opt(finish.detail.as_deref()))
    .bind(id_text(finish.deployment_id.as_ref()))
    .bind(plain_opt(finish.error.as_deref()))
    .bind(now)
    .bind(if finish.outcomes.is_empty() { None } else { Some(json(&finish.outcomes)?) })
    .bind(id.as_str());
    if execute(conn, statement).await? == 0 {
        find(conn, id.as_str()).await?;
        return Err(Error::conflict("the webhook event has been processed already"));
    }
    Ok(())
}

/// Says to which repository it belongs, for deliveries to the address that all repositories share.
pub async fn set_repository(conn: &mut Conn, id: &Id, repository: &Id) -> Result<()> {
    let query = query("UPDATE webhook_events SET repository_id = $1 WHERE id = $2")
        .bind(repository.as_str())
        .bind(id.as_str());
    hit(execute(conn, query).await?, WebhookEvent::WHAT, id)
}

/// Removes processed events received before `before`, at most `limit` of them, and answers how many. Ids begin with the
/// time, so their own index finds the oldest.
pub async fn prune(conn: &mut Conn, before: UnixMs, limit: i64) -> Result<u64> {
    let query = query(
        "DELETE FROM webhook_events WHERE id IN (SELECT id FROM webhook_events WHERE id < $1 AND processed = 1 \
         ORDER BY id LIMIT $2)",
    )
    .bind(id_at(before).to_string())
    .bind(limit);
    execute(conn, query).await
}
