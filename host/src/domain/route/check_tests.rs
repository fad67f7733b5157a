#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};

use super::*;

fn good() -> Value {
    json!({
        "version": 3,
        "routes": [{
            "name": "web", "hosts": ["app.example.org", "*.app.example.org", "[::1]", "127.0.0.1"], "path": "/shop",
            "releases": [
                { "release": "blue", "weight": 90, "targets": [{ "address": "127.0.0.1:4000", "probe": { "path": "/up" } }] },
                { "release": "green", "weight": 10, "targets": [{ "address": "[::1]:4000" }] }
            ],
            "sticky": { "by": "cookie", "name": "seat", "maxAgeSecs": 60 },
            "headers": [{ "header": "x-try", "value": "green", "release": "green" }],
            "hold": { "deadlineMs": 5000, "queue": 100 },
            "redirectHttps": true,
            "timeouts": { "responseMs": 1000 }
        }],
        "certificates": [{ "hosts": ["*.example.org"], "chain": "/c/chain.pem", "key": "/c/key.pem" }]
    })
}

fn checked(table: &Value) -> Result<RouteTable> {
    let table: RouteTable =
        serde_json::from_value(table.clone()).map_err(|error| Error::invalid("table", error.to_string()))?;
    table.check().map(|()| table)
}

#[test]
fn a_good_table_passes_and_keeps_its_words() {
    let table = checked(&good()).unwrap();
    assert_eq!(table.routes[0].timeouts.idle_ms, Timeouts::default().idle_ms);
    let again: RouteTable = serde_json::from_str(&serde_json::to_string(&table).unwrap()).unwrap();
    assert_eq!(again, table);
}

#[test]
fn an_empty_table_and_a_route_that_nothing_serves_yet_pass() {
    checked(&json!({ "version": 0 })).unwrap();
    checked(&json!({ "version": 1, "routes": [{ "name": "soon" }] })).unwrap();
}

#[test]
fn whatever_makes_no_sense_is_refused_with_its_field() {
    let cases = [
        ("/routes/0/name", json!(""), "name"),
        ("/routes/0/name", json!("two words"), "name"),
        ("/routes/0/hosts", json!(["http://x"]), "hosts"),
        ("/routes/0/hosts", json!(["x:80"]), "hosts"),
        ("/routes/0/hosts", json!(["*.127.0.0.1:1"]), "hosts"),
        ("/routes/0/hosts", json!(["a..b"]), "hosts"),
        ("/routes/0/hosts", json!(["a.x", "A.x"]), "hosts"),
        ("/routes/0/path", json!("shop"), "path"),
        ("/routes/0/path", json!("/a?b"), "path"),
        ("/routes/0/releases/0/weight", json!(80), "100"),
        ("/routes/0/releases/0/weight", json!(101), "100"),
        ("/routes/0/releases/0/targets", json!([]), "no targets"),
        ("/routes/0/releases/0/targets/0/address", json!("127.0.0.1:0"), "nothing can be reached"),
        ("/routes/0/releases/0/targets/0/address", json!("0.0.0.0:80"), "nothing can be reached"),
        ("/routes/0/releases/0/targets/0/address", json!("localhost:80"), "socket address"),
        ("/routes/0/releases/0/targets/0/probe/path", json!("up"), "probe"),
        ("/routes/0/releases/0/targets/0/probe", json!({ "intervalMs": 1 }), "intervalMs"),
        ("/routes/0/releases/1/release", json!("blue"), "twice"),
        ("/routes/0/sticky/name", json!("a;b"), "sticky"),
        ("/routes/0/sticky/by", json!("taste"), "taste"),
        ("/routes/0/headers/0/header", json!("x y"), "headers"),
        ("/routes/0/headers/0/value", json!("a\r\nb"), "headers"),
        ("/routes/0/headers/0/release", json!("red"), "red"),
        ("/routes/0/hold/queue", json!(0), "queue"),
        ("/routes/0/hold/deadlineMs", json!(0), "deadlineMs"),
        ("/routes/0/timeouts/responseMs", json!(0), "responseMs"),
        ("/routes/0/redirectHttps", json!("yes"), "boolean"),
        ("/certificates/0/key", json!("key.pem"), "absolute"),
        ("/certificates/0/hosts", json!(["x.org", "x.org"]), "two certificates"),
    ];
    for (pointer, value, word) in cases {
        let mut table = good();
        *table.pointer_mut(pointer).unwrap() = value.clone();
        let error = checked(&table).expect_err(&format!("{pointer} = {value} passes")).to_string();
        assert!(error.contains(word), "{pointer} = {value}: {error}");
    }
}

#[test]
fn an_unknown_field_is_refused() {
    let mut table = good();
    table["routes"][0]["wieght"] = json!(1);
    assert!(checked(&table).unwrap_err().to_string().contains("wieght"));
}

#[test]
fn two_routes_cannot_want_the_same_requests() {
    let mut table = good();
    let mut twin = table["routes"][0].clone();
    twin["name"] = json!("twin");
    twin["hosts"] = json!(["APP.example.org"]);
    twin["path"] = json!("/shop/");
    table["routes"].as_array_mut().unwrap().push(twin);
    assert!(checked(&table).unwrap_err().to_string().contains("as well"));
    table["routes"][1]["path"] = json!("/shop/cart");
    checked(&table).unwrap();
}

#[test]
fn weights_may_be_missing_only_while_requests_are_held() {
    let mut table = good();
    for at in [0, 1] {
        table["routes"][0]["releases"][at]["weight"] = json!(0);
    }
    checked(&table).unwrap();
    table["routes"][0]["hold"] = json!(null);
    assert!(checked(&table).unwrap_err().to_string().contains("not 0"));
}
