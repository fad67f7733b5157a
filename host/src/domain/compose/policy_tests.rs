use serde_json::{Value, json};

use super::*;

fn with(service: Value) -> Value {
    json!({ "services": { "web": service } })
}

fn said(file: &Value, grants: &[Grant]) -> String {
    check(file, "windlass-web", grants).err().map_or(String::new(), |error| error.to_string())
}

#[test]
fn an_ordinary_service_passes() {
    let file = json!({
        "services": { "web": {
            "image": "web:1", "command": null, "environment": { "A": "b" }, "ports": [{ "target": 80 }],
            "volumes": [{ "type": "volume", "source": "data", "target": "/data" }, { "type": "tmpfs", "target": "/t" }],
            "security_opt": ["no-new-privileges:true"], "networks": { "default": null },
            "healthcheck": { "test": ["CMD", "true"] }, "deploy": { "resources": { "limits": { "cpus": 1 } } },
        } },
        "volumes": { "data": { "name": "windlass-web_data" } },
        "networks": { "default": { "name": "windlass-web_default", "ipam": {} } },
    });
    assert_eq!(said(&file, &[]), "");
}

#[test]
fn what_reaches_the_machine_needs_its_grant_and_the_error_names_it() {
    for (grant, file) in [
        (Grant::Privileged, with(json!({ "privileged": true }))),
        (Grant::Privileged, with(json!({ "cap_add": ["SYS_ADMIN"] }))),
        (Grant::Privileged, with(json!({ "devices": [{ "source": "/dev/sda" }] }))),
        (Grant::Privileged, with(json!({ "pid": "host" }))),
        (Grant::Privileged, with(json!({ "ipc": "host" }))),
        (Grant::Privileged, with(json!({ "userns_mode": "host" }))),
        (Grant::Privileged, with(json!({ "security_opt": ["seccomp:unconfined"] }))),
        (
            Grant::Privileged,
            with(json!({ "deploy": { "resources": { "reservations": { "devices": [{ "count": 1 }] } } } })),
        ),
        (Grant::HostNetwork, with(json!({ "network_mode": "host" }))),
        (
            Grant::HostMounts,
            with(json!({ "volumes": [{ "type": "bind", "source": "/etc", "target": "/e" }] })),
        ),
        (
            Grant::HostMounts,
            json!({ "volumes": { "data": {
            "name": "windlass-web_data", "driver_opts": { "type": "none", "o": "bind", "device": "/etc" } } } }),
        ),
        (
            Grant::HostNetwork,
            json!({ "networks": { "n": { "name": "windlass-web_n", "driver": "macvlan" } } }),
        ),
        (Grant::External, json!({ "volumes": { "data": { "name": "other_data" } } })),
        (
            Grant::External,
            json!({ "volumes": { "data": { "name": "windlass-web_data", "external": true } } }),
        ),
        (Grant::External, json!({ "networks": { "n": { "name": "bank", "external": true } } })),
    ] {
        let refusal = said(&file, &[]);
        assert!(refusal.contains(&format!("add `{}` to", grant.as_str())), "{file}: {refusal}");
        assert_eq!(said(&file, &[grant]), "", "{file}");
    }
}

#[test]
fn the_engines_socket_is_not_had_with_other_mounts() {
    for source in [
        "/var/run/docker.sock",
        "/run/docker.sock/",
        "/var/run",
        "/run",
        "/var",
        "/",
        "/x/docker.sock",
        "/var/run/.",
        "//run//./docker.sock",
        "/./",
        "/srv/../run",
    ] {
        let file = with(json!({ "volumes": [{ "type": "bind", "source": source, "target": "/s" }] }));
        assert!(said(&file, &[Grant::HostMounts]).contains("`docker-socket`"), "{source}");
        assert_eq!(said(&file, &[Grant::DockerSocket]), "");
    }
}

#[test]
fn what_nothing_grants_is_refused_whatever_is_granted() {
    for file in [
        with(json!({ "network_mode": "container:other" })),
        with(json!({ "volumes_from": ["container:other"] })),
        with(json!({ "external_links": ["other"] })),
        with(json!({ "provider": { "type": "evil" } })),
        with(json!({ "credential_spec": { "file": "x" } })),
        with(json!({ "runtime": "evil" })),
        with(json!({ "post_start": [{ "command": "x", "privileged": true }] })),
        with(json!({ "labels": { "dev.windlass.stack": "bank" } })),
        with(json!({ "labels": { "com.docker.compose.project": "bank" } })),
        with(json!({ "logging": { "driver": "fluentd" } })),
        with(json!({ "build": { "context": "/x", "additional_contexts": { "a": "/etc" } } })),
        with(json!({ "build": { "context": "/x", "ssh": ["default"] } })),
        with(json!({ "volumes": [{ "type": "npipe", "source": "x", "target": "/s" }] })),
    ] {
        assert!(!said(&file, &Grant::ALL).is_empty(), "{file}");
    }
}
