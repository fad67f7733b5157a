//! What crosses a change of the table: nothing that was begun is cut, nothing is lost, nothing is collected in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use windlass_tests::router::{BIG, TestRouter, Upstream, echo_upgrade, fresh, read_head, table, until};

#[tokio::test(flavor = "multi_thread")]
async fn downloads_and_slow_answers_cross_a_cutover() {
    let (blue, green) = tokio::join!(Upstream::start("blue"), Upstream::start("green"));
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    let slow = tokio::spawn({
        let url = router.url("/slow");
        async move { fresh().get(url).send().await.unwrap().text().await.unwrap() }
    });
    let big = router.get("/big").await;
    let mut pieces = big.bytes_stream();
    let mut size = pieces.next().await.unwrap().unwrap().len();
    until("both are in flight", async || router.client.in_flight(blue.address).await.unwrap() == 2).await;
    router.apply(&table(2, &[("g", 100, &[green.address])])).await;
    assert_eq!(router.get("/").await.text().await.unwrap(), "green");
    assert_eq!(router.client.in_flight(blue.address).await.unwrap(), 2);
    while let Some(piece) = pieces.next().await {
        size += piece.unwrap().len();
    }
    assert_eq!(size, BIG);
    assert_eq!(slow.await.unwrap(), "blue");
    until("the old release is drained", async || router.client.in_flight(blue.address).await.unwrap() == 0)
        .await;
    let resident = resident_mb(router.pid());
    assert!(resident < 80.0, "{resident} MB: the download was collected");
}

fn resident_mb(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

/// A connection on which another protocol was agreed to, and the name of who agreed.
async fn open_websocket(router: &TestRouter) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    let ask = "GET /socket HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: websocket"), "{head}");
    let mut name = [0; 5];
    stream.read_exact(&mut name).await.unwrap();
    (stream, String::from_utf8(name.to_vec()).unwrap())
}

