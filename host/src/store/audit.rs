//! Table `audit_log` and what belongs to it: the chain, its ends, its checkpoints. [`Db::write`](super::Db::write) is the only
//! one that appends; `call` says when.

use std::sync::OnceLock;

use zeroize::Zeroizing;

pub use super::call::{Call, because, concerns, during, identify, is_running};
use super::{
    Conn, Tx,
    faults::fault,
    now,
    rows::{Entity, Row, below, execute, fetch_all, fetch_opt, fetch_page, id_text, over, query},
};
use crate::{
    domain::{
        UnixMs,
        access::Reach,
        audit::{AuditEntry, AuditHead, Checkpoint, MAC_KEY_BYTES},
        page::{Page, PageRequest},
    },
    error::{Error, Result},
};

pub type AuditKeyBytes = Zeroizing<[u8; MAC_KEY_BYTES]>;

/// The key of the head's MAC, once it is known.
#[derive(Default)]
pub(super) struct AuditKey(OnceLock<AuditKeyBytes>);

impl AuditKey {
    pub fn set(&self, key: AuditKeyBytes) {
        let _ = self.0.set(key);
    }

    pub fn get(&self) -> Option<&AuditKeyBytes> {
        self.0.get()
    }
}

/// Appends to the chain, whatever number and hashes the entry says.
pub(super) async fn append(tx: &mut Tx, mut entry: AuditEntry, key: Option<&AuditKeyBytes>) -> Result<()> {
    let mut head = raised(tx).await?;
    (entry.seq, entry.previous) = (head.seq, head.hash);
    entry.hash = entry.digest();
    head.hash = entry.hash.clone();
    let insert = query(
        "INSERT INTO audit_log (seq, at, actor_kind, actor, via, address, action, subject, outcome, why, changes, \
         previous, hash, team_id, project_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(entry.seq)
    .bind(entry.at)
    .bind(entry.actor_kind)
    .bind(entry.actor)
    .bind(entry.via)
    .bind(entry.address)
    .bind(entry.action)
    .bind(entry.subject)
    .bind(entry.outcome)
    .bind(entry.why)
    .bind(entry.changes)
    .bind(entry.previous)
    .bind(entry.hash)
    .bind(id_text(entry.team.as_ref()))
    .bind(id_text(entry.project.as_ref()));
    execute(tx, insert).await?;
    store_head(tx, head, key).await
}

/// The head with the next number. Whoever asks next waits until this transaction has ended.
async fn raised(conn: &mut Conn) -> Result<AuditHead> {
    let row = query("UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING first, base, seq, hash, mac")
        .fetch_one(conn)
        .await
        .map_err(fault)?;
    AuditHead::from_row(&Row(&row))
}

async fn store_head(conn: &mut Conn, head: AuditHead, key: Option<&AuditKeyBytes>) -> Result<()> {
    let head = match key {
        Some(key) => head.sealed(key),
        None => AuditHead { mac: String::new(), ..head },
    };
    let query =
        query("UPDATE audit_head SET first = $1, base = $2, seq = $3, hash = $4, mac = $5 WHERE id = 1")
            .bind(head.first)
            .bind(head.base)
            .bind(head.seq)
            .bind(head.hash)
            .bind(head.mac);
    execute(conn, query).await.map(|_| ())
}

/// The sealed seed of the record's keys.
pub async fn seed(conn: &mut Conn, id: &'static str) -> Result<Option<String>> {
    let row = query("SELECT seed FROM audit_keys WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
        .map_err(fault)?;
    row.map(|row| Row(&row).text("seed")).transpose()
}

/// Stores the first seed and seals the head for the first time; false if there is a seed already.
pub async fn begin(conn: &mut Conn, id: &'static str, seed: String, key: &AuditKeyBytes) -> Result<bool> {
    let insert =
        query("INSERT INTO audit_keys (id, seed, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(id)
            .bind(seed)
            .bind(now());
    if execute(conn, insert).await? == 0 {
        return Ok(false);
    }
    let head = head(conn).await?;
    store_head(conn, head, Some(key)).await?;
    Ok(true)
}

impl Entity for AuditHead {
    const WHAT: &'static str = "head of the record";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            first: row.int("first")?,
            base: row.text("base")?,
            seq: row.int("seq")?,
            hash: row.text("hash")?,
            mac: row.text("mac")?,
        })
    }
}

impl Entity for AuditEntry {
    const WHAT: &'static str = "audit entry";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            seq: row.int("seq")?,
            at: row.int("at")?,
            actor_kind: row.text("actor_kind")?,
            actor: row.text("actor")?,
            via: row.text("via")?,
            address: row.text("address")?,
            action: row.text("action")?,
            subject: row.text("subject")?,
            outcome: row.text("outcome")?,
            why: row.text("why")?,
            changes: row.text("changes")?,
            team: row.id_opt("team_id")?,
            project: row.id_opt("project_id")?,
            previous: row.text("previous")?,
            hash: row.text("hash")?,
        })
    }
}

impl Entity for Checkpoint {
    const WHAT: &'static str = "checkpoint";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            seq: row.int("seq")?,
            hash: row.text("hash")?,
            at: row.int("at")?,
            signature: row.text("signature")?,
        })
    }
}

macro_rules! select {
    ($tail:expr) => {
        concat!(
            "SELECT seq, at, actor_kind, actor, via, address, action, subject, outcome, why, changes, previous, hash, \
             team_id, project_id FROM audit_log ",
            $tail
        )
    };
}

