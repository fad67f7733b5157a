//! What plugins may send, and what they get to see of the answer, against real servers.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use windlass::error::PluginErrorKind;
use windlass::network::Network;
use windlass::plugins::{Connection, Plugins, Secret, Settings};
use windlass_tests::guests::{Guest, trusted};
use windlass_tests::peer::{Net, Peer, redirect, text};
use windlass_tests::sender::{Sending, Told, send, send_or_end, sender};

const SECRET: &str = "s3cr3t-tok3n/with+odd=chars";

/// A server's plugins with the sending guest among them.
struct Bench {
    plugins: Plugins,
    _folder: TempDir,
}

async fn bench_with(guest: Guest, change: impl FnOnce(&mut Settings)) -> Bench {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("sender.wasm");
    guest.write(&path);
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.builtin = false;
    settings.sources.push(trusted("sender", path));
    change(&mut settings);
    let plugins = Plugins::start(settings).await.expect("the engine starts");
    let status = plugins.inspect("sender").expect("it is listed");
    assert_eq!(status.error, None);
    Bench { plugins, _folder: folder }
}

/// A guest that may send anything to the connection, with a slot for each way of injection.
fn free() -> Guest {
    sender()
        .with_permission(&[], "/**")
        .with_credential("token", "bearer", &[])
        .with_credential("login", "basic", &[])
        .with_credential("key", "header:x-key", &[])
        .with_credential("param", "query:access_token", &[])
        .with_credential("field", "form:secret", &[])
}

async fn bench() -> Bench {
    bench_with(free(), |_| {}).await
}

fn connection(base_url: &str) -> Connection {
    let mut connection = Connection::new("test", base_url).expect("a base URL");
    for slot in ["token", "key", "param", "field"] {
        connection = connection.secret(slot, Secret::new(SECRET)).expect("a secret");
    }
    connection.secret("login", Secret::new("admin:correct horse battery")).expect("a secret")
}

async fn echoing() -> Peer {
    Peer::start(|seen| text(200, seen.echo())).await
}

fn get(path: &str) -> Sending {
    Sending::new("GET", path)
}

#[tokio::test]
async fn a_request_goes_below_the_base_url_and_its_response_comes_back() {
    let peer =
        Peer::start(|_| Response::builder().status(201).header("x-a", "b").body("made".into()).expect("it"))
            .await;
    let bench = bench().await;
    let connection = connection(&format!("{}/api/", peer.url()));
    let sending = Sending::new("POST", "/things?x=1").header("content-type", "text/plain").body("hello");
    assert_eq!(send(&bench.plugins, &connection, &sending).await, Told::Response(201, "made".into()));
    let seen = &peer.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/api/things?x=1"));
    assert_eq!(seen.header("content-type"), Some("text/plain"));
    assert_eq!(seen.header("host"), Some(peer.address.to_string().as_str()));
    assert_eq!(&seen.body[..], b"hello");
    let shown = Sending { show: 1, ..sending };
    assert_eq!(send(&bench.plugins, &connection, &shown).await, Told::Response(201, "b".into()));
}

