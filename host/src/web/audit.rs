//! The record: who did what, when, from where and why.

use askama::Template;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::ui::{Badge, Tone, When};
use crate::app::App;
use crate::app::audit::AuditFilter;
use crate::domain::audit::AuditEntry;
use crate::domain::page::PageRequest;
use crate::domain::text::pretty_json;

struct EntryRow {
    seq: i64,
    when: When,
    who: String,
    from: String,
    action: String,
    subject: String,
    badge: Badge,
    why: String,
    /// Indented JSON; empty if the entry says nothing of changes.
    changes: String,
}

impl From<AuditEntry> for EntryRow {
    fn from(entry: AuditEntry) -> Self {
        let (tone, word) = match entry.outcome.as_str() {
            "done" => (Tone::Good, "done"),
            "refused" => (Tone::Stopped, "refused"),
            _ => (Tone::Bad, "failed"),
        };
        let changes: serde_json::Value = serde_json::from_str(&entry.changes).unwrap_or_default();
        let is_empty = changes.as_array().is_none_or(Vec::is_empty);
        let from = [entry.via, entry.address].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        Self {
            seq: entry.seq,
            when: When::new(entry.at),
            who: if entry.actor.is_empty() { entry.actor_kind } else { entry.actor },
            from: from.join(", "),
            action: entry.action,
            subject: entry.subject,
            badge: Badge { tone, word },
            why: entry.why,
            changes: if is_empty { String::new() } else { pretty_json(&changes) },
        }
    }
}

/// What the list is narrowed to; empty for all.
#[derive(Deserialize)]
pub struct AuditQuery {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    outcome: String,
    before: Option<i64>,
    /// Set by the button that checks the whole record.
    verify: Option<String>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    rows: Vec<EntryRow>,
    outcomes: [&'static str; 3],
    query: AuditQuery,
    is_narrowed: bool,
    next: Option<i64>,
    /// What a verification found, if one was asked for.
    verdict: Option<Verdict>,
}

struct Verdict {
    badge: Badge,
    text: String,
}

pub async fn list(State(app): State<App>, session: Session, Query(query): Query<AuditQuery>) -> PageResult {
    let verdict = match &query.verify {
        Some(_) => Some(verdict(&app).await?),
        None => None,
    };
    let [actor, action, subject, outcome] =
        [&query.actor, &query.action, &query.subject, &query.outcome].map(|text| text.trim().to_owned());
    let is_narrowed = [&actor, &action, &subject, &outcome].iter().any(|text| !text.is_empty());
    let filter = AuditFilter { actor, action, subject, outcome, since: None, until: None };
    let page = app.auditor.list(&filter, PageRequest::new(query.before, None)).await?;
    render(&AuditPage {
        frame: Frame::new(&session, "audit", "Record"),
        rows: page.items.into_iter().map(EntryRow::from).collect(),
        outcomes: ["done", "refused", "failed"],
        query,
        is_narrowed,
        next: page.next,
        verdict,
    })
}

async fn verdict(app: &App) -> crate::error::Result<Verdict> {
    let verified = app.auditor.verify().await?;
    Ok(match verified.problem {
        Some(problem) => Verdict { badge: Badge { tone: Tone::Bad, word: "tampered with" }, text: problem },
        None => Verdict {
            badge: Badge { tone: Tone::Good, word: "intact" },
            text: format!(
                "Entries {} to {} are what was written, and {} checkpoints are signed.",
                verified.first, verified.last, verified.checkpoints
            ),
        },
    })
}
