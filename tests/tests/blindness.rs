//! Proof of blindness: no secret is ever in a guest's memory, in a log, an error, an answer, a recording, an event or a
//! file.
//!
//! The other side repeats every planted secret it gets, in eight encodings, in its body and its headers. After each
//! call the whole of each linear memory is searched, and in the end everything else that is kept or shown. The same
//! search finds, in each of these places, a text that the host was not told is secret: so it would have found a secret.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use windlass::plugins::{Connection, Plugins, Recordings, Secret, Settings, Target};
use windlass_tests::calls::{HOOK, every_call};
use windlass_tests::components;
use windlass_tests::docker::eventually;
use windlass_tests::guests::{Guest, trusted};
use windlass_tests::peer::{Peer, Seen, text};
use windlass_tests::search::{Search, encodings};
use windlass_tests::sender::{Sending, Told, send, sender};
use windlass_tests::server::{ADMIN_TOKEN, TestServer};

/// With characters that look different in each encoding.
const PLANTED: [&str; 6] = [
    "refresh.s3cr3t\\six",
    "bearer/\"s3cr3t\"+one=",
    "us3r:basic\\s3cr3t>two",
    "header~s3cr3t?&three",
    "query s3cr3t+<four>",
    "form&s3cr3t=\"five\"",
];
const ACCESS: &str = "minted.s3cr3t/\"seven\"";
/// What else is minted: an app's token, a crumb and its session, for a password.
const MINTED: [&str; 4] =
    ["app.s3cr3t/\"eight\"+", "crumb.s3cr3t/<nine>+", "session.s3cr3t/ten=", "us3r:crumb\\s3cr3t>eleven"];
/// A client's secret, which goes with the refresh token.
const CLIENT: &str = "client&s3cr3t=\"twelve\"";
/// An app's key. Of what is kept of it, its middle would give it away as well.
const KEY: &str = include_str!("../fixtures/app-key.pem");

/// Everything that is logged, at the finest level.
fn log() -> Vec<u8> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    #[derive(Clone)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("the log").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = LOG.get_or_init(|| {
        let lines = Lines(Arc::default());
        let writer = lines.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_env_filter(
                "debug,windlass=trace,hyper=trace,rustls=trace,cranelift_codegen=off,regalloc2=off",
            )
            .with_writer(move || writer.clone())
            .init();
        lines.0
    });
    log.lock().expect("the log").clone()
}

/// Repeats the request as it came, and every planted secret in every encoding, in body and headers.
fn echo(seen: &Seen) -> Response {
    if seen.target == "/token" {
        let body = json!({ "access_token": ACCESS, "refresh_token": PLANTED[0], "expires_in": 3600 });
        return text(200, body.to_string());
    }
    if seen.target == "/quiet" {
        return text(200, "nothing to see");
    }
    if seen.target == "/app/7" {
        return text(201, json!({ "token": MINTED[0], "expires_at": "2126-01-01T00:00:00Z" }).to_string());
    }
    if seen.target == "/crumb" {
        let mut response =
            text(200, json!({ "crumb": MINTED[1], "crumbRequestField": "X-Crumb" }).to_string());
        let cookie = format!("JSESSIONID={}; Path=/", MINTED[2]).parse().expect("a cookie");
        response.headers_mut().insert("set-cookie", cookie);
        return response;
    }
    let secrets = PLANTED.iter().chain([&ACCESS, &CLIENT]).chain(&MINTED);
    let all: Vec<String> = secrets.flat_map(|secret| encodings(secret).map(|(_, text)| text)).collect();
    let mut response = Response::builder().status(if seen.target == "/fail" { 500 } else { 200 });
    for (i, encoded) in all.iter().enumerate() {
        response = response.header(format!("x-{i}"), encoded);
    }
    // Twice, so that what comes first is what a guest's failure repeats.
    response
        .body(format!("{} | {} | {KEY} | {}", all.join(" "), seen.echo(), all.join(" ")).into())
        .expect("a response")
}

