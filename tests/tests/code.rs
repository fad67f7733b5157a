//! What is in a stack's repository is shown to people who see the stack: over REST, from the command line and as pages.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass_tests::git_server::{File, GitServer, TestRepo};
use windlass_tests::server::{ADMIN_TOKEN, TestServer};

/// A server with a stack whose repository has two commits on `main`, a link, a binary file and a tag.
async fn start() -> (GitServer, TestRepo, TestServer, [String; 2]) {
    let git = GitServer::start().await;
    let repo = git.create("app");
    let text = |path, content: &'static str| File { path, mode: "100644", content: content.as_bytes() };
    let first = repo.commit_files(
        "main",
        &[
            text("README.md", "hello\n"),
            text("src/main.c", "int x;\n"),
            File { path: "picture", mode: "100644", content: b"\x89PNG\0\x01" },
            File { path: "passwords", mode: "120000", content: b"/etc/passwd" },
            File { path: "part", mode: "160000", content: "a".repeat(40).as_bytes() },
        ],
        "First <b>\n\nBody",
    );
    repo.git(&["tag", "v1"]);
    let second = repo.commit("main", &[("src/main.c", "int y;\n")], "Second");
    let server = TestServer::start().await;
    server.create_stack(stack("web", &git.url("app"))).await;
    (git, repo, server, [first, second])
}

fn stack(name: &str, url: &str) -> Value {
    json!({ "name": name, "repository": { "url": url, "branch": "main" } })
}

async fn page(server: &TestServer, path: &str) -> String {
    let cookie = format!("windlass_token={ADMIN_TOKEN}");
    let request = server.stranger(reqwest::Method::GET, path).header("cookie", cookie);
    request.send().await.unwrap().text().await.unwrap()
}

