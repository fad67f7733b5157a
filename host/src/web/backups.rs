//! Backups: what there is, when the next one comes, and one more now.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::page::{Frame, PageError, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::ui::{Badge, Tone, When, duration, now, size};
use crate::api;
use crate::app::App;
use crate::app::backup::{Overview, backup_create, backup_list};
use crate::domain::backup::{Backup, BackupStatus};
use crate::error::{Error, Result};

struct BackupRow {
    name: String,
    badge: Badge,
    origin: &'static str,
    size: String,
    rows: String,
    recipients: i64,
    started: When,
    took: String,
    error: String,
}

impl From<Backup> for BackupRow {
    fn from(row: Backup) -> Self {
        let (tone, word) = match row.status {
            BackupStatus::Running if row.is_stuck(now()) => (Tone::Bad, "never ended"),
            BackupStatus::Running => (Tone::Running, "running"),
            BackupStatus::Successful => (Tone::Good, "successful"),
            BackupStatus::Failed => (Tone::Bad, "failed"),
        };
        let none = || "–".to_string();
        Self {
            name: row.name,
            badge: Badge { tone, word },
            origin: if row.due_at.is_some() { "the schedule" } else { "somebody" },
            size: row.bytes.map_or_else(none, size),
            rows: row.rows.map_or_else(none, |rows| rows.to_string()),
            recipients: row.recipients,
            started: When::new(row.started_at),
            took: row.finished_at.map_or_else(none, |end| duration(end - row.started_at)),
            error: row.error.unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "backups.html")]
struct BackupsPage {
    frame: Frame,
    is_on: bool,
    folder: String,
    keep: usize,
    next: Option<When>,
    is_running: bool,
    rows: Vec<BackupRow>,
    error: String,
}

async fn page(app: &App, session: &Session) -> Result<BackupsPage> {
    let Overview { is_on, folder, keep, next_at, backups } = backup_list(app).await?;
    let is_running = |row: &Backup| row.status == BackupStatus::Running && !row.is_stuck(now());
    Ok(BackupsPage {
        frame: Frame::new(session, "backups", "Backups"),
        is_on,
        folder: folder.display().to_string(),
        keep,
        next: next_at.map(When::new),
        is_running: backups.iter().any(is_running),
        rows: backups.into_iter().map(BackupRow::from).collect(),
        error: String::new(),
    })
}

pub async fn list(State(app): State<App>, session: Session) -> PageResult {
    render(&page(&app, &session).await?)
}

pub async fn create(State(app): State<App>, session: Session) -> Result<Response, PageError> {
    match backup_create(&app).await {
        Ok(_) => Ok(to("/backups")),
        Err(error @ Error::Conflict(_)) => {
            let page = BackupsPage { error: error.to_string(), ..page(&app, &session).await? };
            render_with(api::status(&error), &page)
        }
        Err(error) => Err(error.into()),
    }
}
