//! Merge requests, and one note on each.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::forge::{Page, PullRequest, PullRequestState};
use windlass_sdk::http::Request;
use windlass_sdk::{Connection, Failure};

use crate::api::{Api, Codes};
use crate::names;

const PAGE: usize = 100;
/// Pages of notes that are looked through for ours.
const NOTE_PAGES: usize = 10;
const NO_MERGE: Codes = &[(404, "no-such-pull-request")];

#[derive(Deserialize)]
struct Merge {
    iid: u64,
    title: String,
    /// `opened`, `closed`, `locked` or `merged`.
    state: String,
    author: Option<User>,
    source_branch: String,
    target_branch: String,
    /// Gone if the fork was deleted.
    source_project_id: Option<u64>,
    target_project_id: u64,
    /// Absent for as long as GitLab prepares it.
    sha: Option<String>,
    web_url: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    body: String,
}

pub fn list(connection: &Connection, repository: &str, cursor: Option<&str>) -> Result<Page, Failure> {
    let (api, project) = (Api::default(), names::project(connection, repository)?);
    let page: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(1);
    let request = Request::get(format!("{}/merge_requests", names::address(&project)))
        .query("state", "opened")
        .query("order_by", "created_at")
        .query("sort", "desc")
        .query("per_page", &PAGE.to_string())
        .query("page", &page.to_string());
    let merges: Vec<Merge> = api.get(&request.path, &[(404, "no-such-repository")])?;
    let cursor = (merges.len() == PAGE).then(|| (page + 1).to_string());
    Ok(Page { items: merges.into_iter().filter_map(convert).collect(), cursor })
}

pub fn get(connection: &Connection, repository: &str, number: u64) -> Result<PullRequest, Failure> {
    let (api, project) = (Api::default(), names::project(connection, repository)?);
    let merge = api.get(&format!("{}/merge_requests/{number}", names::address(&project)), NO_MERGE)?;
    convert(merge).ok_or_else(|| {
        Failure::retry(Some(5), "not-ready-yet", "GitLab is still preparing the merge request.")
    })
}

fn convert(merge: Merge) -> Option<PullRequest> {
    Some(PullRequest {
        number: merge.iid,
        title: merge.title,
        state: match merge.state.as_str() {
            // A locked one is being merged.
            "opened" | "locked" => PullRequestState::Open,
            "merged" => PullRequestState::Merged,
            "closed" => PullRequestState::Closed,
            other => PullRequestState::Other(other.to_owned()),
        },
        author: merge.author.map(|user| user.username).unwrap_or_default(),
        from_fork: merge.source_project_id != Some(merge.target_project_id),
        head_branch: merge.source_branch,
        head_commit: merge.sha?,
        base_branch: merge.target_branch,
        url: merge.web_url,
        extras: Vec::new(),
    })
}

/// A mark that nobody sees tells our note from others.
pub fn set_comment(
    connection: &Connection,
    repository: &str,
    number: u64,
    key: &str,
    markdown: &str,
) -> Result<(), Failure> {
    let (api, project) = (Api::default(), names::project(connection, repository)?);
    let mark = format!("<!-- windlass:{key} -->");
    let body = json!({ "body": format!("{mark}\n{markdown}") });
    let path = format!("{}/merge_requests/{number}/notes", names::address(&project));
    for page in 1..=NOTE_PAGES {
        let notes: Vec<Note> = api.get(&format!("{path}?per_page={PAGE}&page={page}"), NO_MERGE)?;
        if let Some(note) = notes.iter().find(|note| note.body.starts_with(&mark)) {
            return api.write(Request::put(format!("{path}/{}", note.id)).json(&body)?, NO_MERGE).map(|_| ());
        }
        if notes.len() < PAGE {
            break;
        }
    }
    api.write(Request::post(path).json(&body)?, NO_MERGE).map(|_| ())
}