/// A forge that logs whatever it gets of a delivery, each header's value and the body, and fails with the body.
fn teller() -> Guest {
    let (header, failure) = ("(i32.mul (local.get $i) (i32.const 16))", 4096);
    let body = format!(
        "(block $none
           (br_if $none (i32.eqz (local.get 1)))
           (loop $next
             (call $log (i32.const 3)
               (i32.load offset=8 (i32.add (local.get 0) {header})) (i32.load offset=12 (i32.add (local.get 0) {header}))
               (i32.const 0) (i32.const 0))
             (local.set $i (i32.add (local.get $i) (i32.const 1)))
             (br_if $next (i32.lt_u (local.get $i) (local.get 1)))))
         (call $log (i32.const 3) (local.get 2) (local.get 3) (i32.const 0) (i32.const 0))
         (i32.store8 (i32.const {failure}) (i32.const 1))
         (i32.store8 offset=4 (i32.const {failure}) (i32.const 1))
         (i32.store offset=24 (i32.const {failure}) (local.get 2))
         (i32.store offset=28 (i32.const {failure}) (local.get 3))
         i32.const {failure}"
    );
    Guest::forge("teller", &body).with_log().with_webhooks()
}

/// Everything that is kept or shown of calls, beside the guests' memory.
async fn look_around(
    search: &Search,
    plugins: &Plugins,
    recordings: &mut Recordings,
    folder: &TempDir,
) -> usize {
    search.look("the log", &log());
    for status in plugins.list() {
        search.look("the state of a plugin", format!("{status:?}").as_bytes());
    }
    let mut registry = prometheus_client::registry::Registry::default();
    plugins.register_metrics(&mut registry);
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &registry).expect("metrics");
    search.look("the metrics", metrics.as_bytes());
    search.look_below("a file", folder.path());
    let mut count = 0;
    while let Some(recording) = recordings.try_next() {
        search.look_into("a recording's input", &recording.input);
        search.look_into("a recording's exchange", &recording.exchange);
        search.look_into("a recording's output", recording.output.as_deref().unwrap_or_default());
        search.look("a recording's error", recording.error.as_deref().unwrap_or_default().as_bytes());
        count += 1;
    }
    count
}

async fn plugins(search: &Arc<Search>) -> (Plugins, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("sender.wasm");
    sender()
        .with_permission(&[], "/**")
        .with_credential("token", "bearer", &[])
        .with_credential("login", "basic", &[])
        .with_credential("key", "header:x-key", &[])
        .with_credential("param", "query:secret", &[])
        .with_credential("field", "form:secret", &[])
        .with_credential("session", "oauth2", &[("mint-path", "/token")])
        .with_credential("app", "app-jwt", &[("mint-path", "/app/7"), ("mint-issuer", "42")])
        .with_credential("crumb", "crumb", &[("mint-path", "/crumb")])
        .write(&path);
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.sources.push(trusted("sender", path));
    let teller = teller().build();
    for (name, bytes) in
        [("anvil", components::ANVIL), ("mirror", components::MIRROR), ("teller", teller.as_slice())]
    {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).expect("a file");
        settings.sources.push(trusted(name, path));
    }
    settings.watch = Some(search.clone());
    // The search through the memory counts as the guest's time.
    settings.limits.cpu_per_minute = Duration::from_secs(3600);
    settings.limits.wall_per_minute = Duration::from_secs(3600);
    let plugins = Plugins::start(settings).await.expect("the engine starts");
    assert_eq!(plugins.inspect("sender").expect("it is listed").error, None);
    (plugins, folder)
}

const SLOTS: [&str; 6] = ["session", "token", "login", "key", "param", "field"];
/// From these something is minted, and from then on no call may see that.
const MINTING: [&str; 3] = ["session", "app", "crumb"];

fn connection(peer: &Peer) -> Connection {
    let connection = Connection::new("test", &peer.url()).expect("a base URL");
    let others = [("session-client", CLIENT), ("app", KEY), ("crumb", MINTED[3])];
    SLOTS.into_iter().zip(PLANTED).chain(others).fold(connection, |connection, (slot, secret)| {
        connection.secret(slot, Secret::new(secret)).expect("a secret")
    })
}

