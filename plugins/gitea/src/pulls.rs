//! Pull requests.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::forge::{Page, PullRequest, PullRequestState, PullRequests};
use windlass_sdk::http::Request;
use windlass_sdk::{Connection, Failure};

use crate::Gitea;
use crate::api::{NO_REPOSITORY, PAGE, path, sent};

const READ: &str = "the scope read:repository";
const COMMENT: &str = "the scope write:issue";
const MISSING: (&str, &str) =
    ("no-such-pull-request", "There is no such repository or no such pull request.");

#[derive(Deserialize)]
struct Pull {
    number: u64,
    title: String,
    state: String,
    #[serde(default)]
    merged: bool,
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
    repo_id: i64,
}

#[derive(Deserialize)]
struct Comment {
    id: u64,
    body: String,
}

fn pull_request(pull: Pull) -> PullRequest {
    PullRequest {
        number: pull.number,
        title: pull.title,
        state: match pull.state.as_str() {
            "open" => PullRequestState::Open,
            "closed" if pull.merged => PullRequestState::Merged,
            "closed" => PullRequestState::Closed,
            other => PullRequestState::Other(other.to_owned()),
        },
        author: pull.user.map(|user| user.login).unwrap_or_default(),
        from_fork: pull.head.repo_id != pull.base.repo_id,
        head_branch: pull.head.branch,
        head_commit: pull.head.sha,
        base_branch: pull.base.branch,
        url: pull.html_url,
        extras: Vec::new(),
    }
}

impl PullRequests for Gitea {
    fn list_open(_: Connection, repository: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        let page: u64 = cursor.and_then(|page| page.parse().ok()).unwrap_or(1);
        let request = Request::get(path(repository, "/pulls")?)
            .query("state", "open")
            .query("limit", &PAGE.to_string())
            .query("page", &page.to_string());
        let response = sent(request, READ, NO_REPOSITORY)?;
        // The server may hand out fewer at once than asked for, so the number of them tells nothing.
        let more = response.header("link").is_some_and(|link| link.contains("rel=\"next\""));
        let items: Vec<Pull> = response.json()?;
        let cursor = more.then(|| (page + 1).to_string());
        Ok(Page { items: items.into_iter().map(pull_request).collect(), cursor })
    }

    fn get_pull_request(_: Connection, repository: &str, number: u64) -> Result<PullRequest, Failure> {
        let request = Request::get(path(repository, &format!("/pulls/{number}"))?);
        Ok(pull_request(sent(request, READ, MISSING)?.json()?))
    }

    fn set_comment(
        _: Connection,
        repository: &str,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> Result<(), Failure> {
        let marker = format!("<!-- windlass:{key} -->");
        let comments = path(repository, &format!("/issues/{number}/comments"))?;
        let known: Vec<Comment> = sent(Request::get(&comments), COMMENT, MISSING)?.json()?;
        let request = match known.iter().find(|comment| comment.body.contains(&marker)) {
            Some(comment) => {
                Request::new("PATCH", path(repository, &format!("/issues/comments/{}", comment.id))?)
            }
            None => Request::post(comments),
        };
        let body = json!({ "body": format!("{markdown}\n\n{marker}") });
        sent(request.json(&body)?, COMMENT, MISSING).map(|_| ())
    }
}
