//! Processes that die, are replaced, and are looked after.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use windlass::router::client::RouterClient;
use windlass_tests::PATIENCE;
use windlass_tests::port::free_port;
use windlass_tests::router::{
    TestRouter, Upstream, echo_upgrade, fresh, kill_router_of, read_head, table, until,
};
use windlass_tests::server::{TestServer, program};

#[tokio::test(flavor = "multi_thread")]
async fn another_process_takes_the_sockets_over_and_nothing_is_lost() {
    let blue = Upstream::start("blue").await;
    let mut router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let sent = Arc::new(AtomicUsize::new(0));
    // Half of them keep their connection, half make a new one each time.
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let (client, url, stop, sent) = (fresh(), router.url("/echo"), stop.clone(), sent.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    let client = if n % 2 == 0 { client.clone() } else { fresh() };
                    let answer = client.post(&url).body("x").send().await;
                    let answer = answer.unwrap_or_else(|error| panic!("client {n}: {error:?}"));
                    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "x"));
                    sent.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let slow = tokio::spawn({
        let url = router.url("/slow");
        async move { fresh().get(url).send().await.unwrap().text().await.unwrap() }
    });
    let reached = async |count: usize| {
        until("requests go on", async || sent.load(Ordering::SeqCst) >= count).await;
    };
    reached(500).await;
    let first = router.client.health().await.unwrap().pid;
    for round in 2..=3 {
        router.launch().await;
        let pid = router.pid();
        until("the new process answers", async || router.client.health().await.unwrap().pid == pid).await;
        router.apply(&table(round, &[("b", 100, &[blue.address])])).await;
        reached(sent.load(Ordering::SeqCst) + 500).await;
    }
    assert_ne!(router.pid(), first);
    assert_eq!(slow.await.unwrap(), "blue");
    reached(2_000).await;
    stop.cancel();
    for client in clients {
        client.await.unwrap();
    }
    router.first_ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_process_before_still_does_counts_as_in_flight() {
    let blue = echo_upgrade("blue").await;
    let mut router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue])])).await;
    let mut socket = TcpStream::connect(router.address).await.unwrap();
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    socket.write_all(ask.as_bytes()).await.unwrap();
    read_head(&mut socket).await;
    router.launch().await;
    assert_eq!(router.client.in_flight(blue).await.unwrap(), 1);
    let mut text = [0; 5];
    socket.read_exact(&mut text).await.unwrap();
    socket.write_all(b"hello").await.unwrap();
    socket.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"hello", "the WebSocket lives on in the process before");
    drop(socket);
    until("nothing is in flight", async || router.client.in_flight(blue).await.unwrap() == 0).await;
    router.first_ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_starts_the_next_process() {
    let blue = Upstream::start("blue").await;
    let mut router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    let first = router.pid();
    assert!(Command::new("kill").args(["-HUP", &first.to_string()]).status().unwrap().success());
    until("another process answers", async || {
        router.client.health().await.is_ok_and(|health| health.pid != first && health.version == 1)
    })
    .await;
    assert_eq!(router.get("/").await.text().await.unwrap(), "blue");
    router.first_ends().await;
}

const HOST: &str = "app.windlass.test";

/// A server that keeps a router, and where that listens. The server goes first, or it would start the router again.
struct Kept {
    server: TestServer,
    client: RouterClient,
    url: String,
    _router: Guard,
}

/// Ends the router with the test.
struct Guard(std::path::PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        kill_router_of(&self.0);
    }
}

async fn server_with_router() -> Kept {
    let address = format!("127.0.0.1:{}", free_port());
    let server =
        TestServer::start_with(&[("WINDLASS_ROUTER", "true"), ("WINDLASS_ROUTER_HTTP", &address)]).await;
    // The table is the server's: it has this stack, which nothing serves yet.
    let stack = serde_json::json!({ "name": "web", "traffic": { "hosts": [HOST] } });
    server.post("/api/v1/stacks", stack).await.expect(201);
    let client = RouterClient::new(&server.data());
    let guard = Guard(server.data());
    until("the router knows the stack", async || {
        client.table().await.is_ok_and(|table| table.routes.iter().any(|route| route.name == "web"))
    })
    .await;
    Kept { server, client, url: format!("http://{address}/"), _router: guard }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_starts_the_router_again_with_the_same_table() {
    let kept = server_with_router().await;
    let (server, client, url) = (&kept.server, &kept.client, &kept.url);
    let version = client.health().await.unwrap().version;
    for _ in 0..3 {
        let pid = client.health().await.unwrap().pid;
        assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
        let killed = Instant::now();
        loop {
            if let Ok(answer) = fresh().get(url).header("host", HOST).send().await {
                assert_eq!(answer.headers()["x-windlass-router"], "nothing-serves");
                break;
            }
            assert!(killed.elapsed() < PATIENCE, "the router does not come back");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("back after {:.0} ms", killed.elapsed().as_secs_f64() * 1e3);
        let health = client.health().await.unwrap();
        assert!(health.pid != pid && health.version == version, "{health:?}");
    }
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains(&format!("windlass_router_table_version {version}")), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_outlives_the_server_and_the_next_one_adopts_it() {
    let mut kept = server_with_router().await;
    let (server, client, url) = (&mut kept.server, &kept.client, &kept.url);
    let pid = client.health().await.unwrap().pid;
    for polite in [false, true] {
        if polite {
            server.terminate();
            server.wait();
        } else {
            server.kill();
        }
        let answer = fresh().get(url).header("host", HOST).send().await.unwrap();
        assert_eq!(answer.headers()["x-windlass-router"], "nothing-serves");
        server.launch(&[]).await.unwrap();
        let log = || std::fs::read_to_string(server.server_log()).unwrap();
        let adoptions = if polite { 2 } else { 1 };
        until("the next server adopts it", async || {
            log().matches("the router runs already").count() == adoptions
        })
        .await;
        assert_eq!(client.health().await.unwrap().pid, pid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_shows_routes_weights_and_targets() {
    let blue = Upstream::start("blue").await;
    let router = TestRouter::start().await;
    router.apply(&table(3, &[("b", 100, &[blue.address])])).await;
    router.get("/").await;
    let status = |options: &[&str]| {
        let mut command = Command::new(program());
        command.args(["router", "status", "--data-dir"]).arg(router.folder.path()).args(options);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = status(&[]);
    assert!(
        text.contains("table version 3") && text.contains("100 %") && text.contains("1/1 healthy"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&status(&["-o", "json"])).unwrap();
    assert_eq!(json["stats"]["releases"][0]["total"]["requests"], 1);
    let empty = tempfile::tempdir().unwrap();
    let output =
        Command::new(program()).args(["router", "status", "--data-dir"]).arg(empty.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not answer"));
}
