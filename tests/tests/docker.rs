//! The docker module against a real engine: containers, probes, logs, events.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use windlass::{
    docker::{
        BuildExtras, BuildRequest, BuiltImage, ContainerView, Docker, LaunchSpec, LogOptions, LogStream,
        NETWORK, label,
    },
    domain::{
        Id,
        health::{HealthCheck, Probe},
        stack::{Port, RunSpec, Volume},
    },
    error::Error,
};
use windlass_tests::PATIENCE;
use windlass_tests::docker::{BUSYBOX, TestEngine, eventually};
use windlass_tests::port::free_port;

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Builds busybox plus these lines.
async fn image(engine: &TestEngine, lines: &str) -> BuiltImage {
    let request = BuildRequest {
        root: engine.context(&format!("{BUSYBOX}{lines}\n")),
        context: String::new(),
        dockerfile: String::new(),
        target: None,
        args: Vec::new(),
        labels: Vec::new(),
        tags: vec![format!("{}:{}", engine.named("image"), windlass_tests::docker::unique("t"))],
        platform: None,
        modified_at: None,
        logins: Vec::new(),
        timeout: Duration::from_secs(120),
        extras: BuildExtras::default(),
    };
    let mut lines = Vec::new();
    let built = engine.docker.build(request, |line| lines.push(line.text), &CancellationToken::new()).await;
    built.unwrap_or_else(|error| panic!("{}\n{}", error.for_log(), lines.join("\n")))
}

/// A web server that says `hello` on port 8080.
const WEB: &str = "RUN /bin/busybox mkdir /www && echo hello > /www/index.html && echo ok > /www/health\n\
                   EXPOSE 8080\nCMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]";

fn spec(engine: &TestEngine, name: &str, image: &BuiltImage) -> LaunchSpec {
    LaunchSpec {
        name: engine.named(name),
        image: image.digest.clone(),
        stack: engine.named("stack"),
        release: Id::from_text("release-1"),
        deployment: Id::from_text("deployment-1"),
        config_hash: "c0ffee".into(),
        published: false,
        run: RunSpec::default(),
        environment: Vec::new(),
        registry: None,
    }
}

fn command(spec: LaunchSpec, words: &str) -> LaunchSpec {
    let command = Some(vec!["/bin/busybox".into(), "sh".into(), "-c".into(), words.into()]);
    LaunchSpec { run: RunSpec { command, ..spec.run }, ..spec }
}

fn port(container: u16, host: Option<u16>) -> Port {
    Port { container, host, address: "127.0.0.1".into() }
}

async fn look(engine: &TestEngine, spec: &LaunchSpec) -> ContainerView {
    engine.docker.get(&spec.name).await.unwrap().unwrap()
}

fn check(path: Option<&str>) -> HealthCheck {
    HealthCheck { path: path.map(str::to_string), timeout_secs: 10 }
}

async fn probe(engine: &TestEngine, spec: &LaunchSpec, path: Option<&str>) -> Probe {
    let view = look(engine, spec).await;
    engine.docker.probe(&view, &check(path), now()).await
}

async fn healthy(engine: &TestEngine, spec: &LaunchSpec, path: Option<&str>) {
    let mut last = Probe::Success;
    eventually("healthy", async || {
        last = probe(engine, spec, path).await;
        last == Probe::Success
    })
    .await;
}

