//! Commit statuses.

use serde_json::json;
use windlass_sdk::forge::{CommitStatus, State, Status};
use windlass_sdk::http::{Request, segment};
use windlass_sdk::{Connection, Failure};

use crate::Gitea;
use crate::api::{path, sent};

/// Characters that the forge keeps of a description.
const DESCRIPTION: usize = 255;

impl CommitStatus for Gitea {
    fn set_commit_status(_: Connection, status: Status) -> Result<(), Failure> {
        // There is no word for what runs, nor for what was cancelled.
        let state = match status.state {
            State::Pending | State::Running | State::Other(_) => "pending",
            State::Success => "success",
            State::Failure => "failure",
            State::Cancelled => "error",
        };
        let body = json!({
            "state": state,
            "context": status.context,
            "description": status.description.chars().take(DESCRIPTION).collect::<String>(),
            "target_url": status.url,
        });
        let rest = format!("/statuses/{}", segment(&status.commit));
        let missing = ("no-such-commit", "There is no such repository or no such commit.");
        let request = Request::post(path(&status.repository, &rest)?).json(&body)?;
        sent(request, "the scope write:repository", missing).map(|_| ())
    }
}
