//! Logs: without a gap across SIGKILL, without a secret on the disk, live for many viewers at their own pace.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use windlass_tests::PATIENCE;

use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use windlass::app::logs::{LogKind, Logs, Needle, log_keep, log_reader, logs_prune};
use windlass::domain::Id;
use windlass::domain::build::BuildStatus;
use windlass::domain::deployment::DeploymentStatus;
use windlass::store::{builds, deployments, now, stacks};
use windlass_tests::database::TestDb;
use windlass_tests::docker::eventually;
use windlass_tests::fixture::Fixture;
use windlass_tests::log_rig::{Chatter, LogRig, checking_viewer, view};
use windlass_tests::server::ADMIN_TOKEN;
use windlass_tests::{on_both_databases, sample};

const FILLER: &str = "and some more, so that the lines fill more than one segment";
const CHILD: &str = "WINDLASS_TEST_CHILD_LOGS";

fn id() -> Id {
    Id::from_text("0190a0a0-0000-7000-8000-000000000001")
}

/// Not a test of its own: the process that `lines_have_no_gap_across_sigkill` kills.
#[test]
fn the_child_that_writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let logs = Logs::open(Path::new(&folder)).unwrap();
    let log = logs.writer(LogKind::Build, &id(), Vec::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut number = runtime.block_on(logs.follow(LogKind::Build, &id())).borrow().lines;
    loop {
        let block: Vec<String> = (1..=100).map(|n| format!("number {} {FILLER}", number + n)).collect();
        log.lines(block.iter().map(String::as_str));
        number += 100;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_have_no_gap_across_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::open(folder.path()).unwrap();
    // A viewer that has seen what there was before each kill goes on where it was.
    let mut viewer = logs.reader(LogKind::Build, &id(), 0);
    let mut seen = 0;
    for _ in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child_that_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let enough = seen + 20_000;
        let reading = async {
            while seen < enough {
                for (number, text) in viewer.read().await.unwrap().lines() {
                    seen += 1;
                    assert_eq!(number, seen);
                    assert!(
                        text.ends_with(format!(" number {number} {FILLER}").as_bytes()),
                        "line {number} is another"
                    );
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, reading).await.expect("the child writes");
        child.kill().unwrap();
        child.wait().unwrap();
        // As if it had been killed in the middle of a line.
        let folder = logs.path(LogKind::Build, &id());
        let last = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).max().unwrap();
        std::fs::OpenOptions::new().append(true).open(last).unwrap().write_all(b"12:00:00.000 numb").unwrap();
    }
    let segments = std::fs::read_dir(logs.path(LogKind::Build, &id())).unwrap().count();
    assert!(segments > 1, "the log has grown beyond one segment");
}

#[tokio::test]
async fn a_reader_begins_at_any_line_of_any_segment() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::open(folder.path()).unwrap();
    let log = logs.writer(LogKind::Build, &id(), Vec::new()).unwrap();
    let long = "x".repeat(400);
    for block in 0..500 {
        let lines: Vec<String> = (1..=100).map(|n| format!("{} {long}", block * 100 + n)).collect();
        log.lines(lines.iter().map(String::as_str));
    }
    for after in [0, 1, 19_999, 20_000, 20_001, 49_998, 49_999] {
        let batch = logs.reader(LogKind::Build, &id(), after).read().await.unwrap();
        let (number, text) = batch.lines().next().unwrap();
        assert_eq!(number, after + 1);
        assert!(text[13..].starts_with(format!("{number} x").as_bytes()));
    }
    assert!(logs.reader(LogKind::Build, &id(), 50_000).read().await.unwrap().text.is_empty());
    // What a viewer has never seen cannot be asked for; it gets what comes next.
    let mut ahead = logs.reader(LogKind::Build, &id(), 70_000);
    assert!(ahead.read().await.unwrap().text.is_empty());
    log.line("the next");
    assert_eq!(ahead.read().await.unwrap().lines().map(|(n, _)| n).collect::<Vec<_>>(), [50_001]);
    let tail = logs.reader(LogKind::Build, &id(), 0).tail(1000).await.unwrap();
    assert!(tail.cut && tail.last == 50_001 && tail.batch.lines().count() == 3, "{tail:?}");
    let needle = Needle::new("^.{13}(7|30000|50000) x", true).unwrap();
    let mut reader = logs.reader(LogKind::Build, &id(), 0);
    let found = reader.search(&needle, 2).await.unwrap();
    assert_eq!(found.iter().map(|found| found.line).collect::<Vec<_>>(), [7, 30_000]);
    assert_eq!(reader.search(&needle, 2).await.unwrap()[0].line, 50_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_a_secret_that_a_container_writes_reaches_the_disk() {
    let rig = LogRig::start().await;
    let secret = "s3cret/Value+42 & \"more\"";
    let log = rig.writer(&[secret]);
    let quoted = secret.replace('\'', "'\\''");
    let chatter = Chatter::create(&format!(
        r#"S='{quoted}'; echo "raw $S."
        printf %s "$S" | base64; printf 'u:%s' "$S" | base64; printf 'us:%s!' "$S" | base64
        printf %s "$S" | hexdump -v -e '/1 "%02x"'; echo; printf %s "$S" | hexdump -v -e '/1 "%02X"'; echo
        echo 's3cret%2FValue%2B42%20%26%20%22more%22'; echo 's3cret%2fValue%2b42%20%26%20%22more%22'
        echo '{{"a":"s3cret/Value+42 & \"more\""}}'; echo 's3cret\/Value+42 \u0026 \"more\"'
        printf 's3cret/Val'; sleep 0.3; printf 'ue+42 & '; sleep 0.3; printf '"more"\n'; echo "also $S" >&2
        head -c 65500 /dev/zero | tr '\0' x; echo "$S"; echo the end"#
    ))
    .await;
    timeout(PATIENCE, chatter.pour_into(&log)).await.unwrap();
    let text = rig.on_disk();
    assert!(text.contains("the end") && text.matches("***").count() >= 10, "{text}");
    let b64 = base64::engine::general_purpose::STANDARD_NO_PAD;
    let forms = [
        "s3cret".to_string(),
        "Value+42".into(),
        b64.encode(secret)[..20].to_string(),
        b64.encode(format!("u:{secret}"))[4..20].to_string(),
        b64.encode(format!("us:{secret}"))[4..20].to_string(),
        hex::encode("s3cret"),
        hex::encode_upper("s3cret"),
    ];
    for form in forms {
        assert!(!text.contains(&form), "{form} is in the log:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_viewers_see_every_line_of_a_fast_container_while_others_stall() {
    const LINES: u64 = 50_000;
    let rig = Arc::new(LogRig::start().await);
    let chatter = Chatter::of_lines(LINES).await;
    let log = rig.writer(&["never-in-there"]);
    let viewers: Vec<_> = (0..10).map(|_| checking_viewer(&rig)).collect();
    let mut stalled = Vec::new();
    for _ in 0..5 {
        stalled.push(rig.watch("0:0").await);
    }
    timeout(PATIENCE, chatter.pour_into(&log)).await.expect("nobody slows the container");
    drop(log);
    rig.end_build().await;
    for viewer in viewers {
        assert_eq!(timeout(PATIENCE, viewer).await.expect("a stalled one slows nobody").unwrap(), LINES);
    }
    // Who stalled has missed nothing.
    assert_eq!(timeout(PATIENCE, view(stalled.remove(0), 1, |_, _| {})).await.unwrap(), LINES);
    let resumed = rig.watch(&format!("0:{}", LINES - 3)).await;
    assert_eq!(view(resumed, LINES - 2, |_, _| {}).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_viewer_costs_the_server_little_memory() {
    let fixture = Fixture::start(false).await;
    fixture.deploy("one").await;
    let logs = std::fs::read_dir(fixture.server.folder.path().join("logs")).unwrap();
    let build =
        logs.map(|log| log.unwrap().path()).find(|path| path.to_string_lossy().contains("build-")).unwrap();
    let line = format!("12:00:00.000 {}\n", "y".repeat(200));
    std::fs::write(build.join("000000000001.log"), line.repeat(150_000)).unwrap();
    let address = fixture.server.url.strip_prefix("http://").unwrap();
    let before = memory_mb(fixture.server.pid());
    let mut stalled = Vec::new();
    for _ in 0..40 {
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /api/v1/builds/1/logs HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        connection.readable().await.unwrap();
        stalled.push(connection);
    }
    // 30 MB each would be 1.2 GB.
    let text = fixture.server.get("/api/v1/builds/1/logs").await.text;
    assert_eq!(text.lines().count(), 150_000);
    let growth = memory_mb(fixture.server.pid()) - before;
    assert!(growth < 120, "40 stalled viewers cost {growth} MB");
}

fn memory_mb(pid: u32) -> i64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_searched_and_downloaded() {
    let fixture = Fixture::start(false).await;
    let (sha, _) = fixture.deploy("one").await;
    // Its last line comes after its end is told.
    let is_whole = async || fixture.server.log_of("1").await.contains("Deployment 1 is successful");
    eventually("the log is whole", is_whole).await;
    let found = |query: &str| {
        let path = format!("/api/v1/deployments/1/logs/search?{query}");
        let server = &fixture.server;
        async move { server.get(&path).await }
    };
    let answer = found(&format!("q={}", &sha[..12].to_uppercase())).await.expect(200)["data"].clone();
    let first = &answer["items"][0];
    assert!(first["text"].as_str().unwrap().contains(&sha), "{answer}");
    assert!(first["position"].as_str().unwrap().starts_with("0:"), "{answer}");
    assert!(answer["next"].is_null());
    let page = found("q=.&regex=true&limit=2").await.expect(200)["data"].clone();
    let next = page["next"].as_str().unwrap();
    let rest = found(&format!("q=.&regex=true&after={next}")).await.expect(200)["data"].clone();
    let lines = fixture.server.log_of("1").await.lines().count();
    assert_eq!(rest["items"].as_array().unwrap().len() + 2, lines);
    assert_eq!(found("q=(&regex=true").await.expect(422)["field"], "q");
    found("q=").await.expect(422);
    let request = fixture.server.stranger(reqwest::Method::GET, "/v1/cicd/deployments/1/logs?download=true");
    let response = request.bearer_auth(ADMIN_TOKEN).send().await.unwrap();
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"deployment-1.log\"");
    assert_eq!(response.text().await.unwrap(), fixture.server.log_of("1").await);
    let refused =
        fixture.server.stranger(reqwest::Method::GET, "/v1/cicd/builds/1/logs").send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_finds_lines_and_its_exit_code_says_whether_there_are_any() {
    let fixture = Fixture::start(false).await;
    let (sha, _) = fixture.deploy("one").await;
    let run = |words: &[&str]| {
        let run = fixture.server.cli(&[&["logs", "web", "--find"], words].concat());
        (run.code, run.out)
    };
    let (code, lines) = run(&[&sha]);
    assert!(code == 0 && lines.lines().all(|line| line.contains(&sha)) && !lines.is_empty(), "{lines}");
    assert_eq!(run(&["not in there"]), (1, String::new()));
    assert_eq!(run(&["^.{13}Commit [0-9a-f]{40}", "--regex"]).1.lines().count(), 1);
    let (code, object) = run(&[&sha, "-o", "json"]);
    assert_eq!(code, 0);
    let object: serde_json::Value = serde_json::from_str(object.lines().next().unwrap()).unwrap();
    assert!(object["line"].as_str().unwrap().contains(&sha));
}

on_both_databases!(what_is_known_of_a_log_outlives_its_files);

/// Numbers and ids of a deployment and its build.
async fn a_deployment_that_builds(rig: &LogRig) -> ((i64, Id), (i64, Id)) {
    let stack = rig.build.stack_id.clone();
    let stored = rig.app.db.write(move |tx| {
        Box::pin(async move {
            let stack = stacks::find(tx, stack.as_str()).await?;
            let deployment = deployments::insert(tx, sample::deployment(&stack)).await?;
            let build = builds::insert(tx, sample::build(&stack, Some(&deployment.id))).await?;
            let mut known = deployment.clone();
            known.build_id = Some(build.id.clone());
            deployments::update(tx, &known).await?;
            Ok(((deployment.seq, deployment.id), (build.seq, build.id)))
        })
    });
    stored.await.unwrap()
}

async fn it_fails(rig: &LogRig, deployment: &Id, build: &Id) {
    let (deployment, build) = (deployment.clone(), build.clone());
    let ended = rig.app.db.write(move |tx| {
        Box::pin(async move {
            let (from, to) = (BuildStatus::Queued, BuildStatus::Failed);
            builds::set_status(tx, &build, from, to, None, now()).await?;
            let (from, to) = (DeploymentStatus::Pending, DeploymentStatus::Failed);
            deployments::transition(tx, &deployment, from, to, None, now()).await.map(|_| ())
        })
    });
    ended.await.unwrap();
}

async fn what_is_known_of_a_log_outlives_its_files(test: TestDb) {
    let rig = LogRig::start_on(Some(&test.url)).await;
    let ((number, deployment), (build_number, build)) = a_deployment_that_builds(&rig).await;
    let logs = &rig.app.logs;
    let log = logs.writer(LogKind::Build, &build, vec!["s3cret-value".into()]).unwrap();
    let lines: Vec<String> = (1..=300).map(|n| format!("step {n} has s3cret-value")).collect();
    log.lines(lines.iter().map(String::as_str));
    drop(log);
    logs.writer(LogKind::Deployment, &deployment, Vec::new()).unwrap().lines(["one", "two", "ended"]);
    let about = async || {
        let answer = rig.get(&format!("/api/v1/deployments/{number}")).await;
        serde_json::from_str::<Value>(&answer).unwrap()["data"]["logs"].clone()
    };
    let keep = async || {
        log_keep(&rig.app, LogKind::Build, &build).await.unwrap();
        log_keep(&rig.app, LogKind::Deployment, &deployment).await.unwrap();
    };
    keep().await;
    assert_eq!(about().await, serde_json::json!({ "build": null, "rollout": null }), "it goes on");
    it_fails(&rig, &deployment, &build).await;
    keep().await;

    let known = about().await;
    let whole = rig.get(&format!("/api/v1/deployments/{number}/logs")).await;
    let built = rig.get(&format!("/api/v1/builds/{build_number}/logs")).await;
    let rolled = whole.strip_prefix(built.as_str()).unwrap();
    for (part, text, lines) in [("build", built.as_str(), 300), ("rollout", rolled, 3)] {
        assert_eq!(known[part]["lines"], lines);
        assert_eq!(known[part]["bytes"], text.len());
        assert_eq!(known[part]["sha256"], hex::encode(Sha256::digest(text)), "{part}");
    }
    let of_build: Value =
        serde_json::from_str(&rig.get(&format!("/api/v1/builds/{build_number}")).await).unwrap();
    assert_eq!(of_build["data"]["log"], known["build"]);

    assert_eq!(logs_prune(&rig.app, Duration::ZERO).await.unwrap(), 2);
    assert_eq!(about().await, known);
    let left = rig.get(&format!("/api/v1/deployments/{number}/logs")).await;
    let (note, lines) = left.split_once('\n').unwrap();
    assert!(note.contains("earlier lines are not here") && whole.ends_with(lines), "{left}");
    assert!(lines.contains("step 300 has ***") && lines.len() > 3000 && lines.len() < 5000, "{left}");
    // Each has its number still.
    let missing = 303 - lines.lines().count() as u64;
    assert!(note.contains(&format!(" {missing} earlier")), "{note}");
    let mut reader = log_reader(&rig.app, LogKind::Build, &build, 298).await.unwrap();
    let numbers: Vec<u64> = reader.read().await.unwrap().lines().map(|(number, _)| number).collect();
    assert_eq!(numbers, [299, 300]);
    assert!(reader.read().await.unwrap().text.is_empty());
    let tail = reader.tail(10).await.unwrap();
    assert!(tail.cut && tail.last == 300 && tail.batch.first == missing, "{tail:?}");
    let found = rig.get(&format!("/api/v1/deployments/{number}/logs/search?q=step+300")).await;
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["data"]["items"][0]["position"], "0:300", "{found}");
}
