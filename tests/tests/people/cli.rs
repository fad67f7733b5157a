//! The same from the command line, run as a process.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use windlass_tests::server::{ADMIN_TOKEN, TestServer, program};

/// What it wrote to standard output, if it ended well; `typed` is its standard input.
fn run(server: &TestServer, token: &str, words: &[&str], typed: &str) -> Result<String, String> {
    let mut child = Command::new(program())
        .args(words)
        .env("WINDLASS_SERVER", &server.url)
        .env("WINDLASS_TOKEN", token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads nothing may have ended already.
    let _ = stdin.write_all(typed.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    if output.status.success() { Ok(text) } else { Err(String::from_utf8(output.stderr).unwrap()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_invited_and_log_in_from_the_command_line() {
    let server = TestServer::start().await;
    let admin = |words: &[&str], typed: &str| run(&server, ADMIN_TOKEN, words, typed);
    admin(&["user", "create", "ada", "--password"], "correct horse battery\n").unwrap();
    admin(&["team", "create", "owls"], "").unwrap();
    admin(&["team", "add", "owls", "ada", "admin"], "").unwrap();
    let refused = run(&server, "", &["login", "ada"], "wrong horse battery\n").unwrap_err();
    assert!(refused.contains("not right"), "{refused}");
    let session = run(&server, "", &["login", "ada"], "correct horse battery\n").unwrap();
    assert!(session.starts_with("wls_"), "{session}");
    let ada = |words: &[&str], typed: &str| run(&server, &session, words, typed);
    assert!(ada(&["user", "me"], "").unwrap().starts_with("ada (token ada)"));
    // As an administrator of the team, not of the installation.
    assert!(
        ada(&["team", "create", "foxes"], "").unwrap_err().contains("administrator of this installation")
    );
    let invitation = ada(&["team", "invite", "owls", "bob", "viewer"], "").unwrap();
    run(&server, "", &["user", "accept", "bob", &invitation], "another horse battery\n").unwrap();
    let members = ada(&["team", "members", "owls"], "").unwrap();
    assert!(members.contains("bob") && members.contains("viewer"), "{members}");
    let bob = run(&server, "", &["login", "bob"], "another horse battery\n").unwrap();
    let refused = run(&server, &bob, &["project", "create", "p"], "").unwrap_err();
    assert!(refused.contains("developer"), "{refused}");
    ada(&["project", "create", "p"], "").unwrap();
    assert!(run(&server, &bob, &["project", "list"], "").unwrap().contains('p'));
    let limited = ada(&["token", "create", "ci", "--role", "viewer"], "").unwrap();
    assert!(run(&server, &limited, &["project", "create", "q"], "").is_err());
    ada(&["logout"], "").unwrap();
    assert!(ada(&["user", "me"], "").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn protection_is_shown_and_changed_one_thing_at_a_time() {
    let server = TestServer::start().await;
    server.create_stack(json!({ "name": "web" })).await;
    let protect = |words: &[&str]| {
        let words: Vec<&str> = ["protect", "web"].iter().chain(words).copied().collect();
        run(&server, ADMIN_TOKEN, &words, "")
    };
    assert!(protect(&[]).unwrap().contains("at any time"));
    protect(&["--approvals", "2", "--window", "mon,tue 09:00-16:00", "--window", "22:00-02:00"]).unwrap();
    let shown = protect(&["--freeze", "the sale runs"]).unwrap();
    for words in ["2 (not who asked for it)", "mon,tue 09:00-16:00; 22:00-02:00", "the sale runs"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!protect(&["--thaw"]).unwrap().contains("the sale runs"));
    assert!(protect(&["--window", "someday 9-17"]).unwrap_err().contains("no window"));
    assert!(protect(&["--approvals", "99"]).unwrap_err().contains("at most 10"));
    assert!(protect(&["--none"]).unwrap().contains("0 (not who asked for it)"));
}
