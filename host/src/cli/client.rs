//! The API as the command line sees it: requests with limits, and errors that say what to do.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::address::{base_url, extend, is_loopback};
use super::failure::{Failure, Kind, Outcome};
use super::text;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// For a whole request that is not a stream.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
const UPLOAD_LIMIT: Duration = Duration::from_secs(180);
/// Silence on a stream. The server says something every 15 s.
const SILENCE_LIMIT: Duration = Duration::from_secs(45);
/// Rows a page, the most the API gives.
const PAGE: &str = "200";

pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<HeaderValue>,
}

impl Client {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// `Usage` if the address or the token cannot be one.
    pub fn new(server: &str, token: Option<&str>) -> Outcome<Self> {
        let base = base_url(server)?;
        let token = match token.map(str::trim).filter(|token| !token.is_empty()) {
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                    .map_err(|_| Failure::usage("The token contains characters that a token cannot have."))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        // A redirect would turn a POST into a GET and could carry the token elsewhere.
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| Failure::local(format!("The HTTP client cannot be set up: {error}."), ""))?;
        Ok(Self { http, base, token })
    }

    /// The server's address without anything secret.
    pub fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub async fn get(&self, path: &[&str]) -> Outcome<Value> {
        self.call(Method::GET, path, &[], None).await
    }

    pub async fn get_with(&self, path: &[&str], query: &[(&str, &str)]) -> Outcome<Value> {
        self.call(Method::GET, path, query, None).await
    }

    pub async fn post(&self, path: &[&str], body: &Value) -> Outcome<Value> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// A component instead of JSON. It may have to be compiled before there is an answer.
    pub async fn post_component(&self, path: &[&str], component: Vec<u8>) -> Outcome<Value> {
        let request = self.request(Method::POST, self.api(path, &[])?).timeout(UPLOAD_LIMIT);
        self.answer(request.header("content-type", "application/wasm").body(component)).await
    }

    pub async fn put(&self, path: &[&str], body: &Value) -> Outcome<Value> {
        self.call(Method::PUT, path, &[], Some(body)).await
    }

    pub async fn put_with(&self, path: &[&str], query: &[(&str, &str)], body: &Value) -> Outcome<Value> {
        self.call(Method::PUT, path, query, Some(body)).await
    }

    pub async fn delete_with(&self, path: &[&str], query: &[(&str, &str)]) -> Outcome<Value> {
        self.call(Method::DELETE, path, query, None).await
    }

    pub async fn delete(&self, path: &[&str]) -> Outcome<Value> {
        self.call(Method::DELETE, path, &[], None).await
    }