#[tokio::test]
async fn what_the_manifest_or_the_operator_does_not_allow_is_denied_and_never_sent() {
    let peer = echoing().await;
    let guest =
        sender().with_permission(&["GET"], "/repos/*").with_permission(&["GET"], "http://extra.example/**");
    let bench = bench_with(guest, |_| {}).await;
    let open = connection(&peer.url());
    send(&bench.plugins, &open, &get("/repos/a")).await.ok();
    for (sending, why) in [
        (Sending::new("POST", "/repos/a"), "no permission that covers POST /repos/a"),
        (get("/repos/a/b"), "no permission"),
        (get("/repos/a%2Fb"), "no permission"),
        (get("/repos/../admin"), "`..`"),
        (get("/repos/%2e%2e"), "`..`"),
        (get("//evil.example/repos/a"), "one `/`"),
        (get("/repos\\a"), "percent-encoded"),
        (get("http://evil.example/repos/a"), "neither the connection's origin"),
        (get("http://user@extra.example/"), "user information"),
        (get("http://extra.example/x"), "did not grant `http:http://extra.example`"),
        (Sending::new("TRACE", "/repos/a"), "never sent"),
        (get("/repos/a").header("Authorization", "x"), "the host's to set"),
        (get("/repos/a").header("Host", "x"), "the host's to set"),
        (get("/repos/a").header("x", "a\r\nb: c"), "characters that no header has"),
        (get("/repos/a").credential("token"), "no credential slot"),
    ] {
        let said = send(&bench.plugins, &open, &sending).await.denied();
        assert!(said.contains(why), "{} {}: {said}", sending.method, sending.path);
    }
    let closed = open.grant(&[]);
    assert!(send(&bench.plugins, &closed, &get("/repos/a")).await.denied().contains("http:self"));
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test]
async fn a_credential_goes_where_its_slot_says_and_its_echo_does_not_come_back() {
    let peer = echoing().await;
    let bench = bench().await;
    let connection = connection(&peer.url());
    let form = |slot: &str| {
        Sending::new("POST", "/x?a=b")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("c=d")
            .credential(slot)
    };
    for slot in ["token", "login", "key", "param", "field"] {
        let told = send(&bench.plugins, &connection, &form(slot)).await.ok();
        assert!(told.contains("[secret]"), "{slot}: {told}");
        for secret in [SECRET, "s3cr3t-tok3n%2Fwith%2Bodd%3Dchars", "correct horse"] {
            assert!(!told.contains(secret), "{slot}: {told}");
        }
    }
    let seen = peer.seen();
    assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    let basic = format!("Basic {}", STANDARD.encode("admin:correct horse battery"));
    assert_eq!(seen[1].header("authorization"), Some(basic.as_str()));
    assert_eq!(seen[2].header("x-key"), Some(SECRET));
    assert_eq!(seen[3].target, "/x?a=b&access_token=s3cr3t-tok3n%2Fwith%2Bodd%3Dchars");
    assert_eq!(&seen[4].body[..], b"c=d&secret=s3cr3t-tok3n%2Fwith%2Bodd%3Dchars");
    // What the host sets is not for the guest to set as well.
    for (slot, sending) in [
        ("key", get("/").header("X-Key", "mine")),
        ("param", get("/?access%5Ftoken=mine")),
        ("field", form("field").body("secret=mine")),
        ("field", get("/")),
    ] {
        send(&bench.plugins, &connection, &sending.credential(slot)).await.denied();
    }
    assert_eq!(peer.seen().len(), 5);
}

#[tokio::test]
async fn a_secret_in_headers_is_replaced_and_cookies_stay_with_the_host() {
    let peer = Peer::start(|_| {
        let (first, second) = SECRET.split_at(9);
        Response::builder()
            .header("set-cookie", "session=abc")
            .header("x-1", format!("<{SECRET}>"))
            .header("x-2", first)
            .header("x-3", second)
            .header("x-4", "fine")
            .body("".into())
            .expect("a response")
    })
    .await;
    let bench = bench().await;
    let connection = connection(&peer.url());
    let mut shown = Vec::new();
    for show in 1..=4 {
        shown.push(send(&bench.plugins, &connection, &Sending { show, ..get("/") }).await.ok());
    }
    assert_eq!(shown, ["<[secret]>", "[secret]", "[secret]", "fine"]);
}

#[tokio::test]
async fn an_idempotency_key_is_sent_only_where_it_means_something() {
    let peer = echoing().await;
    let bench = bench().await;
    let connection = connection(&peer.url());
    let key = Some("deploy-7".to_owned());
    for method in ["POST", "PATCH", "GET", "PUT", "DELETE"] {
        let sending = Sending { idempotency_key: key.clone(), ..Sending::new(method, "/") };
        send(&bench.plugins, &connection, &sending).await.ok();
    }
    let keys: Vec<bool> =
        peer.seen().iter().map(|seen| seen.header("idempotency-key") == Some("deploy-7")).collect();
    assert_eq!(keys, [true, true, false, false, false]);
}

