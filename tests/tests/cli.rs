//! The command line, run as a process: against nothing, against a scripted server, and against a real one.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser as _;
use clap::error::ErrorKind;
use serde_json::{Value, json};
use windlass_tests::cli::{self, NOBODY, Run, command};
use windlass_tests::guests::Guest;
use windlass_tests::script::{Script, http, stream};
use windlass_tests::server::TestServer;

const TOKEN: &str = "wl_never-to-be-printed";

/// One document a line.
fn json_lines(run: &Run) -> Vec<Value> {
    run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// With a token that must never be printed.
fn run(command: Command) -> Run {
    let run = cli::run(command);
    assert!(!run.said().contains(TOKEN), "the token was printed: {run:#?}");
    run
}

/// Against an address where nobody listens.
fn alone(words: &[&str]) -> Run {
    run(command(NOBODY, TOKEN, words))
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let help = alone(&["--help"]).expect(0).out;
    for word in [
        "serve",
        "init",
        "doctor",
        "stack",
        "deploy",
        "status",
        "logs",
        "retry",
        "rollback",
        "cancel",
        "webhook",
        "token",
        "plugin",
        "completion",
        "version",
        "--server",
        "--token",
        "--output",
        "--no-color",
        "Exit codes",
    ] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
    assert!(alone(&["deploy", "--help"]).expect(0).out.contains("windlass deploy web"));
    assert!(alone(&["version"]).expect(0).out.starts_with("windlass "));
    assert_eq!(alone(&["version", "-o", "json"]).expect(0).json()["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    for words in [
        &["hoist"][..],
        &["deploy"],
        &["deploy", "web", "--ref", "main", "--image", "web:1"],
        &["deploy", "web", "-w", "--timeout", "soon"],
        &["status", "-w"],
        &["logs"],
        &["stack", "create"],
        &["stack", "create", "--name", "web", "--port", "http"],
        &["stack", "create", "-f", "/does/not/exist.toml"],
        &["stack", "show", ".."],
        &["token", "create", "ci", "--expires", "tomorrow"],
        &["--server", "ftp://host", "status"],
        &["--server", "http://user:wl_never-to-be-printed@host", "status"],
    ] {
        let run = alone(words);
        assert_eq!(run.code, 2, "{words:?}: {run:#?}");
        assert!(run.out.is_empty() && !run.err.is_empty(), "{words:?}: {run:#?}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    for words in
        [&["status"][..], &["deploy", "web", "-w"], &["logs", "7", "-f"], &["token", "list", "-o", "json"]]
    {
        let run = alone(words).expect(5);
        assert!(
            run.err.contains("No Windlass server answers at http://127.0.0.1:1 (connection refused)"),
            "{run:#?}"
        );
        assert!(run.err.contains("windlass serve") && run.err.contains("--server"), "{run:#?}");
        assert!(run.out.is_empty(), "{run:#?}");
    }
}

#[test]
fn init_writes_a_file_that_is_understood_and_never_overwrites_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("windlass.toml");
    let path = file.to_str().unwrap();
    let run = alone(&["init", path]).expect(0);
    assert!(run.out.contains(&format!("windlass serve --config {path}")), "{run:#?}");
    std::fs::write(&file, "[jobs]\nworkers = 3\n").unwrap();
    let run = alone(&["init", path]).expect(1);
    assert!(run.err.contains("exists already") && run.err.contains("--force"), "{run:#?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "[jobs]\nworkers = 3\n");
    alone(&["init", path, "--force"]).expect(0);
    assert!(doctor(&file).0["config"].starts_with("ok"));
}

#[test]
fn doctor_says_what_is_wrong_with_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("windlass.toml");
    std::fs::write(&file, "[jobs]\nworker = 3\n").unwrap();
    let (checks, code) = doctor(&file);
    assert_eq!(code, 1);
    assert!(checks["config"].starts_with("fail") && checks["config"].contains("`workers`"), "{checks:?}");
}

#[test]
fn doctor_sees_a_stranger_on_the_port_and_a_folder_that_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Script::start(|_, _| http(200, "text/html", "<h1>It works!</h1>"));
    let file = folder.path().join("windlass.toml");
    let listen = server.url.strip_prefix("http://").unwrap();
    let data = folder.path().join("data");
    std::fs::write(&data, "").unwrap();
    let config = format!("[server]\nlisten = \"{listen}\"\ndata_dir = \"{}\"\n", data.display());
    std::fs::write(&file, config).unwrap();
    let (checks, code) = doctor(&file);
    assert_eq!(code, 1);
    assert!(checks["data"].starts_with("fail"), "{checks:?}");
    assert!(checks["port"].starts_with("fail") && checks["port"].contains("no Windlass"), "{checks:?}");
}

/// Name and `verdict detail` of each check.
fn doctor(config: &Path) -> (HashMap<String, String>, i32) {
    let run = alone(&["doctor", "-o", "json", "--config", config.to_str().unwrap()]);
    let word = |check: &Value, key: &str| check[key].as_str().unwrap().to_string();
    let checks = run.json();
    let lines = checks.as_array().unwrap().iter();
    (
        lines
            .map(|check| (word(check, "name"), word(check, "verdict") + " " + &word(check, "detail")))
            .collect(),
        run.code,
    )
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut command = command(NOBODY, TOKEN, &["completion", "zsh"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{:?}", output.status);
}

#[test]
fn every_shell_gets_its_completion() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(alone(&["completion", shell]).expect(0).out.contains("rollback"), "{shell}");
    }
}

#[test]
fn the_exit_code_of_a_wait_is_the_outcome() {
    for (status, code) in [("successful", 0), ("failed", 1), ("rolled_back", 1), ("cancelled", 3)] {
        let server = deploying_then(status);
        let run = run(command(&server.url, TOKEN, &["deploy", "web", "--ref", "main", "-w"])).expect(code);
        assert!(run.out.starts_with("Deployment 7 of stack `web` started."), "{run:#?}");
        assert!(run.out.contains(" 40 %  deploying   Checking the health"), "{run:#?}");
        let first = server.requests.lock().unwrap()[0].clone();
        assert_eq!(first.line, "POST /api/v1/stacks/web/deploy");
        assert_eq!(first.body, json!({ "gitRef": "main" }).to_string());
        assert_eq!(first.headers["authorization"], format!("Bearer {TOKEN}"));
    }
    let server = deploying_then("rolled_back");
    let run = run(command(&server.url, TOKEN, &["status", "7", "-w"])).expect(1);
    assert!(
        run.err.contains("Deployment 7 rolled back after 34 s: the health gate was not passed"),
        "{run:#?}"
    );
}

#[test]
fn followed_json_is_one_document_a_line_and_ends_with_the_outcome() {
    let server = deploying_then("failed");
    let run = run(command(&server.url, TOKEN, &["deploy", "web", "-w", "-o", "json"])).expect(1);
    let statuses: Vec<String> =
        json_lines(&run).iter().map(|line| line["status"].as_str().unwrap().into()).collect();
    assert_eq!(statuses, ["deploying", "failed"]);
}

#[test]
fn a_wait_that_takes_too_long_ends_with_4_and_says_that_the_deployment_goes_on() {
    let server = Script::start(|_, _| ok(deployment("deploying", 40)));
    let run = run(command(&server.url, TOKEN, &["deploy", "web", "-w", "--timeout", "1"])).expect(4);
    assert!(run.err.contains("has not ended after 1 s") && run.err.contains("windlass cancel 7"), "{run:#?}");
}

#[test]
fn a_live_log_goes_on_where_the_connection_broke() {
    let server = Script::start(|request, n| match (request.line.as_str(), n) {
        ("GET /api/v1/deployments/7", _) => ok(deployment("deploying", 40)),
        (_, 1) => stream("id: 0:6\ndata: first\n\nid: 0:13\ndata: second\n\nid: 0:20\nda"),
        // A proxy that is up before the server is.
        (_, 2) => http(502, "text/html", "<h1>Bad Gateway</h1>"),
        _ => stream("id: 0:19\ndata: \u{1b}[2Jthird\n\nevent: end\ndata: successful\n\n"),
    });
    let run = run(command(&server.url, TOKEN, &["logs", "7", "-f"])).expect(0);
    assert_eq!(run.out, "first\nsecond\nthird\n");
    let resumed: Vec<Option<String>> = server.requests.lock().unwrap()[1..]
        .iter()
        .map(|request| request.headers.get("last-event-id").cloned())
        .collect();
    assert_eq!(resumed, [None, Some("0:13".into()), Some("0:13".into())]);
}

#[test]
fn refusals_are_told_in_the_servers_words() {
    let refused = |status, message: &str, code: &str| {
        let body = json!({ "success": false, "error": message, "code": code, "field": null }).to_string();
        let server = Script::start(move |_, _| http(status, "application/json", &body));
        run(command(&server.url, TOKEN, &["cancel", "7"]))
    };
    let conflict =
        refused(409, "deployment 7 is successful already; there is nothing to cancel", "conflict").expect(1);
    assert_eq!(conflict.err, "error: deployment 7 is successful already; there is nothing to cancel.\n");
    let token = refused(401, "the token is not valid", "unauthenticated").expect(5);
    assert!(token.err.contains("refuses the token") && token.err.contains("WINDLASS_TOKEN"), "{token:#?}");
    let steering = refused(409, "a \u{1b}[2J name", "conflict").expect(1);
    assert!(!steering.err.contains('\u{1b}'), "{steering:#?}");
}

#[test]
fn a_delete_without_anybody_to_ask_needs_yes() {
    let server = Script::start(|request, _| match request.line.as_str() {
        "GET /api/v1/stacks/web" => ok(json!({
            "name": "web", "description": "", "strategy": "", "createdAt": "2026-01-01T00:00:00Z",
            "run": { "replicas": 1, "ports": [] }
        })),
        line => panic!("{line} was not to be asked"),
    });
    let run = run(command(&server.url, TOKEN, &["stack", "delete", "web"])).expect(2);
    assert!(run.err.contains("--yes"), "{run:#?}");
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let server = TestServer::start().await;
    let admin = |words: &[&str]| server.cli(words);
    let secret = admin(&["token", "create", "ci"]).expect(0).out.trim().to_string();
    let tokens = admin(&["token", "list", "-o", "json"]).expect(0).json();
    let ci = tokens["items"].as_array().unwrap().iter().find(|token| token["name"] == "ci").unwrap();
    let table = admin(&["token", "list"]).expect(0).out;
    assert!(table.contains("valid") && !table.contains(&secret), "{table}");
    run(command(&server.url, &secret, &["status"])).expect(0);
    admin(&["token", "revoke", ci["id"].as_str().unwrap()]).expect(0);
    run(command(&server.url, &secret, &["status"])).expect(5);
    assert!(admin(&["token", "list"]).expect(0).out.contains("revoked"));
    let nobody = run(command(&server.url, "", &["status"])).expect(5);
    assert!(nobody.err.contains("wants a token and none was given"), "{nobody:#?}");
}

#[tokio::test]
async fn a_stack_is_created_shown_changed_and_deleted() {
    let server = TestServer::start().await;
    let admin = |words: &[&str]| server.cli(words);
    assert!(admin(&["status"]).expect(0).out.contains("no stacks yet"));
    let flags = ["--repo", "https://git.example/team/web.git", "--port", "3000", "--health-path", "/health"];
    let created = admin(&[&["stack", "create", "--name", "web"][..], &flags].concat()).expect(0).out;
    assert!(created.contains("/api/webhooks/") && created.contains("Secret"), "{created}");
    let again = admin(&["stack", "create", "--name", "web"]).expect(1);
    assert!(again.err.contains("exists already"), "{again:#?}");

    let shown = admin(&["stack", "show", "web", "-o", "json"]).expect(0).json();
    let told = server.get("/api/v1/stacks/web").await.expect(200)["data"].clone();
    // Not what is known of its repository: the server may have looked there in between.
    for field in ["id", "seq", "name", "run", "traffic", "buildConfig", "strategy"] {
        assert_eq!(shown[field], told[field], "{field}");
    }
    assert_eq!(shown["run"]["ports"][0]["container"], 3000);
    assert!(admin(&["stack", "list"]).expect(0).out.contains("web"));
    assert!(admin(&["status"]).expect(0).out.contains("never deployed"));
    assert!(admin(&["status", "web"]).expect(0).out.contains("https://git.example/team/web.git"));
    assert!(admin(&["logs", "web"]).expect(1).err.contains("has never been deployed"));
    assert!(admin(&["rollback", "web"]).expect(1).err.contains("cannot be rolled back"));

    let file = server.folder.path().join("web.toml");
    std::fs::write(&file, "description = \"The site\"\n[run]\nreplicas = 2\n").unwrap();
    admin(&["stack", "edit", "web", "-f", file.to_str().unwrap()]).expect(0);
    let changed = admin(&["stack", "show", "web", "-o", "json"]).expect(0).json();
    assert_eq!(
        (changed["description"].as_str(), changed["run"]["replicas"].as_i64()),
        (Some("The site"), Some(2))
    );
    std::fs::write(&file, "colour = \"red\"\n").unwrap();
    assert!(admin(&["stack", "edit", "web", "-f", file.to_str().unwrap()]).expect(1).err.contains("colour"));

    admin(&["stack", "delete", "web", "--yes"]).expect(0);
    assert!(admin(&["stack", "show", "web"]).expect(1).err.contains("There is no stack `web`"));
    assert_eq!(admin(&["stack", "list", "-o", "json"]).expect(0).json()["items"], json!([]));
}

#[tokio::test]
async fn what_does_not_exist_is_said_so() {
    let server = TestServer::start().await;
    let admin = |words: &[&str]| server.cli(words);
    let deploy = admin(&["deploy", "nothing", "-w"]).expect(1);
    assert!(
        deploy.err.contains("There is no stack `nothing`") && deploy.err.contains("windlass stack list"),
        "{deploy:#?}"
    );
    assert!(admin(&["status", "nothing"]).expect(1).err.contains("no stack and no deployment `nothing`"));
    assert!(admin(&["logs", "7"]).expect(1).err.contains("does not exist"));
    assert!(admin(&["cancel", "7"]).expect(1).err.contains("does not exist"));
    assert!(admin(&["webhook", "show", "7"]).expect(1).err.contains("does not exist"));
    assert!(admin(&["webhook", "list"]).expect(0).out.contains("No deliveries yet"));
    assert!(admin(&["plugin", "inspect", "nothing"]).expect(1).err.contains("nothing"));
}

#[tokio::test]
async fn plugins_and_the_server_itself_can_be_looked_at() {
    let server = TestServer::start().await;
    let admin = |words: &[&str]| server.cli(words);
    let list = admin(&["plugin", "list"]).expect(0).out;
    assert!(list.contains("standard") && list.contains("loaded") && !list.contains("not loaded"), "{list}");
    let standard = admin(&["plugin", "inspect", "standard", "-o", "json"]).expect(0).json();
    assert_eq!((standard["name"].as_str(), standard["error"].is_null()), (Some("standard"), true));
    assert!(admin(&["plugin", "inspect", "standard"]).expect(0).out.contains("Exports"));

    let file = server.folder.path().join("windlass.toml");
    let listen = server.url.strip_prefix("http://").unwrap();
    let (data, logs) = (server.data(), server.folder.path().join("logs"));
    let config = format!(
        "[server]\nlisten = \"{listen}\"\ndata_dir = \"{}\"\n[build]\nlog_dir = \"{}\"\n",
        data.display(),
        logs.display()
    );
    std::fs::write(&file, config).unwrap();
    let doctor = admin(&["doctor", "--config", file.to_str().unwrap()]).out;
    assert!(
        doctor.contains(&format!("Windlass {} answers at {}", env!("CARGO_PKG_VERSION"), server.url)),
        "{doctor}"
    );
    assert!(doctor.lines().any(|line| line.starts_with("ok    plugins")), "{doctor}");
}

fn ok(data: Value) -> Vec<u8> {
    http(200, "application/json", &json!({ "success": true, "data": data }).to_string())
}

/// A server whose only deployment is running in the first answer and has ended in the next.
fn deploying_then(status: &'static str) -> Script {
    Script::start(move |_, before| {
        ok(if before == 0 { deployment("deploying", 40) } else { deployment(status, 100) })
    })
}

fn deployment(status: &str, progress: i64) -> Value {
    let over = progress == 100;
    let failed = over && status != "successful";
    json!({
        "id": "0", "seq": 7, "stackId": "1", "buildId": null, "commitSha": "", "commitMessage": null,
        "commitAuthor": null, "branch": "main", "imageTag": "", "reason": null, "status": status,
        "label": if over { "" } else { "Checking the health" }, "progress": progress, "strategy": "standard",
        "error": if failed { Some("the health gate was not passed") } else { None }, "triggeredBy": "api",
        "triggeredByUser": null, "pauseMs": null, "startedAt": "2026-01-01T00:00:00Z",
        "completedAt": null, "duration": if over { Some(34) } else { None },
    })
}

#[tokio::test]
async fn plugins_are_installed_switched_off_and_on_and_approved() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guest.wasm");
    let guest = Guest::good("guest");
    guest.write(&file);
    let path = file.display().to_string();
    let plugin = |words: &[&str]| server.cli(&[&["plugin"], words].concat());
    let shown = plugin(&["install", &path]).expect(0).out;
    assert!(shown.contains("Plugin guest 1.0.0: loaded"), "{shown}");
    assert!(plugin(&["disable", "guest"]).expect(0).out.contains("disabled by admin"));
    assert!(plugin(&["list"]).expect(0).out.contains("disabled"));
    plugin(&["enable", "guest"]).expect(0);
    let refused = plugin(&["enable", "guest"]).expect(1).err;
    assert!(refused.contains("is enabled already"), "{refused}");
    guest.clone().asking("token").write(&file);
    let shown = plugin(&["install", &path]).expect(0).out;
    assert!(
        shown.contains("It asks for credential:token.") && shown.contains("windlass plugin approve"),
        "{shown}"
    );
    let inspected = plugin(&["inspect", "guest"]).expect(0).out;
    assert!(
        inspected.contains("New in what it asks") && inspected.contains("credential:token"),
        "{inspected}"
    );
    plugin(&["approve", "guest", "--digest", "00"]).expect(1);
    let approved = plugin(&["approve", "guest", "-o", "json"]).expect(0).json();
    assert_eq!((&approved["state"], &approved["missing"]), (&json!("enabled"), &json!([])));
    // The next one asks for another slot in the place of this one.
    guest.asking("other").write(&file);
    plugin(&["install", &path]).expect(0);
    let approved = plugin(&["approve", "guest"]).expect(0).out;
    for told in [
        "The one that runs does not ask for credential:other.",
        "Only the one that runs asks for credential:token.",
        "loaded",
    ] {
        assert!(approved.contains(told), "{told} in {approved}");
    }
    let count = plugin(&["list", "-o", "json"]).expect(0).json().as_array().unwrap().len();
    assert!(plugin(&["reload"]).expect(0).out.contains(&format!("{count} plugins are loaded")));
    // A component that breaks a rule is held back with the rule's name, and the good one runs on.
    Guest::notifier("guest", "unreachable").write(&file);
    let shown = plugin(&["install", &path]).expect(1).out;
    assert!(shown.contains("quarantined: it fails the conformance suite"), "{shown}");
    assert!(plugin(&["inspect", "guest"]).expect(0).out.contains("failed"));
    plugin(&["install", "/does/not/exist.wasm"]).expect(2);
    plugin(&["approve", "nothing"]).expect(1);
}

/// Every `windlass …` of README and documents: a line of a block, or a span of text.
fn written_commands() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let mut found = Vec::new();
    for page in pages.chain([root.join("README.md")]) {
        let text = std::fs::read_to_string(&page).unwrap().replace("\\\n", "");
        let blocks = text.lines().map(str::trim).filter(|line| line.starts_with("windlass "));
        let spans = text.split('`').filter(|span| span.starts_with("windlass ") && !span.contains('\n'));
        for command in blocks.chain(spans) {
            found.push((page.display().to_string(), command.to_owned()));
        }
    }
    found
}

/// A span may name a command without what it needs, and its arguments in capitals.
#[test]
fn every_command_in_the_documents_exists() {
    let commands = written_commands();
    assert!(commands.len() > 80, "only {} commands were found", commands.len());
    let mut wrong = Vec::new();
    for (page, written) in commands {
        let words = shlex::Shlex::new(&written).take_while(|word| !["#", ">", "|"].contains(&word.as_str()));
        let is_placeholder =
            |word: &str| word.chars().all(|c| c.is_ascii_uppercase()) || word.starts_with('<');
        let words = words
            .filter(|word| word != "…")
            .map(|word| if is_placeholder(&word) { "1".into() } else { word });
        let Err(error) = windlass::cli::Cli::try_parse_from(words) else { continue };
        let is_short = [
            ErrorKind::MissingRequiredArgument,
            ErrorKind::MissingSubcommand,
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ErrorKind::DisplayHelp,
        ];
        if !is_short.contains(&error.kind()) {
            wrong.push(format!("{page}: `{written}`\n{error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
