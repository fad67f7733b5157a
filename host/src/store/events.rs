//! Table `events`: the outbox.

use super::{
    Conn, Tx, counters,
    faults::fault,
    now,
    rows::{Entity, Query, Row, below, execute, fetch_all, fetch_page, id_text, json, over, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        access::Reach,
        event::{Event, EventKind, NewEvent, PastEvent},
        page::{Page, PageRequest},
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT seq, kind, stack_id, subject_id, data, at FROM events ", $tail)
    };
}

impl Entity for Event {
    const WHAT: &'static str = "event";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            seq: row.int("seq")?,
            kind: row.word("kind", EventKind::parse)?,
            stack_id: row.id_opt("stack_id")?,
            subject_id: row.id_opt("subject_id")?,
            data: row.json("data")?,
            at: row.int("at")?,
        })
    }
}

impl Entity for PastEvent {
    const WHAT: &'static str = "event";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { event: Event::from_row(row)?, stack: row.text_opt("stack")? })
    }
}

/// Appends an event in the transaction of the change it tells of, and returns its number. Subscribers hear of it after
/// the commit. From here on other writers that append wait for this transaction, so append last.
pub async fn append(tx: &mut Tx, new: NewEvent) -> Result<i64> {
    let seq = counters::take(tx, "events", 1).await?;
    let NewEvent { kind, stack_id, subject_id, data } = new;
    let event = Event { seq, kind, stack_id, subject_id, data, at: now() };
    query("INSERT INTO events (seq, kind, stack_id, subject_id, data, at) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(event.seq)
        .bind(event.kind.as_str())
        .bind(id_text(event.stack_id.as_ref()))
        .bind(id_text(event.subject_id.as_ref()))
        .bind(json(&event.data)?)
        .bind(event.at)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    tx.publish(event);
    Ok(seq)
}

/// Events after the cursor, oldest first, at most `limit`. What is about no stack, or about one that is gone, is for
/// those who see everything.
pub async fn list_after(
    conn: &mut Conn,
    cursor: i64,
    limit: i64,
    stack: Option<&Id>,
    reach: &Reach,
) -> Result<Vec<Event>> {
    let query = match stack {
        None => query(select!(
            "WHERE seq > $1 AND ($3 = '' OR EXISTS (SELECT 1 FROM stacks s \
             JOIN token_projects v ON v.project_id = s.project_id \
             WHERE s.id = events.stack_id AND v.token_id = $3)) ORDER BY seq LIMIT $2"
        ))
        .bind(cursor)
        .bind(limit),
        Some(stack) => query(select!(
            "WHERE stack_id = $1 AND seq > $2 AND ($4 = '' OR EXISTS (SELECT 1 FROM stacks s \
             JOIN token_projects v ON v.project_id = s.project_id \
             WHERE s.id = events.stack_id AND v.token_id = $4)) ORDER BY seq LIMIT $3"
        ))
        .bind(stack.as_str())
        .bind(cursor)
        .bind(limit),
    }
    .bind(reach.as_str().to_owned());
    fetch_all(conn, query).await
}

/// What a list of past events is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub stack: Option<Id>,
    /// What it is about: a deployment and its build. Only together with the stack.
    pub subjects: Vec<Id>,
    pub kind: Option<EventKind>,
}

macro_rules! past {
    ($which:expr, $limit:literal) => {
        concat!(
            "SELECT events.seq, kind, stack_id, subject_id, data, at, named.name AS stack FROM events \
             LEFT JOIN stacks named ON named.id = events.stack_id WHERE ",
            $which,
            " ORDER BY events.seq DESC LIMIT ",
            $limit
        )
    };
}

/// Of each stack that the token sees, what would fill a page of its own: however few of all events those are, no others are
/// read. A cross join has SQLite begin with the stacks; `MATERIALIZED` and the inner limit keep PostgreSQL from walking along
/// all events.
macro_rules! seen {
    ($which:literal, $older:literal) => {
        past!(
            concat!(
                "events.seq IN (WITH visible AS MATERIALIZED (SELECT e.seq AS seq FROM token_projects v \
                 CROSS JOIN stacks s CROSS JOIN events e \
                 WHERE v.token_id = $1 AND s.project_id = v.project_id AND e.stack_id = s.id AND e.seq < $2",
                $which,
                " AND e.seq >= COALESCE((SELECT o.seq FROM events o WHERE o.stack_id = s.id AND o.seq < $2",
                $older,
                " ORDER BY o.seq DESC LIMIT 1 OFFSET $3), 0)) \
                 SELECT seq FROM visible ORDER BY seq DESC LIMIT $3)"
            ),
            "$3"
        )
    };
}

