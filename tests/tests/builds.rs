//! Builds of every kind, against a real engine, registry and git server.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use windlass_tests::cli::run;
use windlass_tests::docker::{Registry, TestEngine, busybox, eventually, unique};
use windlass_tests::fixture::{Fixture, HEALTHY_WITHIN_S, fetch};
use windlass_tests::git_server::File;
use windlass_tests::port::free_port;
use windlass_tests::registry::{self, Registry as OpenRegistry};
use windlass_tests::server::{ADMIN_TOKEN, docker};
use windlass_tests::token_gate::TokenGate;
use windlass_tests::tools::{skipped, this_test};

const SECRET: &str = "planted-s3cret-of-this-test";

/// A static busybox with its programs by their names, as an image.
fn base(engine: &TestEngine) -> String {
    let name = format!("{}:{}", engine.named("base"), unique("t"));
    let folder = engine.context(
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\",\"--install\",\"-s\",\"/bin\"]\n",
    );
    engine.make_image(&name, &folder);
    name
}

/// A stack that is built as `build` says, and serves on a port of its own.
async fn stack(build: Value, command: &[&str]) -> Fixture {
    let port = free_port();
    let mut run = json!({ "ports": [{ "container": 8080, "host": port }], "stopTimeoutSecs": 2 });
    if !command.is_empty() {
        run["command"] = json!(command);
    }
    let mut fixture = Fixture::start_with(false, &[], json!({ "build": build, "run": run })).await;
    fixture.port = Some(port);
    fixture
}

fn commit(fixture: &Fixture, files: &[(&str, &str)]) -> String {
    let files: Vec<File<'_>> = files
        .iter()
        .map(|&(path, content)| File { path, mode: "100644", content: content.as_bytes() })
        .collect();
    fixture.repo.commit_files("main", &files, "a change")
}

async fn deploy(fixture: &Fixture, files: &[(&str, &str)], status: &str) -> Value {
    let sha = commit(fixture, files);
    let number = fixture.push(&sha).await;
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], status, "{}", fixture.explain(&deployment).await);
    deployment
}

async fn build_of(fixture: &Fixture, deployment: &Value) -> Value {
    let id = deployment["buildId"].as_str().unwrap();
    fixture.server.get(&format!("/api/v1/builds/{id}")).await.expect(200)["data"].clone()
}

