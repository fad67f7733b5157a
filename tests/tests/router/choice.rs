//! Who answers a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use windlass_tests::router::{TestRouter, Upstream, fresh, table};

/// So many requests over so many connections; how often each answer came.
async fn count(router: &TestRouter, requests: usize, connections: usize) -> HashMap<String, usize> {
    let left = Arc::new(AtomicUsize::new(requests));
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (client, url, left) = (fresh(), router.url("/"), left.clone());
            tokio::spawn(async move {
                let mut counts = HashMap::new();
                while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                    let answer = client.get(&url).send().await.unwrap();
                    *counts.entry(answer.text().await.unwrap()).or_insert(0) += 1;
                }
                counts
            })
        })
        .collect();
    let mut sum = HashMap::new();
    for client in clients {
        for (answer, count) in client.await.unwrap() {
            *sum.entry(answer).or_insert(0) += count;
        }
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_exact_over_ten_thousand_requests() {
    let (blue, green, red) =
        tokio::join!(Upstream::start("blue"), Upstream::start("green"), Upstream::start("red"));
    let router = TestRouter::start().await;
    let shares = [("b", 88, &[blue.address][..]), ("g", 11, &[green.address]), ("r", 1, &[red.address])];
    router.apply(&table(1, &shares)).await;
    let counts = count(&router, 10_000, 16).await;
    assert_eq!((counts["blue"], counts["green"], counts["red"]), (8800, 1100, 100));
    let stats = router.client.stats(900).await.unwrap();
    let totals: Vec<u64> = stats.releases.iter().map(|report| report.total.requests).collect();
    assert_eq!(totals, [8800, 1100, 100]);
    assert_eq!(stats.releases[1].total.status, [0, 1100, 0, 0, 0]);
    let window = &stats.releases[0].window;
    assert!(
        window.p50_ms > 0.0 && window.p50_ms <= window.p95_ms && window.p95_ms <= window.p99_ms,
        "{window:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_targets_of_a_release_take_turns() {
    let (one, two) = tokio::join!(Upstream::start("one"), Upstream::start("two"));
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[one.address, two.address])])).await;
    let counts = count(&router, 100, 4).await;
    assert_eq!((counts["one"], counts["two"]), (50, 50));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_cookie_stays_and_only_moves_to_what_grows() {
    let (blue, green) = tokio::join!(Upstream::start("blue"), Upstream::start("green"));
    let router = TestRouter::start().await;
    let sticky = |version, weight: u8| {
        let shares = [("b", 100 - weight, &[blue.address][..]), ("g", weight, &[green.address])];
        let mut table = table(version, &shares);
        table["routes"][0]["sticky"] = json!({ "by": "cookie", "name": "seat" });
        table
    };
    router.apply(&sticky(1, 20)).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let answer = router.get("/").await;
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_string();
        assert!(cookie.starts_with("seat=") && cookie.contains("HttpOnly"), "{cookie}");
        let seat = cookie.split(';').next().unwrap().to_string();
        clients.push((seat, answer.text().await.unwrap()));
    }
    let green_ones = clients.iter().filter(|(_, answer)| answer == "green").count();
    assert_eq!(green_ones, 20, "new clients are divided by weight");
    let client = fresh();
    for (version, weight) in [(2, 20), (3, 60), (4, 100)] {
        router.apply(&sticky(version, weight)).await;
        for (seat, before) in &mut clients {
            let answer = client.get(router.url("/")).header("cookie", seat.as_str()).send().await.unwrap();
            assert!(!answer.headers().contains_key("set-cookie"));
            let now = answer.text().await.unwrap();
            assert!(*before != "green" || now == "green", "{seat} moved back");
            *before = now;
        }
        let moved = clients.iter().filter(|(_, answer)| answer == "green").count();
        assert_eq!(moved, usize::from(weight));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_be_known_by_a_header_or_its_address() {
    let (blue, green) = tokio::join!(Upstream::start("blue"), Upstream::start("green"));
    let router = TestRouter::start().await;
    let mut table = table(1, &[("b", 50, &[blue.address]), ("g", 50, &[green.address])]);
    table["routes"][0]["sticky"] = json!({ "by": "header", "name": "x-user" });
    router.apply(&table).await;
    let client = fresh();
    let mut met = std::collections::HashSet::new();
    for user in 0..40 {
        let mut answers = std::collections::HashSet::new();
        for _ in 0..3 {
            let request = client.get(router.url("/")).header("x-user", user.to_string());
            answers.insert(request.send().await.unwrap().text().await.unwrap());
        }
        assert_eq!(answers.len(), 1, "user {user} met {answers:?}");
        met.extend(answers);
    }
    assert_eq!(met.len(), 2, "users are spread");
    table["version"] = json!(2);
    table["routes"][0]["sticky"] = json!({ "by": "address" });
    router.apply(&table).await;
    assert_eq!(count(&router, 50, 5).await.len(), 1, "one address meets one release");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tester_s_header_reaches_a_release_without_a_weight() {
    let (blue, green) = tokio::join!(Upstream::start("blue"), Upstream::start("green"));
    let router = TestRouter::start().await;
    let mut table = table(1, &[("b", 100, &[blue.address]), ("g", 0, &[green.address])]);
    table["routes"][0]["headers"] = json!([{ "header": "x-try", "value": "green", "release": "g" }]);
    router.apply(&table).await;
    let client = fresh();
    let ask = async |value: &str| {
        let request = client.get(router.url("/")).header("X-Try", value);
        request.send().await.unwrap().text().await.unwrap()
    };
    assert_eq!(ask("green").await, "green");
    assert_eq!(ask("red").await, "blue");
    assert_eq!(router.get("/").await.text().await.unwrap(), "blue");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_paths_lead_to_their_routes() {
    let (web, shop) = tokio::join!(Upstream::start("web"), Upstream::start("shop"));
    let router = TestRouter::start().await;
    let share = |address| json!([{ "release": "r", "weight": 100, "targets": [{ "address": address }] }]);
    router
        .apply(&json!({ "version": 1, "routes": [
            { "name": "web", "hosts": ["app.example.org"], "releases": share(web.address) },
            { "name": "shop", "hosts": ["app.example.org"], "path": "/shop", "releases": share(shop.address) },
        ] }))
        .await;
    let client = fresh();
    let ask = async |host: &str, path: &str| {
        let answer = client.get(router.url(path)).header("host", host).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask("app.example.org", "/").await.1, "web");
    assert_eq!(ask("APP.example.org:80", "/shop/1?x=/").await.1, "shop");
    assert_eq!(ask("app.example.org", "/shopping").await.1, "web");
    let (status, text) = ask("other.example.org", "/").await;
    assert!(status == 404 && text.contains("other.example.org"), "{text}");
}
