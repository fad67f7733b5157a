//! Tables that arrive, tables that are refused, and what the router tells.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use windlass::error::Error;
use windlass_tests::router::{TestRouter, Upstream, parse, table, until};

/// What the control socket answers to these very bytes.
async fn put(router: &TestRouter, body: &str) -> (u16, Value) {
    let socket = router.folder.path().join("router/control.sock");
    let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    let head = format!(
        "PUT /table HTTP/1.1\r\nHost: router\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_makes_no_sense_is_refused_and_the_old_one_goes_on() {
    let blue = Upstream::start("blue").await;
    let router = TestRouter::start().await;
    let good = table(5, &[("b", 100, &[blue.address])]);
    router.apply(&good).await;
    let mut unbalanced = good.clone();
    unbalanced["version"] = json!(6);
    unbalanced["routes"][0]["releases"][0]["weight"] = json!(70);
    let mut unknown = good.clone();
    unknown["version"] = json!(6);
    unknown["colour"] = json!("blue");
    let mut uncertain = good.clone();
    uncertain["version"] = json!(6);
    uncertain["certificates"] = json!([{ "chain": "/nowhere/chain.pem", "key": "/nowhere/key.pem" }]);
    let cases = [
        ("{".to_string(), "EOF"),
        (unbalanced.to_string(), "add up to 100, not 70"),
        (unknown.to_string(), "colour"),
        (uncertain.to_string(), "/nowhere/chain.pem"),
    ];
    for (body, word) in cases {
        let (status, answer) = put(&router, &body).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid")), "{body}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(word), "{answer}");
        assert_eq!(router.get("/").await.text().await.unwrap(), "blue");
    }
    assert_eq!(router.client.table().await.unwrap(), parse(&good));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_newer_is_refused() {
    let (blue, green) = tokio::join!(Upstream::start("blue"), Upstream::start("green"));
    let router = TestRouter::start().await;
    let good = table(5, &[("b", 100, &[blue.address])]);
    router.apply(&good).await;
    for version in [0, 4, 5] {
        let stale = table(version, &[("g", 100, &[green.address])]);
        let error = router.client.apply(&parse(&stale)).await.unwrap_err();
        assert!(matches!(&error, Error::Conflict(why) if why.contains("version 5")), "{error}");
    }
    // The very same table again: the answer to the first may have been lost.
    router.apply(&good).await;
    assert_eq!(router.get("/").await.text().await.unwrap(), "blue");
    router.apply(&table(6, &[("g", 100, &[green.address])])).await;
    assert_eq!(router.get("/").await.text().await.unwrap(), "green");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_on_disk_and_its_sockets_are_private() {
    let blue = Upstream::start("blue").await;
    let mut router = TestRouter::start().await;
    router.apply(&table(7, &[("b", 100, &[blue.address])])).await;
    let folder = router.folder.path().join("router");
    for (name, mode) in [("control.sock", 0o600), ("handover.sock", 0o600), ("table.json", 0o600)] {
        let found = std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    router.kill();
    router.launch().await;
    assert_eq!(router.client.health().await.unwrap().version, 7);
    assert_eq!(router.get("/").await.text().await.unwrap(), "blue");
    router.kill();
    std::fs::write(folder.join("table.json"), "half a ta").unwrap();
    router.launch().await;
    assert_eq!(router.get("/").await.status(), 404);
    assert!(folder.join("table.json.broken").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_says_which_it_is() {
    let (blue, silent) = tokio::join!(Upstream::start("blue"), tokio::net::TcpListener::bind("127.0.0.1:0"));
    let silent = silent.unwrap();
    let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], windlass_tests::port::free_port()));
    let router = TestRouter::start().await;
    let route = |path: &str, target: std::net::SocketAddr| {
        json!({ "name": path, "path": path, "timeouts": { "responseMs": 200 },
            "releases": [{ "release": "r", "weight": 100, "targets": [{ "address": target }] }] })
    };
    router
        .apply(&json!({ "version": 1, "routes": [
            route("/gone", nobody), route("/silent", silent.local_addr().unwrap()), route("/good", blue.address),
            { "name": "/soon", "path": "/soon" },
        ] }))
        .await;
    for (path, status, reason) in [
        ("/nowhere", 404, "no-route"),
        ("/gone", 502, "unreachable"),
        ("/silent", 504, "no-answer"),
        ("/soon", 503, "nothing-serves"),
    ] {
        let answer = router.get(path).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.headers()["x-windlass-router"], reason);
        let text = answer.text().await.unwrap();
        for behind in [nobody, silent.local_addr().unwrap()] {
            assert!(!text.contains(&behind.to_string()), "an address behind the router is told: {text}");
        }
    }
    let page = windlass_tests::router::fresh().get(router.url("/soon")).header("accept", "text/html");
    assert!(page.send().await.unwrap().text().await.unwrap().starts_with("<!doctype html>"));
    let good = router.get("/good").await;
    assert_eq!(good.text().await.unwrap(), "blue");
    let stats = router.client.stats(60).await.unwrap();
    assert_eq!(stats.unrouted, 1);
    let failed: u64 = stats.releases.iter().map(|report| report.window.errors_5xx).sum();
    assert_eq!(failed, 2, "what a release did not answer counts as its failure: {stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_its_probes_gets_no_requests_until_it_answers_again() {
    let (one, two) = tokio::join!(Upstream::start("one"), Upstream::start("two"));
    let router = TestRouter::start().await;
    let mut table = table(1, &[("b", 100, &[one.address, two.address])]);
    for at in [0, 1] {
        table["routes"][0]["releases"][0]["targets"][at]["probe"] =
            json!({ "path": "/up", "intervalMs": 20, "timeoutMs": 500, "unhealthyAfter": 2 });
    }
    router.apply(&table).await;
    let healthy = async || {
        let stats = router.client.stats(1).await.unwrap();
        stats.releases[0].targets.iter().map(|target| target.healthy).collect::<Vec<_>>()
    };
    let address = two.address;
    drop(two);
    until("the dead target is noticed", async || healthy().await == [true, false]).await;
    for _ in 0..20 {
        assert_eq!(router.get("/").await.text().await.unwrap(), "one");
    }
    let two = Upstream::start_at("two again", address).await;
    until("the target comes back", async || healthy().await == [true, true]).await;
    let mut met = std::collections::HashSet::new();
    for _ in 0..4 {
        met.insert(router.get("/").await.text().await.unwrap());
    }
    assert_eq!(met.len(), 2);
    drop((one, two));
    until("both are noticed", async || healthy().await == [false, false]).await;
    let answer = router.get("/").await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["x-windlass-router"].to_str().unwrap()),
        (503, "unhealthy")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_has_a_line_for_each_request_and_no_query() {
    let blue = Upstream::start("blue").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let config = folder.path().join("windlass.toml");
    std::fs::write(&config, format!("[router]\naccess_log = \"{}\"\n", path.display())).unwrap();
    let router = TestRouter::start_with(&[("WINDLASS_CONFIG", config.to_str().unwrap())]).await;
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    assert_eq!(router.get("/a/b?token=secret").await.text().await.unwrap(), "blue");
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    until("the line is written", async || read().contains('\n')).await;
    let line: Value = serde_json::from_str(read().lines().next().unwrap()).unwrap();
    assert_eq!(line["path"], "/a/b");
    assert_eq!(
        (&line["route"], &line["release"], &line["status"]),
        (&json!("web"), &json!("b"), &json!(200))
    );
    assert_eq!((&line["bytes"], &line["ended"]), (&json!(4), &json!("complete")));
    assert_eq!(line["target"], json!(blue.address));
    assert!(!read().contains("secret"));
}