/// Everything that an image keeps: its configuration, its history, and the bytes of its layers.
fn kept(image: &str) -> Vec<u8> {
    let mut all = docker(&["inspect", image]).into_bytes();
    all.extend(docker(&["history", "--no-trunc", image]).into_bytes());
    let saved = Command::new("docker").args(["save", image]).output().unwrap();
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    all.extend(saved.stdout);
    all
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn cli(fixture: &Fixture, words: &[&str]) -> (bool, String) {
    let mut command = fixture.server.command(words);
    command.env("REGISTRY_PASSWORD", Registry::PASSWORD);
    let run = run(command);
    (run.code == 0, run.said())
}

async fn page(fixture: &Fixture, path: &str) -> String {
    let cookie = format!("windlass_token={ADMIN_TOKEN}");
    let request = fixture.server.stranger(reqwest::Method::GET, path).header("cookie", cookie);
    request.send().await.unwrap().text().await.unwrap()
}

fn script(base: &str, commands: &[&str]) -> Value {
    json!({
        "buildType": "script",
        "healthCheckTimeout": HEALTHY_WITHIN_S,
        "environmentVariables": [
            { "name": "GREETING", "value": "hello" },
            { "name": "API_TOKEN", "value": SECRET, "secret": true },
            { "name": "OTHER_TOKEN", "value": "another-s3cret", "secret": true },
        ],
        "options": {
            "image": base,
            "commands": commands,
            "workingDirectory": "app",
            "outputs": ["dist"],
            "secrets": ["API_TOKEN"],
            "memoryMb": 64,
            "cpuPercent": 50,
            "artifacts": ["dist/*.html", "report.txt"],
        },
    })
}

const SERVE: [&str; 6] = ["httpd", "-f", "-p", "8080", "-h", "/app/dist"];

#[tokio::test(flavor = "multi_thread")]
async fn a_script_makes_an_image_of_its_outputs_and_nothing_else() {
    let engine = TestEngine::start().await;
    let commands = [
        "mkdir -p ../dist && pwd > ../dist/where.html",
        "export WORD=$(cat word.txt)",
        "echo \"$GREETING $WORD ${#API_TOKEN} ${OTHER_TOKEN:-none}\" > ../dist/index.html",
        "echo \"the token is $API_TOKEN\"",
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null > ../dist/limit.html || true",
        "rm word.txt; ln -s /etc/passwd ../dist/link",
    ];
    let mut build = script(&base(&engine), &commands);
    build["postBuildCommands"] =
        json!(["test \"$(cat /app/dist/index.html)\" != '' && echo the image is good"]);
    let fixture = stack(build, &SERVE).await;
    let files = [("app/word.txt", "world"), ("app/other.txt", "x"), ("report.txt", "fine")];
    let deployment = deploy(&fixture, &files, "successful").await;
    let expected = format!("hello world {} none", SECRET.len());
    let page = fixture.page().await;
    assert_eq!(page.trim(), expected);
    let url = |file: &str| format!("http://127.0.0.1:{}/{file}", fixture.port.unwrap());
    assert_eq!(fetch(&url("where.html")).await.trim(), "/workspace/app");
    let limit = fetch(&url("limit.html")).await;
    assert!(limit.contains(&(64_u64 << 20).to_string()), "the memory is limited: {limit}");

    let build = build_of(&fixture, &deployment).await;
    let image = build["imageDigest"].as_str().unwrap();
    let inside = docker(&["run", "--rm", image, "find", "/app"]);
    let inside: HashSet<&str> = inside.lines().collect();
    assert!(inside.contains("/app/dist/index.html") && !inside.contains("/app/app/other.txt"), "{inside:?}");
    let log = fixture.server.log_of(&deployment["seq"].to_string()).await;
    for said in
        ["$ mkdir -p ../dist", "The planner wrote this Dockerfile", "the image is good", "Kept 4 artifacts"]
    {
        assert!(log.contains(said), "{said} is missing in\n{log}");
    }
    let all = kept(image);
    for secret in [SECRET, "another-s3cret"] {
        assert!(!has(&all, secret) && !log.contains(secret), "a secret is kept");
    }
    let left = docker(&[
        "ps",
        "-aq",
        "--filter",
        &format!("label=dev.windlass.build={}", build["id"].as_str().unwrap()),
    ]);
    assert_eq!(left, "", "the commands' containers are gone");
    artifacts_can_be_had(&fixture, &build).await;
}

/// By REST and by the command line, with what they are.
async fn artifacts_can_be_had(fixture: &Fixture, build: &Value) {
    let number = build["seq"].to_string();
    let all =
        fixture.server.get(&format!("/api/v1/builds/{number}/artifacts")).await.expect(200)["data"].clone();
    let paths: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    // The link is none: it leads to a file of whoever reads it.
    assert_eq!(paths, ["dist/index.html", "dist/limit.html", "dist/where.html", "report.txt"]);
    let report = &all[3];
    assert_eq!(report["size"], 4);
    let path = format!("/api/v1/builds/{number}/artifacts/content?path=report.txt");
    let answer =
        fixture.server.stranger(reqwest::Method::GET, &path).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
    let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(disposition, "attachment; filename=\"report.txt\"");
    assert_eq!(answer.text().await.unwrap(), "fine");
    let stranger = fixture.server.stranger(reqwest::Method::GET, &path).send().await.unwrap();
    assert_eq!(stranger.status(), 401, "artifacts are not for everybody");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("got");
    let (good, said) =
        cli(fixture, &["build", "download", &number, "report.txt", "-f", file.to_str().unwrap()]);
    assert!(good, "{said}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "fine");
    let (_, said) = cli(fixture, &["build", "artifacts", &number]);
    assert!(said.contains("dist/index.html"), "{said}");
    let deployment = build["deploymentId"].as_str().unwrap();
    let shown = page(fixture, &format!("/deployments/{deployment}")).await;
    assert!(
        shown.contains("report.txt") && shown.contains("/artifacts/content?path=report.txt"),
        "the dashboard lists them"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_in_a_script_is_said() {
    let engine = TestEngine::start().await;
    let image = base(&engine);
    let failing = stack(script(&image, &["echo the tests are red; exit 3"]), &SERVE).await;
    let deployment = deploy(&failing, &[("app/x", "x")], "failed").await;
    let log = failing.server.log_of(&deployment["seq"].to_string()).await;
    assert!(log.contains("the tests are red") && log.contains("exit code 3"), "{log}");
    let mut build = script(&image, &["true"]);
    build["options"]["outputs"] = json!(["nowhere"]);
    let missing = stack(build, &SERVE).await;
    let deployment = deploy(&missing, &[("app/x", "x")], "failed").await;
    assert!(deployment["error"].as_str().unwrap().contains("`nowhere`"), "{deployment}");
    let mut build = script(&image, &["mkdir -p ../dist"]);
    build["postBuildCommands"] = json!(["echo this image is bad; false"]);
    let bad = stack(build, &SERVE).await;
    let deployment = deploy(&bad, &[("app/x", "x")], "failed").await;
    let log = bad.server.log_of(&deployment["seq"].to_string()).await;
    assert!(log.contains("this image is bad"), "{log}");
    assert_eq!(bad.server.instances(), Vec::<String>::new(), "nothing of it was started");
}

/// Whether a process with these words runs on this machine; the engine's containers are among them.
fn runs(words: &str) -> bool {
    let output = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().any(|line| line.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_has_stopped_in_the_engine_within_two_seconds() {
    let engine = TestEngine::start().await;
    let image = base(&engine);
    // Numbers that nobody else sleeps.
    let sleeps = [1, 2].map(|n| format!("sleep {}", 50_000 + std::process::id() % 10_000 * 2 + n));
    let dockerfile = format!("FROM {image}\nRUN {}\n", sleeps[1]);
    let builds = [script(&image, &[&sleeps[0]]), json!({})];
    for (build, sleep) in builds.into_iter().zip(&sleeps) {
        let fixture = stack(build, &SERVE).await;
        let sha = commit(&fixture, &[("app/x", "x"), ("Dockerfile", &dockerfile)]);
        let number = fixture.push(&sha).await;
        eventually("the command runs", async || runs(sleep)).await;
        let began = Instant::now();
        fixture.server.post(&format!("/api/v1/deployments/{number}/cancel"), json!({})).await.expect(202);
        eventually("the command has stopped", async || !runs(sleep)).await;
        let took = began.elapsed();
        let deployment = fixture.server.wait_deployment(&number).await;
        assert_eq!(deployment["status"], "cancelled", "{}", fixture.explain(&deployment).await);
        println!("`{sleep}` ended after {:.2} s", took.as_secs_f64());
        assert!(took < Duration::from_secs(2), "it took {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_out_of_time_ends_and_says_so() {
    let engine = TestEngine::start().await;
    let sleep = format!("sleep {}", 80_000 + std::process::id() % 10_000);
    let mut build = script(&base(&engine), &[&sleep]);
    build["timeout"] = json!(3);
    let fixture = stack(build, &SERVE).await;
    let deployment = deploy(&fixture, &[("app/x", "x")], "failed").await;
    assert!(deployment["error"].as_str().unwrap().contains("longer than"), "{deployment}");
    assert!(!runs(&sleep), "the engine has stopped it");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_a_dockerfile_are_mounted_and_kept_nowhere() {
    let engine = TestEngine::start().await;
    let image = base(&engine);
    let dockerfile = format!(
        "FROM {image}\nRUN --mount=type=secret,id=API_TOKEN test \"$(cat /run/secrets/API_TOKEN)\" = {SECRET}; \
         echo \"the token is $(cat /run/secrets/API_TOKEN 2>/dev/null)\"\n\
         RUN --mount=type=secret,id=API_TOKEN,required=true wc -c < /run/secrets/API_TOKEN > /length; \
         ! grep -r -l planted /run /etc 2>/dev/null | grep -v secrets\n\
         RUN mkdir -p /app/dist && cp /length /app/dist/index.html && rm -rf /run/secrets\n"
    )
    // The test itself must not plant it.
    .replace(&format!("test \"$(cat /run/secrets/API_TOKEN)\" = {SECRET}; "), "");
    let build = json!({
        "healthCheckTimeout": HEALTHY_WITHIN_S,
        "environmentVariables": [
            { "name": "API_TOKEN", "value": SECRET, "secret": true },
            { "name": "OTHER_TOKEN", "value": "another-s3cret", "secret": true },
        ],
        "options": { "secrets": ["API_TOKEN"] },
    });
    let fixture = stack(build, &SERVE).await;
    let deployment = deploy(&fixture, &[("Dockerfile", &dockerfile)], "successful").await;
    assert_eq!(fixture.page().await.trim(), SECRET.len().to_string());
    let build = build_of(&fixture, &deployment).await;
    let all = kept(build["imageDigest"].as_str().unwrap());
    let log = fixture.server.log_of(&deployment["seq"].to_string()).await;
    assert!(log.contains("the token is"), "{log}");
    assert!(!has(&all, SECRET), "the secret is in a layer or in the history");
    assert!(!log.contains(SECRET), "{log}");

    // What the options do not name, a Dockerfile does not get.
    let greedy = format!("FROM {image}\nRUN --mount=type=secret,id=OTHER_TOKEN,required=true true\n");
    let deployment = deploy(&fixture, &[("Dockerfile", &greedy)], "failed").await;
    let error = deployment["error"].as_str().unwrap();
    assert!(error.contains("OTHER_TOKEN") && error.contains("not found"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_neither_passwords_of_registries_nor_values_that_a_build_gets_as_secrets() {
    const PASSWORD: &str = "r3gistry+pass/word";
    let engine = TestEngine::start().await;
    let image = base(&engine);
    let build = json!({
        "healthCheckTimeout": HEALTHY_WITHIN_S,
        "buildArgs": [{ "name": "PASS", "value": PASSWORD }],
        // It is no secret by itself; the options make it one.
        "environmentVariables": [{ "name": "PLAIN", "value": "pl4in-value" }],
        "options": { "secrets": ["PLAIN"] },
    });
    let fixture = stack(build, &SERVE).await;
    let registry = json!({
        "name": "team", "address": "registry.example:5000", "username": "ada", "password": PASSWORD,
    });
    fixture.server.post("/api/v1/registries", registry).await.expect(201);
    let dockerfile = format!(
        "FROM {image}\nARG PASS\nRUN --mount=type=secret,id=PLAIN echo \"the log-in is $PASS.\"; \
         echo \"sent as $(printf 'ada:%s' \"$PASS\" | base64).\"; echo \"plain $(cat /run/secrets/PLAIN).\"\n\
         RUN mkdir -p /app/dist && echo hi > /app/dist/index.html\n"
    );
    let deployment = deploy(&fixture, &[("Dockerfile", &dockerfile)], "successful").await;
    let log = fixture.server.log_of(&deployment["seq"].to_string()).await;
    assert!(log.contains("the log-in is ***.") && log.contains("plain ***."), "{log}");
    assert!(log.contains("sent as ") && !log.contains("r3gistry"), "{log}");
    let encoded = STANDARD.encode(format!("ada:{PASSWORD}"));
    assert!(!log.contains(&encoded[8..20]), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_before_a_build_make_what_the_dockerfile_copies() {
    let engine = TestEngine::start().await;
    let image = base(&engine);
    let build = json!({
        "healthCheckTimeout": HEALTHY_WITHIN_S,
        "preBuildCommands": ["mkdir -p gen/dist", "tr a-z A-Z < text > gen/dist/index.html"],
        "postBuildCommands": ["grep -q LOUD /app/dist/index.html"],
        "options": { "image": image, "outputs": ["gen"] },
    });
    let fixture = stack(build, &SERVE).await;
    let dockerfile = format!("FROM {image}\nCOPY gen /app\n");
    deploy(&fixture, &[("Dockerfile", &dockerfile), ("text", "loud")], "successful").await;
    assert_eq!(fixture.page().await, "LOUD");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_without_a_dockerfile_is_shown_before_it_is_built_and_then_serves() {
    let engine = TestEngine::start().await;
    let image = base(&engine);
    let build = json!({
        "buildType": "auto",
        "healthCheckTimeout": HEALTHY_WITHIN_S,
        "options": { "baseImages": { "static": image } },
    });
    let fixture = stack(build, &[]).await;
    let sha = commit(&fixture, &[("public/index.html", "a page"), ("README.md", "x")]);
    let plan = fixture.server.get("/api/v1/stacks/web/build-plan").await.expect(200)["data"].clone();
    assert_eq!((&plan["commitSha"], &plan["planner"]), (&json!(sha), &json!("auto")));
    let shown = plan["steps"][0]["text"].as_str().unwrap().to_owned();
    assert!(shown.starts_with(&format!("FROM {image}\nCOPY public /www\nUSER 65532")), "{shown}");
    let (good, said) = cli(&fixture, &["build", "plan", "web"]);
    assert!(good && said.contains("COPY public /www"), "{said}");
    let html = page(&fixture, "/stacks/web/build-plan").await;
    assert!(html.contains("COPY public /www"), "{html}");

    let number = fixture.push(&sha).await;
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    assert_eq!(fixture.page().await, "a page");
    let build = build_of(&fixture, &deployment).await;
    let who = docker(&["inspect", "--format", "{{.Config.User}}", build["imageDigest"].as_str().unwrap()]);
    assert_eq!(who, "65532:65532", "it does not run as root");
    let log = fixture.server.log_of(&number).await;
    assert!(shown.lines().all(|line| log.contains(line)), "what was shown is what was built: {log}");

    // What cannot be told is told, with what to do.
    fixture.repo.commit("notes", &[("notes.txt", "x")], "a project of no kind");
    let refused = fixture.server.get("/api/v1/stacks/web/build-plan?ref=notes").await;
    assert!(refused.status >= 400, "{}", refused.text);
    assert!(refused.text.contains("contextPath"), "{}", refused.text);
}

/// Names that nobody else uses, since a registry's names are tagged on the one engine of all tests.
fn repository(registry: &Registry) -> String {
    format!("{}/{}", registry.address, unique("wl-push"))
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_pushed_and_come_back_by_their_digest() {
    let Some(registry) = Registry::start() else {
        skipped(&this_test(), "there is no docker-registry; scripts/setup-test.sh installs it");
        return;
    };
    let engine = TestEngine::start().await;
    let image = base(&engine);
    let (first, second) = (repository(&registry), repository(&registry));
    let cache = format!("{}:cache", repository(&registry));
    let build = json!({
        "buildType": "auto",
        "healthCheckTimeout": HEALTHY_WITHIN_S,
        "options": {
            "baseImages": { "static": image },
            "push": [first, second],
            "cache": { "mode": "registry", "image": cache },
        },
    });
    let fixture = stack(build, &[]).await;
    a_registry_is_tried_before_it_is_used(&fixture, &registry).await;

    let one = deploy(&fixture, &[("index.html", &unique("one"))], "successful").await;
    let built = build_of(&fixture, &one).await;
    let pushed: Vec<&str> =
        built["pushed"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(pushed[0].starts_with(&format!("{first}@sha256:")), "{pushed:?}");
    assert!(pushed[1].starts_with(&format!("{second}@sha256:")), "{pushed:?}");
    let log = fixture.server.log_of(&one["seq"].to_string()).await;
    assert!(
        log.contains(&format!("for later builds as {cache}")) && !log.contains(Registry::PASSWORD),
        "{log}"
    );
    let two = deploy(&fixture, &[("index.html", &unique("two"))], "successful").await;
    let log = fixture.server.log_of(&two["seq"].to_string()).await;
    assert!(log.contains(&format!("importing cache manifest from {cache}")), "{log}");

    // The engine loses the first one; the way back leads over the registry.
    let digest = built["imageDigest"].as_str().unwrap();
    docker(&["rmi", "-f", digest]);
    assert!(docker(&["images", "-q", "--no-trunc"]).lines().all(|id| id != digest), "it is gone");
    let ready = fixture.server.get("/api/v1/stacks/web/rollback").await.expect(200)["data"].clone();
    assert_eq!(ready["ready"], true, "{ready}");
    let back =
        fixture.server.post("/api/v1/stacks/web/rollback", json!({})).await.expect(202)["data"].clone();
    let back = fixture.server.wait_deployment(&back["seq"].to_string()).await;
    assert_eq!(back["status"], "successful", "{}", fixture.explain(&back).await);
    let log = fixture.server.log_of(&back["seq"].to_string()).await;
    assert!(log.contains(&format!("pulling {}", pushed[0])), "{log}");
    docker(&["rmi", "-f", digest]);
}

/// By REST, by the command line and in the dashboard: first with a wrong password, then with the right one.
async fn a_registry_is_tried_before_it_is_used(fixture: &Fixture, registry: &Registry) {
    let (server, name) = (&fixture.server, "team");
    let input = json!({ "name": name, "address": registry.address, "username": "ada", "password": "wr0ng" });
    let made = server.post("/api/v1/registries", input.clone()).await.expect(201)["data"].clone();
    assert_eq!((&made["address"], &made["hasPassword"]), (&json!(registry.address), &json!(true)));
    assert_eq!(server.post("/api/v1/registries", input).await.status, 409);
    let tried = server.post("/api/v1/registries/team/test", json!({})).await.expect(200)["data"].clone();
    assert_eq!(tried["works"], false, "{tried}");
    let (good, said) = cli(
        fixture,
        &[
            "registry",
            "change",
            name,
            &registry.address,
            "--user",
            "ada",
            "--password-env",
            "REGISTRY_PASSWORD",
        ],
    );
    assert!(good, "{said}");
    let (good, said) = cli(fixture, &["registry", "test", name]);
    assert!(good && said.contains("works"), "{said}");
    let everything = server.get("/api/v1/registries").await.expect(200).to_string();
    assert!(everything.contains("team") && !everything.contains(Registry::PASSWORD), "{everything}");
    let shown = page(fixture, "/registries").await;
    assert!(shown.contains(&registry.address) && !shown.contains(Registry::PASSWORD));
    let data = std::fs::read(server.data().join("windlass.db")).unwrap_or_default();
    assert!(!has(&data, Registry::PASSWORD), "the password is sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn platforms_that_the_engine_cannot_build_for_are_refused_with_words() {
    let engine = TestEngine::start().await;
    let image = base(&engine);
    for (platforms, words) in [
        (json!(["windows/amd64"]), "another system"),
        (json!(["linux/riscv64", "linux/s390x"]), "or nothing could be deployed"),
    ] {
        let build = json!({
            "buildType": "auto",
            "options": {
                "baseImages": { "static": image }, "platforms": platforms, "push": ["registry.example/web"],
            },
        });
        let fixture = stack(build, &[]).await;
        let deployment = deploy(&fixture, &[("index.html", "x")], "failed").await;
        assert!(deployment["error"].as_str().unwrap().contains(words), "{deployment}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_make_no_sense_are_refused_when_the_stack_is_made() {
    let fixture = stack(json!({}), &[]).await;
    for (build, field) in [
        (json!({ "buildType": "script" }), "build.options.commands"),
        (json!({ "buildType": "script", "options": { "commands": ["make"] } }), "build.options.image"),
        (json!({ "options": { "secrets": ["NO_SUCH"] } }), "build.options.secrets"),
        (json!({ "options": { "push": ["registry.example/web:v1"] } }), "build.options.push"),
        (json!({ "options": { "platforms": ["linux/amd64", "linux/arm64"] } }), "build.options.platforms"),
        (json!({ "buildType": "auto", "options": { "projectType": "cobol" } }), "build.options.projectType"),
    ] {
        let answer = fixture.server.post("/api/v1/stacks", json!({ "name": "other", "build": build })).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert!(answer.text.contains(field), "{field} is not named: {}", answer.text);
    }
}

/// The engine's own platform last, and one whose programs it does not run.
fn two_platforms() -> [String; 2] {
    let own = docker(&["version", "--format", "{{.Server.Arch}}"]).trim().to_string();
    let other = if own == "arm64" { "amd64" } else { "arm64" };
    [other.to_string(), own].map(|architecture| format!("linux/{architecture}"))
}

/// What a registry answers about a repository: type and bytes. None if it has no such thing.
async fn registered(address: &str, repository: &str, what: &str) -> Option<(String, Vec<u8>)> {
    let (_, name) = repository.split_once('/').unwrap();
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    let image = "application/vnd.docker.distribution.manifest.v2+json";
    let asked = reqwest::Client::new()
        .get(format!("http://{address}/v2/{name}/{what}"))
        .header("accept", format!("{list}, {image}"))
        .basic_auth("ada", Some(Registry::PASSWORD));
    let answer = asked.send().await.unwrap();
    if answer.status() == 404 {
        return None;
    }
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_string();
    Some((kind, answer.bytes().await.unwrap().to_vec()))
}

/// Checks that there is an index under this tag, with all platforms and what they lead to. Answers with its digest, and with
/// the content address of each platform's image.
async fn index(address: &str, repository: &str, tag: &str) -> (String, Vec<String>) {
    let digest = |bytes: &[u8]| format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    let (kind, bytes) = registered(address, repository, &format!("manifests/{tag}")).await.unwrap();
    assert!(kind.ends_with("manifest.list.v2+json"), "{kind}");
    let parsed: Value = serde_json::from_slice(&bytes).unwrap();
    let entries = parsed["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{parsed}");
    let mut images = Vec::new();
    for (entry, platform) in entries.iter().zip(two_platforms()) {
        let named = &entry["platform"];
        let named = format!("{}/{}", named["os"].as_str().unwrap(), named["architecture"].as_str().unwrap());
        assert_eq!(named, platform);
        let named = entry["digest"].as_str().unwrap();
        let (kind, manifest) = registered(address, repository, &format!("manifests/{named}")).await.unwrap();
        assert_eq!((entry["mediaType"].as_str(), digest(&manifest).as_str()), (Some(kind.as_str()), named));
        assert_eq!(entry["size"], manifest.len());
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let image = manifest["config"]["digest"].as_str().unwrap();
        let (_, config) = registered(address, repository, &format!("blobs/{image}")).await.unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(format!("linux/{}", config["architecture"].as_str().unwrap()), platform);
        images.push(image.to_string());
    }
    (digest(&bytes), images)
}

fn for_two_platforms(repository: &str) -> Value {
    json!({ "build": {
        "healthCheckPath": "/health",
        "healthCheckTimeout": HEALTHY_WITHIN_S,
        "options": { "push": [repository], "platforms": two_platforms() },
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn one_commit_is_built_for_several_platforms_and_pushed_under_one_name() {
    let Some(registry) = Registry::start() else {
        skipped(&this_test(), "there is no docker-registry; scripts/setup-test.sh installs it");
        return;
    };
    let pushed = repository(&registry);
    let fixture = Fixture::start_with(true, &[], for_two_platforms(&pushed)).await;
    let login = json!({
        "name": "team", "address": registry.address, "username": "ada", "password": Registry::PASSWORD,
    });
    fixture.server.post("/api/v1/registries", login).await.expect(201);

    let (_, one) = fixture.deploy(&unique("one")).await;
    assert_eq!(one["status"], "successful", "{}", fixture.explain(&one).await);
    let built = build_of(&fixture, &one).await;
    let (image_tag, own) = (built["imageTag"].as_str().unwrap(), built["imageDigest"].as_str().unwrap());
    let tag = image_tag.rsplit(':').next().unwrap();
    let (digest, images) = index(&registry.address, &pushed, tag).await;
    assert_eq!(built["pushed"], json!([format!("{pushed}@{digest}")]));
    assert_eq!(images[1], own, "the engine's own platform is what is deployed");
    let log = fixture.server.log_of(&one["seq"].to_string()).await;
    for (number, platform) in two_platforms().iter().enumerate() {
        assert!(log.contains(&format!("Platform {} of 2: {platform}", number + 1)), "{log}");
    }
    assert!(!log.contains(Registry::PASSWORD), "{log}");
    assert!(!log.contains("pulling"), "the engine has what it built: {log}");
    let there = docker(&["images", "--quiet", "--no-trunc"]);
    assert!(there.contains(own) && !there.contains(&images[0]), "the engine keeps what it can run");

    // The engine loses its own as well; by the index's digest it gets that one back.
    let (_, two) = fixture.deploy(&unique("two")).await;
    assert_eq!(two["status"], "successful", "{}", fixture.explain(&two).await);
    docker(&["rmi", "-f", own]);
    let back =
        fixture.server.post("/api/v1/stacks/web/rollback", json!({})).await.expect(202)["data"].clone();
    let back = fixture.server.wait_deployment(&back["seq"].to_string()).await;
    assert_eq!(back["status"], "successful", "{}", fixture.explain(&back).await);
    let log = fixture.server.log_of(&back["seq"].to_string()).await;
    assert!(log.contains(&format!("pulling {pushed}@{digest}")), "{log}");
    docker(&["rmi", "-f", own]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_wants_tokens_gets_the_index_too() {
    let Some(behind) = OpenRegistry::start(&this_test()).await else { return };
    let gate = TokenGate::start(&behind).await;
    let pushed = format!("{}/{}", gate.address, unique("wl-push"));
    let fixture = Fixture::start_with(true, &[], for_two_platforms(&pushed)).await;
    let login = json!({
        "name": "team", "address": gate.address, "username": registry::USER, "password": registry::PASSWORD,
    });
    fixture.server.post("/api/v1/registries", login).await.expect(201);
    let (_, deployment) = fixture.deploy(&unique("one")).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    let built = build_of(&fixture, &deployment).await;
    let tag = built["imageTag"].as_str().unwrap().rsplit(':').next().unwrap().to_string();
    let (digest, _) = index(&behind.address, &pushed, &tag).await;
    assert_eq!(built["pushed"], json!([format!("{pushed}@{digest}")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_cannot_be_built_leaves_the_registry_as_it_was() {
    let Some(registry) = Registry::start() else {
        skipped(&this_test(), "there is no docker-registry; scripts/setup-test.sh installs it");
        return;
    };
    let pushed = repository(&registry);
    let mut settings = for_two_platforms(&pushed);
    let mut platforms = two_platforms();
    platforms.reverse();
    settings["build"]["options"]["platforms"] = json!(platforms);
    let fixture = Fixture::start_with(true, &[], settings).await;
    let login = json!({
        "name": "team", "address": registry.address, "username": "ada", "password": Registry::PASSWORD,
    });
    fixture.server.post("/api/v1/registries", login).await.expect(201);
    let [own, other] = platforms.map(|platform| platform.replace("linux/", "program-"));
    let program = std::fs::read(busybox()).unwrap();
    let dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY program-$TARGETARCH /bin/busybox\nRUN [\"/bin/busybox\", \"true\"]\n";
    let files = [
        File { path: &own, mode: "100755", content: &program },
        File { path: &other, mode: "100755", content: b"no program of this machine" },
        File { path: "Dockerfile", mode: "100644", content: dockerfile.as_bytes() },
    ];
    let sha = fixture.repo.commit_files("main", &files, &unique("two programs"));
    let number = fixture.push(&sha).await;
    let deployment = fixture.server.wait_deployment(&number).await;
    assert_eq!(deployment["status"], "failed", "{}", fixture.explain(&deployment).await);
    let error = deployment["error"].as_str().unwrap();
    assert!(error.contains("exec format error") && error.contains("emulation"), "{error}");
    let log = fixture.server.log_of(&number).await;
    assert!(log.contains("Platform 2 of 2"), "{log}");
    assert_eq!(registered(&registry.address, &pushed, "tags/list").await, None);
}

/// This machine's own Node and npm on busybox, since there is no registry to take an image from. None where there is no Node.
fn node_base(engine: &TestEngine) -> Option<String> {
    let found = |name: &str| {
        let output =
            Command::new("sh").args(["-c", &format!("readlink -f \"$(command -v {name})\"")]).output();
        let path = String::from_utf8(output.ok()?.stdout).ok()?.trim().to_owned();
        path.starts_with('/').then_some(path)
    };
    let (node, npm) = (found("node")?, found("npm")?);
    let npm = std::path::Path::new(&npm).parent()?.parent()?.to_path_buf();
    let folder = engine.context(
        "FROM scratch\nCOPY root /\nCOPY busybox /bin/busybox\n\
         RUN [\"/bin/busybox\",\"--install\",\"-s\",\"/bin\"]\n\
         RUN mkdir -p /usr/bin /tmp && ln -s /bin/env /usr/bin/env && ln -s /npm/bin/npm-cli.js /bin/npm\n",
    );
    let libraries = String::from_utf8(Command::new("ldd").arg(&node).output().ok()?.stdout).ok()?;
    let wanted = libraries.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned);
    for path in wanted {
        let target = folder.join(format!("root{path}"));
        std::fs::create_dir_all(target.parent()?).ok()?;
        std::fs::copy(&path, target).ok()?;
    }
    std::fs::create_dir_all(folder.join("root/bin")).ok()?;
    std::fs::copy(node, folder.join("root/bin/node")).ok()?;
    let copied = Command::new("cp").arg("-rL").arg(npm).arg(folder.join("root/npm")).status().ok()?;
    assert!(copied.success());
    let name = format!("{}:{}", engine.named("node"), unique("t"));
    engine.make_image(&name, &folder);
    Some(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_project_without_a_dockerfile_is_built_by_its_lock_file() {
    let engine = TestEngine::start().await;
    let Some(image) = node_base(&engine) else {
        skipped(&this_test(), "there is no node with npm on this machine");
        return;
    };
    let build = json!({
        "buildType": "auto",
        "healthCheckTimeout": HEALTHY_WITHIN_S,
        "environmentVariables": [{ "name": "PORT", "value": "8080" }],
        "options": { "baseImages": { "node": image } },
    });
    let fixture = stack(build, &[]).await;
    let lock = r#"{"name":"site","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"site","version":"1.0.0"}}}"#;
    let package =
        r#"{"name":"site","version":"1.0.0","scripts":{"build":"node make.js","start":"node server.js"}}"#;
    let make = "require('fs').writeFileSync('made.txt', `made in ${process.cwd()}`)";
    let server = "const text = require('fs').readFileSync('made.txt') + ` for ${process.getuid()}`;\n\
                  require('http').createServer((_, answer) => answer.end(text)).listen(process.env.PORT)";
    let files =
        [("package.json", package), ("package-lock.json", lock), ("make.js", make), ("server.js", server)];
    let deployment = deploy(&fixture, &files, "successful").await;
    assert_eq!(fixture.page().await, "made in /app for 1000");
    let log = fixture.server.log_of(&deployment["seq"].to_string()).await;
    assert!(log.contains("npm ci"), "{log}");
}
