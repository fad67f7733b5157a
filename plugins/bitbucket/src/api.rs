//! What all requests to both APIs have in common.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use windlass_sdk::http::{Request, Response, segment};
use windlass_sdk::{Connection, Failure};

use crate::edition::Edition;

/// A token, and a refresh token, which the host trades for access tokens.
const SLOTS: &[&str] = &["token", "oauth"];

/// Code and message of the failure for a repository that cannot be seen.
pub const NO_REPOSITORY: (&str, &str) =
    ("no-such-repository", "There is no such repository, or the token may not see it.");

/// One repository's part of the API.
pub struct Api {
    pub edition: Edition,
    root: String,
}

/// A list in pages, as both editions write it.
#[derive(Deserialize)]
struct Paged<T> {
    values: Vec<T>,
    /// Cloud: the URL of the next page, if there is one.
    next: Option<String>,
    /// Data Center: where the next page begins, which also the last page may say.
    #[serde(rename = "nextPageStart")]
    start: Option<u64>,
    #[serde(rename = "isLastPage")]
    is_last: Option<bool>,
}

impl Api {
    /// `repository` is one of the clone URLs, or the full name.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-repository` if the name is none.
    pub fn of(connection: &Connection, repository: &str) -> Result<Self, Failure> {
        let edition = Edition::of(connection)?;
        let name = repository.trim_end_matches('/');
        let name = name.strip_suffix(".git").unwrap_or(name);
        // What stands before is the server and, in a Data Center, `scm`.
        let mut parts = name.rsplit(['/', ':']).filter(|part| !part.is_empty());
        let (Some(slug), Some(owner)) = (parts.next(), parts.next()) else {
            let said = format!(
                "`{repository}` names no repository; expected is `workspace/name`, `PROJECT/name` or a clone URL."
            );
            return Err(Failure::permanent("no-such-repository", said));
        };
        let prefix = edition.prefix(&connection.base_url);
        let (owner, slug) = (segment(owner), segment(slug));
        let root = match edition {
            Edition::Cloud => format!("{prefix}/repositories/{owner}/{slug}"),
            Edition::DataCenter => format!("{prefix}/projects/{owner}/repos/{slug}"),
        };
        Ok(Self { edition, root })
    }

    pub fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.root)
    }

    /// One page of a list from the cursor on, and the cursor of the next.
    ///
    /// # Errors
    /// As [`sent`].
    pub fn page<T: DeserializeOwned>(
        &self,
        rest: &str,
        query: &[(&str, &str)],
        (size, cursor): (usize, Option<&str>),
        right: &str,
        missing: (&str, &str),
    ) -> Result<(Vec<T>, Option<String>), Failure> {
        let (size_name, cursor_name, first) = match self.edition {
            Edition::Cloud => ("pagelen", "page", 1),
            Edition::DataCenter => ("limit", "start", 0),
        };
        let at: u64 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(first);
        let mut request = Request::get(self.path(rest))
            .query(size_name, &size.to_string())
            .query(cursor_name, &at.to_string());
        for (name, value) in query {
            request = request.query(name, value);
        }
        let page: Paged<T> = sent(request, right, missing)?.json()?;
        let next = match self.edition {
            Edition::Cloud => page.next.map(|_| at + 1),
            Edition::DataCenter => page.start.filter(|_| page.is_last == Some(false)),
        };
        Ok((page.values, next.map(|next| next.to_string())))
    }
}

/// Sends it with the token. `missing` is the code and the message of the failure for status 404.
///
/// # Errors
/// What the status means otherwise; 403 with the code `missing-right` and `right`, which the token lacks.
pub fn sent(request: Request, right: &str, missing: (&str, &str)) -> Result<Response, Failure> {
    let response = request.header("accept", "application/json").send_with(SLOTS)?;
    match response.status {
        404 => Err(Failure::permanent(missing.0, missing.1).after_sending()),
        403 if response.header("retry-after").is_none() => {
            let said = format!("Bitbucket refuses the token (status 403): it needs {right}.");
            Err(Failure::auth_required("missing-right", said).after_sending())
        }
        _ => response.success(),
    }
}
