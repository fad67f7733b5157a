//! `/api/v1/stacks/{stack}/commits`, `files` and `refs`: what is in a stack's repository.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use super::view::time;
use crate::app::App;
use crate::app::code::{self, CommitRow, Looked};
use crate::domain::code::{Entry, EntryKind, Named, RefKind};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(stack_commits))
        .routes(routes!(stack_files))
        .routes(routes!(stack_file))
        .routes(routes!(stack_refs))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CommitsQuery {
    /// Branch, tag or commit; the repository's branch if left out.
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    /// Commits a page, 1 to 200; 50 if left out.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FilesQuery {
    /// Branch, tag or commit; the repository's branch if left out.
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    /// A folder of the repository; its root if left out.
    #[serde(default)]
    path: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FileQuery {
    /// Branch, tag or commit; the repository's branch if left out.
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    /// A file of the repository.
    path: String,
}

/// The commit at which something was looked at.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LookedView {
    /// The branch, tag or commit that was asked for.
    #[serde(rename = "ref")]
    git_ref: String,
    commit_sha: String,
    /// Why this may be older than what the git server has; absent if it is not.
    behind: Option<String>,
}

impl From<Looked> for LookedView {
    fn from(at: Looked) -> Self {
        Self { git_ref: at.git_ref, commit_sha: at.commit.sha, behind: at.behind }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CommitsView {
    #[serde(flatten)]
    at: LookedView,
    items: Vec<CommitView>,
    /// Pass as `cursor` to get the next page; absent on the last one, and after 10,000 commits.
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CommitView {
    sha: String,
    /// The message's first line.
    subject: String,
    /// Name of whoever wrote it.
    author: String,
    committed_at: String,
    /// It is what serves now.
    running: bool,
    /// A deployment of it has been successful.
    deployed: bool,
    /// Number of its newest deployment.
    deployment: Option<i64>,
    deployment_status: Option<&'static str>,
}

impl From<CommitRow> for CommitView {
    fn from(row: CommitRow) -> Self {
        Self {
            subject: row.commit.subject().to_owned(),
            sha: row.commit.sha,
            author: row.commit.author,
            committed_at: time(row.commit.at),
            running: row.runs,
            deployed: row.was_deployed,
            deployment: row.deployment.map(|(seq, _)| seq),
            deployment_status: row.deployment.map(|(_, status)| status.as_str()),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FilesView {
    #[serde(flatten)]
    at: LookedView,
    path: String,
    items: Vec<EntryView>,
    /// There is more than is shown.
    more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct EntryView {
    name: String,
    kind: EntryKind,
    /// Bytes of a file or link.
    size: Option<u64>,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self { name: entry.name, kind: entry.kind, size: entry.size }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FileView {
    #[serde(flatten)]
    at: LookedView,
    path: String,
    size: u64,
    /// It is no UTF-8 text.
    binary: bool,
    /// Absent for a binary file, and for one above 512 KiB.
    text: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RefsView {
    /// Branches first, the default one before all; those with the newest commits lead.
    items: Vec<RefView>,
    /// There are more than are shown, which are 1000 of each kind.
    more: bool,
    /// Why this may be older than what the git server has; absent if it is not.
    behind: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RefView {
    kind: RefKind,
    name: String,
    commit_sha: String,
    committed_at: String,
    /// It is the git server's default branch.
    default: bool,
}

impl From<Named> for RefView {
    fn from(found: Named) -> Self {
        Self {
            kind: found.kind,
            name: found.name,
            commit_sha: found.sha,
            committed_at: time(found.at),
            default: found.is_default,
        }
    }
}

/// Lists the commits that lead to a branch, tag or commit, newest first, and says which of them runs and which were deployed.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/commits", tag = "code", params(CommitsQuery),
    responses((status = 200, body = Success<CommitsView>), (status = 409), (status = 502), (status = 503)),
    security(("token" = ["viewer:stack"])))]
async fn stack_commits(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(query): Params<CommitsQuery>,
) -> ApiResult<Json<Success<CommitsView>>> {
    let (git_ref, cursor) = (query.git_ref.as_deref(), query.cursor.as_deref());
    let history = code::commit_list(&app, &name, git_ref, cursor, query.limit).await?;
    let items = history.items.into_iter().map(CommitView::from).collect();
    Ok(ok(CommitsView { at: history.at.into(), items, next: history.next }))
}

/// Lists what a folder of a commit contains. Links are shown and never followed.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/files", tag = "code", params(FilesQuery),
    responses((status = 200, body = Success<FilesView>), (status = 409), (status = 502), (status = 503)),
    security(("token" = ["developer:stack"])))]
async fn stack_files(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(query): Params<FilesQuery>,
) -> ApiResult<Json<Success<FilesView>>> {
    let (at, items, more) = code::file_list(&app, &name, query.git_ref.as_deref(), &query.path).await?;
    let items = items.into_iter().map(EntryView::from).collect();
    Ok(ok(FilesView { at: at.into(), path: query.path, items, more }))
}

/// Shows a file of a commit, if it is text.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/files/content", tag = "code", params(FileQuery),
    responses((status = 200, body = Success<FileView>), (status = 409), (status = 502), (status = 503)),
    security(("token" = ["developer:stack"])))]
async fn stack_file(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(query): Params<FileQuery>,
) -> ApiResult<Json<Success<FileView>>> {
    let (at, found) = code::file_content(&app, &name, query.git_ref.as_deref(), &query.path).await?;
    let (size, binary, text) = (found.size, found.is_binary, found.text);
    Ok(ok(FileView { at: at.into(), path: query.path, size, binary, text }))
}

/// Lists the branches and tags of a stack's repository.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/refs", tag = "code",
    responses((status = 200, body = Success<RefsView>), (status = 409), (status = 502), (status = 503)),
    security(("token" = ["viewer:stack"])))]
async fn stack_refs(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<RefsView>>> {
    let (at, names, more) = code::ref_list(&app, &name).await?;
    Ok(ok(RefsView { items: names.into_iter().map(RefView::from).collect(), more, behind: at.behind }))
}
