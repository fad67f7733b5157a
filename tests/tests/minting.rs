//! Credentials that the host mints: an app's assertion, a refresh token, a crumb. And TLS, without which none is worth much.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use windlass::error::Error;
use windlass::network::Network;
use windlass::plugins::{Connection, Plugins, Secret, Settings};
use windlass_tests::guests::{Guest, trusted};
use windlass_tests::peer::{CERTIFICATE, Net, Peer, acceptor, text};
use windlass_tests::sender::{Sending, Told, send, sender};

const KEY: &str = include_str!("../fixtures/app-key.pem");
/// What the recipes' variables are.
const SCHEMA: &str =
    r#"{"properties":{"app":{"type":"string"},"installation":{"type":"string"},"client":{"type":"string"}}}"#;

async fn start(guest: Guest, network: Option<Arc<dyn Network>>) -> (Plugins, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("sender.wasm");
    guest.with_permission(&[], "/**").write(&path);
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.builtin = false;
    settings.sources.push(trusted("sender", path));
    settings.network = network.unwrap_or(settings.network);
    let plugins = Plugins::start(settings).await.expect("the engine starts");
    assert_eq!(plugins.inspect("sender").expect("it is listed").error, None);
    (plugins, folder)
}

fn connection(peer: &Peer, slot: &str, secret: &str) -> Connection {
    let connection = Connection::new("test", &peer.url()).expect("a base URL");
    connection.secret(slot, Secret::new(secret)).expect("a secret")
}

fn claims(authorization: &str) -> Value {
    let assertion = authorization.strip_prefix("Bearer ").expect("a bearer");
    let claims = assertion.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("claims")
}

#[tokio::test]
async fn an_apps_assertion_is_traded_once_for_a_token_that_serves_many_calls_until_it_is_refused() {
    let minted = Arc::new(AtomicUsize::new(0));
    let revoked = Arc::new(AtomicUsize::new(0));
    let peer = Peer::start({
        let (minted, revoked) = (minted.clone(), revoked.clone());
        move |seen| {
            let authorization = seen.header("authorization").unwrap_or_default().to_owned();
            if seen.target == "/app/installations/7/access_tokens" {
                let claims = claims(&authorization);
                assert_eq!((seen.method.as_str(), &claims["iss"]), ("POST", &json!("42")));
                assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(e, i)| e - i), Some(600));
                let n = minted.fetch_add(1, Ordering::SeqCst) + 1;
                let body =
                    json!({ "token": format!("minted-token-{n}"), "expires_at": "2126-01-01T00:00:00Z" });
                return text(201, body.to_string());
            }
            let is_revoked = (1..=revoked.load(Ordering::SeqCst))
                .any(|n| authorization == format!("Bearer minted-token-{n}"));
            if is_revoked { text(401, "revoked") } else { text(200, authorization) }
        }
    })
    .await;
    let recipe = [("mint-path", "/app/installations/{installation}/access_tokens"), ("mint-issuer", "{app}")];
    let guest = sender().with_credential("app", "app-jwt", &recipe).with_schema(SCHEMA);
    let (plugins, _folder) = start(guest, None).await;
    let connection = connection(&peer, "app", KEY).variable("app", "42");
    let get = Sending::new("GET", "/repos").credential("app");
    let said = send(&plugins, &connection, &get).await.denied();
    assert!(said.contains("variable `installation`"), "{said}");

    let connection = connection.variable("installation", "7");
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (plugins, connection, get) = (plugins.clone(), connection.clone(), get.clone());
            tokio::spawn(async move { send(&plugins, &connection, &get).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("a task").ok(), "Bearer [secret]");
    }
    assert_eq!(minted.load(Ordering::SeqCst), 1);
    let sent =
        |peer: &Peer| peer.seen().last().and_then(|seen| seen.header("authorization").map(str::to_owned));
    assert_eq!(sent(&peer).as_deref(), Some("Bearer minted-token-1"));

    revoked.store(1, Ordering::SeqCst);
    assert_eq!(send(&plugins, &connection, &get).await.ok(), "Bearer [secret]");
    assert_eq!(sent(&peer).as_deref(), Some("Bearer minted-token-2"));
    // A new token that is refused as well is the plugin's to deal with.
    revoked.store(9, Ordering::SeqCst);
    assert_eq!(send(&plugins, &connection, &get).await, Told::Response(401, "revoked".into()));
    assert_eq!(minted.load(Ordering::SeqCst), 3);

    let other = connection.secret("app", Secret::new("not a key at all")).expect("a secret");
    assert!(send(&plugins, &other, &get).await.denied().contains("no private key in PEM"));
}

