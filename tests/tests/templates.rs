//! Pipelines and their templates over the API, on the command line and in the guide.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use windlass_tests::pipelines::GENERATORS;
use windlass_tests::server::{ADMIN_TOKEN, TestServer, program};

fn model() -> Value {
    json!({
        "name": "deploy {{service}}",
        "repository": { "url": "https://git.example/shop.git", "branch": "main" },
        "scripts": [{ "path": "deploy.sh", "parameters": [{ "name": "SERVICE", "value": "{{service}}" }] }],
    })
}

fn template() -> Value {
    let service = json!({ "type": "string", "minLength": 2, "default": "shop" });
    json!({ "model": model(), "parameters": { "type": "object", "properties": { "service": service } } })
}

async fn render(server: &TestServer, order: Value) -> Value {
    server.post("/api/v1/pipelines/render", order).await.expect(200)["data"].clone()
}

#[tokio::test]
async fn every_generator_makes_its_files_of_one_template() {
    let server = TestServer::start().await;
    let saved = server.put("/api/v1/templates/deploy", template()).await.expect(200);
    assert_eq!((&saved["data"]["version"], &saved["data"]["createdBy"]), (&json!(1), &json!("admin")));
    let order = json!({ "template": "deploy", "parameters": { "service": "shop-2" } });
    let rendering = render(&server, order).await;
    assert_eq!(rendering["good"], true, "{rendering}");
    let outputs = rendering["outputs"].as_array().unwrap();
    let names: Vec<&str> = outputs.iter().map(|output| output["generator"].as_str().unwrap()).collect();
    assert_eq!(names, GENERATORS);
    for output in outputs {
        let content = output["files"][0]["content"].as_str().unwrap();
        assert!(content.contains("shop-2"), "{content}");
    }
    // What only asks for problems answers with no files.
    let order = json!({ "template": "deploy", "generators": ["gitlab-ci"] });
    let linted = server.post("/api/v1/pipelines/lint", order).await.expect(200);
    assert_eq!(linted["data"]["outputs"], json!([{ "generator": "gitlab-ci", "problems": [], "files": [] }]));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place() {
    let server = TestServer::start().await;
    let problem = async |order: Value| {
        let rendering = render(&server, order).await;
        assert_eq!(rendering["good"], false, "{rendering}");
        let found = rendering["problems"].as_array().unwrap();
        let of_generator = rendering["outputs"][0]["problems"].as_array();
        found.iter().chain(of_generator.into_iter().flatten()).next().unwrap()["path"].clone()
    };
    let draft = |parameters: Value| json!({ "draft": template(), "parameters": parameters });
    assert_eq!(problem(draft(json!({ "service": "x" }))).await, "/parameters/service");
    assert_eq!(problem(json!({ "model": { "nmae": "x" } })).await, "/model");
    let mut wrong = model();
    wrong["scripts"][0]["path"] = json!("../x");
    assert_eq!(problem(json!({ "model": wrong, "generators": ["gitlab-ci"] })).await, "/scripts/0/path");
    let settings = json!({ "gitlab-ci": { "imgae": "x" } });
    let order = json!({ "model": model(), "generators": ["gitlab-ci"], "settings": settings });
    assert_eq!(problem(order).await, "/settings");
    let order = json!({ "model": model(), "template": "deploy" });
    server.post("/api/v1/pipelines/render", order).await.expect(422);
    let order = json!({ "model": model(), "generators": ["nothing"] });
    server.post("/api/v1/pipelines/render", order).await.expect(422);
    let broken = json!({ "model": { "name": "{{nothing}}" } });
    server.put("/api/v1/templates/deploy", broken).await.expect(422);
    let broken = json!({ "model": {}, "parameters": { "type": "nothing" } });
    server.put("/api/v1/templates/deploy", broken).await.expect(422);
    server.put("/api/v1/templates/a%20b", template()).await.expect(422);
}

#[tokio::test]
async fn versions_are_added_compared_and_removed() {
    let server = TestServer::start().await;
    let path = "/api/v1/templates/deploy";
    server.put(path, template()).await.expect(200);
    // The same again is no new version.
    assert_eq!(server.put(path, template()).await.expect(200)["data"]["version"], 1);
    let mut changed = template();
    changed["description"] = json!("better");
    assert_eq!(server.put(path, changed).await.expect(200)["data"]["version"], 2);
    let diff = server.get(&format!("{path}/diff")).await.expect(200)["data"].clone();
    assert_eq!((&diff["from"], &diff["to"]), (&json!(1), &json!(2)));
    let lines = diff["lines"].as_array().unwrap();
    let changes: Vec<&Value> = lines.iter().filter(|line| line["change"] != "same").collect();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(changes[1]["text"].as_str().unwrap().contains("better"));
    let versions = server.get(&format!("{path}/versions?limit=1")).await.expect(200)["data"].clone();
    assert_eq!((&versions["items"][0]["version"], &versions["next"]), (&json!(2), &json!(2)));
    let old = server.get(&format!("{path}?version=1")).await.expect(200);
    assert_eq!(old["data"]["content"]["description"], "");
    server.get(&format!("{path}?version=3")).await.expect(404);
    server.delete(path).await.expect(204);
    server.get(path).await.expect(404);
    assert_eq!(server.get("/api/v1/templates").await.expect(200)["data"]["items"], json!([]));
}

#[tokio::test]
async fn a_project_has_templates_of_its_own() {
    let server = TestServer::start().await;
    let repository = json!({ "url": "https://git.example/shop.git", "provider": "github" });
    server.create_stack(json!({ "name": "web", "project": "shop", "repository": repository })).await;
    server.put("/api/v1/templates/deploy?project=shop", template()).await.expect(200);
    server.get("/api/v1/templates/deploy").await.expect(404);
    server.get("/api/v1/templates/deploy?project=shop").await.expect(200);
    server.get("/api/v1/templates/deploy?project=nothing").await.expect(404);
    let order = json!({ "template": "deploy", "project": "shop", "generators": ["gitlab-ci"] });
    assert_eq!(render(&server, order).await["good"], true);
}

#[tokio::test]
async fn nobody_without_a_token_sees_a_template() {
    let server = TestServer::start().await;
    for (method, path) in [
        (reqwest::Method::GET, "/api/v1/templates"),
        (reqwest::Method::PUT, "/api/v1/templates/deploy"),
        (reqwest::Method::DELETE, "/api/v1/templates/deploy"),
        (reqwest::Method::POST, "/api/v1/pipelines/render"),
    ] {
        let answer =
            server.stranger(method, path).header("content-type", "application/json").body("{}").send().await;
        assert_eq!(answer.unwrap().status(), 401, "{path}");
    }
}

/// Runs a script in an empty folder, with the program in PATH.
fn shell(server: &TestServer, folder: &Path, script: &str) -> Output {
    let (bin, work) = (folder.join("bin"), folder.join("work"));
    if !bin.exists() {
        std::fs::create_dir(&bin).unwrap();
        std::fs::create_dir(&work).unwrap();
        symlink(program(), bin.join("windlass")).unwrap();
    }
    Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(work)
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
        .env("WINDLASS_SERVER", &server.url)
        .env("WINDLASS_TOKEN", ADMIN_TOKEN)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_guide_work_as_they_stand() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pipelines.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let blocks: Vec<&str> =
        guide.split("```sh run\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    let (server, folder) = (TestServer::start().await, tempfile::tempdir().unwrap());
    let output = shell(&server, folder.path(), &blocks.concat());
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for text in [
        "good gitlab-ci",
        "Template deploy is saved as version 2.",
        "+ ",
        "runs-on: self-hosted",
        "is removed",
    ] {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
    let written = folder.path().join("work/pipelines");
    for file in [
        "jenkins-pipeline/Jenkinsfile",
        "github-workflow/.github/workflows/deploy-the-shop.yml",
        "gitlab-ci/.gitlab-ci.yml",
        "circleci-config/.circleci/config.yml",
    ] {
        assert!(written.join(file).is_file(), "{file} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_is_the_exit_code_and_json_is_the_apis() {
    let (server, folder) = (TestServer::start().await, tempfile::tempdir().unwrap());
    let output = shell(
        &server,
        folder.path(),
        "echo '{\"name\": \"x\", \"repository\": {\"url\": \"\", \"branch\": \"\"}}' > m.json; windlass pipeline lint -f m.json",
    );
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("bad  gitlab-ci /scripts: There is no script to run"),
        "{}",
        said(&output)
    );
    let output =
        shell(&server, folder.path(), "windlass pipeline lint -f m.json --generator gitlab-ci -o json");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["outputs"][0]["problems"][0]["path"], "/scripts");
    let output = shell(&server, folder.path(), "windlass template delete deploy");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let output = shell(&server, folder.path(), "windlass template show nothing");
    assert!(said(&output).contains("`windlass template list`"), "{}", said(&output));
}