async fn echoes(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_crosses_a_cutover_and_is_cut_at_the_drain_deadline() {
    let (blue, green) = tokio::join!(echo_upgrade("blue"), echo_upgrade("gree"));
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue])])).await;
    let (mut socket, name) = open_websocket(&router).await;
    assert_eq!(name, "blue:");
    echoes(&mut socket, b"before").await;
    let mut next = table(2, &[("g", 100, &[green])]);
    next["routes"][0]["timeouts"] = json!({ "drainMs": 4000 });
    router.apply(&next).await;
    echoes(&mut socket, &[7; 100_000]).await;
    assert_eq!(open_websocket(&router).await.1, "gree:");
    assert_eq!(router.client.in_flight(blue).await.unwrap(), 1);
    assert_eq!(
        socket.read(&mut [0; 1]).await.unwrap_or(0),
        0,
        "cut when its release was drained for too long"
    );
    until("it is counted as gone", async || router.client.in_flight(blue).await.unwrap() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_comes_back_is_not_cut() {
    let (blue, green) = tokio::join!(echo_upgrade("blue"), echo_upgrade("gree"));
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue])])).await;
    let (mut socket, _) = open_websocket(&router).await;
    let mut away = table(2, &[("g", 100, &[green])]);
    away["routes"][0]["timeouts"] = json!({ "drainMs": 3000 });
    router.apply(&away).await;
    router.apply(&table(3, &[("b", 100, &[blue])])).await;
    let silence = tokio::time::timeout(Duration::from_secs(4), socket.read(&mut [0; 1])).await;
    assert!(silence.is_err(), "the WebSocket of a release that serves again was cut");
    echoes(&mut socket, b"still here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_in_both_directions_at_once() {
    let blue = Upstream::start("blue").await;
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    let (send, receive) = tokio::sync::mpsc::channel::<String>(1);
    let pieces = futures_util::stream::unfold(receive, async |mut receive| {
        receive.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), receive))
    });
    send.send("first".into()).await.unwrap();
    let body = reqwest::Body::wrap_stream(pieces);
    let answer = fresh().post(router.url("/echo")).body(body).send().await.unwrap();
    let mut back = answer.bytes_stream();
    assert_eq!(back.next().await.unwrap().unwrap(), "first", "before the request has ended");
    send.send("second".into()).await.unwrap();
    assert_eq!(back.next().await.unwrap().unwrap(), "second");
    drop(send);
    assert!(back.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_take_longer_than_the_answer_to_it() {
    let blue = Upstream::start("blue").await;
    let router = TestRouter::start().await;
    let mut table = table(1, &[("b", 100, &[blue.address])]);
    table["routes"][0]["timeouts"] = json!({ "responseMs": 1000 });
    router.apply(&table).await;
    let pieces = futures_util::stream::unfold(0, async |n| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        (n < 6).then_some((Ok::<_, std::io::Error>("piece"), n + 1))
    });
    let request = fresh().post(router.url("/length")).body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "30");
    let nothing = futures_util::stream::pending::<Result<&str, std::io::Error>>();
    let request = fresh().post(router.url("/length")).body(reqwest::Body::wrap_stream(nothing));
    assert_eq!(
        request.send().await.unwrap().status().as_u16(),
        504,
        "an upload that does not go on is not waited for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_held_and_released_to_what_comes_next() {
    let (blue, green) = tokio::join!(Upstream::start("blue"), Upstream::start("green"));
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    let mut held = table(2, &[]);
    held["routes"][0]["hold"] = json!({ "deadlineMs": 20_000, "queue": 10 });
    router.apply(&held).await;
    let waiting: Vec<_> = (0..10)
        .map(|n| {
            let request = fresh().post(router.url("/echo")).body(format!("request {n}"));
            tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() })
        })
        .collect();
    let count = async || router.client.stats(1).await.unwrap().routes[0].held;
    until("ten requests wait", async || count().await == 10).await;
    let answer = router.get("/").await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["x-windlass-router"].to_str().unwrap()),
        (503, "queue-full")
    );
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(blue.hits() + green.hits(), 0);
    let released = Instant::now();
    router.apply(&table(3, &[("g", 100, &[green.address])])).await;
    for (n, answer) in waiting.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), format!("request {n}"));
    }
    assert!(released.elapsed() < Duration::from_secs(5), "{:?}", released.elapsed());
    assert_eq!((green.hits(), count().await), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_held_until_its_deadline_at_most() {
    let router = TestRouter::start().await;
    let mut held = table(1, &[]);
    held["routes"][0]["hold"] = json!({ "deadlineMs": 300, "queue": 10 });
    router.apply(&held).await;
    let began = Instant::now();
    let answer = router.get("/").await;
    assert_eq!(answer.headers()["x-windlass-router"], "held-too-long");
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(router.client.stats(1).await.unwrap().routes[0].held, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_the_target_has_closed_costs_no_request() {
    let blue = Upstream::start("blue").await;
    let (address, router) = (blue.address, TestRouter::start().await);
    router.apply(&table(1, &[("b", 100, &[address])])).await;
    let client = fresh();
    let mut blue = Some(blue);
    for _ in 0..20 {
        for method in [reqwest::Method::GET, reqwest::Method::POST] {
            let answer = client.request(method, router.url("/echo")).body("x").send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "x");
        }
        // Its connections are closed with it; another program takes its place at the same address.
        drop(blue.take());
        blue = Some(start_again(address).await);
    }
}

/// The address may be in use for a moment, until the program before is gone.
async fn start_again(address: std::net::SocketAddr) -> Upstream {
    until("the address is free", async || TcpListener::bind(address).await.is_ok()).await;
    Upstream::start_at("again", address).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_target_refuses_connections_another_one_of_the_release_answers() {
    let (blue, gone) = tokio::join!(Upstream::start("blue"), Upstream::start("gone"));
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[gone.address, blue.address])])).await;
    drop(gone);
    let client = fresh();
    for n in 0..50 {
        let answer = client.post(router.url("/echo")).body(n.to_string()).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), n.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cutovers_under_load_lose_nothing() {
    let (blue, green) = tokio::join!(Upstream::start("blue"), Upstream::start("green"));
    let router = Arc::new(TestRouter::start().await);
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (client, url, stop) = (fresh(), router.url("/echo"), stop.clone());
            tokio::spawn(async move {
                let mut sent = 0;
                while !stop.is_cancelled() {
                    let text = format!("request {sent}");
                    let answer = client.post(&url).body(text.clone()).send().await.unwrap();
                    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, text));
                    sent += 1;
                }
                sent
            })
        })
        .collect();
    let (mut blue, mut green) = (Some(blue), Some(green));
    for version in 2..12 {
        // The one that gets no requests is replaced by a new program at another address, then they change places.
        let (name, serving, idle) =
            if version % 2 == 0 { ("g", &mut green, &mut blue) } else { ("b", &mut blue, &mut green) };
        let address = serving.as_ref().unwrap().address;
        router.apply(&table(version, &[(name, 100, &[address])])).await;
        let old = idle.as_ref().unwrap().address;
        until("the old release is drained", async || router.client.in_flight(old).await.unwrap() == 0).await;
        *idle = Some(Upstream::start("next").await);
    }
    stop.cancel();
    let mut sum = 0;
    for client in clients {
        sum += client.await.unwrap();
    }
    assert!(sum > 100, "only {sum} requests crossed the cutovers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_learns_who_really_asked() {
    let blue = Upstream::start("blue").await;
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    let request = fresh().get(router.url("/headers")).header("host", "app.example.org:80");
    let request =
        request.header("x-forwarded-for", "203.0.113.9").header("connection", "x-mine").header("x-mine", "1");
    let headers: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "app.example.org:80");
    assert_eq!(headers["host"], "app.example.org:80");
    assert_eq!((&headers["x-mine"], &headers["connection"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_bounds_are_refused() {
    let blue = Upstream::start("blue").await;
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    for head in [format!("x-long: {}\r\n", "x".repeat(1_000_000)), "x-many: 1\r\n".repeat(200)] {
        let mut stream = TcpStream::connect(router.address).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        // The router hangs up on what it does not read, and the answer may be lost by that.
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(blue.hits(), 0);
}
