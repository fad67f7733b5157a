//! Clients that dawdle or say too much: the API, the webhooks and the dashboard let go of them, and of nobody else.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::path::Path;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use windlass_tests::PATIENCE;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};

/// A server that waits a second for what clients have to say.
async fn start(folder: &Path) -> TestServer {
    start_with(folder, "patience_secs = 1").await
}

async fn start_with(folder: &Path, setting: &str) -> TestServer {
    let config = folder.join("windlass.toml");
    std::fs::write(&config, format!("[server]\n{setting}\n")).unwrap();
    TestServer::start_with(&[("WINDLASS_CONFIG", config.to_str().unwrap())]).await
}

/// Says this and nothing more. Everything that the server says until it hangs up.
async fn says(server: &TestServer, text: &str) -> String {
    let mut stream = open(server, text).await;
    let mut answer = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the server never hangs up on {text:?}");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn open(server: &TestServer, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    // Where the server hangs up in the middle, what it said before counts.
    let _ = stream.write_all(text.as_bytes()).await;
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_half_a_request_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    for dawdler in ["", "G", "GET /healthz HTTP/1.1\r\nHost: x\r\n", "PRI * HTTP/2.0\r\n"] {
        let answer = says(&server, dawdler).await;
        assert!(!answer.contains("200 OK"), "{dawdler:?}: {answer}");
    }
    let kept = says(&server, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(kept.starts_with("HTTP/1.1 200 OK"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_ends_the_request_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let request = format!(
        "POST /api/v1/stacks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{\"name\":"
    );
    let answer = says(&server, &request).await;
    assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("\"success\":false"), "{answer}");
    assert!(server.get("/api/v1/stacks").await.expect(200)["data"]["items"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(500 * 1024));
    let many: String = (0..200).map(|number| format!("X-{number}: a\r\n")).collect();
    for head in [long, format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n")] {
        let answer = says(&server, &head).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    server.get("/healthz").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_to_events_is_left_in_peace() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nAccept: text/event-stream\r\n\r\n"
    );
    let mut events = open(&server, &request).await;
    // A connection that came later was waited for long enough by now.
    says(&server, "").await;
    server.create_stack(json!({ "name": "web", "repository": { "url": "https://git.example/a.git" } })).await;
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("stack.changed") {
        let read = timeout(PATIENCE, events.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "the stream ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

/// The status of a request with that token, and after how many seconds to come again.
async fn asks(server: &TestServer, token: &str) -> (u16, Option<u64>) {
    let answer = server.stranger(Method::GET, "/api/v1/stacks").bearer_auth(token).send().await.unwrap();
    let after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    (answer.status().as_u16(), after)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_asks_too_often_waits_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = start_with(folder.path(), "requests_per_minute = 20").await;
    let made = server.post("/api/v1/tokens", json!({ "name": "robot" })).await.expect(201);
    let robot = made["data"]["secret"].as_str().unwrap();
    for _ in 0..20 {
        assert_eq!(asks(&server, robot).await, (200, None));
    }
    let (status, after) = asks(&server, robot).await;
    assert!(status == 429 && after.is_some_and(|secs| (1..=60).contains(&secs)), "{status}, {after:?}");
    assert_eq!(asks(&server, ADMIN_TOKEN).await, (200, None));
    assert_eq!(server.stranger(Method::GET, "/healthz").send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_tries_token_after_token_waits() {
    let server = TestServer::start().await;
    let mut tried = 0;
    let after = loop {
        match asks(&server, &format!("wlt_wrong_{tried}")).await {
            (401, None) => tried += 1,
            (429, after) => break after,
            other => panic!("{other:?} after {tried}"),
        }
        assert!(tried <= 300, "nobody slows it down");
    };
    assert!(tried == 300 && after.is_some(), "{tried}, {after:?}");
}
