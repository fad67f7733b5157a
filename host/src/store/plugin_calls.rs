//! Table `plugin_calls`: the flight recorder's.

use std::collections::BTreeSet;

use super::{
    Conn, counters,
    faults::fault,
    new_id,
    rows::{
        Entity, Row, as_seq, below, execute, fetch_all, fetch_opt, fetch_page, found, over, plain, plain_opt,
        query,
    },
};
use crate::{
    domain::{
        Id, UnixMs,
        page::{Page, PageRequest},
        recording::{
            CallFilter, CallSummary, Outcome, PluginCall, Recording, Retention, Subject, SubjectKind,
        },
        rollout::history::Asked,
    },
    error::{Error, Result},
};

macro_rules! select {
    ($more:literal, $tail:expr) => {
        concat!(
            "SELECT id, seq, plugin, digest, interface, function, subject_kind, subject_id, started_at, \
             duration_us, cpu_us, outcome, error, size_bytes, cut, count, last_at",
            $more,
            " FROM plugin_calls ",
            $tail
        )
    };
}

/// What is not filtered by is bound to an empty text. The first condition is the one that an index finds.
macro_rules! filtered {
    ($first:literal) => {
        select!(
            "",
            concat!(
                "WHERE ",
                $first,
                " AND ($2 = '' OR plugin = $2) AND ($3 = '' OR function = $3) AND ($4 = '' OR outcome = $4) \
                 AND seq < $5 ORDER BY seq DESC LIMIT $6"
            )
        )
    };
}

impl Entity for CallSummary {
    const WHAT: &'static str = "plugin call";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        let kind = row.text_opt("subject_kind")?.map(|word| {
            SubjectKind::parse(&word).ok_or_else(|| {
                Error::internal(format!("column subject_kind holds the unknown word `{word}`"))
            })
        });
        let subject = kind.transpose()?.zip(row.id_opt("subject_id")?);
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            plugin: row.text("plugin")?,
            digest: row.text("digest")?,
            interface: row.text("interface")?,
            function: row.text("function")?,
            subject: subject.map(|(kind, id)| Subject { kind, id }),
            started_at: row.int("started_at")?,
            duration_us: row.int("duration_us")?,
            cpu_us: row.int("cpu_us")?,
            outcome: row.word("outcome", Outcome::parse)?,
            error: row.text_opt("error")?,
            cut: row.flag("cut")?,
            size_bytes: row.int("size_bytes")?,
            count: row.int("count")?,
            last_at: row.int("last_at")?,
        })
    }
}

impl Entity for PluginCall {
    const WHAT: &'static str = CallSummary::WHAT;

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            summary: CallSummary::from_row(row)?,
            input: row.text("input")?,
            exchange: row.text("exchange")?,
            output: row.text_opt("output")?,
        })
    }
}

impl Entity for Asked {
    const WHAT: &'static str = CallSummary::WHAT;

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            seq: row.int("seq")?,
            at: row.int("started_at")?,
            last_at: row.int("last_at")?,
            input: row.text("input")?,
        })
    }
}

/// Stores recordings in their order and answers their ids.
pub async fn insert_all(conn: &mut Conn, recordings: &[(Recording, i64, UnixMs)]) -> Result<Vec<Id>> {
    let rows = i64::try_from(recordings.len()).map_err(Error::internal)?;
    let first = counters::take(conn, "plugin_calls", rows).await?;
    let mut ids = Vec::with_capacity(recordings.len());
    for (seq, (call, count, last_at)) in (first..).zip(recordings) {
        let (id, size) = (new_id(), i64::try_from(call.size()).map_err(Error::internal)?);
        let statement = query(
            "INSERT INTO plugin_calls (id, seq, plugin, digest, interface, function, subject_kind, subject_id, \
             started_at, duration_us, cpu_us, outcome, error, input, exchange, output, size_bytes, cut, count, \
             last_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
             $19, $20)",
        )
        .bind(id.as_str())
        .bind(seq)
        .bind(plain(&call.plugin))
        .bind(call.digest.as_str())
        .bind(call.interface.as_str())
        .bind(call.function.as_str())
        .bind(call.subject.as_ref().map(|subject| subject.kind.as_str()))
        .bind(call.subject.as_ref().map(|subject| subject.id.as_str()))
        .bind(call.started_at)
        .bind(call.duration_us)
        .bind(call.cpu_us)
        .bind(call.outcome.as_str())
        .bind(plain_opt(call.error.as_deref()))
        .bind(call.input.as_str())
        .bind(call.exchange.as_str())
        .bind(call.output.as_deref())
        .bind(size)
        .bind(i64::from(call.cut))
        .bind(*count)
        .bind(*last_at);
        execute(conn, statement).await?;
        ids.push(id);
    }
    Ok(ids)
}

/// Counts the same call `more` times; nothing happens if the row is gone.
pub async fn repeat(conn: &mut Conn, id: &Id, more: i64, last_at: UnixMs) -> Result<()> {
    let statement = query("UPDATE plugin_calls SET count = count + $1, last_at = $2 WHERE id = $3")
        .bind(more)
        .bind(last_at)
        .bind(id.as_str());
    execute(conn, statement).await.map(|_| ())
}

