#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::domain::route::Route;

fn shares(weights: &[u8]) -> Vec<Share> {
    let share = |(at, weight): (usize, &u8)| Share {
        release: format!("r{at}"),
        weight: *weight,
        targets: Vec::new(),
    };
    weights.iter().enumerate().map(share).collect()
}

fn route(name: &str, hosts: &[&str], path: &str) -> Route {
    serde_json::from_value(serde_json::json!({ "name": name, "hosts": hosts, "path": path })).unwrap()
}

#[test]
fn every_hundred_requests_are_divided_exactly_by_weight() {
    for weight in 0..=100_u8 {
        let releases = shares(&[100 - weight, weight]);
        for block in [0_u64, 1, 7, 1_000_003] {
            let candidate = (block * 100..(block + 1) * 100)
                .filter(|n| owner(&releases, place_in_turn(*n)) == Some(1))
                .count();
            assert_eq!(candidate, usize::from(weight), "in the hundred number {block}");
        }
    }
}

#[test]
fn a_small_share_is_spread_and_not_bunched() {
    for weight in [5_u8, 10, 20, 25, 50] {
        let releases = shares(&[100 - weight, weight]);
        let hits: Vec<u64> = (0..100).filter(|n| owner(&releases, place_in_turn(*n)) == Some(1)).collect();
        let fair = 100 / u64::from(weight);
        let widest = hits.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(widest <= fair * 3, "{weight} parts: {widest} requests without one");
    }
}

#[test]
fn a_client_with_a_rhythm_of_its_own_does_not_always_meet_the_same_release() {
    // A page of so many requests, again and again: its first request should meet both releases.
    let releases = shares(&[90, 10]);
    for rhythm in [10, 100, 200] {
        let requests = (0..10_000).step_by(rhythm);
        let met: std::collections::HashSet<_> =
            requests.map(|n| owner(&releases, place_in_turn(n))).collect();
        assert_eq!(met.len(), 2, "every {rhythm} requests");
    }
}

#[test]
fn who_moved_to_a_growing_release_stays_there() {
    for place in 0..100 {
        let mut moved = false;
        for weight in 0..=100 {
            let candidate = owner(&shares(&[100 - weight, weight]), place) == Some(1);
            assert!(candidate || !moved, "place {place} moved back at {weight}");
            moved = candidate;
        }
        assert!(moved);
    }
}

#[test]
fn clients_are_dealt_to_all_places_evenly() {
    let mut counts = [0_u32; 100];
    for n in 0..100_000_u32 {
        counts
            [usize::from(place_of(format!("10.{}.{}.{}", n / 65536, n / 256 % 256, n % 256).as_bytes()))] +=
            1;
    }
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(*least > 850 && *most < 1150, "{least} to {most}");
    assert_eq!(place_of(b"198.51.100.7"), place_of(b"198.51.100.7"));
}

#[test]
fn nobody_owns_a_place_where_nothing_has_a_weight() {
    assert_eq!(owner(&[], 5), None);
    assert_eq!(owner(&shares(&[0, 0]), 5), None);
}

#[test]
fn the_most_specific_host_and_then_the_longest_path_wins() {
    let routes = [
        route("any", &[], "/"),
        route("wild", &["*.example.org"], "/"),
        route("deep", &["*.a.example.org"], "/"),
        route("exact", &["App.Example.org"], "/"),
        route("shop", &["app.example.org"], "/shop"),
        route("cart", &["app.example.org"], "/shop/cart/"),
    ];
    let index = Index::new(&routes);
    let name = |host: &str, path: &str| index.find(host, path).map(|at| routes[at].name.as_str());
    assert_eq!(name("app.example.org", "/"), Some("exact"));
    assert_eq!(name("APP.example.ORG:8080", "/shopping"), Some("exact"));
    assert_eq!(name("app.example.org.", "/shop"), Some("shop"));
    assert_eq!(name("app.example.org", "/shop/cart"), Some("cart"));
    assert_eq!(name("app.example.org", "/shop/cartoon"), Some("shop"));
    assert_eq!(name("b.example.org", "/"), Some("wild"));
    assert_eq!(name("x.y.a.example.org", "/"), Some("deep"));
    assert_eq!(name("example.org", "/"), Some("any"));
    assert_eq!(name(".example.org", "/"), Some("any"));
    assert_eq!(name("[::1]:80", "/"), Some("any"));
    assert_eq!(Index::new(&routes[1..]).find("elsewhere.net", "/"), None);
}

#[test]
fn the_index_agrees_with_looking_at_every_route() {
    let hosts = ["a.x", "b.x", "*.x", "*.y.x", "c.y.x", ""];
    let paths = ["/", "/a", "/a/b", "/ab", "/a/b/c"];
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..2_000 {
        let mut pick = |list: &[&str]| list[random.random_range(0..list.len())].to_string();
        let routes: Vec<Route> = (0..6)
            .map(|n| {
                let (host, path) = (pick(&hosts), pick(&paths));
                let hosts: Vec<&str> = if host.is_empty() { vec![] } else { vec![host.as_str()] };
                route(&n.to_string(), &hosts, &path)
            })
            .collect();
        let (host, path) = (
            pick(&["a.x", "b.x", "c.y.x", "d.y.x", "e.x", "z"]),
            pick(&["/", "/a", "/a/b", "/abc", "/a/b/c/d"]),
        );
        // How well a route fits: kind and length of the host, then length of the path.
        let fit = |route: &Route| {
            let host_fit = match route.hosts.first() {
                None => (0, 0),
                Some(name) if *name == host => (2, 0),
                Some(name) => match name.strip_prefix('*') {
                    Some(rest) if host.ends_with(rest) => (1, rest.len()),
                    _ => return None,
                },
            };
            let prefix = route.path.trim_end_matches('/');
            let below = path == prefix || path.starts_with(&format!("{prefix}/"));
            below.then_some((host_fit, prefix.len()))
        };
        let best = routes.iter().filter_map(&fit).max();
        let found = Index::new(&routes).find(&host, &path);
        assert_eq!(found.and_then(|at| fit(&routes[at])), best, "{host}{path} in {routes:?}");
    }
}

#[test]
fn a_header_orders_a_release_only_with_exactly_its_value() {
    let rules = [HeaderRoute { header: "x-try".into(), value: "green".into(), release: "g".into() }];
    let ordered = |value: &'static [u8]| by_header(&rules, |name| (name == "x-try").then_some(value));
    assert_eq!(ordered(b"green"), Some("g"));
    assert_eq!(ordered(b"Green"), None);
    assert_eq!(by_header(&rules, |_| None), None);
}
