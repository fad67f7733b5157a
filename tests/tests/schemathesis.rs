//! The whole API, asked by a tool that makes requests from its document: what the document allows, and what it does not.
//!
//! `SCHEMATHESIS_EXAMPLES=150 cargo test --workspace --test schemathesis -- --nocapture` asks well above 20,000 times.
#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::process::Command;

use serde_json::json;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};
use windlass_tests::tools::tool;

/// Requests of each operation in a run of all tests; more are asked for by `SCHEMATHESIS_EXAMPLES`.
const EXAMPLES: &str = "3";

/// Streams never end, a log-out ends the run, and the plan of a build needs a git server that answers.
const LEFT_OUT: &str = r"^/api/v1/(events|sessions/current|.*/(stream|follow|build-plan))$";

#[tokio::test]
async fn whatever_is_asked_the_server_never_fails_and_answers_as_its_document_says() {
    let Some(program) = tool("schemathesis", "schemathesis", "whatever is asked, the server never fails")
    else {
        return;
    };
    // It asks as fast as it can.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("windlass.toml");
    std::fs::write(&config, "[server]\nrequests_per_minute = 0\n").unwrap();
    let server = TestServer::start_with(&[("WINDLASS_CONFIG", config.to_str().unwrap())]).await;
    let repository = json!({ "url": "http://127.0.0.1:9/web.git", "provider": "github" });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    let examples = std::env::var("SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.into());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}/api/v1/openapi.json", server.url);
    let authorization = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program.trim())
            .current_dir(folder.path())
            .args(["run", &url, "--no-color", "--header", &authorization])
            .args(["--checks", "not_a_server_error,response_schema_conformance,content_type_conformance"])
            .args(["--exclude-path-regex", LEFT_OUT, "--max-examples", &examples])
            .args(["--phases", "examples,coverage,fuzzing", "--request-timeout", "30", "--seed", "1"])
            .args(["--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off"])
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("passed"), "it has asked nothing:\n{said}");
}