/// Every way in which the guest can ask.
fn sendings() -> Vec<Sending> {
    let mut all = Vec::new();
    for slot in SLOTS.into_iter().chain(["app", "crumb"]) {
        for path in ["/x", "/fail"] {
            let sending = Sending::new("POST", path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body("a=b")
                .credential(slot);
            all.extend((0..3).map(|show| Sending { show: show * 20, ..sending.clone() }));
        }
        all.push(Sending::new("POST", "/../x").credential(slot));
        all.push(Sending::new("POST", "/x").header("authorization", "probe").credential(slot));
    }
    all
}

#[tokio::test]
async fn no_secret_is_in_a_guests_memory_its_log_its_errors_or_its_answers() {
    log();
    let search = Arc::new(Search::default());
    let peer = Peer::start(echo).await;
    let (plugins, folder) = plugins(&search).await;
    let mut recordings = plugins.recordings().expect("nobody else takes them");
    let connection = connection(&peer);
    let secrets =
        [&PLANTED[..], &MINTED, &[ACCESS, HOOK, CLIENT, KEY.trim(), KEY.lines().nth(9).expect("a line")]]
            .concat();
    search.plant(&secrets);
    for slot in MINTING {
        send(&plugins, &connection, &Sending::new("POST", "/quiet").credential(slot)).await.ok();
    }
    for sending in sendings() {
        let told = send(&plugins, &connection, &sending).await;
        search.look("what the guest answered", format!("{told:?}").as_bytes());
        if let Told::Response(_, said) = told
            && sending.show == 0
        {
            assert!(said.contains("[secret]"), "the guest got an answer with its secrets replaced: {said}");
        }
    }
    let target = Target { connection: Arc::new(connection), settings: json!({}) };
    let mut calls = 0;
    for status in plugins.list() {
        let Some(info) = &status.info else { panic!("{:?}", status.error) };
        for kind in &info.kinds {
            for said in every_call(&plugins, &status.name, *kind, &target).await {
                search.look(&status.name, said.text.as_bytes());
                calls += 1;
            }
        }
    }
    assert!(calls > 40, "{calls} calls");
    let recorded = look_around(&search, &plugins, &mut recordings, &folder).await;
    assert!(recorded > sendings().len(), "{recorded} recordings");
    let (memories, bytes) = search.searched();
    assert!(memories > sendings().len() && bytes > 48 << 20, "{memories} memories with {bytes} bytes");
    assert_eq!(search.found(), [""; 0]);
    // Each of them did go out, or there would have been nothing to see.
    let sent: Vec<String> = peer.seen().iter().map(|seen| seen.echo()).collect();
    for (slot, wanted) in [
        ("session", encodings(PLANTED[0])[4].1.clone()),
        ("token", PLANTED[1].escape_debug().to_string()),
        ("login", STANDARD.encode(PLANTED[2])),
        ("key", PLANTED[3].to_owned()),
        ("param", encodings(PLANTED[4])[4].1.clone()),
        ("field", encodings(PLANTED[5])[4].1.clone()),
        ("app", MINTED[0].escape_debug().to_string()),
        ("a crumb", MINTED[1].escape_debug().to_string()),
        ("its session", MINTED[2].escape_debug().to_string()),
        ("a password", STANDARD.encode(MINTED[3])),
        ("a client", encodings(CLIENT)[4].1.clone()),
        ("a webhook", HOOK.to_owned()),
    ] {
        assert!(sent.iter().any(|sent| sent.contains(&wanted)), "{slot}");
    }
}

#[tokio::test]
async fn the_search_would_find_a_secret_in_each_encoding_and_in_each_place() {
    log();
    let search = Arc::new(Search::default());
    let peer = Peer::start(echo).await;
    let (plugins, folder) = plugins(&search).await;
    let mut recordings = plugins.recordings().expect("nobody else takes them");
    // The host is not told of these, so it cannot know them for secrets.
    let canary = "canary.of/the other+test";
    search.plant(&[PLANTED[0], canary]);
    let ignorant = Connection::new("test", &peer.url()).expect("a base URL");
    let told = send(&plugins, &ignorant, &Sending::new("GET", "/x")).await;
    search.look("the answer", format!("{told:?}").as_bytes());
    let body = Bytes::from(canary);
    let headers = vec![("x-canary".to_owned(), canary.to_owned())];
    plugins.forge_parse("teller", headers, body).await.expect_err("it fails with what it got");
    std::fs::write(folder.path().join("a.file"), canary).expect("a file");
    look_around(&search, &plugins, &mut recordings, &folder).await;
    let found = search.found();
    for (encoding, _) in encodings(PLANTED[0]) {
        let wanted = format!("{} as {encoding} in a guest's memory", PLANTED[0]);
        assert!(found.contains(&wanted), "{wanted}: {found:?}");
    }
    for place in [
        "the log",
        "the state of a plugin",
        "a file",
        "a recording's input",
        "a recording's exchange",
        "a recording's output",
        "a recording's error",
    ] {
        let wanted = format!("{canary} as raw in {place}");
        assert!(found.contains(&wanted), "{wanted}: {found:?}");
    }
    assert!(found.iter().any(|found| found.ends_with("in the answer")));
}

/// What is not secret and is sent beside the secrets: whoever looks finds it wherever something is kept.
const CANARY: &str = "canary-of-a-delivery";
const VARIABLE: &str = "variable s3cr3t/+\"nine\"";

/// Everything that the server answers about what happened.
async fn ask_around(server: &TestServer, search: &Search) {
    let calls = server.get("/api/v1/plugins/calls?limit=100").await.expect(200);
    let calls = calls["data"]["items"].as_array().cloned().unwrap_or_default();
    let calls = calls.iter().map(|call| format!("/api/v1/plugins/calls/{}", call["seq"]));
    let events = server.get("/api/v1/webhooks?limit=100").await.expect(200);
    let events = events["data"]["items"].as_array().cloned().unwrap_or_default();
    let events =
        events.iter().map(|event| format!("/api/v1/webhooks/{}", event["id"].as_str().unwrap_or_default()));
    let pages = [
        "/api/v1/plugins",
        "/api/v1/plugins/teller",
        "/api/v1/stacks",
        "/api/v1/stacks/told",
        "/metrics",
        "/",
    ];
    let pages: Vec<String> = pages.map(str::to_owned).into_iter().chain(calls).chain(events).collect();
    assert!(pages.len() > 8, "{pages:?}");
    for page in pages {
        let answer = server.get(&page).await;
        assert_eq!(answer.status, 200, "{page}: {}", answer.text);
        let place = if page.contains("/calls/") { "a recorded call" } else { "an answer" };
        search.look_into(place, &answer.text);
    }
}

#[tokio::test]
async fn a_server_neither_keeps_nor_shows_a_secret_that_it_was_given() {
    let search = Search::default();
    let folder = TempDir::new().expect("a temporary folder");
    teller().write(&folder.path().join("teller.wasm"));
    let path = folder.path().join("teller.wasm");
    let config = folder.path().join("windlass.toml");
    std::fs::write(
        &config,
        format!("[plugins.teller]\nsource = \"path:{}\"\nskip_conformance = true\n", path.display()),
    )
    .expect("a file");
    let variables = [("WINDLASS_CONFIG", config.to_str().expect("a path")), ("WINDLASS_LOG", "debug")];
    let server = TestServer::start_with(&variables).await;
    let stack = json!({
        "name": "told",
        "repository": { "url": "https://forge.example/a.git", "branch": "main", "provider": "teller", "webhookSecret": HOOK },
        "build": { "environmentVariables": [{ "name": "KEY", "value": VARIABLE, "secret": true }] },
    });
    let (webhook, _) = server.create_stack(stack).await;
    let deliver = |secret: &str| {
        let request = server.stranger(reqwest::Method::POST, &webhook).header("x-token", secret);
        request
            .header("x-canary", CANARY)
            .header("authorization", format!("Bearer {ADMIN_TOKEN}"))
            .body(CANARY)
            .send()
    };
    let refused = deliver("wrong").await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 401);
    let taken = deliver(HOOK).await.expect("an answer");
    assert_eq!(taken.status().as_u16(), 202, "{}", taken.text().await.unwrap_or_default());
    let mut events = String::new();
    let processed = |event: &serde_json::Value| {
        events.push_str(&event.to_string());
        (event["kind"] == "webhook.processed" && event["data"]["reason"] != "bad_signature").then_some(())
    };
    server.wait_event("the end of the delivery", processed).await;
    search.plant(&[CANARY]);
    // What is recorded is stored a moment later.
    let calls = "/api/v1/plugins/calls?plugin=teller";
    let is_stored = async || !server.get(calls).await.expect(200)["data"]["items"][0].is_null();
    eventually("the call is stored", is_stored).await;
    ask_around(&server, &search).await;
    search.look("the log", &std::fs::read(server.server_log()).expect("a log"));
    search.look_below("a file", server.folder.path());
    let found = search.found();
    for place in ["a recorded call", "an answer", "the log", "a file"] {
        let wanted = format!("{CANARY} as raw in {place}");
        assert!(found.contains(&wanted), "{wanted}: {found:?}\n{events}");
    }
    search.plant(&[HOOK, VARIABLE, ADMIN_TOKEN]);
    ask_around(&server, &search).await;
    search.look("the log", &std::fs::read(server.server_log()).expect("a log"));
    search.look("an event", events.as_bytes());
    search.look_below("a file", server.folder.path());
    assert_eq!(search.found(), [""; 0]);
    // The search reads events as well.
    search.plant(&["webhook.processed"]);
    search.look("an event", events.as_bytes());
    assert!(!search.found().is_empty());
}
