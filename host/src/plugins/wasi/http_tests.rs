//! The other door against a real server.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::Request as WasiRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wasmtime_wasi_http::{Error, WasiHttpHooks as _};

use super::*;
use crate::domain::cassette::Exchange;
use crate::domain::plugin::{CredentialSlot, Manifest, Permission};
use crate::network::System;
use crate::plugins::broker::{Broker, Connection, Outbound, Secret};

fn manifest() -> Manifest {
    serde_json::from_value(serde_json::json!({
        "name": "door", "version": "1.0.0", "summary": "", "kinds": [], "settings_schema": "{}", "webhooks": null,
        "credentials": [], "permissions": [],
    }))
    .map(|manifest: Manifest| Manifest {
        credentials: vec![CredentialSlot {
            name: "token".into(),
            summary: String::new(),
            injection: "bearer".into(),
            required: true,
            extras: Vec::new(),
        }],
        permissions: vec![Permission {
            methods: vec!["POST".into()],
            path: "/things".into(),
            reason: String::new(),
        }],
        ..manifest
    })
    .expect("a manifest")
}

fn door_to(session: Option<Session>) -> Door {
    let deadline = Instant::now() + Duration::from_secs(20);
    Door { plugin: "door".into(), session, deadline, metrics: Metrics::new(), transcript: Transcript::live() }
}

/// Answers one request with what it was sent.
async fn echoing() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/base", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = vec![0; 4096];
        let mut length = 0;
        // The body is the last to arrive.
        while !request[..length].ends_with(b"hello") {
            length += stream.read(&mut request[length..]).await.expect("a request");
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("it is taken");
        stream.write_all(&request[..length]).await.expect("it is taken");
    });
    (url, server)
}

async fn sent(door: &mut Door, url: &str, headers: &[(&str, &str)]) -> Result<String, Error> {
    let body = Full::new(Bytes::from_static(b"hello")).map_err(|never| match never {}).boxed_unsync();
    let mut request = WasiRequest::builder().method("POST").uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let sending = door.send_request(request.body(body).expect("a request"), None, Box::new(async { Ok(()) }));
    let (response, _ending) = Pin::from(sending).await?;
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn it_leads_to_the_same_broker() {
    let (url, server) = echoing().await;
    let connection = Connection::new("test", &url)
        .and_then(|connection| connection.secret("token", Secret::new("the-s3cr3t-token")))
        .expect("a connection");
    let outbound = Outbound::new(Arc::new(connection), &manifest());
    let deadline = Instant::now() + Duration::from_secs(20);
    let session = Session::new(Broker::new(Arc::new(System)), outbound, deadline);
    let mut door = door_to(Some(session));

    for (refused, headers) in [
        ("https://evil.example/things", &[][..]),
        ("https://connection.invalid/other", &[]),
        ("https://connection.invalid/things", &[("authorization", "Bearer mine")]),
        ("https://connection.invalid/things", &[("x-windlass-credential", "nobody")]),
    ] {
        let error = sent(&mut door, refused, headers).await.expect_err("it is refused");
        assert!(matches!(error, Error::HttpRequestDenied), "{refused}: {error:?}");
    }

    let headers = [("x-windlass-credential", "token"), ("idempotency-key", "k-1"), ("content-length", "5")];
    let url = "https://connection.invalid/things?a=b";
    let seen = sent(&mut door, url, &headers).await.expect("a response");
    server.await.expect("the server ends");
    assert!(seen.starts_with("POST /base/things?a=b HTTP/1.1"), "{seen}");
    assert!(seen.contains("Bearer [secret]") && seen.contains("idempotency-key: k-1"), "{seen}");
    assert!(!seen.contains("x-windlass-credential") && seen.ends_with("hello"), "{seen}");

    // A replay gives the same answers to the same requests, with nobody there, and knows none to others.
    let (recorded, is_cut) = door.transcript.close();
    assert!(!is_cut && !recorded.contains("s3cr3t"), "{recorded}");
    let exchange: Vec<Exchange> = serde_json::from_str(&recorded).expect("it is JSON");
    let mut replay = Door { transcript: Transcript::replaying(&exchange), ..door_to(None) };
    assert_eq!(sent(&mut replay, url, &headers).await.expect("a response"), seen);
    let refused = sent(&mut replay, "https://evil.example/things", &[]).await.expect_err("it was refused");
    assert!(matches!(refused, Error::HttpRequestDenied), "{refused:?}");
    let other = sent(&mut replay, url, &[]).await.expect_err("nobody asked that");
    assert!(matches!(&other, Error::InternalError(Some(said)) if said.contains("/things?a=b")), "{other:?}");

    let mut alone = door_to(None);
    let error =
        sent(&mut alone, "https://connection.invalid/things", &[]).await.expect_err("there is nobody");
    assert!(matches!(error, Error::HttpRequestDenied), "{error:?}");
}