    /// All pages of a list as if they were one.
    pub async fn list(&self, path: &[&str]) -> Outcome<Value> {
        let mut items = Vec::new();
        let mut before: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE)];
            if let Some(before) = &before {
                query.push(("before", before));
            }
            let mut page = self.get_with(path, &query).await?;
            if let Some(Value::Array(rows)) = page.get_mut("items").map(Value::take) {
                items.extend(rows);
            }
            match page.get("next").filter(|next| !next.is_null()) {
                Some(next) => before = Some(next.to_string()),
                None => return Ok(json!({ "items": items, "next": null })),
            }
        }
    }

    /// A response to be read while it arrives; refusals have been dealt with.
    pub async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        accept: &'static str,
        last_id: Option<&str>,
    ) -> Outcome<Response> {
        let mut request = self.request(Method::GET, self.api(path, query)?).header(ACCEPT, accept);
        if let Some(id) = last_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Err(self.refusal(status, serde_json::from_slice(&body).ok().as_ref()))
    }

    /// A page beside the API that needs no token, like `/readyz`: its status code and JSON.
    pub async fn probe(&self, path: &str, limit: Duration) -> Outcome<(u16, Value)> {
        let mut url = self.base.clone();
        extend(&mut url, &[path])?;
        let response =
            self.http.get(url).timeout(limit).send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let value = serde_json::from_slice(&body).map_err(|_| self.stranger(status))?;
        Ok((status, value))
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Outcome<Value> {
        let mut request = self.request(method, self.api(path, query)?).timeout(REQUEST_LIMIT);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await
    }

    async fn answer(&self, request: RequestBuilder) -> Outcome<Value> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if let Some(target) = response.headers().get("location").filter(|_| status.is_redirection()) {
            let target = text::clean(&String::from_utf8_lossy(target.as_bytes()));
            return Err(Failure::usage(format!("{} redirects to {target}.", self.server()))
                .advise("Pass the address that it redirects to with --server."));
        }
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let envelope: Option<Value> = serde_json::from_slice(&bytes).ok();
        if !status.is_success() {
            return Err(self.refusal(status, envelope.as_ref()));
        }
        match envelope {
            Some(Value::Object(mut fields)) => {
                fields.remove("data").ok_or_else(|| self.stranger(status.as_u16()))
            }
            _ => Err(self.stranger(status.as_u16())),
        }
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.header("authorization", token.clone()),
            None => request,
        }
    }

    fn api(&self, path: &[&str], query: &[(&str, &str)]) -> Outcome<Url> {
        let mut url = self.base.clone();
        extend(&mut url, &["api", "v1"])?;
        extend(&mut url, path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn refusal(&self, status: StatusCode, envelope: Option<&Value>) -> Failure {
        let Some(message) = envelope.and_then(|value| value.get("error")).and_then(Value::as_str) else {
            return self.stranger(status.as_u16());
        };
        // Of a log-in, the server says itself what is wrong; it is about no token.
        if status == StatusCode::UNAUTHORIZED && message.contains("token") {
            let (what, advice) = if self.token.is_some() {
                (
                    "refuses the token",
                    "It may be revoked, expired, or belong to another server. Pass another one with --token or WINDLASS_TOKEN.",
                )
            } else {
                (
                    "wants a token and none was given",
                    "Set WINDLASS_TOKEN or pass --token; the server printed one at its first start.",
                )
            };
            return Failure {
                kind: Kind::Unauthenticated,
                what: format!("The server at {} {what}.", self.server()),
                advice: advice.into(),
            };
        }
        let kind = match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Kind::Unauthenticated,
            other => Kind::Refused(other.as_u16()),
        };
        let field = envelope.and_then(|value| value.get("field")).and_then(Value::as_str).unwrap_or("");
        // Many messages name their field already.
        let last = field.rsplit('.').next().unwrap_or(field);
        let place =
            if field.is_empty() || message.contains(last) { String::new() } else { format!("{field}: ") };
        let advice = match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                "Try again in a moment; `windlass doctor` looks for the cause."
            }
            StatusCode::INTERNAL_SERVER_ERROR => "The server's log has the details.",
            _ => "",
        };
        Failure {
            kind,
            what: text::sentence(&text::clean(&format!("{place}{message}"))),
            advice: advice.into(),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let server = self.server();
        if error.is_timeout() && !error.is_connect() {
            return Failure {
                kind: Kind::Unreachable,
                what: format!("The server at {server} did not answer in time."),
                advice: "What was asked may have happened nevertheless; look with `windlass status`.".into(),
            };
        }
        Failure {
            kind: Kind::Unreachable,
            what: format!("No Windlass server answers at {server} ({}).", cause(error)),
            advice: "Start one with `windlass serve`, or pass --server URL or set WINDLASS_SERVER.".into(),
        }
    }

    fn stranger(&self, status: u16) -> Failure {
        Failure {
            kind: Kind::Unreachable,
            what: format!(
                "What answers at {} is no Windlass server, or another version (HTTP {status}).",
                self.server()
            ),
            advice: "Pass the server's address with --server or WINDLASS_SERVER.".into(),
        }
    }
}

/// Reads what the API answered.
pub fn read<T: DeserializeOwned>(value: &Value) -> Outcome<T> {
    T::deserialize(value).map_err(|error| {
        Failure::local(
            format!("The server's answer is not understood: {error}."),
            "Server and command line may have different versions; compare `windlass version`.",
        )
    })
}

/// The innermost reason, which is the one that says something.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no connection within {} s", CONNECT_LIMIT.as_secs());
    }
    let mut source = error.source();
    let mut words = "the connection broke off".to_string();
    while let Some(inner) = source {
        words = inner.to_string();
        source = inner.source();
    }
    text::clean(words.split(" (os error").next().unwrap_or(&words)).to_lowercase()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_field_once() {
        let client = Client::new("http://h", None).unwrap();
        let said = |message, field| {
            let envelope = json!({ "success": false, "error": message, "code": "invalid", "field": field });
            client.refusal(StatusCode::UNPROCESSABLE_ENTITY, Some(&envelope)).what
        };
        assert_eq!(
            said("a port has to be between 1 and 65535", "run.ports"),
            "run.ports: a port has to be between 1 and 65535."
        );
        assert_eq!(said("replicas has to be 1", "run.replicas"), "replicas has to be 1.");
    }
}