#[tokio::test]
async fn a_redirect_is_authorised_like_a_request_and_loses_the_credential_off_the_origin() {
    let extra = echoing().await;
    let peer = Peer::start(|seen| match seen.target.as_str() {
        "/inside" => redirect(302, "/end?x=1"),
        "/outside" => redirect(307, "http://extra.example/file"),
        "/evil" => redirect(302, "http://evil.example/"),
        "/metadata" => redirect(302, "http://169.254.169.254/latest/meta-data/"),
        "/forbidden" => redirect(302, "/admin"),
        "/user" => redirect(302, "http://u:p@extra.example/file"),
        "/loop" => redirect(302, "/loop"),
        "/see-other" => redirect(303, "/end"),
        "/repeat" => redirect(308, "/end"),
        _ => text(200, seen.echo()),
    })
    .await;
    let net = Net::default()
        .name("extra.example", &[&["203.0.113.5"]])
        .name("ci.example", &[&["203.0.113.4"]])
        .server("203.0.113.4", &peer)
        .server("203.0.113.5", &extra);
    let net: Arc<dyn Network> = Arc::new(net);
    let mut guest =
        sender().with_credential("token", "bearer", &[]).with_permission(&[], "http://extra.example/file");
    for path in
        ["inside", "outside", "evil", "metadata", "forbidden", "user", "loop", "see-other", "repeat", "end"]
    {
        guest = guest.with_permission(&[], &format!("/{path}"));
    }
    let bench = bench_with(guest, |settings| settings.network = net).await;
    let connection = connection("http://ci.example").grant(&["http:self", "http:http://extra.example"]);
    let at = |method: &str, path: &str| Sending::new(method, path).body("body").credential("token");

    let told = send(&bench.plugins, &connection, &at("POST", "/inside")).await.ok();
    assert!(
        told.starts_with("GET /end?x=1") && told.contains("Bearer [secret]") && !told.contains("body"),
        "{told}"
    );
    let told = send(&bench.plugins, &connection, &at("POST", "/see-other")).await.ok();
    assert!(told.starts_with("GET /end"), "{told}");
    let told = send(&bench.plugins, &connection, &at("POST", "/repeat")).await.ok();
    assert!(told.starts_with("POST /end") && told.ends_with("body"), "{told}");
    let told = send(&bench.plugins, &connection, &at("PUT", "/outside")).await.ok();
    assert!(told.starts_with("PUT /file") && !told.contains("authorization"), "{told}");
    assert_eq!(extra.seen()[0].header("host"), Some("extra.example"));

    for path in ["/evil", "/metadata", "/forbidden", "/user"] {
        let said = send(&bench.plugins, &connection, &at("GET", path)).await.denied();
        assert!(said.contains("redirect was refused"), "{path}: {said}");
    }
    match send(&bench.plugins, &connection, &at("GET", "/loop")).await {
        Told::Other(said) => assert!(said.contains("10 redirects"), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_that_turns_private_is_refused_and_only_checked_addresses_are_dialled() {
    let peer = echoing().await;
    let net = Arc::new(
        Net::default()
            .name(
                "ci.example",
                &[&["203.0.113.4"], &["127.0.0.1"], &["203.0.113.4", "10.0.0.1"], &["::ffff:10.0.0.1"]],
            )
            .name("inside.example", &[&["127.0.0.1"]])
            .name("metadata.example", &[&["169.254.169.254"]])
            .server("203.0.113.4", &peer)
            .server("127.0.0.1", &peer),
    );
    let network: Arc<dyn Network> = net.clone();
    let bench = bench_with(free(), |settings| settings.network = network).await;
    let open = connection("http://ci.example");
    send(&bench.plugins, &open, &get("/")).await.ok();
    // The name flips, then hides a private address behind a good one, then in another form.
    for _ in 0..3 {
        assert_eq!(send(&bench.plugins, &open, &get("/")).await, Told::AddressRefused);
    }
    let dialled: Vec<String> = net.dialled.lock().expect("it").iter().map(|to| to.to_string()).collect();
    assert_eq!(dialled, ["203.0.113.4:80"]);

    let inside = connection("http://inside.example");
    assert_eq!(send(&bench.plugins, &inside, &get("/")).await, Told::AddressRefused);
    send(&bench.plugins, &inside.on_private_network(), &get("/")).await.ok();
    for base in ["http://metadata.example", "http://169.254.169.254", "http://[::ffff:a9fe:a9fe]"] {
        let metadata = connection(base).on_private_network();
        assert_eq!(send(&bench.plugins, &metadata, &get("/")).await, Told::AddressRefused, "{base}");
    }
}

#[tokio::test]
async fn a_call_has_32_requests_and_redirects_count() {
    let peer = Peer::start(|seen| match seen.target.as_str() {
        "/twice" => redirect(302, "/end"),
        _ => text(200, "ok"),
    })
    .await;
    let bench = bench().await;
    let connection = connection(&peer.url());
    assert_eq!(send(&bench.plugins, &connection, &Sending { times: 32, ..get("/") }).await.ok(), "ok");
    assert_eq!(send(&bench.plugins, &connection, &Sending { times: 33, ..get("/") }).await, Told::Budget);
    assert_eq!(
        send(&bench.plugins, &connection, &Sending { times: 17, ..get("/twice") }).await,
        Told::Budget
    );
    assert_eq!(peer.seen().len(), 32 * 3);
}

#[tokio::test]
async fn giant_heads_and_bodies_are_cut_off_and_coded_ones_refused() {
    let bench = bench_with(free().with_pages(200), |_| {}).await;
    let mut many = b"HTTP/1.1 200 OK\r\n".to_vec();
    (0..300).for_each(|i| many.extend(format!("x-{i}: y\r\n").into_bytes()));
    let long = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 100 << 10]].concat();
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n".to_vec();
    let giant = [head, vec![b'z'; 9_000_000]].concat();
    for bytes in [many, long, giant] {
        let peer = Peer::saying(bytes.leak()).await;
        assert_eq!(send(&bench.plugins, &connection(&peer.url()), &get("/")).await, Told::TooLarge);
    }
    let whole = vec![b'z'; 8 << 20];
    let peer = Peer::start(move |_| text(200, whole.clone())).await;
    // A failure's text is cut, so what is seen of it is its beginning.
    assert!(send(&bench.plugins, &connection(&peer.url()), &get("/")).await.ok().starts_with("zzzz"));
    let coded = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc";
    let peer = Peer::saying(coded).await;
    match send(&bench.plugins, &connection(&peer.url()), &get("/")).await {
        Told::Other(said) => assert!(said.contains("content coding"), "{said}"),
        other => panic!("{other:?}"),
    }
    let peer = Peer::saying(b"SSH-2.0-nonsense\r\n").await;
    assert!(matches!(send(&bench.plugins, &connection(&peer.url()), &get("/")).await, Told::Connect(_)));
}

/// Answers with a head, and then with one byte every 20 ms for ever.
async fn trickling() -> Peer {
    Peer::raw(|mut stream| {
        tokio::spawn(async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b"x").await.is_ok() {
                ticks.tick().await;
            }
        })
    })
    .await
}

