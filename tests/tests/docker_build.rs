//! Building with a real engine: contexts, logs, failures, cancellation.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use windlass::{
    docker::{BuildExtras, BuildRequest, BuiltImage, LogLine, RegistryLogin},
    domain::build_config::BuildArg,
    error::{Error, Result},
};
use windlass_tests::docker::{BUSYBOX, Registry, TestEngine, eventually, unique};
use windlass_tests::tools::{skipped, this_test};

/// By each of several who build the same. Before builds were repeated, one in about fifty failed.
const BUILDS_BESIDE_REMOVALS: usize = 15;

fn request(engine: &TestEngine, root: &Path) -> BuildRequest {
    BuildRequest {
        root: root.to_path_buf(),
        context: String::new(),
        dockerfile: String::new(),
        target: None,
        args: Vec::new(),
        labels: Vec::new(),
        tags: vec![format!("{}:{}", engine.named("image"), unique("t"))],
        platform: None,
        modified_at: Some(1_700_000_000_000),
        logins: Vec::new(),
        timeout: Duration::from_secs(120),
        extras: BuildExtras::default(),
    }
}

/// Builds, and hands back what was said.
async fn build(engine: &TestEngine, request: BuildRequest) -> (Result<BuiltImage>, String) {
    let mut said = Vec::new();
    let log = |line: LogLine| said.push(line.text);
    let outcome = engine.docker.build(request, log, &CancellationToken::new()).await;
    (outcome, said.join("\n"))
}

fn contents(engine: &TestEngine, image: &BuiltImage, script: &str) -> String {
    engine.cli(&["run", "--rm", &image.digest, "/bin/busybox", "sh", "-c", script])
}

