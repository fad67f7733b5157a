use serde_json::{Value, json};

use super::*;
use crate::domain::stack::Port;

fn rendered() -> Value {
    json!({
        "name": "p",
        "services": {
            "web": {
                "image": "web:1", "build": { "context": "/x" }, "depends_on": {
                    "db": { "condition": "service_healthy" }, "migrate": { "condition": "service_completed_successfully" },
                },
                "environment": { "A": "file", "B": "file" }, "networks": { "default": null },
                "ports": [{ "target": 80, "published": "8080", "protocol": "tcp" }],
                "configs": [{ "source": "page" }], "deploy": { "replicas": 2 },
            },
            "db": { "image": "db:1", "volumes": [{ "type": "volume", "source": "data", "target": "/d" }],
                    "networks": { "default": null }, "depends_on": { "web": { "condition": "service_started" } } },
            "migrate": { "image": "web:1", "networks": { "default": null } },
        },
        "networks": { "default": { "name": "p_default", "ipam": {} }, "unused": { "name": "p_unused" } },
        "volumes": { "data": { "name": "p_data" } },
        "configs": { "page": { "name": "p_page", "content": "hello" }, "other": { "content": "x" } },
    })
}

fn instance(published: bool) -> Value {
    let run = RunSpec {
        ports: vec![Port { container: 80, host: Some(8080), address: "127.0.0.1".into() }],
        ..RunSpec::default()
    };
    let (labels, environment) =
        ([("l".to_string(), "v".to_string())], [("A".to_string(), "cost$5".to_string())]);
    let instance = Instance {
        name: "windlass-web-1-2-0",
        key: "web-2-0",
        labels: &labels,
        environment: &environment,
        published,
        run: &run,
        free_address: "127.0.0.1",
    };
    instance_file(&rendered(), "web", &instance).expect("the service is there")
}

#[test]
fn an_instance_is_a_project_of_one_service_on_the_stacks_network() {
    let file = instance(true);
    let services = file["services"].as_object().expect("services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["web-2-0"]);
    let own = &services["web-2-0"];
    assert_eq!(own["container_name"], "windlass-web-1-2-0");
    assert_eq!(
        own["environment"],
        json!({ "A": "cost$$5", "B": "file" }),
        "the stack's value counts, and is no variable"
    );
    assert_eq!(own["networks"]["default"]["aliases"], json!(["web"]));
    assert_eq!(own["restart"], "unless-stopped");
    assert!(
        own.get("depends_on").is_none()
            && own.get("build").is_none()
            && own["deploy"].get("replicas").is_none()
    );
    assert_eq!(file["networks"], json!({ "default": { "name": "p_default", "external": true } }));
    assert_eq!(file["configs"], json!({ "page": { "name": "p_page", "content": "hello" } }));
    assert_eq!(file["volumes"], json!({}));
}

#[test]
fn only_the_published_instance_takes_the_machines_port() {
    let port = |published| instance(published)["services"]["web-2-0"]["ports"][0].clone();
    assert_eq!(
        (port(true)["published"].as_str(), port(true)["host_ip"].as_str()),
        (Some("8080"), Some("127.0.0.1"))
    );
    assert!(port(false).get("published").is_none());
}

#[test]
fn companions_are_the_others_and_do_not_wait_for_the_routed_one() {
    let labels = [("l".to_string(), "v".to_string())];
    let file =
        companions_file(&rendered(), "web", &labels, "hash").expect("it works").expect("there are some");
    let services = file["services"].as_object().expect("services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["db", "migrate"]);
    assert_eq!(services["db"]["depends_on"], json!({}));
    assert_eq!(services["db"]["labels"]["hash"], hash(&rendered(), "db", "web").expect("a hash"));
    assert_eq!(file["volumes"], json!({ "data": { "name": "p_data", "external": true } }));
    let alone = json!({ "services": { "web": {} } });
    assert!(companions_file(&alone, "web", &labels, "hash").expect("it works").is_none());
}

#[test]
fn a_companions_hash_changes_with_its_definition_only() {
    let before = hash(&rendered(), "db", "web").expect("a hash");
    let mut other = rendered();
    other["services"]["web"]["image"] = "web:2".into();
    assert_eq!(hash(&other, "db", "web").expect("a hash"), before);
    other["services"]["db"]["image"] = "db:2".into();
    assert_ne!(hash(&other, "db", "web").expect("a hash"), before);
}

#[test]
fn what_the_routed_service_waits_for_is_kept() {
    let wanted = [("db".to_string(), Condition::Healthy), ("migrate".to_string(), Condition::Completed)];
    assert_eq!(conditions(&rendered(), "web"), wanted);
}

#[test]
fn images_are_pinned_and_none_may_be_missing() {
    let mut file = rendered();
    pin(&mut file, |name| Some(format!("sha256:{name}"))).expect("all are there");
    assert_eq!(file["services"]["db"]["image"], "sha256:db");
    assert!(file["services"]["web"].get("build").is_none());
    let refusal = pin(&mut file, |name| (name == "web").then(String::new)).expect_err("db has none");
    assert!(refusal.to_string().contains("`db`"), "{refusal}");
}
