//! What is in a stack's repository: its commits, any of which can be deployed, its folders and files.

use askama::Template;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::stack;
use super::stacks::stack_link;
use super::ui::{Badge, Tone, When, short, size};
use crate::app::App;
use crate::app::code::{self, CommitRow, Looked};
use crate::domain::code::{Content, Entry, EntryKind};
use crate::domain::path;
use crate::error::{Error, Result};

/// Commits a page shows.
const PAGE: usize = 30;
/// Names that the field for a branch or tag suggests.
const SUGGESTED: usize = 100;

#[derive(Default, Deserialize)]
pub struct CommitsQuery {
    #[serde(default, rename = "ref")]
    git_ref: String,
    cursor: Option<String>,
}

#[derive(Default, Deserialize)]
pub struct FilesQuery {
    #[serde(default, rename = "ref")]
    git_ref: String,
    /// A folder.
    #[serde(default)]
    path: String,
    /// A file, which is shown instead of a folder.
    #[serde(default)]
    file: String,
}

/// What both pages say of the place that is looked at.
struct Place {
    name: String,
    link: String,
    git_ref: String,
    /// As part of a link.
    query: String,
    sha: String,
    short: String,
    behind: String,
}

impl Place {
    fn of(at: &Looked) -> Self {
        Self {
            name: at.stack.stack.name.clone(),
            link: stack_link(&at.stack),
            git_ref: at.git_ref.clone(),
            query: query(&[("ref", &at.git_ref)]),
            sha: at.commit.sha.clone(),
            short: short(&at.commit.sha),
            behind: at.behind.clone().unwrap_or_default(),
        }
    }

    fn frame(&self, session: &Session, title: &str) -> Frame {
        let frame = Frame::new(session, "stacks", title).crumb("/", "Stacks");
        frame.crumb(self.link.clone(), self.name.clone())
    }
}

struct HistoryRow {
    sha: String,
    short: String,
    subject: String,
    author: String,
    committed: When,
    badge: Option<Badge>,
    deployment: Option<i64>,
}

impl From<CommitRow> for HistoryRow {
    fn from(row: CommitRow) -> Self {
        let badge = match row.runs {
            true => Some(Badge { tone: Tone::Good, word: "runs" }),
            false => row.deployment.map(|(_, status)| status.into()),
        };
        Self {
            subject: row.commit.subject().to_owned(),
            short: short(&row.commit.sha),
            sha: row.commit.sha,
            author: row.commit.author,
            committed: When::new(row.commit.at),
            badge,
            deployment: row.deployment.map(|(seq, _)| seq),
        }
    }
}

#[derive(Template)]
#[template(path = "commits.html")]
struct CommitsPage {
    frame: Frame,
    place: Place,
    names: Vec<String>,
    rows: Vec<HistoryRow>,
    /// Link to the next page; empty on the last one.
    next: String,
}

struct EntryRow {
    name: String,
    /// Empty for what cannot be looked into.
    link: String,
    kind: &'static str,
    size: String,
}

#[derive(Template)]
#[template(path = "files.html")]
struct FilesPage {
    frame: Frame,
    place: Place,
    /// The folders above, from the outside in: name and link.
    above: Vec<(String, String)>,
    rows: Vec<EntryRow>,
    more: bool,
    /// What is shown instead of a folder.
    file: Option<FileText>,
}

struct FileText {
    name: String,
    size: String,
    text: String,
    /// Why there is no text.
    why: &'static str,
}

pub async fn commits(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Query(query): Query<CommitsQuery>,
) -> PageResult {
    match commits_page(&app, &session, &name, &query).await {
        Ok(page) => render(&page),
        Err(error) => instead(&app, &session, &name, error).await,
    }
}

async fn commits_page(app: &App, session: &Session, name: &str, asked: &CommitsQuery) -> Result<CommitsPage> {
    let git_ref = given(&asked.git_ref);
    let history = code::commit_list(app, name, git_ref, asked.cursor.as_deref(), Some(PAGE)).await?;
    let (names, _) = code::refs_at(app, &history.at).await?;
    let place = Place::of(&history.at);
    let next = history.next.map(|cursor| query(&[("ref", &place.git_ref), ("cursor", &cursor)]));
    Ok(CommitsPage {
        frame: place.frame(session, "Commits"),
        names: names.into_iter().take(SUGGESTED).map(|one| one.name).collect(),
        rows: history.items.into_iter().map(HistoryRow::from).collect(),
        next: next.unwrap_or_default(),
        place,
    })
}

pub async fn files(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Query(query): Query<FilesQuery>,
) -> PageResult {
    match files_page(&app, &session, &name, &query).await {
        Ok(page) => render(&page),
        Err(error) => instead(&app, &session, &name, error).await,
    }
}

async fn files_page(app: &App, session: &Session, name: &str, asked: &FilesQuery) -> Result<FilesPage> {
    let git_ref = given(&asked.git_ref);
    let (at, entries, more, file) = match given(&asked.file) {
        Some(path) => {
            let (at, content) = code::file_content(app, name, git_ref, path).await?;
            (at, Vec::new(), false, Some(shown(path, content)))
        }
        None => {
            let (at, entries, more) = code::file_list(app, name, git_ref, &asked.path).await?;
            (at, entries, more, None)
        }
    };
    let place = Place::of(&at);
    let folder = match given(&asked.file) {
        Some(path) => path.rsplit_once('/').map_or("", |(folder, _)| folder),
        None => &asked.path,
    };
    Ok(FilesPage {
        frame: place.frame(session, "Files"),
        above: above(&place.git_ref, folder),
        rows: entries.into_iter().map(|entry| row(&place.git_ref, &asked.path, entry)).collect(),
        more,
        file,
        place,
    })
}

fn shown(path: &str, content: Content) -> FileText {
    let why = match (&content.text, content.is_binary) {
        (Some(_), _) => "",
        (None, true) => "It is no text.",
        (None, false) => "It is too large to be shown.",
    };
    FileText {
        name: path.rsplit('/').next().unwrap_or(path).to_owned(),
        size: size(i64::try_from(content.size).unwrap_or(i64::MAX)),
        text: content.text.unwrap_or_default(),
        why,
    }
}

fn row(git_ref: &str, folder: &str, entry: Entry) -> EntryRow {
    let at = path::join(folder, &entry.name);
    let link = match entry.kind {
        EntryKind::Folder => query(&[("ref", git_ref), ("path", &at)]),
        EntryKind::File => query(&[("ref", git_ref), ("file", &at)]),
        EntryKind::Link | EntryKind::Submodule => String::new(),
    };
    let size = entry.size.map(|bytes| size(i64::try_from(bytes).unwrap_or(i64::MAX)));
    EntryRow { name: entry.name, link, kind: entry.kind.as_str(), size: size.unwrap_or_default() }
}

fn above(git_ref: &str, folder: &str) -> Vec<(String, String)> {
    let (mut at, mut all) = (String::new(), Vec::new());
    for name in folder.split('/').filter(|name| !name.is_empty()) {
        at = path::join(&at, name);
        all.push((name.to_owned(), query(&[("ref", git_ref), ("path", &at)])));
    }
    all
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    query.finish()
}

/// The stack's page with what stands in the way.
async fn instead(app: &App, session: &Session, name: &str, error: Error) -> PageResult {
    match error {
        Error::NotFound { what: "stack", .. } => Err(error.into()),
        error => stack::again(app, session, name, error).await,
    }
}