#[tokio::test]
async fn a_refresh_token_that_is_replaced_is_handed_on_and_used_from_then_on() {
    let peer = Peer::start(|seen| {
        if seen.target != "/oauth/token" {
            return text(200, seen.echo());
        }
        let form = String::from_utf8_lossy(&seen.body).into_owned();
        let refresh = form.split('&').find_map(|pair| pair.strip_prefix("refresh_token=")).expect("one");
        if refresh == "refused-token" {
            return text(400, r#"{ "error": "invalid_grant" }"#);
        }
        assert!(form.contains("client_id=me") && form.contains("client_secret=client-secret"), "{form}");
        let body = json!({
            "access_token": format!("access-for-{refresh}"),
            // It ends at once, so that each call mints.
            "expires_in": 0,
            "refresh_token": format!("{refresh}x"),
        });
        text(200, body.to_string())
    })
    .await;
    let recipe = [("mint-path", "/oauth/token"), ("mint-client", "{client}")];
    let guest = sender().with_credential("login", "oauth2", &recipe).with_schema(SCHEMA);
    let (plugins, _folder) = start(guest, None).await;
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let connection = connection(&peer, "login", "refresh-a")
        .secret("login-client", Secret::new("client-secret"))
        .expect("a secret")
        .variable("client", "me")
        .on_rotated(Arc::new(move |rotation| {
            let keep = keep.clone();
            Box::pin(async move {
                keep.lock().expect("it").push((rotation.slot, rotation.stored, rotation.fresh));
                Ok(true)
            })
        }));
    let get = Sending::new("GET", "/x").credential("login");
    for _ in 0..2 {
        let told = send(&plugins, &connection, &get).await.ok();
        assert!(told.contains("Bearer [secret]") && !told.contains("access-for"), "{told}");
    }
    let sent: Vec<String> = peer
        .seen()
        .iter()
        .filter(|seen| seen.target == "/x")
        .filter_map(|seen| seen.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(sent, ["Bearer access-for-refresh-a", "Bearer access-for-refresh-ax"]);
    let wanted = [("refresh-a", "refresh-ax"), ("refresh-ax", "refresh-axx")];
    let wanted = wanted.map(|(stored, fresh)| ("login".to_owned(), Secret::new(stored), Secret::new(fresh)));
    assert_eq!(*kept.lock().expect("it"), wanted);

    let refused = connection.secret("login", Secret::new("refused-token")).expect("a secret");
    let said = send(&plugins, &refused, &get).await.denied();
    assert!(said.contains("did not accept the secret `login` (status 400"), "{said}");
}

#[tokio::test]
async fn a_client_is_proven_as_user_and_password_where_the_other_side_wants_that() {
    let peer = Peer::start(|seen| {
        if seen.target != "/oauth/token" {
            return text(200, seen.echo());
        }
        let form = String::from_utf8_lossy(&seen.body).into_owned();
        assert_eq!(form, "grant_type=refresh_token&refresh_token=refresh-a");
        let pair = STANDARD.encode("me%2Ftoo:client%3Aproof");
        assert_eq!(seen.header("authorization"), Some(format!("Basic {pair}").as_str()));
        text(200, r#"{ "access_token": "an-access-token", "expires_in": 600 }"#)
    })
    .await;
    let recipe = [("mint-path", "/oauth/token"), ("mint-client", "{client}"), ("mint-client-by", "basic")];
    let guest = sender().with_credential("login", "oauth2", &recipe).with_schema(SCHEMA);
    let (plugins, _folder) = start(guest, None).await;
    let connection = connection(&peer, "login", "refresh-a")
        .secret("login-client", Secret::new("client:proof"))
        .expect("a secret")
        .variable("client", "me/too");
    let told = send(&plugins, &connection, &Sending::new("GET", "/x").credential("login")).await.ok();
    assert!(told.contains("Bearer [secret]"), "{told}");

    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("sender.wasm");
    let odd = [("mint-path", "/oauth/token"), ("mint-client-by", "post")];
    sender().with_credential("login", "oauth2", &odd).write(&path);
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.builtin = false;
    settings.sources.push(trusted("sender", path));
    let plugins = Plugins::start(settings).await.expect("the engine starts");
    let error = plugins.inspect("sender").expect("it is listed").error.expect("it is refused");
    assert!(error.contains("neither `form` nor `basic`"), "{error}");
}

/// Trades each refresh token once, for one that has a further letter.
async fn strict(length: usize) -> (Peer, Arc<AtomicUsize>) {
    let good = Arc::new(AtomicUsize::new(length));
    let known = good.clone();
    let peer = Peer::start(move |seen| {
        if seen.target != "/oauth/token" {
            return text(200, seen.echo());
        }
        let form = String::from_utf8_lossy(&seen.body).into_owned();
        let refresh = form.split('&').find_map(|pair| pair.strip_prefix("refresh_token=")).expect("one");
        if known.compare_exchange(refresh.len(), refresh.len() + 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return text(400, r#"{ "error": "invalid_grant" }"#);
        }
        let body = json!({ "access_token": "an-access-token", "expires_in": 600, "refresh_token": format!("{refresh}x") });
        text(200, body.to_string())
    })
    .await;
    (peer, good)
}

#[tokio::test]
async fn a_refresh_token_and_its_successor_share_what_was_traded_for_them() {
    let (peer, good) = strict("refresh-a".len()).await;
    let recipe = [("mint-path", "/oauth/token")];
    let (plugins, _folder) = start(sender().with_credential("login", "oauth2", &recipe), None).await;
    let get = Sending::new("GET", "/x").credential("login");
    let before = connection(&peer, "login", "refresh-a");
    send(&plugins, &before, &get).await.ok();
    // What was stored meanwhile, a connection that was made before, and one of another name.
    let other = Connection::new("other", &peer.url()).expect("a base URL");
    let other = other.secret("login", Secret::new("refresh-a")).expect("a secret");
    for connection in [connection(&peer, "login", "refresh-ax"), before, other] {
        send(&plugins, &connection, &get).await.ok();
    }
    assert_eq!(good.load(Ordering::SeqCst), "refresh-ax".len(), "it was traded once");
}

#[tokio::test]
async fn a_replaced_refresh_token_that_cannot_be_stored_is_tried_again_and_not_lost() {
    let (peer, good) = strict("refresh-a".len()).await;
    let recipe = [("mint-path", "/oauth/token")];
    let (plugins, _folder) = start(sender().with_credential("login", "oauth2", &recipe), None).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let keep = asked.clone();
    let connection = connection(&peer, "login", "refresh-a").on_rotated(Arc::new(move |rotation| {
        let keep = keep.clone();
        Box::pin(async move {
            let mut asked = keep.lock().expect("it");
            asked.push((rotation.stored, rotation.fresh));
            match asked.len() {
                1..=2 => Err(Error::unavailable("the disk is full")),
                _ => Ok(true),
            }
        })
    }));
    let get = Sending::new("GET", "/x").credential("login");
    for count in [2, 3, 3] {
        send(&plugins, &connection, &get).await.ok();
        assert_eq!(asked.lock().expect("it").len(), count);
    }
    assert_eq!(good.load(Ordering::SeqCst), "refresh-ax".len());
    let wanted = (Secret::new("refresh-a"), Secret::new("refresh-ax"));
    assert!(asked.lock().expect("it").iter().all(|asked| *asked == wanted));
}

#[tokio::test]
async fn a_recipe_names_only_variables_that_an_operator_can_fill_in() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("sender.wasm");
    let recipe = [("mint-path", "/of/{unknown}"), ("mint-issuer", "{app}")];
    sender().with_credential("app", "app-jwt", &recipe).with_schema(SCHEMA).write(&path);
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.builtin = false;
    settings.sources.push(trusted("sender", path));
    let plugins = Plugins::start(settings).await.expect("the engine starts");
    let error = plugins.inspect("sender").expect("it is listed").error.expect("it is refused");
    assert!(error.contains("the variable `unknown`") && error.contains("no property"), "{error}");
}

#[tokio::test]
async fn a_crumb_and_its_session_go_with_requests_that_change_something() {
    let peer = Peer::start(|seen| match seen.target.as_str() {
        "/ci/crumbIssuer/api/json" => {
            let body = json!({ "crumb": "the-crumb-value", "crumbRequestField": "X-Crumb" });
            let mut response = text(200, body.to_string());
            let cookie = "JSESSIONID=the-session-id; Path=/; HttpOnly".parse().expect("a cookie");
            response.headers_mut().insert("set-cookie", cookie);
            response
        }
        _ => text(200, seen.echo()),
    })
    .await;
    let recipe = [("mint-path", "/crumbIssuer/api/json")];
    let (plugins, _folder) = start(sender().with_credential("login", "crumb", &recipe), None).await;
    let connection = Connection::new("test", &format!("{}/ci", peer.url()))
        .and_then(|connection| connection.secret("login", Secret::new("admin:the-api-token")))
        .expect("a connection");
    let told = send(&plugins, &connection, &Sending::new("GET", "/job").credential("login")).await.ok();
    assert!(told.contains("Basic [secret]") && !told.contains("crumb"), "{told}");
    let told = send(&plugins, &connection, &Sending::new("POST", "/build").credential("login")).await.ok();
    for secret in ["the-crumb-value", "the-session-id", "the-api-token"] {
        assert!(!told.contains(secret), "{told}");
    }
    send(&plugins, &connection, &Sending::new("POST", "/build").credential("login")).await.ok();
    let seen = peer.seen();
    let targets: Vec<&str> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/ci/job", "/ci/crumbIssuer/api/json", "/ci/build", "/ci/build"]);
    assert_eq!(seen[2].header("x-crumb"), Some("the-crumb-value"));
    assert_eq!(seen[2].header("cookie"), Some("JSESSIONID=the-session-id"));
    assert!(
        seen.iter().all(|seen| seen.header("authorization").is_some_and(|value| value.starts_with("Basic ")))
    );
}

#[tokio::test]
async fn where_there_are_no_crumbs_a_request_goes_without() {
    let peer = Peer::start(|seen| match seen.target.as_str() {
        "/crumbIssuer/api/json" => text(404, "no crumbs here"),
        _ => text(200, seen.echo()),
    })
    .await;
    let recipe = [("mint-path", "/crumbIssuer/api/json")];
    let (plugins, _folder) = start(sender().with_credential("login", "crumb", &recipe), None).await;
    let connection = connection(&peer, "login", "admin:the-password");
    let post = Sending::new("POST", "/build").credential("login");
    for _ in 0..2 {
        let told = send(&plugins, &connection, &post).await.ok();
        assert!(told.contains("Basic [secret]") && !told.contains("cookie"), "{told}");
    }
    // It is not looked for again with each request.
    assert_eq!(peer.seen().len(), 3);
}

/// Answers one request over TLS.
async fn secured() -> Peer {
    let acceptor = acceptor();
    Peer::accepting(move |stream| {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsafe").await;
            let _ = stream.shutdown().await;
        })
    })
    .await
}

#[tokio::test]
async fn a_certificate_has_to_be_trusted_and_to_name_the_host() {
    let peer = secured().await;
    let net = Net::default()
        .name("ci.example", &[&["203.0.113.4"]])
        .name("other.example", &[&["203.0.113.4"]])
        .server("203.0.113.4", &peer);
    let (plugins, _folder) = start(sender(), Some(Arc::new(net))).await;
    let get = Sending::new("GET", "/");
    let to = |base: &str| Connection::new("test", base).expect("a base URL");
    let trusted = to("https://ci.example").certificates(CERTIFICATE);
    assert_eq!(send(&plugins, &trusted, &get).await.ok(), "safe");
    let by_address = to(&format!("https://{}", peer.address)).certificates(CERTIFICATE);
    assert_eq!(send(&plugins, &by_address, &get).await.ok(), "safe");
    let wrong_name = to("https://other.example").certificates(CERTIFICATE);
    for untrusted in [to("https://ci.example"), wrong_name] {
        assert!(matches!(send(&plugins, &untrusted, &get).await, Told::Tls(_)), "{untrusted:?}");
    }
}