/// What a list is narrowed to, of one stack.
macro_rules! of_stack {
    ($which:literal) => {
        past!(
            concat!(
                $which,
                " AND ($3 = '' OR EXISTS (SELECT 1 FROM stacks s JOIN token_projects v \
                 ON v.project_id = s.project_id WHERE s.id = events.stack_id AND v.token_id = $3))"
            ),
            "$4"
        )
    };
}

/// Past events, newest first. What is about no stack, or about one that is gone, is for those who see everything.
pub async fn list(
    conn: &mut Conn,
    page: PageRequest,
    filter: &EventFilter,
    reach: &Reach,
) -> Result<Page<PastEvent>> {
    let kind = filter.kind.map(EventKind::as_str);
    let query = match &filter.stack {
        None => of_all(page, kind, reach),
        Some(stack) => of_one(page, stack, &filter.subjects, kind, reach),
    };
    fetch_page(conn, page, query, |past: &PastEvent| past.event.seq).await
}

fn of_all(page: PageRequest, kind: Option<&'static str>, reach: &Reach) -> Query {
    let (below, over, token) = (below(page), over(page), reach.as_str());
    match (token.is_empty(), kind) {
        (true, None) => query(past!("events.seq < $1", "$2")).bind(below).bind(over),
        (true, Some(kind)) => {
            query(past!("kind = $1 AND events.seq < $2", "$3")).bind(kind).bind(below).bind(over)
        }
        (false, None) => query(seen!("", "")).bind(token.to_owned()).bind(below).bind(over),
        (false, Some(kind)) => query(seen!(" AND e.kind = $4", " AND o.kind = $4"))
            .bind(token.to_owned())
            .bind(below)
            .bind(over)
            .bind(kind),
    }
}

fn of_one(
    page: PageRequest,
    stack: &Id,
    subjects: &[Id],
    kind: Option<&'static str>,
    reach: &Reach,
) -> Query {
    let text = match (subjects, kind) {
        ([], None) => of_stack!("stack_id = $1 AND events.seq < $2"),
        ([], Some(_)) => of_stack!("stack_id = $1 AND kind = $5 AND events.seq < $2"),
        // Of one subject there are few.
        _ => of_stack!(
            "events.seq IN (SELECT e.seq FROM events e WHERE e.stack_id = $1 AND e.subject_id IN ($6, $7) \
             AND e.seq < $2) AND ($5 = '' OR kind = $5)"
        ),
    };
    let query = query(text)
        .bind(stack.as_str().to_owned())
        .bind(below(page))
        .bind(reach.as_str().to_owned())
        .bind(over(page));
    match (subjects, kind) {
        ([], None) => query,
        ([], Some(kind)) => query.bind(kind),
        ([first, others @ ..], kind) => query
            .bind(kind.unwrap_or_default())
            .bind(first.as_str().to_owned())
            .bind(others.first().unwrap_or(first).as_str().to_owned()),
    }
}

/// What a deployment's steps were called between two moments, oldest first; of many the last `most`.
pub async fn step_labels(
    conn: &mut Conn,
    stack: &Id,
    deployment: &Id,
    (from, to): (UnixMs, UnixMs),
    most: i64,
) -> Result<Vec<(UnixMs, String)>> {
    // Numbers rise with the time, so only what happened meanwhile is looked at.
    let query = query(select!(
        "WHERE stack_id = $1 AND subject_id = $2 AND kind = $3 \
         AND seq >= (SELECT seq FROM events WHERE at >= $4 ORDER BY at, seq LIMIT 1) \
         AND seq <= (SELECT seq FROM events WHERE at <= $5 ORDER BY at DESC, seq DESC LIMIT 1) \
         ORDER BY seq DESC LIMIT $6"
    ))
    .bind(stack.as_str())
    .bind(deployment.as_str())
    .bind(EventKind::DeploymentStep.as_str())
    .bind(from)
    .bind(to)
    .bind(most);
    let events: Vec<Event> = fetch_all(conn, query).await?;
    let label = |event: Event| Some((event.at, event.data.get("label")?.as_str()?.to_owned()));
    Ok(events.into_iter().rev().filter_map(label).collect())
}

/// The number of the newest event; 0 before the first. Pruning does not lower it.
pub async fn latest_seq(conn: &mut Conn) -> Result<i64> {
    let row =
        query("SELECT value FROM counters WHERE name = 'events'").fetch_one(conn).await.map_err(fault)?;
    Row(&row).int("value")
}

/// Removes events older than `before`, at most `limit` of them, and answers how many.
pub async fn prune(conn: &mut Conn, before: UnixMs, limit: i64) -> Result<u64> {
    let query =
        query("DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE at < $1 ORDER BY at LIMIT $2)")
            .bind(before)
            .bind(limit);
    execute(conn, query).await
}
