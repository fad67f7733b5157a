//! Proof of blindness: no secret is ever in a guest's memory, in its log, its errors, its answers or its recordings.
//!
//! The other side repeats every planted secret it gets, in eight encodings, in its body and its headers. After each
//! call the whole of each linear memory is searched. The same search finds a text that the host was not told is secret,
//! in all eight encodings: so it would have found a secret.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use windlass::domain::ci::{CiJobSpec, CiTrigger};
use windlass::domain::forge::{CommitState, CommitStatus};
use windlass::domain::notification::{Notification, Severity};
use windlass::domain::plugin::PluginKind;
use windlass::plugins::{Connection, MemoryWatch, Plugins, Secret, Settings, Target};
use windlass_tests::components;
use windlass_tests::guests::trusted;
use windlass_tests::peer::{Peer, Seen, text};
use windlass_tests::sender::{Sending, Told, send, sender};

/// With characters that look different in each encoding.
const PLANTED: [&str; 6] = [
    "refresh.s3cr3t\\six",
    "bearer/\"s3cr3t\"+one=",
    "us3r:basic\\s3cr3t>two",
    "header~s3cr3t?&three",
    "query s3cr3t+<four>",
    "form&s3cr3t=\"five\"",
];
/// The secret of a webhook that is registered; it is sent in a body.
const HOOK: &str = "hook-s3cr3t.eight_x";
const ACCESS: &str = "minted.s3cr3t/\"seven\"";

/// The eight encodings, each with its name.
fn encodings(secret: &str) -> [(&'static str, String); 8] {
    let percent = |upper: bool| -> String {
        let one = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        secret.bytes().map(one).collect()
    };
    let json = serde_json::to_string(secret).expect("a text");
    // As part of a longer text, in which it does not begin at a multiple of three bytes.
    let inside = STANDARD.encode(format!("x{secret}"));
    [
        ("raw", secret.to_owned()),
        ("base64", STANDARD.encode(secret).trim_end_matches('=').to_owned()),
        ("base64 for URLs", URL_SAFE_NO_PAD.encode(secret)),
        ("base64 within a text", inside[2..(1 + secret.len()) * 8 / 6].to_owned()),
        ("percent", percent(true)),
        ("percent in small letters", percent(false)),
        ("hexadecimal", hex::encode(secret)),
        ("JSON", json[1..json.len() - 1].to_owned()),
    ]
}

/// What a guest's memory is searched for, and what was found.
#[derive(Debug, Default)]
struct Search {
    needles: Mutex<Vec<(String, Vec<u8>)>>,
    found: Mutex<Vec<String>>,
    searched: Mutex<(usize, usize)>,
}

impl Search {
    fn plant(&self, secrets: &[&str]) {
        let needles = secrets.iter().flat_map(|secret| {
            encodings(secret).map(|(encoding, text)| (format!("{secret} as {encoding}"), text.into_bytes()))
        });
        *self.needles.lock().expect("it") = needles.collect();
    }

    /// One pass: at each place only the needles that begin with its byte are compared.
    fn look(&self, place: &str, bytes: &[u8]) {
        let needles = self.needles.lock().expect("it");
        let mut by_first: Vec<Vec<usize>> = vec![Vec::new(); 256];
        for (i, (_, needle)) in needles.iter().enumerate() {
            by_first[usize::from(needle[0])].push(i);
        }
        let mut found = BTreeSet::new();
        for (at, byte) in bytes.iter().enumerate() {
            for i in &by_first[usize::from(*byte)] {
                if bytes[at..].starts_with(&needles[*i].1) {
                    found.insert(format!("{} in {place}", needles[*i].0));
                }
            }
        }
        self.found.lock().expect("it").extend(found);
    }

    fn found(&self) -> Vec<String> {
        std::mem::take(&mut *self.found.lock().expect("it"))
    }
}

impl MemoryWatch for Search {
    fn ended(&self, memory: &[u8]) {
        let mut searched = self.searched.lock().expect("it");
        *searched = (searched.0 + 1, searched.1 + memory.len());
        drop(searched);
        // What was never touched is zero to the end.
        let used = memory.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.look("a guest's memory", &memory[..used]);
    }
}

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
    let all: Vec<String> =
        PLANTED.iter().chain([&ACCESS]).flat_map(|secret| encodings(secret).map(|(_, text)| text)).collect();
    let mut response = Response::builder().status(if seen.target == "/fail" { 500 } else { 200 });
    for (i, encoded) in all.iter().enumerate() {
        response = response.header(format!("x-{i}"), encoded);
    }
    // Twice, so that what comes first is what a guest's failure repeats.
    response
        .body(format!("{} | {} | {}", all.join(" "), seen.echo(), all.join(" ")).into())
        .expect("a response")
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
        .write(&path);
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.sources.push(trusted("sender", path));
    for (name, bytes) in [("anvil", components::ANVIL), ("mirror", components::MIRROR)] {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).expect("a file");
        settings.sources.push(trusted(name, path));
    }
    settings.watch = Some(search.clone());
    let plugins = Plugins::start(settings).await.expect("the engine starts");
    assert_eq!(plugins.inspect("sender").expect("it is listed").error, None);
    (plugins, folder)
}