fn names(page: &Value, field: &str) -> Vec<String> {
    page["data"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one[field].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_told_page_by_page_with_what_became_of_each_commit() {
    let (_git, repo, server, [first, second]) = start().await;
    let page = server.get("/api/v1/stacks/web/commits?limit=1").await.expect(200);
    assert_eq!(names(&page, "sha"), std::slice::from_ref(&second));
    assert_eq!((&page["data"]["ref"], &page["data"]["commitSha"]), (&json!("main"), &json!(second)));
    assert_eq!(page["data"]["behind"], Value::Null);
    // A push in between moves nothing from one page to another.
    repo.commit("main", &[("new", "1")], "Third");
    let cursor = page["data"]["next"].as_str().unwrap();
    let path = format!("/api/v1/stacks/web/commits?limit=1&cursor={cursor}");
    let page = server.get(&path).await.expect(200);
    let row = &page["data"]["items"][0];
    assert_eq!(
        (&row["sha"], &row["subject"], &row["author"]),
        (&json!(first), &json!("First <b>"), &json!("Ada"))
    );
    assert_eq!(
        (&row["running"], &row["deployed"], &row["deployment"]),
        (&json!(false), &json!(false), &Value::Null)
    );
    assert_eq!(page["data"]["next"], Value::Null);

    let deployment = server.post("/api/v1/stacks/web/deploy", json!({ "gitRef": first })).await.expect(202);
    let page = server.get("/api/v1/stacks/web/commits?ref=v1").await.expect(200);
    let row = &page["data"]["items"][0];
    assert_eq!(row["deployment"], deployment["data"]["seq"]);
    assert_eq!((&row["sha"], row["deploymentStatus"].is_string()), (&json!(first), true));

    for path in ["commits?cursor=main.1", "commits?ref=-x", "commits?ref=a..b"] {
        server.get(&format!("/api/v1/stacks/web/{path}")).await.expect(422);
    }
    server.get("/api/v1/stacks/web/commits?ref=nothing").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_and_files_are_shown_and_nothing_leads_out_of_the_repository() {
    let (_git, _repo, server, [first, _]) = start().await;
    let page = server.get("/api/v1/stacks/web/files?ref=v1").await.expect(200);
    assert_eq!(names(&page, "name"), ["src", "README.md", "picture", "passwords", "part"]);
    assert_eq!(names(&page, "kind"), ["folder", "file", "file", "link", "submodule"]);
    assert_eq!((&page["data"]["commitSha"], &page["data"]["items"][1]["size"]), (&json!(first), &json!(6)));
    let page = server.get("/api/v1/stacks/web/files?path=src/").await.expect(200);
    assert_eq!(names(&page, "name"), ["main.c"]);

    let content = async |path: &str| server.get(&format!("/api/v1/stacks/web/files/content?{path}")).await;
    let file = content("path=src/main.c").await.expect(200);
    assert_eq!((&file["data"]["text"], &file["data"]["binary"]), (&json!("int y;\n"), &json!(false)));
    assert_eq!(content("path=src/main.c&ref=v1").await.expect(200)["data"]["text"], "int x;\n");
    let file = content("path=picture").await.expect(200)["data"].clone();
    assert_eq!((&file["binary"], &file["text"], &file["size"]), (&json!(true), &Value::Null, &json!(6)));
    for path in ["passwords", "part", "src", "../README.md", "/etc/passwd", ".git/config", ""] {
        let refused = content(&format!("path={path}")).await.expect(422);
        assert_eq!(refused["field"], "path", "{path}: {refused}");
    }
    content("path=passwords/x").await.expect(404);
    server.get("/api/v1/stacks/web/files?path=passwords").await.expect(404);
    server.get("/api/v1/stacks/web/files?path=../..").await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_is_shown_while_the_git_server_is_away() {
    let (git, repo, server, [first, second]) = start().await;
    let refs = server.get("/api/v1/stacks/web/refs").await.expect(200);
    assert_eq!(names(&refs, "name"), ["main", "v1"]);
    assert_eq!(names(&refs, "commitSha"), [second.clone(), first]);
    assert_eq!(refs["data"]["items"][0]["default"], true);
    repo.commit("main", &[("new", "1")], "Third");
    let before = git.fetches();
    server.get("/api/v1/stacks/web/commits").await.expect(200);
    assert_eq!(git.fetches(), before, "what was fetched a moment ago is not fetched again");
    drop(git);
    server.get("/api/v1/stacks/web/commits?ref=unknown").await.expect(503);
    let page = server.get(&format!("/api/v1/stacks/web/commits?ref={second}")).await.expect(200);
    assert_eq!(page["data"]["behind"], Value::Null, "a commit does not change");

    server.create_stack(json!({ "name": "bare" })).await;
    let refused = server.get("/api/v1/stacks/bare/commits").await.expect(409);
    assert!(refused.to_string().contains("no repository"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_history_folders_files_and_names() {
    let (_git, _repo, server, [first, second]) = start().await;
    let log = server.cli(&["git", "log", "web", "-n", "1"]).expect(0);
    assert!(log.out.contains(&second[..7]) && log.out.contains("Second"), "{}", log.out);
    assert!(!log.out.contains(&first[..7]), "{}", log.out);
    let listed = server.cli(&["git", "ls", "web", "src"]).expect(0).out;
    assert!(listed.contains("main.c"), "{listed}");
    assert_eq!(server.cli(&["git", "show", "web", "src/main.c", "--ref", "v1"]).expect(0).out, "int x;\n");
    let refs = server.cli(&["git", "refs", "web"]).expect(0).out;
    assert!(refs.contains("branch") && refs.contains("v1"), "{refs}");
    let json = server.cli(&["git", "ls", "web", "-o", "json"]).expect(0).out;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["items"][0]["name"], "src");
    server.cli(&["git", "show", "web", "picture"]).expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_show_the_repository_and_offer_to_deploy_a_commit() {
    let (_git, _repo, server, [first, second]) = start().await;
    let page = async |path: &str| page(&server, path).await;
    let commits = page("/stacks/web/commits").await;
    assert!(commits.contains("First &#60;b&#62;") && !commits.contains("First <b>"), "{commits}");
    assert!(commits.contains(&format!("name=\"git_ref\" value=\"{second}\"")), "{commits}");
    let files = page(&format!("/stacks/web/files?ref={first}&path=src")).await;
    assert!(files.contains("main.c") && files.contains("file=src%2Fmain.c"), "{files}");
    let file = page("/stacks/web/files?file=src/main.c").await;
    assert!(file.contains("int y;"), "{file}");
    assert!(page("/stacks/web/files?file=picture").await.contains("It is no text."));
    let missing = page("/stacks/web/commits?ref=nothing").await;
    assert!(missing.contains("`nothing` does not exist"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn host_keys_are_listed_and_forgotten_by_administrators_and_the_record_knows() {
    let key = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    let server = TestServer::start_on(&[], |data| {
        std::fs::create_dir_all(data.join("git")).unwrap();
        let lines = format!("git.example ssh-ed25519 {key}\n[git.example]:2222 ssh-ed25519 {key}\n");
        std::fs::write(data.join("git/known_hosts"), lines).unwrap();
        std::fs::create_dir_all(data.join("targets")).unwrap();
        let lines = format!("10.0.0.8 ssh-ed25519 {key}\ngit.example ssh-ed25519 {key}\n");
        std::fs::write(data.join("targets/known_hosts"), lines).unwrap();
    })
    .await;
    let hosts = async || {
        let listed = server.get("/api/v1/git/hosts").await.expect(200);
        let rows = listed["data"].as_array().unwrap().clone();
        rows.iter().map(|row| row["host"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hosts().await, ["git.example", "[git.example]:2222", "10.0.0.8", "git.example"]);
    let listed = server.get("/api/v1/git/hosts").await.expect(200)["data"].clone();
    assert_eq!((&listed[0]["purpose"], &listed[2]["purpose"]), (&json!("git"), &json!("target")), "{listed}");
    let listed = server.cli(&["git", "hosts"]).expect(0).out;
    assert!(listed.contains("SHA256:") && listed.contains("[git.example]:2222"), "{listed}");
    let shown = page(&server, "/hosts").await;
    assert!(
        shown.contains("[git.example]:2222") && shown.contains(r#"name="purpose" value="target""#),
        "{shown}"
    );
    server.cli(&["git", "forget", "[git.example]:2222"]).expect(0);
    assert_eq!(hosts().await, ["git.example", "10.0.0.8", "git.example"]);
    // One that is both keeps what nobody spoke of.
    server.delete("/api/v1/git/hosts/10.0.0.8?purpose=git").await.expect(404);
    server.delete("/api/v1/git/hosts/10.0.0.8?purpose=nothing").await.expect(422);
    server.cli(&["git", "forget", "--purpose", "git", "git.example"]).expect(0);
    assert_eq!(hosts().await, ["10.0.0.8", "git.example"]);
    server.cli(&["git", "forget", "10.0.0.8"]).expect(0);
    server.delete("/api/v1/git/hosts/git.example").await.expect_empty(204);
    assert_eq!(hosts().await, Vec::<String>::new());
    server.delete("/api/v1/git/hosts/git.example").await.expect(404);
    let record = server.get("/api/v1/audit?action=host_forget").await.expect(200);
    let entries = record["data"]["items"].as_array().unwrap();
    assert_eq!(entries.iter().filter(|entry| entry["outcome"] == "done").count(), 4, "{record:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_of_one_team_share_a_mirror_and_those_of_two_teams_do_not() {
    let (git, _repo, server, [_, second]) = start().await;
    let mirrors = || {
        let folder = std::fs::read_dir(server.data().join("git/mirrors")).unwrap();
        folder.filter(|one| one.as_ref().unwrap().path().extension().is_some_and(|end| end == "git")).count()
    };
    let head = async |stack: &str| {
        let page = server.get(&format!("/api/v1/stacks/{stack}/commits")).await.expect(200);
        page["data"]["commitSha"].as_str().unwrap().to_owned()
    };
    assert_eq!((head("web").await, mirrors()), (second.clone(), 1));
    let fetched = git.fetches();
    server.create_stack(stack("shop", &git.url("app"))).await;
    assert_eq!((head("shop").await, mirrors(), git.fetches()), (second.clone(), 1, fetched));

    server.post("/api/v1/teams", json!({ "name": "owls" })).await.expect(201);
    let mut others = stack("owl", &git.url("app"));
    others["team"] = "owls".into();
    others["project"] = "owl-project".into();
    server.create_stack(others).await;
    assert_eq!((head("owl").await, mirrors()), (second, 2));
    assert!(git.fetches() > fetched, "another team's mirror is fetched with its own credentials");

    server.delete("/api/v1/stacks/web").await.expect_empty(204);
    head("shop").await;
    assert_eq!(mirrors(), 2, "what others use stays");
}
