//! Compose stacks on a real engine, with the real `docker compose`.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass_tests::compose::{FILE, companion, stack, with_file};
use windlass_tests::docker::{BUSYBOX, Registry, eventually};
use windlass_tests::fixture::Fixture;
use windlass_tests::git_server::GitServer;
use windlass_tests::port::free_port;
use windlass_tests::routed::Routed;
use windlass_tests::server::{ADMIN_TOKEN, docker};
use windlass_tests::tools::{skipped, this_test};

async fn routed(file: &str, strategy: &str) -> Routed {
    let mut input = stack();
    input["strategy"] = strategy.into();
    if strategy == "blue-green" {
        input["strategyParams"] = json!({ "checks": 1, "bake_s": 1 });
    }
    let mut routed = Routed::start(input).await;
    with_file(&mut routed.fixture, file);
    routed
}

/// Deploys, and expects the status.
async fn deploy(fixture: &Fixture, version: &str, status: &str) -> (String, Value) {
    let (sha, deployment) = fixture.deploy(version).await;
    assert_eq!(deployment["status"], status, "{}", fixture.explain(&deployment).await);
    (sha, deployment)
}

/// A page of the dashboard.
async fn page(fixture: &Fixture, path: &str) -> String {
    let cookie = format!("windlass_token={ADMIN_TOKEN}");
    let request = fixture.server.stranger(reqwest::Method::GET, path).header("cookie", cookie);
    request.send().await.unwrap().text().await.unwrap()
}