/// The one that mints comes first: from then on no call may see what was minted.
const SLOTS: [&str; 6] = ["session", "token", "login", "key", "param", "field"];

fn connection(peer: &Peer) -> Connection {
    let connection = Connection::new("test", &peer.url()).expect("a base URL");
    SLOTS.iter().zip(PLANTED).fold(connection, |connection, (slot, secret)| {
        connection.secret(slot, Secret::new(secret)).expect("a secret")
    })
}

/// Every way in which the guest can ask.
fn sendings() -> Vec<Sending> {
    let mut all = Vec::new();
    for slot in SLOTS {
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

/// Calls everything there is of a kind that may lead to a request, and returns what was said.
async fn every_call(plugins: &Plugins, name: &str, kind: PluginKind, target: &Target) -> Vec<String> {
    match kind {
        PluginKind::CiProvider => every_provider_call(plugins, name, target).await,
        PluginKind::GitForge => every_forge_call(plugins, name, target).await,
        PluginKind::Notifier => {
            let event = Notification {
                id: "e1".into(),
                kind: "deployment.successful".into(),
                at: 1,
                severity: Severity::Success,
                title: "shop is out".into(),
                text: String::new(),
                stack: None,
                url: None,
                data: json!({}),
            };
            let requests = plugins.notifier_render(name, target, &event).await;
            let mut said = vec![format!("{requests:?}")];
            for request in requests.unwrap_or_default() {
                said.push(format!("{:?}", plugins.notifier_send(name, target, &request, "k-1").await));
            }
            said
        }
        // These get no connection: they are pure, and what they import is checked when they are loaded.
        PluginKind::PipelineGenerator | PluginKind::BuildPlanner | PluginKind::DeploymentStrategy => {
            Vec::new()
        }
    }
}

async fn every_provider_call(plugins: &Plugins, name: &str, target: &Target) -> Vec<String> {
    let spec = CiJobSpec {
        name: "job".into(),
        description: String::new(),
        folder: None,
        repository_url: "https://forge.example/a.git".into(),
        branch: "main".into(),
        pipeline: vec![("a.txt".into(), "b".into())],
        parameters: Vec::new(),
    };
    let trigger = CiTrigger { ref_name: None, parameters: Vec::new(), idempotency_key: "k-1".into() };
    vec![
        format!("{:?}", plugins.provider_test(name, target).await),
        format!("{:?}", plugins.provider_create_job(name, target, &spec).await),
        format!("{:?}", plugins.provider_trigger(name, target, "job", &trigger).await),
        format!("{:?}", plugins.provider_job_status(name, target, "job").await),
        format!("{:?}", plugins.provider_build_status(name, target, "job", "1").await),
        format!("{:?}", plugins.provider_build_logs(name, target, "job", "1", None).await),
        format!("{:?}", plugins.provider_cancel(name, target, "job", "1").await),
        format!("{:?}", plugins.provider_delete_job(name, target, "job").await),
        format!("{:?}", plugins.provider_artifacts(name, target, "job", "1").await),
        format!("{:?}", plugins.provider_artifact(name, target, ("job", "1", "a"), None).await),
    ]
}

async fn every_forge_call(plugins: &Plugins, name: &str, target: &Target) -> Vec<String> {
    let status = CommitStatus {
        repository: "a/b".into(),
        commit: "0".repeat(40),
        state: CommitState::Success,
        context: "windlass".into(),
        description: "Deployed".into(),
        url: None,
    };
    let headers = vec![("x-github-event".to_owned(), "ping".to_owned())];
    let (body, on) = (Bytes::from_static(b"{}"), Some(target.connection.clone()));
    let hook = ("a/b", "https://windlass.example/hook");
    vec![
        format!("{:?}", plugins.forge_parse_on(name, headers, body, on).await),
        format!("{:?}", plugins.forge_default_branch(name, target, "a/b").await),
        format!("{:?}", plugins.forge_repository(name, target, "a/b").await),
        format!("{:?}", plugins.forge_register_hook(name, target, hook, &Secret::new(HOOK)).await),
        format!("{:?}", plugins.forge_unregister_hook(name, target, "a/b", "1").await),
        format!("{:?}", plugins.forge_set_status(name, target, &status).await),
        format!("{:?}", plugins.forge_open_pull_requests(name, target, "a/b", None).await),
        format!("{:?}", plugins.forge_pull_request(name, target, "a/b", 1).await),
        format!("{:?}", plugins.forge_set_comment(name, target, ("a/b", 1), "k", "text").await),
    ]
}

#[tokio::test]
async fn no_secret_is_in_a_guests_memory_its_log_its_errors_or_its_answers() {
    log();
    let search = Arc::new(Search::default());
    let peer = Peer::start(echo).await;
    let (plugins, _folder) = plugins(&search).await;
    let mut recordings = plugins.recordings().expect("nobody else asked");
    let connection = connection(&peer);
    let secrets = [&PLANTED[..], &[ACCESS, HOOK]].concat();
    search.plant(&secrets);
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
                search.look(&status.name, said.as_bytes());
                calls += 1;
            }
        }
    }
    assert!(calls > 40, "{calls} calls");
    search.look("the log", &log());
    let recorded: Vec<_> = std::iter::from_fn(|| recordings.try_next()).collect();
    for function in ["parse-webhook", "get-build-logs", "register", "render"] {
        assert!(recorded.iter().any(|call| call.function == function), "{function} is recorded");
    }
    for call in recorded {
        let (error, output) = (call.error.unwrap_or_default(), call.output.unwrap_or_default());
        for part in [&call.input, &call.exchange, &error, &output] {
            search.look("a recording", part.as_bytes());
        }
    }
    let (memories, bytes) = *search.searched.lock().expect("it");
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
        ("a webhook", HOOK.to_owned()),
    ] {
        assert!(sent.iter().any(|sent| sent.contains(&wanted)), "{slot}");
    }
}

#[tokio::test]
async fn the_search_would_find_a_secret_in_each_encoding() {
    let search = Arc::new(Search::default());
    let peer = Peer::start(echo).await;
    let (plugins, _folder) = plugins(&search).await;
    // The host is not told of this one, so it cannot know it for a secret.
    search.plant(&PLANTED[..1]);
    let ignorant = Connection::new("test", &peer.url()).expect("a base URL");
    let told = send(&plugins, &ignorant, &Sending::new("GET", "/x")).await;
    search.look("the answer", format!("{told:?}").as_bytes());
    let found = search.found();
    for (encoding, _) in encodings(PLANTED[0]) {
        let wanted = format!("{} as {encoding} in a guest's memory", PLANTED[0]);
        assert!(found.contains(&wanted), "{wanted}: {found:?}");
    }
    assert!(found.iter().any(|found| found.ends_with("in the answer")));
}
