//! Logs by the steps of each job.

use serde_json::{Value, json};
use windlass_sdk::http::{Error, Response};
use windlass_sdk::provider::Provider;

use super::{Line, WORKFLOWS, connection, ok, scripted, status, workflows};
use crate::CircleCi;

const JOBS: &str = "GET /api/v2/workflow/w-a-1/job";
const URL: &str = "https://circle-production-action-output.s3.amazonaws.com/";

fn jobs(all: &[(u64, &str, &str)]) -> Result<Response, Error> {
    let items: Vec<Value> = all
        .iter()
        .map(|(number, name, status)| json!({ "job_number": number, "name": name, "status": status }))
        .collect();
    ok(&json!({ "items": items, "next_page_token": null }).to_string())
}

fn steps(all: &[(&str, &str, Option<&str>)]) -> Result<Response, Error> {
    let steps: Vec<Value> = all
        .iter()
        .map(|(name, status, output)| {
            let url = output.map(|output| format!("{URL}{output}"));
            json!({ "name": name, "actions": [{ "index": 0, "status": status, "has_output": url.is_some(), "output_url": url }] })
        })
        .collect();
    ok(&json!({ "steps": steps }).to_string())
}

fn output(pieces: &[&str]) -> Result<Response, Error> {
    let pieces: Vec<Value> = pieces.iter().map(|text| json!({ "type": "out", "message": text })).collect();
    ok(&Value::from(pieces).to_string())
}

/// Reads one piece.
fn read(lines: Vec<Line>, cursor: Option<&str>) -> (String, String, bool) {
    let work = || CircleCi::get_build_logs(connection(), "gh/org/app:main", "p1", cursor);
    let (chunk, requests) = scripted(lines, work);
    let chunk = chunk.expect("there is a log");
    for request in requests {
        // The addresses of outputs are signed, and lead elsewhere.
        assert_eq!(request.credential.is_none(), request.path.starts_with("https://"), "{}", request.path);
    }
    (chunk.text, chunk.cursor, chunk.complete)
}

#[test]
fn jobs_are_read_one_after_another_as_they_end() {
    let lines = vec![
        (WORKFLOWS, workflows(&[("a", "running", 1)])),
        (JOBS, jobs(&[(12, "deploy", "running"), (11, "test", "success")])),
        (
            "GET /api/v1.1/project/github/org/app/11",
            steps(&[("Spin up", "success", Some("1")), ("Quiet", "success", None)]),
        ),
        ("GET https://circle-production-action-output.s3.amazonaws.com/1", output(&["one\n", "two\n"])),
        (
            "GET /api/v1.1/project/github/org/app/12",
            steps(&[("Push", "success", Some("2")), ("Wait", "running", Some("3"))]),
        ),
        ("GET https://circle-production-action-output.s3.amazonaws.com/2", output(&["pushed\n"])),
    ];
    let (text, cursor, complete) = read(lines, None);
    assert_eq!(
        text,
        "==> test / Spin up [0]\none\ntwo\n==> test / Quiet [0]\n==> deploy / Push [0]\npushed\n"
    );
    assert_eq!((cursor.as_str(), complete), ("12.1.0", false));

    let waiting = vec![
        (WORKFLOWS, workflows(&[("a", "running", 1)])),
        (JOBS, jobs(&[(11, "test", "success"), (12, "deploy", "running")])),
        (
            "GET /api/v1.1/project/github/org/app/12",
            steps(&[("Push", "success", Some("2")), ("Wait", "running", Some("3"))]),
        ),
    ];
    assert_eq!(read(waiting, Some("12.1.0")), (String::new(), "12.1.0".to_owned(), false));

    let last = vec![
        (WORKFLOWS, workflows(&[("a", "success", 1)])),
        (JOBS, jobs(&[(11, "test", "success"), (12, "deploy", "success")])),
        (
            "GET /api/v1.1/project/github/org/app/12",
            steps(&[("Push", "success", Some("2")), ("Wait", "success", Some("3"))]),
        ),
        ("GET https://circle-production-action-output.s3.amazonaws.com/3", output(&["waited\n"])),
    ];
    assert_eq!(
        read(last, Some("12.1.0")),
        ("==> deploy / Wait [0]\nwaited\n".to_owned(), "13.0.0".to_owned(), true)
    );
}

#[test]
fn a_pipeline_that_has_not_begun_has_no_log_yet() {
    assert_eq!(read(vec![(WORKFLOWS, workflows(&[]))], None), (String::new(), "0.0.0".to_owned(), false));
}

#[test]
fn a_long_output_comes_in_pieces_that_lose_nothing() {
    let whole = "é\n".repeat(900_000);
    let (mut text, mut cursor, mut pieces) = (String::new(), None::<String>, 0);
    loop {
        let lines = vec![
            (WORKFLOWS, workflows(&[("a", "success", 1)])),
            (JOBS, jobs(&[(11, "t", "success")])),
            ("GET /api/v1.1/project/github/org/app/11", steps(&[("s", "success", Some("1"))])),
            ("GET https://circle-production-action-output.s3.amazonaws.com/1", output(&[&whole])),
        ];
        let (piece, next, complete) = read(lines, cursor.as_deref());
        assert!(piece.len() <= 1 << 20, "{}", piece.len());
        text.push_str(&piece);
        pieces += 1;
        if complete {
            break;
        }
        assert_ne!(cursor.as_deref(), Some(next.as_str()));
        cursor = Some(next);
    }
    assert_eq!((text == format!("==> t / s [0]\n{whole}"), pieces), (true, 3));
}

#[test]
fn many_outputs_are_read_in_several_calls() {
    let all: Vec<(&str, &str, Option<&str>)> = vec![("s", "success", Some("1")); 14];
    let lines = |outputs: usize| {
        let mut lines = vec![
            (WORKFLOWS, workflows(&[("a", "success", 1)])),
            (JOBS, jobs(&[(11, "t", "success")])),
            ("GET /api/v1.1/project/github/org/app/11", steps(&all)),
        ];
        let one = ("GET https://circle-production-action-output.s3.amazonaws.com/1", output(&["x"]));
        lines.extend(vec![one; outputs]);
        lines
    };
    let (_, cursor, complete) = read(lines(12), None);
    assert_eq!((cursor.as_str(), complete), ("11.12.0", false));
    let (_, cursor, complete) = read(lines(2), Some(&cursor));
    assert_eq!((cursor.as_str(), complete), ("12.0.0", true));
}

#[test]
fn what_circleci_has_deleted_is_gone() {
    let lines = vec![
        (WORKFLOWS, workflows(&[("a", "success", 1)])),
        (JOBS, jobs(&[(11, "t", "success")])),
        ("GET /api/v1.1/project/github/org/app/11", status(404, "{}")),
    ];
    let (answer, _) =
        scripted(lines, || CircleCi::get_build_logs(connection(), "gh/org/app:main", "p1", None));
    assert_eq!(answer.expect_err("it is gone").code, "log-gone");
    for bad in ["x", "1.2", "1.2.3.4", "-1.0.0"] {
        let work = || CircleCi::get_build_logs(connection(), "gh/org/app:main", "p1", Some(bad));
        assert_eq!(scripted(Vec::new(), work).0.expect_err(bad).code, "invalid-cursor");
    }
}
