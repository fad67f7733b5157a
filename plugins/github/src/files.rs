//! Files of a repository through the contents API: written only where they differ.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use windlass_sdk::Failure;
use windlass_sdk::http::{Request, Response, segment};

use crate::api::{Api, Codes};

/// What GitHub refuses of a file is wrong with the job; a file that somebody else changed meanwhile is worth another try.
const WRITING: Codes = &[(404, "invalid-job"), (422, "invalid-job")];

/// A file at one branch.
#[derive(Debug, Deserialize)]
pub struct File {
    pub sha: String,
    content: Option<String>,
    encoding: Option<String>,
}

impl File {
    /// The text; nothing if it is none, or larger than GitHub hands out in one piece.
    pub fn text(&self) -> Option<String> {
        let content = self.content.as_ref().filter(|_| self.encoding.as_deref() == Some("base64"))?;
        let packed: String = content.split_ascii_whitespace().collect();
        String::from_utf8(STANDARD.decode(packed).ok()?).ok()
    }
}

/// Path of the API for a file.
fn address(repository: &str, path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(segment).collect();
    format!("/repos/{repository}/contents/{}", segments.join("/"))
}

/// A file at a branch, tag or commit, if it is there.
pub fn find(api: &Api, repository: &str, path: &str, ref_name: &str) -> Result<Option<File>, Failure> {
    let request = Request::get(address(repository, path)).query("ref", ref_name);
    api.find(request.path)
}

/// Commits the file, unless it is there already as it should be.
pub fn put(
    api: &Api,
    repository: &str,
    branch: &str,
    file: (&str, &str),
    message: &str,
) -> Result<(), Failure> {
    let (path, content) = file;
    let there = find(api, repository, path, branch)?;
    if there.as_ref().and_then(File::text).as_deref() == Some(content) {
        return Ok(());
    }
    let mut body = json!({ "message": message, "content": STANDARD.encode(content), "branch": branch });
    if let Some(there) = there {
        body["sha"] = there.sha.into();
    }
    let response = commit(api, Request::put(address(repository, path)).json(&body)?)?;
    api.checked(response, WRITING).map(|_| ())
}

/// Deletes the file if it is there.
pub fn delete(api: &Api, repository: &str, branch: &str, path: &str, message: &str) -> Result<(), Failure> {
    let Some(there) = find(api, repository, path, branch)? else { return Ok(()) };
    let body = json!({ "message": message, "sha": there.sha, "branch": branch });
    let response = commit(api, Request::delete(address(repository, path)).json(&body)?)?;
    // Somebody else was faster.
    if response.status == 404 { Ok(()) } else { api.checked(response, WRITING).map(|_| ()) }
}

/// Sends a commit, which fails if the branch moved on.
fn commit(api: &Api, request: Request) -> Result<Response, Failure> {
    let response = api.ask(request)?;
    if response.status == 409 {
        let said = format!("The branch moved on meanwhile: {}.", crate::api::complaint(&response));
        return Err(api.failed(Failure::retry(None, "conflict", said)));
    }
    Ok(response)
}
