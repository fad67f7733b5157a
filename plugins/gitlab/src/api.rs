//! Requests to GitLab's REST API, version 4, and what its answers mean.

use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_sdk::Failure;
use windlass_sdk::http::{Client, Request, Response};

/// Codes for statuses that mean something particular where they occur; the failure is `permanent`.
pub type Codes<'a> = &'a [(u16, &'a str)];

/// Characters of GitLab's message that are repeated.
const QUOTED: usize = 500;

/// A token, and a refresh token, which the host trades for access tokens.
pub const SLOTS: &[&str] = &["token", "oauth"];

/// The requests of one call. Paths are relative to `/api/v4`.
pub struct Api {
    client: Client,
}

impl Default for Api {
    fn default() -> Self {
        Self { client: Client::with_credentials(SLOTS) }
    }
}

impl Api {
    pub fn get<T: DeserializeOwned>(&self, path: &str, codes: Codes) -> Result<T, Failure> {
        let response = self.read(Request::get(path), codes)?;
        self.json(&response)
    }

    /// Nothing for a 404.
    pub fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
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

    /// Changes something, and leaves it to the caller what the status means.
    pub fn ask(&self, request: Request) -> Result<Response, Failure> {
        self.client.write(&dressed(request))
    }

    /// Changes something.
    pub fn write(&self, request: Request, codes: Codes) -> Result<Response, Failure> {
        let response = self.ask(request)?;
        self.checked(response, codes)
    }

    pub fn json<T: DeserializeOwned>(&self, response: &Response) -> Result<T, Failure> {
        self.client.json(response)
    }

    pub fn checked(&self, response: Response, codes: Codes) -> Result<Response, Failure> {
        if response.is_success() { Ok(response) } else { Err(self.client.failed(refused(response, codes))) }
    }

    /// The failure, with what is known of effects so far.
    pub fn failed(&self, failure: Failure) -> Failure {
        self.client.failed(failure)
    }
}

fn dressed(mut request: Request) -> Request {
    request.path.insert_str(0, "/api/v4");
    request
}

fn refused(response: Response, codes: Codes) -> Failure {
    let status = response.status;
    let said = format!("GitLab answered with status {status}: {}", complaint(&response));
    if let Some((_, code)) = codes.iter().find(|(known, _)| *known == status) {
        return Failure::permanent(code, said);
    }
    let advice = match status {
        401 => ". Please enter a token that is valid.",
        403 => ". The token needs the scope `api`, and its owner the role Maintainer in the project.",
        404 => ". It is not there, or the token may not see it.",
        _ => "",
    };
    match response.success() {
        Err(failure) => Failure { message: format!("{said}{advice}"), ..failure },
        Ok(_) => Failure::permanent(&format!("status-{status}"), said),
    }
}

/// GitLab's own words: in `message`, `error_description` or `error`; a text, a list, or an object of lists by field.
pub fn complaint(response: &Response) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(&response.body) else {
        return response.text().chars().take(QUOTED).collect();
    };
    let said = ["message", "error_description", "error"].iter().find_map(|name| body.get(name));
    let mut words = Vec::new();
    flatten("", said.unwrap_or(&body), &mut words);
    words.join("; ").chars().take(QUOTED).collect()
}

fn flatten(field: &str, value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(field, item, words)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| flatten(name, value, words)),
        // `base` is what is wrong with the whole.
        Value::String(text) if matches!(field, "" | "base") => words.push(text.clone()),
        Value::String(text) => words.push(format!("{field} {text}")),
        other => words.push(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_read_in_all_its_forms() {
        for (body, wanted) in [
            (r#"{"message":"404 Project Not Found"}"#, "404 Project Not Found"),
            (r#"{"message":{"base":["Reference not found"]}}"#, "Reference not found"),
            (r#"{"message":{"name":["is taken","is odd"]}}"#, "name is taken; name is odd"),
            (r#"{"error":"ref is missing"}"#, "ref is missing"),
            (r#"{"error":"invalid_token","error_description":"Token was revoked."}"#, "Token was revoked."),
            ("<html>", "<html>"),
        ] {
            assert_eq!(complaint(&Response::new(400, body)), wanted);
        }
    }
}