fn failure(probe: Probe) -> String {
    match probe {
        Probe::Failure(reason) => reason,
        Probe::Success => panic!("the probe succeeded"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn launching_twice_launches_once_and_the_container_is_as_ordered() {
    let engine = TestEngine::start().await;
    let image = image(&engine, WEB).await;
    let mut spec = spec(&engine, "web", &image);
    spec.run.ports = vec![port(8080, None)];
    spec.environment = vec![
        ("GREETING".into(), "hello".into()),
        ("PLAIN".into(), "a=b c".into()),
        ("GREETING".into(), "last".into()),
    ];
    spec.run.volumes = vec![Volume { name: engine.named("data"), path: "/data".into(), read_only: true }];

    let began = Instant::now();
    let id = engine.docker.launch(&spec).await.unwrap();
    println!("launch: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
    assert_eq!(engine.docker.launch(&spec).await.unwrap(), id);
    let later = LaunchSpec { deployment: Id::from_text("deployment-2"), ..spec.clone() };
    assert_eq!(engine.docker.launch(&later).await.unwrap(), id, "a rollback adopts what is there");

    let listed = engine.docker.list(&spec.stack).await.unwrap();
    assert_eq!(listed.len(), 1);
    let view = &listed[0];
    assert_eq!(view.container.id, id);
    assert_eq!(view.container.name, spec.name);
    assert_eq!(view.container.release, spec.release);
    assert_eq!(view.container.deployment, spec.deployment);
    assert!(view.container.running && !view.container.published && !view.container.created_only);
    assert_eq!((view.state.as_str(), view.restarts, view.exit_code), ("running", 0, None));
    assert_eq!((view.image.as_str(), view.config_hash.as_str()), (image.digest.as_str(), "c0ffee"));
    assert_eq!(view.port, Some(8080));
    assert!(view.ip.is_some() && view.started_at.is_some_and(|at| (now() - at).abs() < 60_000));
    assert_eq!((view.ports.len(), view.ports[0].container), (1, 8080));
    assert!(view.ports[0].address.is_loopback());

    let shown = engine.cli(&["inspect", &spec.name]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let shown = &shown[0];
    let env = shown["Config"]["Env"].to_string();
    assert!(env.contains("GREETING=last") && !env.contains("hello"), "{env}");
    assert!(env.contains("PLAIN=a=b c"), "{env}");
    assert_eq!(shown["HostConfig"]["SecurityOpt"][0], "no-new-privileges:true");
    assert_eq!(shown["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped");
    assert_eq!(shown["HostConfig"]["LogConfig"]["Config"]["max-size"], "10m");
    assert_eq!(shown["HostConfig"]["Privileged"], false);
    assert_eq!(shown["Mounts"][0]["Name"], engine.named("data"));
    assert_eq!(shown["Mounts"][0]["RW"], false);
    assert!(shown["NetworkSettings"]["Networks"][NETWORK].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_by_something_else_is_a_conflict_and_left_alone() {
    let engine = TestEngine::start().await;
    let image = image(&engine, WEB).await;
    let spec = spec(&engine, "web", &image);
    engine.docker.launch(&spec).await.unwrap();
    let changed = LaunchSpec { config_hash: "different".into(), ..spec.clone() };
    let error = engine.docker.launch(&changed).await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error:?}");
    assert!(error.to_string().contains(&spec.name), "{error}");

    // Another server on the same engine neither sees it nor touches it.
    let other = Docker::connect(None, &engine.named("other-server")).unwrap();
    assert!(other.list(&spec.stack).await.unwrap().is_empty());
    assert!(matches!(other.launch(&spec).await, Err(Error::Conflict(_))));
    assert!(matches!(other.stop(&spec.name, Duration::ZERO).await, Err(Error::Conflict(_))));
    assert!(matches!(other.start(&spec.name).await, Err(Error::Conflict(_))));
    assert!(matches!(other.remove(&spec.name, None).await, Err(Error::Conflict(_))));
    assert!(matches!(other.wait_exit(&spec.name).await, Err(Error::Conflict(_))));
    assert!(other.logs(&spec.name, LogOptions::default()).await.is_err());
    assert!(look(&engine, &spec).await.container.running);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_starting_and_removing_may_be_repeated() {
    let engine = TestEngine::start().await;
    let image = image(&engine, WEB).await;
    let spec = spec(&engine, "web", &image);
    let docker = &engine.docker;
    docker.launch(&spec).await.unwrap();
    let began = Instant::now();
    let grace = Duration::from_secs(60);
    docker.stop(&spec.name, grace).await.unwrap();
    println!("stop: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
    if docker.version().await.unwrap().init {
        assert!(began.elapsed() < grace, "SIGTERM reaches a program that does not handle it");
    }
    docker.stop(&spec.name, Duration::from_secs(10)).await.unwrap();
    let view = look(&engine, &spec).await;
    assert!(!view.container.running && view.state == "exited" && view.exit_code.is_some());
    assert!(failure(probe(&engine, &spec, None).await).contains("exited with code"));
    docker.start(&spec.name).await.unwrap();
    docker.start(&spec.name).await.unwrap();
    healthy(&engine, &spec, Some("/health")).await;
    docker.stop(&spec.name, Duration::from_secs(10)).await.unwrap();
    docker.launch(&spec).await.unwrap();
    assert!(look(&engine, &spec).await.container.running, "launching starts what was stopped");
    docker.remove(&spec.name, Some(Duration::from_secs(10))).await.unwrap();
    docker.remove(&spec.name, Some(Duration::from_secs(10))).await.unwrap();
    docker.stop(&spec.name, Duration::ZERO).await.unwrap();
    assert!(matches!(docker.start(&spec.name).await, Err(Error::NotFound { .. })));
    assert!(docker.list(&spec.stack).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stubborn_program_is_killed_after_its_grace() {
    let engine = TestEngine::start().await;
    let image = image(&engine, "").await;
    let spec = command(
        spec(&engine, "stubborn", &image),
        "trap '' TERM; echo deaf; while :; do /bin/busybox sleep 1; done",
    );
    engine.docker.launch(&spec).await.unwrap();
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let mut lines = Box::pin(engine.docker.logs(&spec.name, follow).await.unwrap());
    assert_eq!(lines.next().await.unwrap().unwrap().text, "deaf");
    let began = Instant::now();
    engine.docker.remove(&spec.name, Some(Duration::from_secs(2))).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
    assert!(engine.docker.get(&spec.name).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_published_container_takes_the_fixed_port_and_a_taken_one_is_named() {
    let engine = TestEngine::start().await;
    let image = image(&engine, WEB).await;
    let fixed = free_port();
    let run = RunSpec { ports: vec![port(8080, Some(fixed))], ..RunSpec::default() };
    let first = LaunchSpec { published: true, run: run.clone(), ..spec(&engine, "first", &image) };
    let beside = LaunchSpec { run: run.clone(), ..spec(&engine, "beside", &image) };
    let second = LaunchSpec { published: true, run, ..spec(&engine, "second", &image) };
    engine.docker.launch(&first).await.unwrap();
    engine.docker.launch(&beside).await.unwrap();
    let view = look(&engine, &first).await;
    assert!(view.container.published);
    assert_eq!(view.ports.iter().map(|port| port.host).collect::<Vec<_>>(), [fixed]);
    assert_ne!(look(&engine, &beside).await.ports[0].host, fixed);

    let error = engine.docker.launch(&second).await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    assert!(error.to_string().contains(&format!("host port 127.0.0.1:{fixed} is already in use")), "{error}");
    let view = look(&engine, &second).await;
    assert!(view.container.created_only && !view.container.running);
    assert!(!failure(probe(&engine, &second, None).await).is_empty());

    // Once the port is free the same order succeeds.
    engine.docker.remove(&first.name, None).await.unwrap();
    engine.docker.launch(&second).await.unwrap();
    assert_eq!(look(&engine, &second).await.ports[0].host, fixed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_said_to_be_missing() {
    let engine = TestEngine::start().await;
    let gone = BuiltImage { digest: format!("sha256:{}", "ab".repeat(32)), tag: String::new() };
    let error = engine.docker.launch(&spec(&engine, "web", &gone)).await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    assert!(error.to_string().contains("is missing on the engine"), "{error}");
    assert!(!engine.docker.image_exists(&gone.digest).await.unwrap());
    assert!(matches!(engine.docker.image_inspect("nothing:here").await, Err(Error::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_probes_say_what_was_answered() {
    let engine = TestEngine::start().await;
    let image = image(&engine, WEB).await;
    let spec = spec(&engine, "web", &image);
    engine.docker.launch(&spec).await.unwrap();
    healthy(&engine, &spec, Some("/health")).await;
    assert_eq!(failure(probe(&engine, &spec, Some("/nothing")).await), "GET /nothing answered 404");
    healthy(&engine, &spec, None).await;

    let mut elsewhere = self::spec(&engine, "elsewhere", &image);
    elsewhere.run.ports = vec![port(9999, None)];
    engine.docker.launch(&elsewhere).await.unwrap();
    assert_eq!(failure(probe(&engine, &elsewhere, Some("/")).await), "GET /: nothing listens there yet");
    assert_eq!(
        failure(probe(&engine, &elsewhere, None).await),
        "port 9999 is not open: nothing listens there yet"
    );

    let silent = self::spec(&engine, "silent", &image);
    let silent = command(silent, "/bin/busybox nc -ll -p 8080 -e /bin/busybox sleep 60");
    engine.docker.launch(&silent).await.unwrap();
    healthy(&engine, &silent, None).await;
    assert_eq!(failure(probe(&engine, &silent, Some("/")).await), "GET / did not answer within 2 s");

    let nonsense = self::spec(&engine, "nonsense", &image);
    let nonsense = command(nonsense, "/bin/busybox nc -ll -p 8080 -e /bin/busybox echo what");
    engine.docker.launch(&nonsense).await.unwrap();
    healthy(&engine, &nonsense, None).await;
    assert!(failure(probe(&engine, &nonsense, Some("/")).await).starts_with("GET /: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_images_own_health_check_counts_where_no_path_is_named() {
    let engine = TestEngine::start().await;
    // Its first check has no result before it is told to go on.
    let sick = "HEALTHCHECK --interval=1s --timeout=60s --retries=1 CMD [\"/bin/busybox\", \"sh\", \"-c\", \
                \"until /bin/busybox test -f /tmp/go; do /bin/busybox sleep 0.1; done; \
                echo the cache is cold; /bin/busybox test -f /tmp/warm\"]\nRUN /bin/busybox mkdir /tmp\nEXPOSE 8080\n\
                CMD [\"/bin/busybox\", \"sleep\", \"600\"]";
    let image = image(&engine, sick).await;
    assert!(engine.docker.image_inspect(&image.digest).await.unwrap().has_healthcheck);
    let spec = spec(&engine, "sick", &image);
    engine.docker.launch(&spec).await.unwrap();
    assert!(failure(probe(&engine, &spec, None).await).contains("still starting"));
    engine.cli(&["exec", &spec.name, "/bin/busybox", "touch", "/tmp/go"]);
    eventually("unhealthy with its output", async || {
        failure(probe(&engine, &spec, None).await).contains("unhealthy: the cache is cold")
    })
    .await;
    engine.cli(&["exec", &spec.name, "/bin/busybox", "touch", "/tmp/warm"]);
    healthy(&engine, &spec, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_ports_is_healthy_after_a_second_and_a_crash_is_visible() {
    let engine = TestEngine::start().await;
    let image = image(&engine, "").await;
    let worker = command(spec(&engine, "worker", &image), "/bin/busybox sleep 600");
    engine.docker.launch(&worker).await.unwrap();
    let view = look(&engine, &worker).await;
    let half_a_second_later = view.started_at.unwrap() + 500;
    let early = engine.docker.probe(&view, &check(None), half_a_second_later).await;
    assert!(failure(early).contains("has not run for a second"));
    healthy(&engine, &worker, None).await;

    let crashing = command(spec(&engine, "crashing", &image), "echo about to fail >&2; exit 3");
    engine.docker.launch(&crashing).await.unwrap();
    eventually("restarted at least twice", async || look(&engine, &crashing).await.restarts >= 2).await;
    eventually("seen between two runs", async || {
        let view = look(&engine, &crashing).await;
        view.state == "restarting" && view.exit_code == Some(3) && !view.container.running
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_come_as_lines_with_times_while_they_are_written() {
    let engine = TestEngine::start().await;
    let image = image(&engine, "").await;
    let script = "echo one; echo two >&2; echo; until /bin/busybox test -f /go; do /bin/busybox sleep 0.1; done; \
                  echo end; exec /bin/busybox sleep 600";
    let spec = command(spec(&engine, "talker", &image), script);
    engine.docker.launch(&spec).await.unwrap();
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let lines = engine.docker.logs(&spec.name, follow).await.unwrap();
    let mut lines = Box::pin(lines);
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(lines.next().await.unwrap().unwrap());
    }
    engine.cli(&["exec", &spec.name, "/bin/busybox", "touch", "/go"]);
    first.sort_by_key(|line| line.at);
    let shown: Vec<(LogStream, &str)> = first.iter().map(|line| (line.stream, line.text.as_str())).collect();
    assert!(shown.contains(&(LogStream::Stdout, "one")), "{shown:?}");
    assert!(shown.contains(&(LogStream::Stderr, "two")), "{shown:?}");
    assert!(shown.contains(&(LogStream::Stdout, "")), "{shown:?}");
    assert!(first.iter().all(|line| line.at.is_some_and(|at| (now() - at).abs() < 60_000)));
    assert_eq!(lines.next().await.unwrap().unwrap().text, "end");
    engine.docker.stop(&spec.name, Duration::from_secs(1)).await.unwrap();
    assert!(lines.next().await.is_none(), "the stream ends with the container");
    let tail = LogOptions { tail: Some(1), ..LogOptions::default() };
    let tail: Vec<_> = engine.docker.logs(&spec.name, tail).await.unwrap().collect().await;
    assert_eq!(tail.len(), 1);
    assert!(engine.docker.wait_exit(&spec.name).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bell_rings_when_a_container_of_the_stack_dies_and_only_then() {
    let engine = TestEngine::start().await;
    let image = image(&engine, WEB).await;
    let spec = spec(&engine, "web", &image);
    let other = LaunchSpec { stack: engine.named("another"), ..self::spec(&engine, "other", &image) };
    engine.docker.launch(&spec).await.unwrap();
    engine.docker.launch(&other).await.unwrap();
    let watch = engine.docker.watch(Some(&spec.stack));
    let rings = async |within| tokio::time::timeout(within, watch.changed()).await.is_ok();
    assert!(rings(PATIENCE).await, "it rings once when it has connected");
    while rings(Duration::from_millis(500)).await {}
    engine.docker.stop(&other.name, Duration::ZERO).await.unwrap();
    assert!(!rings(Duration::from_secs(1)).await, "another stack's container is none of its business");
    let began = Instant::now();
    engine.cli(&["kill", &spec.name]);
    assert!(rings(PATIENCE).await);
    println!("kill to bell: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_several_ask_for_at_once_is_made_once() {
    let engine = TestEngine::start().await;
    let (stack, name) = (engine.named("stack"), engine.named("network"));
    let file = json!({ "networks": { "inside": { "name": name } } });
    let asked = (0..8).map(|_| engine.docker.compose_place(&stack, &file));
    for placed in futures_util::future::join_all(asked).await {
        placed.unwrap();
    }
    let made = engine.cli(&["network", "ls", "-q", "--filter", &format!("name={name}")]);
    assert_eq!(made.lines().count(), 1, "{made}");
    engine.docker.remove_networks(&stack).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_away_is_unavailable_and_nothing_else_fails() {
    let away = Docker::connect(Some("unix:///nonexistent/docker.sock"), "x").unwrap();
    let error = away.ping().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("systemctl start docker"), "{error}");
    assert!(matches!(away.list("x").await, Err(Error::Unavailable(_))));
    let closed = Docker::connect(Some(&format!("tcp://127.0.0.1:{}", free_port())), "x").unwrap();
    let error = closed.version().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(matches!(Docker::connect(Some("ftp://x"), "x"), Err(Error::Invalid { .. })));
    let here = TestEngine::start().await;
    let facts = here.docker.version().await.unwrap();
    assert!(!facts.version.is_empty() && facts.os == "linux", "{facts:?}");
    assert_eq!(label::SERVER, "dev.windlass.server");
}
