//! Build statuses of commits.

use serde_json::json;
use windlass_sdk::forge::{CommitStatus, State, Status};
use windlass_sdk::http::{Request, segment};
use windlass_sdk::{Connection, Failure};

use crate::Bitbucket;
use crate::api::{Api, sent};
use crate::edition::Edition;

/// Characters that Cloud takes of a key.
const KEY: usize = 40;
/// Characters that both take of a description.
const DESCRIPTION: usize = 255;

impl CommitStatus for Bitbucket {
    fn set_commit_status(connection: Connection, status: Status) -> Result<(), Failure> {
        let api = Api::of(&connection, &status.repository)?;
        let commit = segment(&status.commit);
        let rest = match api.edition {
            Edition::Cloud => format!("/commit/{commit}/statuses/build"),
            Edition::DataCenter => format!("/commits/{commit}/builds"),
        };
        let state = match (status.state, api.edition) {
            (State::Pending | State::Running | State::Other(_), _) => "INPROGRESS",
            (State::Success, _) => "SUCCESSFUL",
            (State::Cancelled, Edition::Cloud) => "STOPPED",
            // Only later versions of the Data Center have a word for what was cancelled.
            (State::Failure | State::Cancelled, _) => "FAILED",
        };
        let body = json!({
            "state": state,
            "key": key(&status.context),
            "name": status.context,
            "description": status.description.chars().take(DESCRIPTION).collect::<String>(),
            // Both want one.
            "url": status.url.unwrap_or(connection.base_url),
        });
        let missing = ("no-such-commit", "There is no such repository or no such commit.");
        sent(Request::post(api.path(&rest)).json(&body)?, "the right to write to the repository", missing)
            .map(|_| ())
    }
}

/// The context, or its beginning and a number made of all of it (FNV-1a, 32 bits).
fn key(context: &str) -> String {
    if context.chars().count() <= KEY {
        return context.to_owned();
    }
    let hash = context
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let start: String = context.chars().take(KEY - 9).collect();
    format!("{start}-{hash:08x}")
}