/// `key` is an id or a number.
pub async fn find(conn: &mut Conn, key: &str) -> Result<PluginCall> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id or a number.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<PluginCall>> {
    match as_seq(key) {
        Some(seq) => {
            fetch_opt(conn, query(select!(", input, exchange, output", "WHERE seq = $1")).bind(seq)).await
        }
        None => fetch_opt(conn, query(select!(", input, exchange, output", "WHERE id = $1")).bind(key)).await,
    }
}

/// Newest first, without the recordings themselves.
pub async fn list(conn: &mut Conn, page: PageRequest, filter: &CallFilter) -> Result<Page<CallSummary>> {
    let plugin = filter.plugin.clone().unwrap_or_default();
    let outcome = filter.outcome.map_or("", Outcome::as_str);
    let (text, first) = match (&filter.subject, plugin.as_str(), outcome) {
        (Some(subject), ..) => (filtered!("subject_id = $1"), subject.as_str()),
        (None, "", "") => (filtered!("$1 = ''"), ""),
        (None, "", outcome) => (filtered!("outcome = $1"), outcome),
        (None, plugin, _) => (filtered!("plugin = $1"), plugin),
    };
    let query = query(text)
        .bind(first.to_owned())
        .bind(plugin.clone())
        .bind(filter.function.clone().unwrap_or_default())
        .bind(outcome)
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |call: &CallSummary| call.seq).await
}

/// What a strategy was asked for a deployment, oldest first. Of many, at most `most` that are spread evenly, the newest
/// among them.
pub async fn asked(conn: &mut Conn, deployment: &Id, most: i64) -> Result<Vec<Asked>> {
    let query = query(
        "SELECT seq, started_at, last_at, input FROM plugin_calls WHERE seq IN (SELECT seq FROM (SELECT seq, \
         ROW_NUMBER() OVER (ORDER BY seq DESC) - 1 AS n, COUNT(*) OVER () AS total FROM plugin_calls \
         WHERE subject_id = $1 AND function = 'decide' AND outcome = 'ok') numbered \
         WHERE n % ((total + $2 - 1) / $2) = 0) ORDER BY seq",
    )
    .bind(deployment.as_str())
    .bind(most);
    fetch_all(conn, query).await
}

/// The last time that a strategy was asked for a deployment until `at`, among the calls below a number.
pub async fn asked_before(conn: &mut Conn, deployment: &Id, at: UnixMs, below: i64) -> Result<Option<Asked>> {
    let query = query(
        "SELECT seq, started_at, last_at, input FROM plugin_calls WHERE subject_id = $1 AND function = 'decide' \
         AND outcome = 'ok' AND started_at <= $2 AND seq < $3 ORDER BY seq DESC LIMIT 1",
    )
    .bind(deployment.as_str())
    .bind(at)
    .bind(below);
    fetch_opt(conn, query).await
}

/// sha256 of every component that has calls on record.
pub async fn digests(conn: &mut Conn) -> Result<BTreeSet<String>> {
    let rows =
        query("SELECT digest FROM plugin_calls GROUP BY digest").fetch_all(conn).await.map_err(fault)?;
    rows.iter().map(|row| Row(row).text("digest")).collect()
}

/// Removes what is beyond the bounds and answers how many rows that were.
pub async fn prune(conn: &mut Conn, keep: &Retention) -> Result<u64> {
    let old = query("DELETE FROM plugin_calls WHERE last_at < $1").bind(keep.before);
    let many = query(
        "DELETE FROM plugin_calls WHERE seq <= (SELECT seq FROM plugin_calls ORDER BY seq DESC LIMIT 1 OFFSET $1)",
    )
    .bind(keep.rows);
    let mut gone = execute(conn, old).await? + execute(conn, many).await?;
    while let Some(seq) = last_in_excess(conn, keep.bytes).await? {
        gone += execute(conn, query("DELETE FROM plugin_calls WHERE seq <= $1").bind(seq)).await?;
    }
    Ok(gone)
}

/// The last of the oldest calls that have to go so that the rest takes no more than `bytes`, or a good part of them.
async fn last_in_excess(conn: &mut Conn, bytes: i64) -> Result<Option<i64>> {
    let total = query("SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS total FROM plugin_calls");
    let row = total.fetch_one(&mut *conn).await.map_err(fault)?;
    let mut excess = Row(&row).int("total")? - bytes;
    if excess <= 0 {
        return Ok(None);
    }
    let oldest = query("SELECT seq, size_bytes FROM plugin_calls ORDER BY seq LIMIT 1000");
    let mut last = None;
    for row in oldest.fetch_all(conn).await.map_err(fault)? {
        if excess <= 0 {
            break;
        }
        excess -= Row(&row).int("size_bytes")?;
        last = Some(Row(&row).int("seq")?);
    }
    Ok(last)
}
