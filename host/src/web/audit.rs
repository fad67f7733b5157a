//! The record: who did what, when, from where and why.

use askama::Template;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::ui::{Badge, Tone, When};
use crate::app::App;
use crate::app::access::Identity;
use crate::app::audit::{AuditFilter, audit_list};
use crate::app::people::teams::{project_list, team_list};
use crate::domain::access::{Owner, Role};
use crate::domain::audit::AuditEntry;
use crate::domain::page::PageRequest;
use crate::domain::text::pretty_json;
use crate::domain::time::{from_moment, until_moment};

/// The newest that one may choose from.
const MOST_PROJECTS: i64 = 200;

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
    #[serde(default)]
    team: String,
    #[serde(default)]
    project: String,
    /// Dates, or times as the API takes them.
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
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
    /// Names of those to choose from; nobody chooses from one.
    teams: Vec<String>,
    projects: Vec<String>,
    query: AuditQuery,
    is_narrowed: bool,
    /// The same choice on another page.
    link: String,
    next: Option<i64>,
    /// What a verification found, if one was asked for.
    verdict: Option<Verdict>,
}

struct Verdict {
    badge: Badge,
    text: String,
}

pub async fn list(State(app): State<App>, session: Session, Query(query): Query<AuditQuery>) -> PageResult {
    let who = &session.0.who;
    // The chain goes through what is not theirs to see.
    let verdict = match &query.verify {
        Some(_) if who.rights.is_server_admin() => Some(verdict(&app).await?),
        _ => None,
    };
    let chosen = query.chosen();
    let [actor, action, subject, outcome, team, project] =
        [&query.actor, &query.action, &query.subject, &query.outcome, &query.team, &query.project]
            .map(|text| text.trim().to_owned());
    let since = from_moment("since", Some(&query.since))?;
    let until = until_moment("until", Some(&query.until))?;
    let filter = AuditFilter { actor, action, subject, outcome, team, project, since, until };
    let page = audit_list(&app, who, filter, PageRequest::new(query.before, None)).await?;
    let (teams, projects) = choices(&app, who).await?;
    render(&AuditPage {
        frame: Frame::new(&session, "audit", "Record"),
        rows: page.items.into_iter().map(EntryRow::from).collect(),
        outcomes: ["done", "refused", "failed"],
        teams,
        projects,
        is_narrowed: !chosen.is_empty(),
        link: link(&chosen),
        query,
        next: page.next,
        verdict,
    })
}

/// Names of the teams and projects whose entries they may choose; none where there is nothing to choose.
async fn choices(app: &App, who: &Identity) -> crate::error::Result<(Vec<String>, Vec<String>)> {
    let is_theirs = |owner: &Owner| who.rights.role_on(owner) == Some(Role::Admin);
    let teams = team_list(app, who).await?.into_iter();
    let teams = teams.filter(|team| is_theirs(&Owner::Team { team: team.id.clone(), project: None }));
    let projects = project_list(app, PageRequest::first(MOST_PROJECTS), who).await?.items.into_iter();
    let projects = projects
        .filter(|row| is_theirs(&Owner::Team { team: row.team_id.clone(), project: Some(row.id.clone()) }));
    let several = |names: Vec<String>| if names.len() > 1 { names } else { Vec::new() };
    Ok((several(teams.map(|team| team.name).collect()), several(projects.map(|row| row.name).collect())))
}

impl AuditQuery {
    /// What the list is narrowed to, as it stands in an address.
    fn chosen(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("actor", &self.actor),
            ("action", &self.action),
            ("subject", &self.subject),
            ("outcome", &self.outcome),
            ("team", &self.team),
            ("project", &self.project),
            ("since", &self.since),
            ("until", &self.until),
        ];
        all.into_iter().map(|(name, text)| (name, text.trim())).filter(|(_, text)| !text.is_empty()).collect()
    }
}

fn link(chosen: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(chosen);
    format!("/audit?{}", query.finish())
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
