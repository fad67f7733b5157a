//! Requests that no plugin may send, and answers that no plugin should get, over a network of the suite's own.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use windlass::network::Network;
use windlass::plugins::{Connection, Secret};

use super::{Act, End, Hostile};
use crate::guests::Guest;
use crate::peer::{Net, Peer, redirect, text};
use crate::sender::{Sending, carrying};

/// What the connections of the suite have in their slot `token`.
pub const SECRET: &str = "s3cr3t-of-the-suite/with+odd=chars";
/// What the sender calls each case of an error.
const DENIED: &str = "er-000";
const ADDRESS_REFUSED: &str = "er-001";
const TOO_LARGE: &str = "er-003";
const BUDGET: &str = "er-006";
const OTHER: &str = "er-007";

/// Names, and the servers that they lead to.
pub struct World {
    pub network: Arc<dyn Network>,
    _peers: Vec<Peer>,
}

impl World {
    pub async fn start() -> Self {
        let echo = Peer::start(|seen| match seen.target.as_str() {
            "/outside" => redirect(302, "http://evil.example/"),
            "/metadata" => redirect(302, "http://169.254.169.254/latest/meta-data/"),
            "/inside" => redirect(307, "http://127.0.0.1:1/"),
            "/circle" => redirect(302, "/circle"),
            _ => text(200, seen.echo()),
        })
        .await;
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        (0..1000).for_each(|n| head.extend(format!("x-{n}: y\r\n").into_bytes()));
        let giant =
            [&b"HTTP/1.1 200 OK\r\ncontent-length: 90000000\r\n\r\n"[..], &vec![b'z'; 9_000_000]].concat();
        let many = Peer::saying(head.leak()).await;
        let giant = Peer::saying(giant.leak()).await;
        let silent = Peer::saying(b"").await;
        let trickling = trickling().await;
        let names = ["ci.example", "many.example", "giant.example", "silent.example", "trickling.example"];
        let addresses = ["203.0.113.4", "203.0.113.5", "203.0.113.6", "203.0.113.7", "203.0.113.8"];
        let peers = vec![echo, many, giant, silent, trickling];
        let mut net = Net::default()
            .name("flipping.example", &[&["203.0.113.4"], &["127.0.0.1"]])
            .name("hiding.example", &[&["203.0.113.4", "10.0.0.1"]])
            .name("mapped.example", &[&["::ffff:10.0.0.1"]])
            .name("inside.example", &[&["127.0.0.1"]])
            .name("metadata.example", &[&["169.254.169.254"]]);
        for ((name, address), peer) in names.into_iter().zip(addresses).zip(&peers) {
            net = net.name(name, &[&[address]]).server(address, peer);
        }
        Self { network: Arc::new(net), _peers: peers }
    }
}

/// A connection with a secret in its slot.
pub(super) fn connection(base_url: &str) -> Connection {
    let connection = Connection::new("suite", base_url).expect("a base URL");
    connection.secret("token", Secret::new(SECRET)).expect("a secret")
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

/// A guest that may send anything to its connection, and sends this.
fn free(sending: &Sending) -> Guest {
    carrying(sending).with_permission(&[], "/**").with_credential("token", "bearer", &[])
}

fn get(path: &str) -> Sending {
    Sending::new("GET", path)
}

pub(super) fn all() -> Vec<Hostile> {
    let mut all = written();
    all.extend(led_elsewhere());
    all.extend(answered());
    all
}

fn sent(
    does: &'static str,
    base: &'static str,
    sending: &Sending,
    code: &'static str,
    why: &'static str,
) -> Hostile {
    Hostile::new(does, &free(sending), Act::Send(base), End::Failure(code, why))
}

fn written() -> Vec<Hostile> {
    let denied = |does, sending: Sending, why| sent(does, "http://ci.example", &sending, DENIED, why);
    let headers = (0..1000).fold(get("/"), |sending, n| sending.header(&format!("x-{n}"), "y"));
    let modest = carrying(&get("/admin")).with_permission(&["GET"], "/repos/*");
    vec![
        denied("sets the authorization itself", get("/").header("Authorization", "x"), "the host's to set"),
        denied("sets a cookie", get("/").header("cookie", "a=b"), "the host's to set"),
        denied("says it is another host", get("/").header("Host", "x"), "the host's to set"),
        denied("talks to the proxy", get("/").header("proxy-authorization", "x"), "the host's to set"),
        denied(
            "smuggles a header into another",
            get("/").header("x", "a\r\nb: c"),
            "characters that no header has",
        ),
        denied("sends a thousand headers", headers, "more than 64 headers"),
        denied("sends a giant header", get("/").header("x", &"y".repeat(20_000)), "bytes of them"),
        denied("sends with a method that is never sent", Sending::new("CONNECT", "/"), "never sent"),
        denied("names a user in its url", get("http://user@ci.example/"), "user information"),
        denied("climbs out of its path", get("/a/%2e%2e/b"), "`..`"),
        denied("names another origin", get("http://evil.example/"), "neither the connection's origin"),
        denied("uses a slot that it does not have", get("/").credential("other"), "no credential slot"),
        Hostile::new(
            "sends what its manifest does not ask for",
            &modest,
            Act::Send("http://ci.example"),
            End::Failure(DENIED, "no permission that covers GET /admin"),
        ),
        Hostile::new(
            "sends without a connection",
            &free(&get("/")),
            Act::Parse,
            End::Failure(DENIED, "connection"),
        ),
        sent("floods its connection", "http://ci.example", &Sending { times: 200, ..get("/") }, BUDGET, ""),
    ]
}

fn led_elsewhere() -> Vec<Hostile> {
    let refused = |does, base| sent(does, base, &get("/"), ADDRESS_REFUSED, "");
    let redirected = |does, path: &str, code, why| {
        sent(does, "http://ci.example", &get(path).credential("token"), code, why)
    };
    vec![
        redirected("follows a redirect off its origin", "/outside", DENIED, "redirect was refused"),
        redirected("follows a redirect to the metadata service", "/metadata", DENIED, "redirect was refused"),
        redirected("follows a redirect into the server", "/inside", DENIED, "redirect was refused"),
        redirected("runs in a circle of redirects", "/circle", OTHER, "10 redirects"),
        sent(
            "has a name that turns private",
            "http://flipping.example",
            &Sending { times: 2, ..get("/") },
            ADDRESS_REFUSED,
            "",
        ),
        refused("hides a private address behind a public one", "http://hiding.example"),
        refused("writes a private address in another form", "http://mapped.example"),
        refused("has a name that leads into the server", "http://inside.example"),
        refused("has a name for the metadata service", "http://metadata.example"),
        refused("asks for the metadata service", "http://169.254.169.254"),
    ]
}

fn answered() -> Vec<Hostile> {
    let large =
        |does, base| Hostile::new(does, &free(&get("/")), Act::Send(base), End::Failure(TOO_LARGE, ""));
    let waits = |does, base| Hostile::new(does, &free(&get("/")), Act::Send(base), End::Clock);
    vec![
        sent(
            "has its secret told to it",
            "http://ci.example",
            &get("/").credential("token"),
            "ok-200",
            "Bearer [secret]",
        ),
        large("is answered with a thousand headers", "http://many.example"),
        large("is answered without end", "http://giant.example"),
        waits("sleeps in a host call", "http://silent.example"),
        waits("is answered byte by byte", "http://trickling.example"),
    ]
}
