use serde_json::{Value, json};

use super::*;

fn file(service: Value) -> Value {
    json!({ "services": { "web": service }, "volumes": { "data": { "name": "p_data" } } })
}

fn run(service: Value, stack: &RunSpec) -> Result<RunSpec> {
    let file = file(service);
    let service = file["services"]["web"].clone();
    run_spec(&file, &service, stack)
}

#[test]
fn what_two_copies_would_fight_over_is_said() {
    for (service, words) in [
        (json!({ "image": "a" }), ""),
        (json!({ "ports": [{ "target": 80 }] }), ""),
        (
            json!({ "volumes": [{ "type": "volume", "source": "data", "target": "/d", "read_only": true }] }),
            "",
        ),
        (json!({ "volumes": [{ "type": "volume", "target": "/anonymous" }] }), ""),
        (json!({ "ports": [{ "target": 80, "published": "8080" }] }), "port 8080 of the machine"),
        (json!({ "volumes": [{ "type": "volume", "source": "data", "target": "/d" }] }), "volume `p_data`"),
        (
            json!({ "volumes": [{ "type": "bind", "source": "/srv", "target": "/d" }] }),
            "`/srv` of the machine",
        ),
        (json!({ "container_name": "shop" }), "container name `shop`"),
        (json!({ "networks": { "n": { "ipv4_address": "10.0.0.2" } } }), "fixed address in the network `n`"),
        (json!({ "network_mode": "host" }), "machine's network"),
    ] {
        let file = file(service);
        let found = conflicts(&file, &file["services"]["web"]);
        let fits =
            if words.is_empty() { found.is_empty() } else { found.len() == 1 && found[0].contains(words) };
        assert!(fits, "{file}: {found:?}");
    }
}

#[test]
fn a_rollout_knows_of_the_files_ports_and_volumes() {
    let service = json!({
        "ports": [
            { "target": 80, "published": "8080", "protocol": "tcp", "host_ip": "127.0.0.1" },
            { "target": 9000, "protocol": "tcp" },
        ],
        "expose": ["7000"],
        "volumes": [{ "type": "volume", "source": "data", "target": "/d" }],
    });
    let run = run(service, &RunSpec::default()).expect("it can run");
    let ports: Vec<(u16, Option<u16>)> = run.ports.iter().map(|port| (port.container, port.host)).collect();
    assert_eq!(ports, [(80, Some(8080)), (9000, None), (7000, None)]);
    assert_eq!((run.volumes[0].name.as_str(), run.can_overlap(), run.exclusive), ("p_data", false, None));
}

#[test]
fn the_stacks_port_is_the_routed_one() {
    let stack = RunSpec {
        ports: vec![Port { container: 9000, host: None, address: "127.0.0.1".into() }],
        ..RunSpec::default()
    };
    let service = json!({ "ports": [{ "target": 80 }, { "target": 9000 }] });
    let run = run(service, &stack).expect("it can run");
    assert_eq!(run.ports.iter().map(|port| port.container).collect::<Vec<_>>(), [9000, 80]);
}

#[test]
fn a_container_name_is_for_one_copy() {
    let run = run(json!({ "container_name": "shop" }), &RunSpec::default()).expect("it can run");
    assert!(!run.can_overlap() && run.exclusive.is_some_and(|why| why.contains("`shop`")));
    let three = RunSpec { replicas: 3, ..RunSpec::default() };
    let refusal = super::tests::run(json!({ "container_name": "shop" }), &three).expect_err("three cannot");
    assert!(refusal.to_string().contains("container name `shop`"), "{refusal}");
}

#[test]
fn the_routed_service_is_named_or_the_only_one() {
    let one = json!({ "services": { "web": {} } });
    assert_eq!(routed(&one, None).expect("it is the only one").0, "web");
    let two = json!({ "services": { "web": {}, "db": {} } });
    assert_eq!(routed(&two, Some("db")).expect("it is there").0, "db");
    for wanted in [None, Some("api")] {
        let refusal = routed(&two, wanted).expect_err("nobody can know").to_string();
        assert!(refusal.contains("`db`") && refusal.contains("`web`"), "{refusal}");
    }
}

#[test]
fn every_service_gets_a_sentence() {
    let why = ["only one can have the container name `db`".to_string()];
    assert!(sentence(true, &[]).contains("without a pause"));
    assert!(sentence(true, &why).contains("cannot run side by side: only one"));
    assert!(sentence(false, &[]).contains("left alone"));
    assert!(sentence(false, &why).contains("stopped before the new one starts"));
}
