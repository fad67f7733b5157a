//! Requests to GitHub's REST API, version 2022-11-28, and what its answers mean.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use windlass_sdk::Failure;
use windlass_sdk::http::{Client, Request, Response};

use crate::time;

/// Codes for statuses that mean something particular where they occur; the failure is `permanent`.
pub type Codes<'a> = &'a [(u16, &'a str)];

/// Characters of GitHub's message that are repeated.
const QUOTED: usize = 500;

/// A token, and the key of an app, which the host trades for tokens of its installation.
pub const SLOTS: &[&str] = &["token", "app"];

/// The requests of one call.
pub struct Api {
    client: Client,
}

impl Default for Api {
    fn default() -> Self {
        Self { client: Client::with_credentials(SLOTS) }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    message: String,
    errors: Vec<serde_json::Value>,
}

impl Api {
    pub fn get<T: DeserializeOwned>(&self, path: impl Into<String>, codes: Codes) -> Result<T, Failure> {
        let response = self.read(Request::get(path), codes)?;
        self.json(&response)
    }

    /// Nothing for a 404.
    pub fn find<T: DeserializeOwned>(&self, path: impl Into<String>) -> Result<Option<T>, Failure> {
        let response = self.look(Request::get(path))?;
        if response.status == 404 {
            return Ok(None);
        }
        self.checked(response, &[]).and_then(|response| self.json(&response)).map(Some)
    }

    /// Changes nothing, and leaves it to the caller what the status means.
    pub fn look(&self, request: Request) -> Result<Response, Failure> {
        self.client.read(&dressed(request))
    }

    /// Changes nothing.
    pub fn read(&self, request: Request, codes: Codes) -> Result<Response, Failure> {
        let response = self.look(request)?;
        self.checked(response, codes)
    }

    /// Changes something.
    pub fn write(&self, request: Request, codes: Codes) -> Result<Response, Failure> {
        let response = self.ask(request)?;
        self.checked(response, codes)
    }

    /// Changes something, and leaves it to the caller what the status means.
    pub fn ask(&self, request: Request) -> Result<Response, Failure> {
        self.client.write(&dressed(request))
    }

    pub fn json<T: DeserializeOwned>(&self, response: &Response) -> Result<T, Failure> {
        self.client.json(response)
    }

    /// The failure, with what is known of effects so far.
    pub fn failed(&self, failure: Failure) -> Failure {
        self.client.failed(failure)
    }

    pub fn checked(&self, response: Response, codes: Codes) -> Result<Response, Failure> {
        if response.is_success() { Ok(response) } else { Err(self.failed(refused(response, codes))) }
    }
}

fn dressed(request: Request) -> Request {
    request.header("accept", "application/vnd.github+json").header("x-github-api-version", "2022-11-28")
}

fn refused(response: Response, codes: Codes) -> Failure {
    let status = response.status;
    let mut said = format!("GitHub answered with status {status}: {}", complaint(&response));
    if let Some((_, code)) = codes.iter().find(|(known, _)| *known == status) {
        return Failure::permanent(code, said);
    }
    if let Some(pause) = pause(&response) {
        return Failure::rate_limited(Some(pause), &format!("status-{status}"), said);
    }
    said.push_str(&advice(&response));
    match response.success() {
        Err(failure) => Failure { message: said, ..failure },
        Ok(_) => Failure::permanent(&format!("status-{status}"), said),
    }
}

/// GitHub's own words: the message, and what stands in `errors`.
pub fn complaint(response: &Response) -> String {
    let Ok(complaint) = serde_json::from_slice::<Complaint>(&response.body) else {
        return response.text().chars().take(QUOTED).collect();
    };
    let details = complaint.errors.iter().map(|error| match error {
        serde_json::Value::String(text) => text.clone(),
        other => match other.get("message").and_then(serde_json::Value::as_str) {
            Some(text) => text.to_owned(),
            None => other.to_string(),
        },
    });
    let all: Vec<String> =
        std::iter::once(complaint.message).chain(details).filter(|text| !text.is_empty()).collect();
    all.join("; ").chars().take(QUOTED).collect()
}

/// Seconds until the hourly budget begins anew, if it is used up. GitHub says so with 403 or 429.
fn pause(response: &Response) -> Option<u32> {
    if !matches!(response.status, 403 | 429) || response.header("x-ratelimit-remaining") != Some("0") {
        return None;
    }
    let reset: u64 = response.header("x-ratelimit-reset")?.parse().ok()?;
    let now = time::of_date(response.header("date")?)? / 1000;
    u32::try_from(reset.saturating_sub(now)).ok()
}

fn advice(response: &Response) -> String {
    let rights = response
        .header("x-accepted-github-permissions")
        .or(response.header("x-accepted-oauth-scopes"))
        .filter(|rights| !rights.is_empty());
    match (response.status, rights) {
        (401, _) => ". Please enter a token, or an app's key, that is valid.".to_owned(),
        (403, Some(rights)) => format!(". The token needs the right `{rights}`."),
        (403, None) => ". Please see docs/providers.md for the rights that the token needs.".to_owned(),
        (404, _) => ". It is not there, or the token may not see it.".to_owned(),
        _ => String::new(),
    }
}