async fn service(fixture: &Fixture, name: &str) -> Value {
    let stack = fixture.stack().await;
    let services = stack["activeRelease"]["services"].as_array().unwrap().clone();
    services.into_iter().find(|service| service["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_of_a_compose_stack_follow_each_other_without_a_lost_request() {
    let routed = routed(FILE, "blue-green").await;
    let (first, _) = deploy(&routed.fixture, "one", "successful").await;
    assert!(routed.page().await.contains(&first), "{}", routed.page().await);
    let web = routed.fixture.server.instances();
    let label = "{{index .Config.Labels \"com.docker.compose.project\"}} {{.Config.Env}}";
    let told = docker(&["inspect", "--format", label, &web[0]]);
    assert!(told.starts_with("windlass-web-") && told.contains("GREETING=good $day"), "{told}");
    let neighbour = docker(&["exec", &web[0], "/bin/busybox", "wget", "-qO-", "http://store:7000/"]);
    assert!(neighbour.is_empty(), "an empty folder has no page: {neighbour}");
    let store = companion(&routed.fixture, "store");
    docker(&["exec", &store, "/bin/busybox", "sh", "-c", "echo kept > /data/index.html"]);

    let visitors = routed.visitors();
    let (second, _) = deploy(&routed.fixture, "two", "successful").await;
    let (_, broken) = routed.fixture.deploy("broken").await;
    assert_eq!(broken["status"], "rolled_back", "{}", routed.fixture.explain(&broken).await);
    assert!(routed.page().await.contains(&second));
    let back = routed.fixture.server.post("/api/v1/stacks/web/rollback", json!({})).await.expect(202);
    let number = back["data"]["seq"].to_string();
    let back = routed.fixture.server.wait_deployment(&number).await;
    assert_eq!(back["status"], "successful", "{}", routed.fixture.explain(&back).await);
    assert!(back["buildId"].is_null(), "a rollback builds nothing: {back}");
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests", good + bad);
    assert!(good > 100, "only {good} requests were made");

    assert!(routed.page().await.contains(&first), "{}", routed.page().await);
    assert_eq!(companion(&routed.fixture, "store"), store, "what did not change is left alone");
    let web = routed.fixture.server.instances();
    assert_eq!(web.len(), 1, "{web:?}");
    let kept = docker(&["exec", &web[0], "/bin/busybox", "wget", "-qO-", "http://store:7000/"]);
    assert_eq!(kept, "kept", "the service reaches its neighbour, and the volume is the same");
    assert_eq!(service(&routed.fixture, "web").await["canOverlap"], true);
    let reason = service(&routed.fixture, "store").await["reason"].to_string();
    assert!(reason.contains("both would write to the volume"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_two_copies_cannot_run_the_requests_wait_for_the_measured_pause() {
    let named =
        FILE.replace("    build: .\n", &format!("    build: .\n    container_name: shop-{}\n", free_port()));
    let routed = routed(&named, "standard").await;
    deploy(&routed.fixture, "one", "successful").await;
    let reason = service(&routed.fixture, "web").await["reason"].to_string();
    assert!(
        reason.contains("Two copies cannot run side by side: only one can have the container name"),
        "{reason}"
    );
    let plan = routed.fixture.server.get("/api/v1/stacks/web/plan").await.expect(200)["data"].clone();
    assert!(plan["assumptions"].to_string().contains("Service web: Two copies cannot"), "{plan}");
    assert!(plan["downtime"]["why"].to_string().contains("container name"), "{plan}");
    let visitors = routed.visitors();
    let (second, deployment) = deploy(&routed.fixture, "two", "successful").await;
    let (good, bad) = visitors.leave().await;
    assert_eq!(bad, 0, "of {} requests:\n{}", good + bad, routed.fixture.explain(&deployment).await);
    assert!(deployment["pauseMs"].as_i64().is_some_and(|pause| pause > 0), "{deployment}");
    assert!(routed.page().await.contains(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strategy_that_needs_two_copies_says_why_it_cannot_have_them() {
    let writes = FILE.replace("    build: .\n", "    build: .\n    volumes: ['data:/files']\n");
    let routed = routed(&writes, "blue-green").await;
    let (_, deployment) = deploy(&routed.fixture, "one", "failed").await;
    let error = deployment["error"].to_string();
    assert!(error.contains("both would write to the volume") && error.contains("`standard`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_push_leaves_the_other_services_as_they_were() {
    let routed = routed(FILE, "standard").await;
    let (first, _) = deploy(&routed.fixture, "one", "successful").await;
    let hash = async || service(&routed.fixture, "store").await["hash"].clone();
    let before = hash().await;
    let mut fixture = routed.fixture;
    with_file(
        &mut fixture,
        &FILE.replace("stop_grace_period: 1s", "stop_grace_period: 2s\n    hostname: other"),
    );
    let (_, broken) = fixture.deploy("broken").await;
    assert_eq!(broken["status"], "rolled_back", "{}", fixture.explain(&broken).await);
    let label = "{{index .Config.Labels \"dev.windlass.config-hash\"}}";
    let now = docker(&["inspect", "--format", label, &companion(&fixture, "store")]);
    assert_eq!(Value::from(now), before);
    assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], first.as_str());
    with_file(&mut fixture, "services:\n  web:\n    build: .\n");
    deploy(&fixture, "two", "successful").await;
    // It is removed once the deployment is over.
    eventually("the file's former service is gone", async || companion(&fixture, "store").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_the_machine_is_handed_over() {
    let port = free_port();
    let file =
        FILE.replace("    build: .\n", &format!("    build: .\n    ports: ['127.0.0.1:{port}:8080']\n"));
    let mut input = stack();
    input["strategy"] = "standard".into();
    input["run"]["ports"] = json!([]);
    let mut fixture = Fixture::start_with(false, &[], input).await;
    fixture.port = Some(port);
    with_file(&mut fixture, &file);
    let (first, _) = deploy(&fixture, "one", "successful").await;
    assert!(fixture.page().await.contains(&first));
    let (second, deployment) = deploy(&fixture, "two", "successful").await;
    assert!(fixture.page().await.contains(&second), "{}", fixture.explain(&deployment).await);
    fixture.server.delete("/api/v1/stacks/web").await.expect_empty(204);
    assert_eq!(fixture.server.containers(), Vec::<String>::new());
    let own = format!("label=dev.windlass.server={}", fixture.server.instance());
    assert_eq!(docker(&["network", "ls", "-q", "--filter", &own]), "");
    assert_ne!(docker(&["volume", "ls", "-q", "--filter", &own]), "", "data outlives its stack");
}

/// What is put in the place of the service's first line, and a word of the refusal.
const HOSTILE: &[(&str, &str)] = &[
    ("privileged: true", "`privileged`"),
    ("cap_add: [SYS_ADMIN]", "`privileged`"),
    ("devices: ['/dev/null:/dev/x']", "`privileged`"),
    ("pid: host", "`privileged`"),
    ("network_mode: host", "`host-network`"),
    ("network_mode: 'container:other'", "network mode"),
    ("volumes: ['/etc:/host']", "`host-mounts`"),
    ("volumes: ['/var/run/docker.sock:/s']", "`docker-socket`"),
    ("volumes: ['/run:/r']", "`docker-socket`"),
    ("volumes: ['./start.sh:/x']", "`host-mounts`"),
    ("env_file: /etc/passwd", "inside the repository"),
    ("env_file: ../../../x", "inside the repository"),
    ("env_file: leads-out", "symbolic link"),
    ("env_file: '${HOME}/x'", "variables"),
    ("extends: { file: /etc/x.yml, service: a }", "extends"),
    ("labels: { dev.windlass.stack: bank }", "label"),
    ("volumes_from: ['container:other']", "volumes_from"),
    ("logging: { driver: syslog, options: { syslog-address: 'tcp://10.0.0.1' } }", "log driver"),
    ("credential_spec: { file: x }", "credential_spec"),
];

const HOSTILE_FILES: &[(&str, &str)] = &[
    ("include: [/etc/x.yml]\nservices:\n  web:\n    build: .\n", "include"),
    ("services:\n  web:\n    build: ../..\n", "no folder of the repository"),
    ("services:\n  web:\n    build: https://git.example/x.git\n", "no folder of the repository"),
    (
        "services:\n  web:\n    build: { context: ., additional_contexts: { x: /etc } }\n",
        "build.additional_contexts",
    ),
    ("services:\n  web:\n    build: { context: ., dockerfile: ../../x }\n", "inside the repository"),
    ("services:\n  web:\n    build: .\n    secrets: [s]\nsecrets:\n  s: { file: /etc/shadow }\n", "content"),
    (
        "services:\n  web:\n    build: .\n    volumes: ['vol:/v']\nvolumes:\n  vol: { external: true, name: bank }\n",
        "`external`",
    ),
    (
        "services:\n  web:\n    build: .\n    volumes: ['vol:/v']\nvolumes:\n  vol: { name: bank }\n",
        "`external`",
    ),
    (
        "services:\n  web:\n    build: .\n    volumes: ['vol:/v']\nvolumes:\n  vol: { driver_opts: { type: none, o: bind, device: /etc } }\n",
        "`host-mounts`",
    ),
    (
        "services:\n  web:\n    build: .\n    networks: [n]\nnetworks:\n  n: { external: true, name: host }\n",
        "`host-network`",
    ),
    ("services:\n  web:\n    build: .\nservices:\n  web:\n    privileged: true\n", "YAML"),
    ("services: [", "YAML"),
    ("services:\n  web:\n    image: ''\n    ports: [80", "YAML"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_compose_file_that_reaches_for_the_machine_is_refused_and_told_why() {
    let mut fixture = Fixture::start_with(false, &[], stack()).await;
    fixture.extra.push(("leads-out".into(), "120000", "/etc/passwd".into()));
    let lines = HOSTILE
        .iter()
        .map(|(line, word)| (FILE.replace("    build: .\n", &format!("    build: .\n    {line}\n")), *word));
    let files = HOSTILE_FILES.iter().map(|(file, word)| (file.to_string(), *word));
    for (n, (file, word)) in lines.chain(files).enumerate() {
        with_file(&mut fixture, &file);
        let (_, deployment) = fixture.deploy(&format!("hostile {n}")).await;
        let error = deployment["error"].as_str().unwrap_or_default();
        assert!(deployment["status"] == "failed" && error.contains(word), "{file}\n{deployment:#}");
        assert!(!error.contains("root:"), "{error}");
    }
    assert_eq!(fixture.server.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_is_deployed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("given"), "by the machine").unwrap();
    let mut input = stack();
    input["run"]["grants"] = json!(["host-mounts"]);
    let mut fixture = Fixture::start_with(false, &[], input).await;
    let mount = format!("    build: .\n    volumes: ['{}:/given:ro']\n", folder.path().display());
    with_file(&mut fixture, &FILE.replace("    build: .\n", &mount));
    deploy(&fixture, "one", "successful").await;
    let web = fixture.server.instances();
    assert_eq!(docker(&["exec", &web[0], "/bin/busybox", "cat", "/given/given"]), "by the machine");
    let page = page(&fixture, "/stacks/web").await;
    assert!(
        page.contains("It runs once for all releases") && page.contains("<dd>host-mounts</dd>"),
        "{page}"
    );
    let form = self::page(&fixture, "/stacks/web/edit").await;
    for field in ["name=\"grant.host-mounts\" checked", "name=\"grant.privileged\">", "value=\"web\""] {
        assert!(form.contains(field), "{field} is missing in:\n{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_the_compose_file_is_not_followed() {
    let mut fixture = Fixture::start_with(false, &[], stack()).await;
    fixture.extra.push(("compose.yaml".into(), "120000", "/etc/passwd".into()));
    let (_, deployment) = deploy(&fixture, "one", "failed").await;
    assert!(deployment["error"].to_string().contains("symbolic link"), "{deployment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_a_build_count_for_its_services_as_well() {
    let mut input = stack();
    input["build"]["options"] = json!({ "shmMb": 77 });
    let mut fixture = Fixture::start_with(false, &[], input).await;
    let dockerfile = format!("{BUSYBOX}RUN /bin/busybox df -k /dev/shm; exit 1\n");
    fixture.extra.push(("compose.yaml".into(), "100644", "services:\n  web:\n    build: limited\n".into()));
    fixture.extra.push(("limited/Dockerfile".into(), "100644", dockerfile));
    fixture.extra_programs.push("limited/busybox".into());
    let (_, deployment) = deploy(&fixture, "one", "failed").await;
    let log = fixture.server.log_of(&deployment["seq"].to_string()).await;
    // What came of it depends on the engine; without the limit it would be neither.
    assert!(log.contains(&(77 * 1024).to_string()) || log.contains("`build.options.shmMb` needs"), "{log}");
}

/// A program in the place of `docker` that starts another and waits; both write their numbers down.
const SLOW: &str = "#!/bin/sh
trap '' TERM
sleep 300 &
echo $$ $! > \"$HOME/pids\"
wait
";

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_compose_and_all_that_it_started() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("docker");
    std::fs::write(&program, SLOW).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = folder.path().display().to_string();
    let path = format!("{home}:{}", std::env::var("PATH").unwrap());
    let mut fixture = Fixture::start_with(false, &[("PATH", &path), ("HOME", &home)], stack()).await;
    with_file(&mut fixture, FILE);
    let number = fixture.push(&fixture.commit("one")).await;
    let pids = folder.path().join("pids");
    let both = || std::fs::read_to_string(&pids).unwrap_or_default();
    eventually("compose runs", async || both().split_whitespace().count() == 2).await;
    let both = both();
    fixture.server.post(&format!("/api/v1/deployments/{number}/cancel"), json!({})).await;
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "cancelled", "{}", fixture.explain(&deployment).await);
    for pid in both.split_whitespace() {
        let ended = async || {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        eventually(&format!("{pid} has ended"), ended).await;
    }
}

/// What `docker login` would have written for the test's registry, where compose is found as well.
fn logged_in(registry: &Registry) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    // `ada:registry-pass`
    let auths = json!({ "auths": { &registry.address: { "auth": "YWRhOnJlZ2lzdHJ5LXBhc3M=" } } });
    std::fs::write(folder.path().join("config.json"), auths.to_string()).unwrap();
    let usual = std::env::var("DOCKER_CONFIG")
        .unwrap_or_else(|_| format!("{}/.docker", std::env::var("HOME").unwrap()));
    let plugins = std::path::Path::new(&usual).join("cli-plugins");
    if plugins.exists() {
        std::os::unix::fs::symlink(plugins, folder.path().join("cli-plugins")).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_pulled_with_the_log_in_and_a_rollback_needs_neither_git_nor_registry() {
    let Some(registry) = Registry::start() else {
        skipped(&this_test(), "there is no docker-registry; scripts/setup-test.sh installs it");
        return;
    };
    let config = logged_in(&registry);
    let config = config.path().to_str().unwrap();
    let mut fixture = Fixture::start_with(false, &[("DOCKER_CONFIG", config)], stack()).await;
    with_file(&mut fixture, FILE);
    let (built, deployment) = deploy(&fixture, "one", "successful").await;
    let image = format!("{}/app:v1", registry.address);
    docker(&["tag", deployment["imageTag"].as_str().unwrap(), &image]);
    docker(&["--config", config, "push", &image]);
    docker(&["rmi", &image]);
    with_file(&mut fixture, &FILE.replace("build: .", &format!("image: {image}")));
    let (pulled, deployment) = deploy(&fixture, "two", "successful").await;
    let build =
        fixture.server.get(&format!("/api/v1/builds/{}/logs", deployment["buildId"].as_str().unwrap())).await;
    assert!(build.text.contains(&format!("Pulling {image}")), "{}", build.text);
    drop(registry);
    // The server that has the repository goes as well.
    fixture.git = GitServer::start().await;
    for (number, sha) in [("1", &built), ("2", &pulled)] {
        let input = json!({ "deployment": number });
        let back = fixture.server.post("/api/v1/stacks/web/rollback", input).await.expect(202);
        let back = fixture.server.wait_deployment(&back["data"]["seq"].to_string()).await;
        assert_eq!(back["status"], "successful", "{}", fixture.explain(&back).await);
        assert_eq!(fixture.stack().await["activeRelease"]["commitSha"], sha.as_str());
    }
    docker(&["rmi", &image]);
}
