//! The whole API, asked by a tool that makes requests from its document: what the document allows, and what it does not. Most of
//! the time it asks about things that there are, so that it comes further than to “there is none”.
//!
//! `make schemathesis` asks well above 20,000 times.
#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use windlass_tests::server::{ADMIN_TOKEN, TestServer};
use windlass_tests::tools::tool;
use windlass_tests::world::World;

/// Requests of each operation that are made up in a run of all tests, beside those that go through the document one by one;
/// more are asked for by `SCHEMATHESIS_EXAMPLES`.
const EXAMPLES: &str = "3";
/// Requests that there have to be in all; more are asked for by `SCHEMATHESIS_LEAST`.
const LEAST: usize = 5000;

/// Streams never end, a log-out ends the run, and what is in a repository needs a git server that answers, as does the plan of
/// a build.
const LEFT_OUT: &str =
    r"^/api/v1/(events|sessions/current|.*/(stream|follow|build-plan|commits|files|files/content|refs))$";

/// What is removed is not there to be asked about any more, so it comes last.
const ROUNDS: [[&str; 2]; 2] = [["--exclude-method", "DELETE"], ["--include-method", "DELETE"]];

/// Four times out of five, a parameter of a path is one of the first team's things.
fn settings(world: &World) -> String {
    let (mut dictionaries, mut parameters) = (String::new(), String::from("[parameters]\n"));
    for (name, thing) in &world.things {
        let thing = serde_json::to_string(thing).unwrap();
        writeln!(dictionaries, "[dictionaries.{name}]\nvalues = [{thing}]").unwrap();
        writeln!(parameters, r#""path.{name}" = {{ dictionary = "{name}", probability = 0.8 }}"#).unwrap();
    }
    dictionaries + &parameters
}

/// How many requests were made, and what became of them.
#[derive(Default)]
struct Count {
    all: usize,
    good: usize,
    missing: usize,
}

impl Count {
    fn add(&mut self, recorded: &Path) {
        // Tens of megabytes, of which only this is wanted; within a text, the quotes would be escaped.
        let recorded = std::fs::read_to_string(recorded).unwrap();
        for answer in recorded.split(r#""response": {"status": "#).skip(1) {
            self.all += 1;
            self.good += usize::from(answer.starts_with('2'));
            self.missing += usize::from(answer.starts_with("404"));
        }
    }
}

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
    let world = World::on(server).await;
    let known = folder.path().join("schemathesis.toml");
    std::fs::write(&known, settings(&world)).unwrap();
    let examples = std::env::var("SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.into());
    let least = std::env::var("SCHEMATHESIS_LEAST").map_or(LEAST, |least| least.parse().unwrap());
    let url = format!("{}/api/v1/openapi.json", world.server.url);
    let authorization = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let mut count = Count::default();
    for (n, round) in ROUNDS.iter().enumerate() {
        let recorded = folder.path().join(format!("{n}.har"));
        let mut command = Command::new(program.trim());
        command
            .current_dir(folder.path())
            .arg("--config-file")
            .arg(&known)
            .args(["run", &url, "--no-color", "--header", &authorization])
            .args(["--checks", "not_a_server_error,response_schema_conformance,content_type_conformance"])
            .args(["--exclude-path-regex", LEFT_OUT, "--max-examples", &examples])
            .args(round)
            .args(["--phases", "examples,coverage,fuzzing", "--request-timeout", "30", "--seed", "1"])
            .args(["--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off"])
            .args(["--report", "har", "--report-har-path"])
            .arg(&recorded);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{said}");
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        count.add(&recorded);
    }
    let Count { all, good, missing } = count;
    println!("{all} requests: {good} did what was asked for, {missing} asked for what there is not");
    assert!(all >= least, "only {all} requests were made, and {least} were wanted");
    assert!(missing * 3 < all, "{missing} of {all} requests asked for what there is not");
}
