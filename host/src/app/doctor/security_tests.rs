use super::*;

/// The findings of a configuration file.
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
fn found(file: &str) -> Vec<(&'static str, Danger)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("windlass.toml");
    // What a new server would be told of private networks is another test's matter.
    let nets = if file.contains("[outgoing]") { "" } else { "[outgoing]\nprivate_networks = []\n" };
    std::fs::write(&path, format!("{file}\n{nets}")).unwrap();
    let config = Config::load(Some(&path), |_| None).unwrap();
    of_config(&config).into_iter().map(|finding| (finding.name, finding.danger)).collect()
}

#[test]
fn a_server_that_is_reached_without_https_is_in_serious_danger() {
    assert_eq!(found(""), []);
    assert_eq!(found("[server]\npublic_url = \"https://ci.example.org\""), []);
    assert_eq!(found("[server]\npublic_url = \"http://localhost:8080\""), []);
    assert_eq!(found("[server]\nlisten = \"0.0.0.0:8080\""), [("listener", Danger::Serious)]);
    assert_eq!(found("[server]\npublic_url = \"http://ci.example.org\""), [("listener", Danger::Serious)]);
    let open = "[server]\nlisten = \"0.0.0.0:8080\"\npublic_url = \"https://ci.example.org\"";
    assert_eq!(found(open), [("listener", Danger::Slight)]);
}

#[test]
fn networks_are_judged_by_what_is_in_them() {
    let networks = |nets: &str| found(&format!("[outgoing]\nprivate_networks = {nets}"));
    assert_eq!(networks("[]"), []);
    assert_eq!(networks("[\"10.0.0.0/8\"]"), [("private-networks", Danger::Slight)]);
    assert_eq!(networks("[\"10.0.0.0/8\", \"127.0.0.0/8\"]"), [("private-networks", Danger::Considerable)]);
    assert_eq!(networks("[\"::1\"]"), [("private-networks", Danger::Considerable)]);
    let proxies = |nets: &str| found(&format!("[server]\ntrusted_proxies = {nets}"));
    assert_eq!(proxies("[\"127.0.0.1\", \"10.0.0.0/8\", \"fc00::/7\"]"), []);
    for wide in ["0.0.0.0/0", "::/0", "128.0.0.0/1"] {
        assert_eq!(proxies(&format!("[\"{wide}\"]")), [("trusted-proxies", Danger::Considerable)], "{wide}");
    }
}

#[test]
fn a_router_for_others_needs_https() {
    assert_eq!(found("[router]\nenabled = true"), [("router-https", Danger::Considerable)]);
    assert_eq!(found("[router]\nenabled = true\nhttps = [\"0.0.0.0:443\"]"), []);
    assert_eq!(found("[router]\nenabled = true\nhttp = [\"127.0.0.1:80\"]"), []);
}

#[test]
fn plugins_of_ones_own_are_pinned_signed_tried_and_look_outward() {
    let plugin = |lines: &str| found(&format!("[plugins.mine]\n{lines}"));
    let digest = "a".repeat(64);
    assert_eq!(plugin("source = \"path:./x.wasm\""), [("plugin-unpinned", Danger::Considerable)]);
    let pinned = format!("source = \"path:./x.wasm\"\nsha256 = \"{digest}\"");
    assert_eq!(plugin(&pinned), []);
    assert_eq!(
        plugin(&format!("source = \"oci:registry.example/x@sha256:{digest}\"")),
        [("plugin-unsigned", Danger::Slight)]
    );
    assert_eq!(plugin(&format!("{pinned}\nskip_conformance = true")), [("plugin-untried", Danger::Slight)]);
    for (grant, is_inward) in [
        ("http:self", false),
        ("http:GET /path", false),
        ("http:https://api.example.org", false),
        ("http:http://api.example.org", true),
        ("http:https://10.0.0.7", true),
        ("http:https://[fd00::7]", true),
        ("http:https://100.64.0.7", true),
        ("http:https://[::ffff:10.0.0.7]:8443", true),
        ("http:https://localhost:8443", true),
    ] {
        let found = plugin(&format!("{pinned}\ngrant = [\"{grant}\"]"));
        assert_eq!(found.contains(&("plugin-private", Danger::Considerable)), is_inward, "{grant}");
    }
}

#[test]
fn what_is_talked_to_elsewhere_is_talked_to_with_tls() {
    for (host, is_found) in [
        ("unix:///var/run/docker.sock", false),
        ("tcp://127.0.0.1:2375", false),
        ("tcp://10.0.0.7:2375", true),
        ("http://engine.example:2375", true),
    ] {
        assert_eq!(of_engine(host).is_some(), is_found, "{host}");
    }
    for (url, is_open) in [
        ("sqlite:/data/windlass.db", false),
        ("postgres://user@localhost/windlass", false),
        ("postgres://user@[::1]/windlass", false),
        ("postgres:///windlass?host=/run/postgresql", false),
        ("postgres://user@db.example/windlass", true),
        ("postgres://user@db.example/windlass?sslmode=prefer", true),
        ("postgresql://user@db.example/windlass?sslmode=verify-full", false),
    ] {
        assert_eq!(is_open_database(url), is_open, "{url}");
    }
}

#[test]
fn a_long_list_is_told_by_its_beginning() {
    assert_eq!(list(&["a", "b"]), "a, b");
    assert_eq!(list(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
}
