//! What all requests to the API have in common.

use windlass_sdk::Failure;
use windlass_sdk::http::{Request, Response, segment};

/// Items on a page: what servers hand out at most unless they are told otherwise.
pub const PAGE: usize = 50;

/// The path of something in a repository, which is named by one of its clone URLs or its full name.
///
/// # Errors
/// `permanent` with the code `no-such-repository` if the name is none.
pub fn path(repository: &str, rest: &str) -> Result<String, Failure> {
    let name = repository.trim_end_matches('/');
    let name = name.strip_suffix(".git").unwrap_or(name);
    // What stands before is the server, which may live below a path of its own.
    let mut parts = name.rsplit(['/', ':']).filter(|part| !part.is_empty());
    match (parts.next(), parts.next()) {
        (Some(name), Some(owner)) => Ok(format!("/api/v1/repos/{}/{}{rest}", segment(owner), segment(name))),
        _ => {
            let said =
                format!("`{repository}` names no repository; expected is `owner/name` or a clone URL.");
            Err(Failure::permanent("no-such-repository", said))
        }
    }
}

/// Sends it with the token. `missing` is the code and the message of the failure for status 404.
///
/// # Errors
/// What the status means otherwise; 403 with the code `missing-right` and `right`, which the token lacks.
pub fn sent(request: Request, right: &str, missing: (&str, &str)) -> Result<Response, Failure> {
    let response = request.header("accept", "application/json").credential("token").send()?;
    match response.status {
        404 => Err(Failure::permanent(missing.0, missing.1).after_sending()),
        403 if response.header("retry-after").is_none() => {
            let said = format!("The forge refuses the token (status 403): it needs {right}.");
            Err(Failure::auth_required("missing-right", said).after_sending())
        }
        _ => response.success(),
    }
}

/// The failure for a repository that cannot be seen.
pub const NO_REPOSITORY: (&str, &str) =
    ("no-such-repository", "There is no such repository, or the token may not see it.");
