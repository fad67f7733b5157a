//! Files of a repository: written only where they differ.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use windlass_sdk::Failure;
use windlass_sdk::http::{Request, segment};

use crate::api::{Api, complaint};
use crate::names;

#[derive(Debug, Deserialize)]
pub struct File {
    content: String,
    last_commit_id: Option<String>,
}

impl File {
    /// The text; nothing if it is none.
    pub fn text(&self) -> Option<String> {
        String::from_utf8(STANDARD.decode(&self.content).ok()?).ok()
    }
}

fn address(project: &str, path: &str) -> String {
    format!("{}/repository/files/{}", names::address(project), segment(path))
}

/// A file at a branch, tag or commit, if it is there.
pub fn find(api: &Api, project: &str, path: &str, ref_name: &str) -> Result<Option<File>, Failure> {
    api.find(&Request::get(address(project, path)).query("ref", ref_name).path)
}

/// Commits the file, unless it is there already as it should be.
pub fn put(api: &Api, project: &str, branch: &str, file: (&str, &str), message: &str) -> Result<(), Failure> {
    let (path, content) = file;
    let there = find(api, project, path, branch)?;
    if there.as_ref().and_then(File::text).as_deref() == Some(content) {
        return Ok(());
    }
    let mut body = json!({
        "branch": branch, "commit_message": message, "encoding": "base64", "content": STANDARD.encode(content),
    });
    let request = match there {
        None => Request::post(address(project, path)),
        Some(there) => {
            if let Some(commit) = there.last_commit_id {
                body["last_commit_id"] = commit.into();
            }
            Request::put(address(project, path))
        }
    };
    let response = api.ask(request.json(&body)?)?;
    // Somebody else was faster.
    let said = complaint(&response);
    if response.status == 400 && (said.contains("already exists") || said.contains("changed in the meantime"))
    {
        let said = format!("The branch moved on meanwhile: {said}.");
        return Err(api.failed(Failure::retry(None, "conflict", said)));
    }
    api.checked(response, &[(400, "invalid-job"), (404, "invalid-job")]).map(|_| ())
}

/// Deletes the file if it is there.
pub fn delete(api: &Api, project: &str, branch: &str, path: &str, message: &str) -> Result<(), Failure> {
    if find(api, project, path, branch)?.is_none() {
        return Ok(());
    }
    let request =
        Request::delete(address(project, path)).query("branch", branch).query("commit_message", message);
    let response = api.ask(request)?;
    if response.status == 404 { Ok(()) } else { api.checked(response, &[]).map(|_| ()) }
}
