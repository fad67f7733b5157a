//! In front of a registry that is open to all: lets nobody in without a token, which it hands out for a log-in, as the large
//! registries do.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::registry::{PASSWORD, Registry, USER};

const TOKEN: &str = "a-token-of-the-gate";
/// Of a layer.
const BODY_BYTES: usize = 64 << 20;

pub struct TokenGate {
    /// Host and port.
    pub address: String,
    task: tokio::task::JoinHandle<()>,
}

struct Gate {
    address: String,
    /// Of the registry behind.
    behind: String,
    client: reqwest::Client,
}

impl TokenGate {
    /// For [`USER`] with [`PASSWORD`].
    pub async fn start(registry: &Registry) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (behind, client) = (registry.address.clone(), reqwest::Client::new());
        let gate = Gate { address: address.clone(), behind, client };
        let router = Router::new().fallback(serve).with_state(Arc::new(gate));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }
}

impl Drop for TokenGate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let found = request.headers().get(header::AUTHORIZATION).cloned();
    let shown =
        |expected: String| found.as_ref().is_some_and(|value| value.as_bytes() == expected.as_bytes());
    if request.uri().path() == "/token" {
        return match shown(format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))) {
            true => Json(json!({ "token": TOKEN })).into_response(),
            false => StatusCode::UNAUTHORIZED.into_response(),
        };
    }
    if !shown(format!("Bearer {TOKEN}")) {
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"gate\"", gate.address);
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    }
    gate.pass_on(request).await
}

impl Gate {
    async fn pass_on(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let mut headers = head.headers;
        // The name of the host stays: the registry's answers lead back here.
        without(&mut headers, &[header::AUTHORIZATION, header::CONTENT_LENGTH]);
        let body = to_bytes(body, BODY_BYTES).await.unwrap();
        let url = format!("http://{}{}", self.behind, head.uri);
        let sent = self.client.request(head.method, url).headers(headers).body(body).send().await.unwrap();
        let (status, mut headers) = (sent.status(), sent.headers().clone());
        without(&mut headers, &[]);
        let mut answer = Response::new(Body::from(sent.bytes().await.unwrap()));
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        answer
    }
}

/// What is between two neighbours only goes no further.
fn without(headers: &mut HeaderMap, further: &[header::HeaderName]) {
    for name in further.iter().chain(&[header::CONNECTION, header::TRANSFER_ENCODING]) {
        headers.remove(name);
    }
}
