//! Requests to CircleCI, and what its refusals mean.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_sdk::Failure;
use windlass_sdk::http::{Error, Request, Response};

pub const TOKEN: &str = "token";

/// Milliseconds for one request: a call that used up all its time could not tell why.
const PATIENCE_MS: u32 = 10_000;
/// Characters of CircleCI's own words that a failure repeats.
const QUOTED: usize = 300;
/// Pages of a list that are read; a call has 32 requests.
const PAGES: usize = 5;

/// A list, of which there may be more.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_page_token: Option<String>,
}

/// A request that changes nothing, with its answer as JSON.
pub fn read<T: DeserializeOwned>(request: Request) -> Result<T, Failure> {
    let answer = bytes(request.credential(TOKEN));
    let json = answer.and_then(|response| response.json());
    json.map_err(|failure| Failure { request_sent: false, ..failure })
}

/// The whole list, or its first pages.
pub fn list<T: DeserializeOwned>(path: &str) -> Result<Vec<T>, Failure> {
    let mut all = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..PAGES {
        let request = Request::get(path);
        let request = match &token {
            Some(token) => request.query("page-token", token),
            None => request,
        };
        let page: Page<T> = read(request)?;
        all.extend(page.items);
        token = page.next_page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    Ok(all)
}

/// A request that changes something, and has to succeed. Its failure says rightly whether it may have.
pub fn change(request: Request) -> Result<Response, Failure> {
    send(&request.credential(TOKEN)).and_then(judged)
}

/// A request that changes nothing, with the credential that it names or none.
pub fn bytes(request: Request) -> Result<Response, Failure> {
    let answer = send(&request).and_then(judged);
    answer.map_err(|failure| Failure { request_sent: false, ..failure })
}

fn send(request: &Request) -> Result<Response, Failure> {
    request.clone().timeout_ms(PATIENCE_MS).send().map_err(|error| match error {
        Error::Denied(why) if why.contains("no secret for the slot") => Failure::auth_required(
            "no-credential",
            "The connection has no token for CircleCI. Please enter a personal API token.",
        ),
        // The request was answered before the host stopped.
        Error::Denied(why) if why.contains("redirect was refused") => {
            Failure::permanent("request-denied", format!("CircleCI led on to elsewhere, and {why}."))
                .after_sending()
        }
        Error::Connect(why) if why.contains("nothing was sent") => {
            Failure::retry(None, "connect", format!("CircleCI cannot be reached: {why}."))
        }
        other => other.into(),
    })
}

/// The response if it is a success, otherwise what it means.
fn judged(response: Response) -> Result<Response, Failure> {
    if response.is_success() {
        return Ok(response);
    }
    let status = response.status;
    let pause = response.header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
    let code = format!("status-{status}");
    let said = words(&response);
    Err(match status {
        401 => Failure::auth_required(
            &code,
            format!(
                "CircleCI does not take the token (status 401). Please enter a personal API token. {said}"
            ),
        ),
        403 if pause.is_none() => Failure::auth_required(
            &code,
            format!(
                "The token's user may not do this on CircleCI (status 403); it takes write access to the project. {said}"
            ),
        ),
        403 | 429 => Failure::rate_limited(pause, &code, format!("CircleCI asks for a pause. {said}")),
        408 | 500..=599 => {
            let said = format!("CircleCI is in trouble (status {status}): {said}");
            Failure::retry(pause, &code, said).after_sending()
        }
        300..=399 => {
            let said = format!("CircleCI answered with a redirect to nowhere (status {status}).");
            Failure::permanent(&code, said).after_sending()
        }
        _ => Failure::permanent(&code, format!("CircleCI refused this with status {status}: {said}")),
    })
}

/// `message` of the answer, or the beginning of whatever it is.
fn words(response: &Response) -> String {
    let json: Option<Value> = serde_json::from_slice(&response.body).ok();
    let message = json.as_ref().and_then(|json| json["message"].as_str()).map(str::to_owned);
    message.unwrap_or_else(|| response.text()).chars().take(QUOTED).collect()
}

pub fn no_such_project(slug: &str) -> Failure {
    let said = format!(
        "CircleCI has no project `{slug}`, or hides it from this token. Please set the project up in CircleCI, or use the \
         token of a user who can see it."
    );
    Failure::permanent("no-such-job", said)
}

pub fn no_such_build(pipeline: &str) -> Failure {
    let said = format!("CircleCI has no pipeline `{pipeline}`, or hides it from this token.");
    Failure::permanent("no-such-build", said)
}

/// The failure of a code for what is not there.
pub fn missing<T>(answer: Result<T, Failure>, failure: impl FnOnce() -> Failure) -> Result<T, Failure> {
    match answer {
        Err(found) if found.code == "status-404" => Err(failure()),
        other => other,
    }
}