/// What is not filtered by is bound to an empty text. The first condition is the one that an index finds.
macro_rules! filtered {
    ($first:literal) => {
        select!(concat!(
            "WHERE ",
            $first,
            " AND ($2 = '' OR actor = $2) AND ($3 = '' OR action = $3) AND ($4 = '' OR subject = $4) \
             AND ($5 = '' OR outcome = $5) AND ($6 = '' OR team_id = $6) AND ($7 = '' OR project_id = $7) AND ($8 = '' OR EXISTS \
             (SELECT 1 FROM token_admin_teams v WHERE v.token_id = $8 AND v.team_id = audit_log.team_id) OR EXISTS \
             (SELECT 1 FROM token_admin_projects v WHERE v.token_id = $8 AND v.project_id = audit_log.project_id \
             AND v.team_id = audit_log.team_id)) \
             AND at >= $9 AND at < $10 AND seq < $11 ORDER BY seq DESC LIMIT $12"
        ))
    };
}

/// Which entries of the record are wanted; an empty text stands for all.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub outcome: String,
    /// Id of a team.
    pub team: String,
    /// Id of a project.
    pub project: String,
    pub since: Option<UnixMs>,
    /// This moment excluded.
    pub until: Option<UnixMs>,
}

/// Newest first, of what the bearer of a token may see: everything, or what is about teams and projects that they administer.
pub async fn list(
    conn: &mut Conn,
    page: PageRequest,
    filter: &AuditFilter,
    reach: &Reach,
) -> Result<Page<AuditEntry>> {
    let (text, first) = if !filter.subject.is_empty() {
        (filtered!("subject = $1"), &filter.subject)
    } else if !filter.actor.is_empty() {
        (filtered!("actor = $1"), &filter.actor)
    } else if !filter.action.is_empty() {
        (filtered!("action = $1"), &filter.action)
    } else if !filter.project.is_empty() {
        (filtered!("project_id = $1"), &filter.project)
    } else if !filter.team.is_empty() {
        (filtered!("team_id = $1"), &filter.team)
    } else {
        (filtered!("$1 = ''"), &filter.action)
    };
    let query = query(text)
        .bind(first.clone())
        .bind(filter.actor.clone())
        .bind(filter.action.clone())
        .bind(filter.subject.clone())
        .bind(filter.outcome.clone())
        .bind(filter.team.clone())
        .bind(filter.project.clone())
        .bind(reach.as_str().to_owned())
        .bind(filter.since.unwrap_or(i64::MIN))
        .bind(filter.until.unwrap_or(i64::MAX))
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |entry: &AuditEntry| entry.seq).await
}

/// Entries after the cursor, oldest first, at most `limit`.
pub async fn list_after(conn: &mut Conn, cursor: i64, limit: i64) -> Result<Vec<AuditEntry>> {
    fetch_all(conn, query(select!("WHERE seq > $1 ORDER BY seq LIMIT $2")).bind(cursor).bind(limit)).await
}

pub async fn head(conn: &mut Conn) -> Result<AuditHead> {
    let query = query("SELECT first, base, seq, hash, mac FROM audit_head WHERE id = 1");
    fetch_opt(conn, query).await?.ok_or_else(|| Error::conflict("the head of the record is gone"))
}

/// Oldest first, at most `limit` after the cursor.
pub async fn checkpoints(conn: &mut Conn, cursor: i64, limit: i64) -> Result<Vec<Checkpoint>> {
    let text = "SELECT seq, hash, at, signature FROM audit_checkpoints WHERE seq > $1 ORDER BY seq LIMIT $2";
    fetch_all(conn, query(text).bind(cursor).bind(limit)).await
}

pub async fn latest_checkpoint(conn: &mut Conn) -> Result<Option<Checkpoint>> {
    fetch_opt(conn, query("SELECT seq, hash, at, signature FROM audit_checkpoints ORDER BY seq DESC LIMIT 1"))
        .await
}

/// A number that has a checkpoint keeps it.
pub async fn insert_checkpoint(conn: &mut Conn, checkpoint: &Checkpoint) -> Result<()> {
    let query = query(
        "INSERT INTO audit_checkpoints (seq, hash, at, signature) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(checkpoint.seq)
    .bind(checkpoint.hash.as_str())
    .bind(checkpoint.at)
    .bind(checkpoint.signature.as_str());
    execute(conn, query).await.map(|_| ())
}

/// Removes entries older than `before`, at most `limit` of them and never the last one, and answers how many. The head says
/// where the chain begins from then on, so it stays verifiable.
pub async fn prune(conn: &mut Conn, before: UnixMs, limit: i64, key: &AuditKeyBytes) -> Result<u64> {
    // Nobody appends meanwhile.
    let lock = query("UPDATE audit_head SET seq = seq WHERE id = 1");
    execute(conn, lock).await?;
    let mut head = head(conn).await?;
    let old = fetch_all::<AuditEntry>(conn, query(select!("ORDER BY seq LIMIT $1")).bind(limit)).await?;
    let Some(last) = old.iter().take_while(|entry| entry.at < before && entry.seq < head.seq).last() else {
        return Ok(0);
    };
    (head.first, head.base) = (last.seq + 1, last.hash.clone());
    store_head(conn, head, Some(key)).await?;
    let gone = execute(conn, query("DELETE FROM audit_log WHERE seq <= $1").bind(last.seq)).await?;
    execute(conn, query("DELETE FROM audit_checkpoints WHERE seq <= $1").bind(last.seq)).await?;
    Ok(gone)
}
