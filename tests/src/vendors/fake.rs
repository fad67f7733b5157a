//! What all fakes share: a server that remembers every request, and answers one of them wrongly when a test asks for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::fault::Fault;

/// Largest body that a fake reads.
const BODY_BYTES: usize = 16 << 20;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query, as they were sent.
    pub target: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A vendor's server that lives as long as this value.
pub struct Fake {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    memory: Arc<Mutex<Memory>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Memory {
    seen: Vec<Seen>,
    /// The request, counted from the first one remembered, that the fault is for.
    fault: Option<(usize, Fault)>,
    /// For the next request of a method whose path contains a text.
    next: Option<(&'static str, &'static str, Fault)>,
    /// Headers that every answer has.
    always: Vec<(&'static str, HeaderValue)>,
}

impl Fake {
    /// Serves what `make` builds of the server's own URL, since vendors write absolute links into their answers.
    pub async fn start(make: impl FnOnce(&str) -> Router) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let memory = Arc::<Mutex<Memory>>::default();
        let app = make(&url).layer(from_fn_with_state(memory.clone(), remember));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("the server runs") });
        Self { url, memory, server }
    }

    /// All requests since the start, or since the last `forget`.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.memory).seen.clone()
    }

    /// Method and path of all requests, for a short look.
    pub fn trace(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path())).collect()
    }

    /// Counts from zero again, without a fault.
    pub fn forget(&self) {
        *lock(&self.memory) = Memory::default();
    }

    /// Puts these headers into every answer from now on.
    pub fn say(&self, headers: Vec<(&'static str, HeaderValue)>) {
        lock(&self.memory).always = headers;
    }

    /// Forgets, and answers the `nth` request from now, counted from 0, with a fault. All others are answered well.
    pub fn fail_at(&self, nth: usize, fault: Fault) {
        *lock(&self.memory) = Memory { fault: Some((nth, fault)), ..Memory::default() };
    }

    /// Answers the next request of this method whose path contains `part` with a fault; all others are answered well.
    pub fn fail_next(&self, method: &'static str, part: &'static str, fault: Fault) {
        lock(&self.memory).next = Some((method, part, fault));
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().expect("no request panics while it holds the memory")
}

async fn remember(State(memory): State<Arc<Mutex<Memory>>>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES).await.expect("a body of a bounded size");
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let seen = Seen {
        method: head.method.to_string(),
        target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.clone(),
    };
    let (fault, always) = {
        let mut memory = lock(&memory);
        let is_next =
            |(method, part, _): &(&str, &str, Fault)| seen.method == *method && seen.path().contains(part);
        let next = memory.next.filter(is_next).map(|(.., fault)| fault);
        if next.is_some() {
            memory.next = None;
        }
        memory.seen.push(seen);
        let nth = memory.seen.len() - 1;
        let fault = next.or(memory.fault.filter(|(at, _)| *at == nth).map(|(_, fault)| fault));
        (fault, memory.always.clone())
    };
    let served = next.run(Request::from_parts(head, Body::from(body)));
    let mut response = match fault {
        None => served.await,
        Some(fault) => fault.answer(served).await,
    };
    response
        .headers_mut()
        .extend(always.into_iter().map(|(name, value)| (HeaderName::from_static(name), value)));
    response
}