/// Whether a process with these words runs on this machine; the engine's containers are among them.
fn runs(words: &str) -> bool {
    let output = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().any(|line| line.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_gives_the_images_content_address_and_its_log() {
    let engine = TestEngine::start().await;
    let root = engine.context(&format!(
        "{BUSYBOX}ARG WHO=nobody\nRUN echo \"built for $WHO\"\nEXPOSE 8080 9090/udp\nFROM scratch AS unwanted\nCOPY nothing /\n"
    ));
    fs::write(
        root.join("Dockerfile"),
        fs::read_to_string(root.join("Dockerfile")).unwrap().replacen(
            "FROM scratch",
            "FROM scratch AS wanted",
            1,
        ),
    )
    .unwrap();
    let mut request = request(&engine, &root);
    request.args = vec![BuildArg { name: "WHO".into(), value: "some \"body\" & co".into() }];
    request.labels = vec![("dev.windlass.stack".into(), "x".into())];
    request.target = Some("wanted".into());
    request.tags.push(format!("{}:second", engine.named("image")));
    let tags = request.tags.clone();
    let began = Instant::now();
    let (image, said) = build(&engine, request.clone()).await;
    println!("first build: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
    let image = image.unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert!(image.digest.starts_with("sha256:") && image.digest.len() == 71, "{image:?}");
    assert!(said.contains("built for some \"body\" & co"), "{said}");
    assert!(said.contains("RUN echo"), "the steps are named: {said}");
    assert!(said.contains("BuildKit on Docker"), "{said}");
    for tag in &tags {
        assert_eq!(engine.docker.image_inspect(tag).await.unwrap().digest, image.digest);
    }
    let facts = engine.docker.image_inspect(&image.digest).await.unwrap();
    assert_eq!((facts.exposed_ports, facts.has_healthcheck), (vec![8080], false));
    let began = Instant::now();
    let (again, said) = build(&engine, request).await;
    println!("cached build: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
    assert_eq!(again.unwrap().digest, image.digest, "the same context gives the same image");
    assert!(said.contains("CACHED"), "{said}");

    let third = format!("{}:third", engine.named("image"));
    engine.docker.tag(&image.digest, &third).await.unwrap();
    assert!(engine.docker.image_exists(&third).await.unwrap());
    engine.docker.remove_image(&third).await.unwrap();
    engine.docker.remove_image(&third).await.unwrap();
    assert!(!engine.docker.image_exists(&third).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_is_named_with_what_it_wrote() {
    let engine = TestEngine::start().await;
    let root = engine.context(&format!("{BUSYBOX}RUN echo before; echo the tests are red >&2; exit 3\n"));
    let (outcome, said) = build(&engine, request(&engine, &root)).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    assert!(
        error.to_string().contains("RUN echo before") && error.to_string().contains("exit code: 3"),
        "{error}"
    );
    assert!(said.contains("the tests are red"), "{said}");

    fs::write(root.join("Dockerfile"), "FROM scratch\nCOPPY x /\n").unwrap();
    let (outcome, _) = build(&engine, request(&engine, &root)).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Failed(_)) && error.to_string().contains("COPPY"), "{error}");
    fs::write(root.join("Dockerfile"), "FROM scratch\nCOPY missing.txt /\n").unwrap();
    let (outcome, _) = build(&engine, request(&engine, &root)).await;
    assert!(outcome.unwrap_err().to_string().contains("missing.txt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_arrive_while_the_build_runs() {
    let engine = TestEngine::start().await;
    let mark = unique("early");
    let root = engine.context(&format!("{BUSYBOX}RUN echo {mark}-line; /bin/busybox sleep 3; echo late\n"));
    let arrived: Arc<Mutex<Option<Instant>>> = Arc::default();
    let note = Arc::clone(&arrived);
    let wanted = format!("{mark}-line");
    let log = move |line: LogLine| {
        if line.text.ends_with(&wanted) && !line.text.contains("RUN") {
            note.lock().unwrap().get_or_insert_with(Instant::now);
        }
    };
    engine.docker.build(request(&engine, &root), log, &CancellationToken::new()).await.unwrap();
    let early = arrived.lock().unwrap().unwrap();
    assert!(early.elapsed() > Duration::from_secs(2), "{:?}", early.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_stops_in_the_engine_and_so_does_one_out_of_time() {
    let engine = TestEngine::start().await;
    // A number nobody else sleeps.
    let seconds = |n: u32| format!("{}", 86_000 + std::process::id() % 1000 * 10 + n);
    for (n, by_timeout) in [(1, false), (2, true)] {
        let sleep = format!("sleep {}", seconds(n));
        let root = engine.context(&format!("{BUSYBOX}RUN /bin/busybox {sleep}\n"));
        let mut request = request(&engine, &root);
        if by_timeout {
            // Enough to get to the step.
            request.timeout = Duration::from_secs(15);
        }
        let cancel = CancellationToken::new();
        let said = Arc::new(Mutex::new(String::new()));
        let note = Arc::clone(&said);
        let log = move |line: LogLine| {
            let mut said = note.lock().unwrap();
            said.push_str(&line.text);
            said.push('\n');
        };
        let began = Instant::now();
        let (outcome, ()) = tokio::join!(engine.docker.build(request, log, &cancel), async {
            let process = format!("busybox {sleep}");
            eventually("the step runs", async || runs(&process)).await;
            if !by_timeout {
                cancel.cancel();
            }
        });
        let error = outcome.unwrap_err();
        assert_eq!(matches!(error, Error::Timeout { .. }), by_timeout, "{error:?}");
        assert_eq!(matches!(error, Error::Cancelled(_)), !by_timeout, "{error:?}");
        assert!(!runs(&format!("busybox {sleep}")), "the step's process is gone when the call returns");
        let said = said.lock().unwrap();
        assert!(said.contains("the engine has stopped the build"), "{said}");
        println!("ended after {:.1} s", began.elapsed().as_secs_f64());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ignored_is_not_sent_and_links_are_links() {
    let engine = TestEngine::start().await;
    let root = engine.context(&format!("{BUSYBOX}COPY . /ctx\n"));
    let write = |path: &str, text: &str| {
        let path: PathBuf = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(".dockerignore", "# comment\n*.log\n**/secret\nnode_modules\n!keep.log\nDockerfile\n");
    write("a.log", "x");
    write("keep.log", "x");
    write("deep/er/secret", "x");
    write("deep/er/public", "x");
    write("node_modules/lib/index.js", "x");
    let long = format!("long/{}/{}", "n".repeat(120), "ü".repeat(60));
    write(&long, "long names too");
    std::os::unix::fs::symlink("/etc/passwd", root.join("escape")).unwrap();
    std::os::unix::fs::symlink("keep.log", root.join("inner")).unwrap();
    let (image, said) = build(&engine, request(&engine, &root)).await;
    let image = image.unwrap_or_else(|error| panic!("{error}\n{said}"));
    let found = contents(&engine, &image, "cd /ctx && /bin/busybox find . | /bin/busybox sort");
    for there in ["./keep.log", "./deep/er/public", "./escape", "./inner", &format!("./{long}")] {
        assert!(found.lines().any(|line| line == there), "{there} is missing in\n{found}");
    }
    // The Dockerfile is read out of the archive, so it is there even though it is left out; `.dockerignore` is just a file.
    assert!(found.lines().any(|line| line == "./Dockerfile"), "{found}");
    for gone in ["a.log", "secret", "node_modules"] {
        assert!(!found.contains(gone), "{gone} was sent\n{found}");
    }
    let link =
        contents(&engine, &image, "/bin/busybox readlink /ctx/escape; /bin/busybox stat -c %Y /ctx/keep.log");
    assert_eq!(link, "/etc/passwd\n1700000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn ways_out_of_the_checkout_are_refused_before_anything_is_sent() {
    let engine = TestEngine::start().await;
    let root = engine.context(BUSYBOX);
    fs::create_dir(root.join("sub")).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("Dockerfile.link")).unwrap();
    std::os::unix::fs::symlink("Dockerfile", root.join("sub/Dockerfile")).unwrap();
    for (context, dockerfile) in [
        ("..", ""),
        ("/etc", ""),
        ("etc", "passwd"),
        ("", "../../etc/passwd"),
        ("", "/etc/passwd"),
        ("", "etc/passwd"),
        ("", "Dockerfile.link"),
        ("sub", ""),
        ("", "missing"),
        ("missing", ""),
        ("Dockerfile", ""),
        ("", "sub"),
    ] {
        let wanted = BuildRequest {
            context: context.into(),
            dockerfile: dockerfile.into(),
            ..request(&engine, &root)
        };
        let (outcome, said) = build(&engine, wanted).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{context:?} {dockerfile:?}: {error:?}");
        assert!(said.is_empty(), "{said}");
    }
    fs::write(root.join("Dockerfile"), "# syntax=evil/frontend:1\nFROM scratch\n").unwrap();
    let (outcome, _) = build(&engine, request(&engine, &root)).await;
    assert!(outcome.unwrap_err().to_string().contains("evil/frontend"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_may_lie_beside_its_context() {
    let engine = TestEngine::start().await;
    let root = engine.context(BUSYBOX);
    fs::create_dir_all(root.join("app")).unwrap();
    fs::rename(root.join("busybox"), root.join("app/busybox")).unwrap();
    fs::create_dir(root.join("docker")).unwrap();
    fs::rename(root.join("Dockerfile"), root.join("docker/web.Dockerfile")).unwrap();
    fs::write(root.join("app/Dockerfile.inner"), BUSYBOX).unwrap();
    for dockerfile in ["docker/web.Dockerfile", "Dockerfile.inner", "app/Dockerfile.inner"] {
        let wanted = BuildRequest {
            context: "./app/".into(),
            dockerfile: dockerfile.into(),
            ..request(&engine, &root)
        };
        let (outcome, said) = build(&engine, wanted).await;
        assert!(outcome.is_ok(), "{dockerfile}: {outcome:?}\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_has_the_shared_memory_that_was_asked_for_or_the_build_is_refused() {
    let engine = TestEngine::start().await;
    let root = engine.context(&format!("{BUSYBOX}RUN /bin/busybox df -k /dev/shm\n"));
    let mut wanted = request(&engine, &root);
    wanted.extras.shm_mb = Some(77);
    let (outcome, said) = build(&engine, wanted).await;
    let version = engine.cli(&["version", "--format", "{{.Server.Version}}"]);
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    if major < 23 {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("shmMb") && error.contains("needs Docker 23"), "{error}");
        return;
    }
    assert!(outcome.is_ok() && said.contains(&(77 * 1024).to_string()), "{outcome:?}\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_for_another_processor_is_explained() {
    let engine = TestEngine::start().await;
    let root = engine.context("FROM scratch\nCOPY program /program\nRUN [\"/program\"]\n");
    fs::write(root.join("program"), "no program of this machine").unwrap();
    fs::set_permissions(root.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    let (outcome, said) = build(&engine, request(&engine, &root)).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("RUN [\"/program\"]"), "{error}\n{said}");
    assert!(error.contains("exec format error") && error.contains("QEMU"), "{error}\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_removal_of_an_image_with_the_same_layers_fails_no_build() {
    let mut engine = TestEngine::start().await;
    engine.docker = engine.docker.clone().with_classic_builder();
    // Alike to the last byte, so that each build uses what another one is about to remove.
    let root = engine.context(&format!("{BUSYBOX}RUN /bin/busybox true\nRUN /bin/busybox true again\n"));
    let turns = (0..3).map(|_| async {
        for _ in 0..BUILDS_BESIDE_REMOVALS {
            let (image, said) = build(&engine, request(&engine, &root)).await;
            let image = image.unwrap_or_else(|error| panic!("{error}\n{said}"));
            engine.docker.remove_image(&image.tag).await.unwrap();
        }
    });
    futures_util::future::join_all(turns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_classic_builder_works_and_stops_too() {
    let mut engine = TestEngine::start().await;
    engine.docker = engine.docker.clone().with_classic_builder();
    let root = engine.context(&format!("{BUSYBOX}RUN echo classic\n"));
    let (image, said) = build(&engine, request(&engine, &root)).await;
    let image = image.unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert!(said.contains("the classic builder") && said.lines().any(|line| line == "classic"), "{said}");
    assert_eq!(engine.docker.image_inspect(&image.tag).await.unwrap().digest, image.digest);

    fs::write(root.join("Dockerfile"), format!("{BUSYBOX}RUN exit 3\n")).unwrap();
    let (outcome, _) = build(&engine, request(&engine, &root)).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Failed(_)) && error.to_string().contains("RUN exit 3"), "{error}");

    // More than 2 GiB, which a 32-bit number could not say. What the kernel's two generations call the files differs.
    let files = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us \
                 /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max";
    let shown = format!("{BUSYBOX}RUN /bin/busybox cat {files} 2>/dev/null; /bin/busybox df -k /dev/shm\n");
    fs::write(root.join("Dockerfile"), shown).unwrap();
    let mut limited = request(&engine, &root);
    (limited.extras.memory_mb, limited.extras.cpu_percent) = (Some(3072), Some(50));
    limited.extras.shm_mb = Some(77);
    let (outcome, said) = build(&engine, limited).await;
    assert!(outcome.is_ok(), "{outcome:?}\n{said}");
    assert!(said.contains("3221225472") && said.contains("50000"), "{said}");
    assert!(said.contains(&(77 * 1024).to_string()), "{said}");

    let sleep = format!("busybox sleep {}", 97_000 + std::process::id() % 1000);
    fs::write(root.join("Dockerfile"), format!("{BUSYBOX}RUN /bin/{sleep}\n")).unwrap();
    let cancel = CancellationToken::new();
    let stopping = async {
        eventually("the step runs", async || runs(&sleep)).await;
        cancel.cancel();
        std::future::pending().await
    };
    // A build that ends by itself says why.
    let outcome = tokio::select! {
        outcome = engine.docker.build(request(&engine, &root), |_| (), &cancel) => outcome,
        never = stopping => never,
    };
    assert!(matches!(outcome, Err(Error::Cancelled(_))), "{outcome:?}");
    eventually("the step's process is gone", async || !runs(&sleep)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_go_to_a_registry_and_come_back_and_refusals_are_told() {
    let Some(registry) = Registry::start() else {
        skipped(&this_test(), "there is no docker-registry; scripts/setup-test.sh installs it");
        return;
    };
    let engine = TestEngine::start().await;
    let root = engine.context(BUSYBOX);
    let tag = format!("{}/{}:v1", registry.address, engine.named("image"));
    let wanted = BuildRequest { tags: vec![tag.clone()], ..request(&engine, &root) };
    let image = build(&engine, wanted).await.0.unwrap();
    let login = |password: &str| {
        [RegistryLogin {
            registry: registry.address.clone(),
            username: "ada".into(),
            password: password.into(),
        }]
    };
    let good = login(Registry::PASSWORD);
    let never = CancellationToken::new();
    for bad in [&login("wr0ng-passw0rd")[..], &[]] {
        let error = engine.docker.push(&tag, bad, |_| (), &never).await.unwrap_err();
        assert!(matches!(error, Error::Failed(_)), "{error:?}");
        assert!(error.to_string().contains(&tag) && !error.to_string().contains("passw0rd"), "{error}");
    }
    let mut said = Vec::new();
    engine.docker.push(&tag, &good, |line| said.push(line.text), &never).await.unwrap();
    assert!(said.iter().any(|line| line.contains("digest: sha256:")), "{said:?}");
    engine.docker.remove_image(&tag).await.unwrap();
    assert!(!engine.docker.image_exists(&tag).await.unwrap());
    engine.docker.pull(&tag, &good, |_| (), &never).await.unwrap();
    assert_eq!(engine.docker.image_inspect(&tag).await.unwrap().digest, image.digest);
    let missing = format!("{}/nothing:v1", registry.address);
    let error = engine.docker.pull(&missing, &good, |_| (), &never).await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)) && error.to_string().contains("/nothing:v1"), "{error}");
    engine.docker.remove_image(&tag).await.unwrap();

    // A build brings its base image along, with the same log-in.
    fs::write(root.join("Dockerfile"), format!("FROM {tag}\nCOPY Dockerfile /\n")).unwrap();
    let wanted = BuildRequest { logins: good.to_vec(), ..request(&engine, &root) };
    let (outcome, said) = build(&engine, wanted).await;
    assert!(outcome.is_ok(), "{outcome:?}\n{said}");
    engine.docker.remove_image(&tag).await.unwrap();
}