#[tokio::test]
async fn a_request_ends_at_its_own_time_and_a_call_at_its_deadline() {
    let patient = bench().await;
    let hasty = bench_with(free(), |settings| settings.limits.wall = Duration::from_millis(400)).await;
    // Neither of them ever comes to an end by itself.
    for peer in [Peer::saying(b"").await, trickling().await] {
        let connection = connection(&peer.url());
        let short = Sending { timeout_ms: Some(60), ..get("/") };
        assert_eq!(send(&patient.plugins, &connection, &short).await, Told::Timeout);
        let ended = send_or_end(&hasty.plugins, &connection, &get("/")).await;
        assert!(
            matches!(ended, Err(PluginErrorKind::Timeout { milliseconds }) if milliseconds >= 400),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn waiting_for_an_answer_is_not_time_on_the_processor() {
    let peer = Peer::raw(|mut stream| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate").await;
        })
    })
    .await;
    let bench = bench_with(free(), |settings| settings.limits.cpu = Duration::from_millis(100)).await;
    assert_eq!(send(&bench.plugins, &connection(&peer.url()), &get("/")).await.ok(), "late");
}

#[tokio::test]
async fn requests_are_counted_by_plugin_and_outcome() {
    let peer = echoing().await;
    let bench = bench_with(sender().with_permission(&["GET"], "/a"), |_| {}).await;
    let connection = connection(&peer.url());
    send(&bench.plugins, &connection, &get("/a")).await.ok();
    send(&bench.plugins, &connection, &get("/b")).await.denied();
    let mut registry = prometheus_client::registry::Registry::with_prefix("windlass");
    bench.plugins.register_metrics(&mut registry);
    let mut shown = String::new();
    prometheus_client::encoding::text::encode(&mut shown, &registry).expect("metrics");
    for outcome in ["ok", "permission"] {
        let line = format!("windlass_plugin_requests_total{{plugin=\"sender\",outcome=\"{outcome}\"}} 1");
        assert!(shown.contains(&line), "{shown}");
    }
}
