//! Projects as jobs, and what needs a forge.

use serde_json::json;
use windlass_sdk::http::{Error, Response};
use windlass_sdk::provider::{Artifacts, JobSpec, PipelineFile, Provider};

use super::{Line, connection, ok, pipeline, scripted, status, with_settings, workflows};
use crate::CircleCi;
use crate::name::{JobName, Slug};

const PROJECT: &str = "GET /api/v2/project/gh/org/app";
const NEWEST: &str = "GET /api/v2/project/gh/org/app/pipeline?branch=main";

fn spec(url: &str, file: Option<(&str, &str)>) -> JobSpec {
    let file =
        file.map(|(path, content)| PipelineFile { path: path.to_owned(), content: content.to_owned() });
    JobSpec {
        name: "app".to_owned(),
        description: String::new(),
        folder: None,
        repository_url: url.to_owned(),
        branch: "main".to_owned(),
        pipeline: file.into_iter().collect(),
        parameters: Vec::new(),
        extras: Vec::new(),
    }
}

fn project() -> Line {
    (PROJECT, ok(r#"{"slug":"gh/org/app","name":"app"}"#))
}

fn newest(items: &str) -> Line {
    (NEWEST, ok(&format!("{{\"items\":[{items}],\"next_page_token\":null}}")))
}

fn config(source: &str) -> Result<Response, Error> {
    ok(&json!({ "source": source, "compiled": "" }).to_string())
}

const RAN: &str = r#"{"id":"p1","number":25,"state":"created","project_slug":"gh/org/app"}"#;
const APP: &str = "https://github.com/org/app.git";

#[test]
fn a_project_with_what_is_committed_is_a_job() {
    let lines = vec![
        project(),
        newest(RAN),
        ("GET /api/v2/pipeline/p1/config", config("version: 2.1\n")),
        project(),
        newest(RAN),
        ("GET /api/v2/pipeline/p1/workflow", workflows(&[("a", "success", 1)])),
    ];
    let wish = spec(APP, Some((".circleci/config.yml", "version: 2.1")));
    let (job, _) = scripted(lines, || CircleCi::create_job(connection(), wish));
    let job = job.expect("it is there");
    assert_eq!((job.id.as_str(), job.name.as_str()), ("gh/org/app:main", "app (main)"));
    assert_eq!(job.url.as_deref(), Some("https://app.circleci.com/pipelines/github/org/app"));
    assert!(job.last_build.is_some());
}

#[test]
fn what_is_not_committed_needs_the_forge_and_says_where_it_belongs() {
    let wish = || spec(APP, Some((".circleci/config.yml", "version: 2.1\njobs: {}\n")));
    for lines in [
        vec![project(), newest("")],
        vec![project(), newest(RAN), ("GET /api/v2/pipeline/p1/config", config("version: 2"))],
        vec![project(), newest(RAN), ("GET /api/v2/pipeline/p1/config", status(404, "{}"))],
    ] {
        let (answer, _) = scripted(lines, || CircleCi::create_job(connection(), wish()));
        let failure = answer.expect_err("nothing is committed");
        assert_eq!((failure.code.as_str(), failure.request_sent), ("needs-forge", false));
        for word in [".circleci/config.yml", "main", APP, "forge"] {
            assert!(failure.message.contains(word), "{}", failure.message);
        }
    }
}

#[test]
fn a_job_that_cannot_be_is_refused_with_what_would_help() {
    for (wish, words) in [
        (spec("https://git.example/org/app.git", None), "the setting `projects`"),
        (spec(APP, Some(("ci/other.yml", "x"))), "`.circleci/config.yml`"),
        (JobSpec { branch: "a:b".to_owned(), ..spec(APP, None) }, "no branch"),
    ] {
        let (answer, _) = scripted(Vec::new(), || CircleCi::create_job(connection(), wish));
        let failure = answer.expect_err("it cannot be");
        assert_eq!(failure.code, "invalid-job");
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    let lines = vec![(PROJECT, status(404, r#"{"message":"Project not found"}"#))];
    let (answer, _) = scripted(lines, || CircleCi::create_job(connection(), spec(APP, None)));
    let failure = answer.expect_err("it is not set up");
    assert_eq!(failure.code, "invalid-job");
    assert!(failure.message.contains("set the project up"), "{}", failure.message);
}

#[test]
fn the_project_of_a_repository_is_told_by_its_url_or_by_the_operator() {
    for url in [
        "https://github.com/org/app",
        "https://github.com/org/app.git",
        "git@github.com:org/app.git",
        "ssh://git@github.com/org/app.git",
    ] {
        assert_eq!(Slug::of_repository(url).expect(url).short(), "gh/org/app");
    }
    assert_eq!(Slug::of_repository("https://bitbucket.org/o/r").expect("bb").long(), "bitbucket/o/r");
    for url in [
        "https://git.example/o/r",
        "https://github.com/o",
        "https://github.com/o/r/s",
        "x",
        "git@github.com:../r",
    ] {
        assert_eq!(Slug::of_repository(url), None, "{url}");
    }
    let with = with_settings(r#"{"projects":{"https://git.example/org/app.git":"circleci/O1/P1"}}"#);
    let lines = vec![
        ("GET /api/v2/project/circleci/O1/P1", ok(r#"{"name":"app"}"#)),
        (
            "GET /api/v2/project/circleci/O1/P1/pipeline?branch=main",
            ok(r#"{"items":[],"next_page_token":null}"#),
        ),
    ];
    let wish = spec("git@git.example:org/app", None);
    let (job, _) = scripted(lines, || CircleCi::create_job(with, wish));
    assert_eq!(job.expect("it is there").id, "circleci/O1/P1:main");
}

#[test]
fn a_jobs_name_is_read_back_and_nothing_else_is() {
    let job = JobName::of("github/org/app:feature/x").expect("it is one");
    assert_eq!(job.id(), "gh/org/app:feature/x");
    for bad in [
        "",
        "job",
        "gh/org/app",
        "gh/org/app:",
        "gl/org/app:main",
        "gh/org:main",
        "gh/../app:main",
        "gh//a:b",
    ] {
        assert_eq!(JobName::of(bad).expect_err(bad).code, "no-such-job");
    }
}

#[test]
fn a_project_is_not_deleted_and_one_that_is_not_there_is_no_error() {
    let (answer, _) = scripted(vec![project()], || CircleCi::delete_job(connection(), "gh/org/app:main"));
    let failure = answer.expect_err("it stays");
    assert_eq!((failure.code.as_str(), failure.request_sent), ("needs-forge", false));
    let lines = vec![(PROJECT, status(404, "{}"))];
    assert_eq!(scripted(lines, || CircleCi::delete_job(connection(), "gh/org/app:main")).0, Ok(()));
}

#[test]
fn artifacts_of_all_jobs_are_listed_and_read_where_they_lie() {
    let lines = vec![
        ("GET /api/v2/pipeline/p1/workflow", workflows(&[("a", "success", 1)])),
        (
            "GET /api/v2/workflow/w-a-1/job",
            ok(
                r#"{"items":[{"name":"t","status":"success","job_number":136},{"name":"hold","status":"success"}],"next_page_token":null}"#,
            ),
        ),
        (
            "GET /api/v2/project/gh/org/app/136/artifacts",
            ok(
                r#"{"items":[{"path":"out/a.txt","node_index":0,"url":"https://output.circle-artifacts.com/output/job/x/artifacts/0/out/a.txt"}],"next_page_token":null}"#,
            ),
        ),
    ];
    let (found, _) = scripted(lines, || CircleCi::list_artifacts(connection(), "gh/org/app:main", "p1"));
    let found = found.expect("there is one");
    assert_eq!((found.len(), found[0].path.as_str()), (1, "out/a.txt"));
    let lines =
        vec![("GET https://output.circle-artifacts.com/output/job/x/artifacts/0/out/a.txt", ok("hello"))];
    let (chunk, _) = scripted(lines, || {
        CircleCi::read_artifact(connection(), "gh/org/app:main", "p1", &found[0].id, None)
    });
    assert_eq!(chunk.expect("it is there").bytes, b"hello");
}

#[test]
fn the_token_belongs_to_somebody() {
    let lines = vec![("GET /api/v2/me", ok(r#"{"id":"u","login":"ada","name":"Ada L"}"#))];
    let (account, requests) = scripted(lines, || CircleCi::test_connection(connection()));
    assert_eq!(account.expect("it is taken").name, "ada");
    assert_eq!(requests[0].credential.as_deref(), Some("token"));
    let lines = vec![
        ("GET /api/v2/pipeline/p1", pipeline("created")),
        ("GET /api/v2/pipeline/p1/workflow", status(401, "{}")),
    ];
    let (answer, _) = scripted(lines, || CircleCi::get_build_status(connection(), "gh/org/app:main", "p1"));
    assert_eq!(answer.expect_err("it is not taken").code, "status-401");
}
