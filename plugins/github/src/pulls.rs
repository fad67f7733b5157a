//! Pull requests, and one comment on each.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::Failure;
use windlass_sdk::forge::{Page, PullRequest, PullRequestState};
use windlass_sdk::http::Request;

use crate::api::{Api, Codes};
use crate::names;

const PAGE: usize = 100;
/// Pages of comments that are looked through for ours.
const COMMENT_PAGES: usize = 10;
const NO_PULL: Codes = &[(404, "no-such-pull-request")];

#[derive(Deserialize)]
struct Pull {
    number: u64,
    title: String,
    state: String,
    merged_at: Option<String>,
    user: Option<User>,
    head: Side,
    base: Side,
    html_url: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Side {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    /// Gone if the fork was deleted.
    repo: Option<Repo>,
}

#[derive(PartialEq, Deserialize)]
struct Repo {
    full_name: String,
}

#[derive(Deserialize)]
struct Comment {
    id: u64,
    body: Option<String>,
}

pub fn list(repository: &str, cursor: Option<&str>) -> Result<Page, Failure> {
    let (api, name) = (Api::default(), names::repository(repository)?);
    let page: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(1);
    let request = Request::get(format!("/repos/{name}/pulls"))
        .query("state", "open")
        .query("sort", "created")
        .query("direction", "desc")
        .query("per_page", &PAGE.to_string())
        .query("page", &page.to_string());
    let pulls: Vec<Pull> = api.get(request.path, &[(404, "no-such-repository")])?;
    let cursor = (pulls.len() == PAGE).then(|| (page + 1).to_string());
    Ok(Page { items: pulls.into_iter().map(convert).collect(), cursor })
}

pub fn get(repository: &str, number: u64) -> Result<PullRequest, Failure> {
    let (api, name) = (Api::default(), names::repository(repository)?);
    api.get(format!("/repos/{name}/pulls/{number}"), NO_PULL).map(convert)
}

fn convert(pull: Pull) -> PullRequest {
    let state = match (pull.state.as_str(), pull.merged_at) {
        ("open", _) => PullRequestState::Open,
        ("closed", Some(_)) => PullRequestState::Merged,
        ("closed", None) => PullRequestState::Closed,
        (other, _) => PullRequestState::Other(other.to_owned()),
    };
    PullRequest {
        number: pull.number,
        title: pull.title,
        state,
        author: pull.user.map(|user| user.login).unwrap_or_default(),
        from_fork: pull.head.repo.is_none() || pull.head.repo != pull.base.repo,
        head_branch: pull.head.branch,
        head_commit: pull.head.sha,
        base_branch: pull.base.branch,
        url: pull.html_url,
        extras: Vec::new(),
    }
}

/// Pull requests are issues to GitHub where comments are concerned. A mark that nobody sees tells ours from others.
pub fn set_comment(repository: &str, number: u64, key: &str, markdown: &str) -> Result<(), Failure> {
    let (api, name) = (Api::default(), names::repository(repository)?);
    let mark = format!("<!-- windlass:{key} -->");
    let body = json!({ "body": format!("{mark}\n{markdown}") });
    let path = format!("/repos/{name}/issues/{number}/comments");
    for page in 1..=COMMENT_PAGES {
        let comments: Vec<Comment> = api.get(format!("{path}?per_page={PAGE}&page={page}"), NO_PULL)?;
        let ours = |comment: &&Comment| comment.body.as_ref().is_some_and(|body| body.starts_with(&mark));
        if let Some(comment) = comments.iter().find(ours) {
            let request =
                Request::patch(format!("/repos/{name}/issues/comments/{}", comment.id)).json(&body)?;
            return api.write(request, NO_PULL).map(|_| ());
        }
        if comments.len() < PAGE {
            break;
        }
    }
    api.write(Request::post(path).json(&body)?, NO_PULL).map(|_| ())
}
