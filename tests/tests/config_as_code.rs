//! Configuration as files: a whole server by `windlass apply`, and `windlass.yaml` in the repository.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::path::Path;

use serde_json::{Value, json};
use windlass_tests::cli::run;
use windlass_tests::database::TestDb;
use windlass_tests::fixture::Fixture;
use windlass_tests::server::TestServer;

const FILE: &str = "version: 1
stacks:
  - name: web
    project: shop
    repository:
      url: https://git.example/team/web.git
      authType: http_token
      credentials:
        token: ${GIT_TOKEN}
    build:
      environmentVariables:
        - { name: MODE, value: fast }
        - { name: KEY, value: \"${APP_KEY}\", secret: true }
    schedules:
      - { name: nightly, cron: 30 4 * * mon-fri, timeZone: Europe/Berlin }
    protection: { approvals: 1, windows: [{ days: [mon], from: '09:00', until: '16:00' }] }
  - name: jobs
    repository: { url: https://git.example/team/web.git, branch: jobs }
";

fn secrets() -> Value {
    json!({ "GIT_TOKEN": "hunter2-token", "APP_KEY": "hunter2-key" })
}

async fn plan(server: &TestServer, document: &str, prune: bool) -> Value {
    let body = json!({ "name": "f.yaml", "document": document, "secrets": secrets(), "prune": prune });
    server.post("/api/v1/apply/plan", body).await.expect(200)["data"].clone()
}

async fn apply(server: &TestServer, document: &str, prune: bool) -> Value {
    let hash = plan(server, document, prune).await["hash"].clone();
    let body = json!({
        "name": "f.yaml", "document": document, "secrets": secrets(), "prune": prune, "planHash": hash,
    });
    server.post("/api/v1/apply", body).await.expect(200)["data"].clone()
}

fn actions(plan: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    plan["stacks"].as_array().unwrap().iter().map(|one| (word(&one["action"]), word(&one["name"]))).collect()
}

fn pair(action: &str, name: &str) -> (String, String) {
    (action.into(), name.into())
}

async fn a_file_is_planned_applied_and_then_there_is_nothing_to_do(variables: &[(&str, &str)]) {
    let server = TestServer::start_with(variables).await;
    server.create_stack(json!({ "name": "old" })).await;
    let first = plan(&server, FILE, false).await;
    assert_eq!(actions(&first), [pair("create", "web"), pair("create", "jobs")]);
    assert!(!first.to_string().contains("hunter2"), "{first:#}");
    assert_eq!(server.get("/api/v1/stacks/web").await.status, 404, "a plan changes nothing");

    let done = apply(&server, FILE, false).await;
    assert!(done["webhooks"]["web"]["secret"].is_string(), "{done:#}");
    assert_eq!(plan(&server, FILE, false).await["stacks"], json!([]));
    // The values are stored, so the references need no values any more.
    let body = json!({ "name": "f.yaml", "document": FILE });
    let again = server.post("/api/v1/apply/plan", body).await.expect(200);
    assert_eq!(again["data"]["stacks"], json!([]), "{again:#}");
    let web = server.get("/api/v1/stacks/web").await.expect(200)["data"].clone();
    assert_eq!((&web["gitRepository"]["hasCredentials"], &web["project"]), (&json!(true), &web["project"]));

    let changed = FILE.replace("MODE, value: fast", "MODE, value: slow").replace("30 4", "30 5");
    let second = plan(&server, &changed, false).await;
    let told: Vec<&str> = second["stacks"][0]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["what"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["build.environmentVariables.MODE.value", "schedules.nightly.cron"], "{second:#}");
    apply(&server, &changed, false).await;
    let schedules = server.get("/api/v1/stacks/web/schedules").await.expect(200)["data"]["items"].clone();
    assert_eq!(schedules[0]["cron"], "30 5 * * mon-fri");

    // Nothing is deleted unless that is asked for.
    let protection = async || server.get("/api/v1/stacks/web/protection").await.expect(200)["data"].clone();
    assert_eq!(
        (&protection().await["approvals"], &protection().await["windows"][0]["from"]),
        (&json!(1), &json!("09:00"))
    );
    let (start, rest) = changed.split_once("    schedules:").unwrap();
    let less = format!("{start}{}", &rest[rest.find("  - name: jobs").unwrap()..]);
    assert_eq!(plan(&server, &less, false).await["stacks"], json!([]));
    let pruning = plan(&server, &less, true).await;
    assert_eq!(actions(&pruning), [pair("change", "web"), pair("delete", "old")], "{pruning:#}");
    apply(&server, &less, true).await;
    assert_eq!(server.get("/api/v1/stacks/old").await.status, 404);
    let left = server.get("/api/v1/schedules").await.expect(200)["data"]["items"].clone();
    assert_eq!(left, json!([]));
    assert_eq!(protection().await["approvals"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_planned_applied_and_then_there_is_nothing_to_do_on_sqlite() {
    a_file_is_planned_applied_and_then_there_is_nothing_to_do(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_planned_applied_and_then_there_is_nothing_to_do_on_postgresql() {
    let Some(database) = TestDb::postgres().await else { return };
    let variables = [("WINDLASS_DATABASE_URL", database.url.as_str())];
    a_file_is_planned_applied_and_then_there_is_nothing_to_do(&variables).await;
}

const AROUND: &str = "registries:
  - { name: ghcr, address: ghcr.io, username: bot, password: '${REGISTRY_TOKEN}' }
stacks:
  - name: web
channels:
  - name: ops
    plugin: webhook-notify
    url: https://ops.example/hook/
    rules:
      - { events: ['deployment.*'] }
      - { events: [build.failed], windowSecs: 0 }
    stackRules:
      web: [{ events: [deployment.successful] }]
";

/// What a plan says about a section.
fn told(plan: &Value, section: &str) -> Vec<(String, String)> {
    actions(&json!({ "stacks": plan[section] }))
}

async fn registries_and_channels_are_made_changed_and_pruned_by_a_file(variables: &[(&str, &str)]) {
    let server = TestServer::start_with(variables).await;
    let given = json!({ "REGISTRY_TOKEN": "hunter2-registry" });
    let body = |document: &str| json!({ "name": "f.yaml", "document": document, "secrets": given });
    let planned = async |document: &str, prune: bool| {
        let mut body = body(document);
        body["prune"] = prune.into();
        server.post("/api/v1/apply/plan", body).await.expect(200)["data"].clone()
    };
    let applied = async |document: &str, prune: bool| {
        let mut body = body(document);
        body["planHash"] = planned(document, prune).await["hash"].clone();
        body["prune"] = prune.into();
        server.post("/api/v1/apply", body).await.expect(200)["data"].clone()
    };
    let first = planned(AROUND, false).await;
    assert_eq!(told(&first, "registries"), [pair("create", "ghcr")]);
    assert_eq!(told(&first, "channels"), [pair("create", "default/ops")]);
    let done = applied(AROUND, false).await;
    assert!(!done.to_string().contains("hunter2"), "{done:#}");
    let made = done["channelSecrets"]["default/ops"].as_str().unwrap().to_owned();
    assert!(made.starts_with("whsec_"), "{done:#}");
    let nothing = json!([json!([]), json!([]), json!([])]);
    let rest = |plan: Value| json!([plan["registries"], plan["stacks"], plan["channels"]]);
    assert_eq!(rest(planned(AROUND, true).await), nothing);
    // The values are stored by now, and the secret that was made stays.
    let body = json!({ "name": "f.yaml", "document": AROUND });
    assert_eq!(rest(server.post("/api/v1/apply/plan", body).await.expect(200)["data"].clone()), nothing);

    let changed = AROUND.replace("build.failed", "build.*").replace("username: bot", "username: robot");
    let plan = planned(&changed, true).await;
    assert_eq!(told(&plan, "registries"), [pair("change", "ghcr")]);
    assert_eq!(told(&plan, "channels"), [pair("change", "default/ops")]);
    applied(&changed, true).await;
    assert_eq!(rest(planned(&changed, true).await), nothing);
    let channels = server.get("/api/v1/channels").await.expect(200)["data"]["items"].clone();
    let id = channels[0]["id"].as_str().unwrap().to_owned();
    let rules =
        server.get(&format!("/api/v1/channels/{id}/rules")).await.expect(200)["data"]["items"].clone();
    assert_eq!(rules.as_array().unwrap().len(), 3, "{rules:#}");

    // A section that is not there is left alone; one that is empty is not.
    let stacks = "stacks:\n  - name: web\n";
    assert_eq!(rest(planned(stacks, true).await), nothing);
    let none = format!("registries: []\n{stacks}channels: []\n");
    assert_eq!(rest(planned(&none, false).await), nothing, "nothing is deleted unless that is asked for");
    let plan = planned(&none, true).await;
    assert_eq!(told(&plan, "registries"), [pair("delete", "ghcr")]);
    assert_eq!(told(&plan, "channels"), [pair("delete", "default/ops")]);
    applied(&none, true).await;
    assert_eq!(server.get("/api/v1/registries").await.expect(200)["data"]["items"], json!([]));

    for (from, to, place) in [
        ("'${REGISTRY_TOKEN}'", "in-the-clear", "f.yaml:2:"),
        ("address: ghcr.io", "address: 'https://ghcr.io/x'", "f.yaml:2:"),
        ("plugin: webhook-notify", "plugin: no-such", "f.yaml:"),
        ("web: [{", "other: [{", "f.yaml:12:"),
        ("rules:\n", "team: nobody\n    rules:\n", "f.yaml:9:"),
        ("windowSecs: 0", "windowSecs: -1", "f.yaml:11:"),
    ] {
        let document = AROUND.replacen(from, to, 1);
        let mut body = json!({ "name": "f.yaml", "document": document });
        body["secrets"] = given.clone();
        let refused = server.post("/api/v1/apply/plan", body).await;
        assert_eq!(refused.status, 422, "{to}: {}", refused.text);
        let said = refused.json["error"].as_str().unwrap();
        assert!(said.starts_with(place) && !said.contains("in-the-clear"), "{to}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_and_channels_are_made_changed_and_pruned_by_a_file_on_sqlite() {
    registries_and_channels_are_made_changed_and_pruned_by_a_file(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_and_channels_are_made_changed_and_pruned_by_a_file_on_postgresql() {
    let Some(database) = TestDb::postgres().await else { return };
    let variables = [("WINDLASS_DATABASE_URL", database.url.as_str())];
    registries_and_channels_are_made_changed_and_pruned_by_a_file(&variables).await;
}

const TEAMS: &str = "teams:
  - name: owls
providers:
  - name: ci
    type: jenkins
    url: http://127.0.0.1:9/
    credentials: { username: bot, token: '${CI_TOKEN}' }
    team: owls
";

async fn teams_and_providers_are_made_changed_and_pruned_by_a_file(variables: &[(&str, &str)]) {
    let server = TestServer::start_with(variables).await;
    let given = json!({ "CI_TOKEN": "hunter2-provider" });
    let planned = async |document: &str, secrets: &Value| {
        let body = json!({ "name": "f.yaml", "document": document, "secrets": secrets, "prune": true });
        server.post("/api/v1/apply/plan", body).await.expect(200)["data"].clone()
    };
    let applied = async |document: &str| {
        let hash = planned(document, &given).await["hash"].clone();
        let body = json!({
            "name": "f.yaml", "document": document, "secrets": given, "prune": true, "planHash": hash,
        });
        server.post("/api/v1/apply", body).await.expect(200)["data"].clone()
    };
    let rest = |plan: Value| json!([plan["teams"], plan["providers"]]);
    let first = planned(TEAMS, &given).await;
    assert_eq!(told(&first, "teams"), [pair("create", "owls")]);
    assert_eq!(told(&first, "providers"), [pair("create", "ci")]);
    let done = applied(TEAMS).await;
    let report = &done["providerReports"]["ci"];
    assert!(report["url"].as_str().unwrap().ends_with("/deployment/webhooks/jenkins"), "{done:#}");
    assert!(report["secret"].is_string() && !done.to_string().contains("hunter2"), "{done:#}");
    // Once is enough, and what is stored is kept where no value comes.
    let nothing = json!([json!([]), json!([])]);
    assert_eq!(rest(planned(TEAMS, &given).await), nothing);
    assert_eq!(rest(planned(TEAMS, &json!({})).await), nothing);
    let provider = server.get("/api/v1/providers/ci").await.expect(200)["data"].clone();
    let owls = server.get("/api/v1/teams/owls").await.expect(200)["data"]["id"].clone();
    assert_eq!((&provider["team_id"], &provider["has_credentials"]), (&owls, &json!(true)), "{provider}");

    let changed = TEAMS.replace("team: owls", "enabled: false");
    let plan = planned(&changed, &given).await;
    assert_eq!(told(&plan, "providers"), [pair("change", "ci")]);
    applied(&changed).await;
    let provider = server.get("/api/v1/providers/ci").await.expect(200)["data"].clone();
    assert_eq!((&provider["team_id"], &provider["is_active"]), (&Value::Null, &json!(false)), "{provider}");

    for (from, to, place) in [
        ("'${CI_TOKEN}'", "in-the-clear", "f.yaml:"),
        ("team: owls", "team: nobody", "f.yaml:"),
        ("type: jenkins", "type: no-such", "f.yaml:"),
        ("name: ci", "name: '1'", "f.yaml:"),
        ("name: owls", "name: No Name", "f.yaml:2:"),
    ] {
        let document = TEAMS.replacen(from, to, 1);
        let body = json!({ "name": "f.yaml", "document": document, "secrets": given });
        let refused = server.post("/api/v1/apply/plan", body).await;
        assert_eq!(refused.status, 422, "{to}: {}", refused.text);
        let said = refused.json["error"].as_str().unwrap();
        assert!(said.starts_with(place) && !said.contains("in-the-clear"), "{to}: {said}");
    }
    // A provider does not lose its team, whichever way that is asked for.
    applied(TEAMS).await;
    let refused = server.delete("/api/v1/teams/owls").await.expect(409)["error"].to_string();
    assert!(refused.contains("provider `ci`"), "{refused}");
    let unnamed = TEAMS.replacen("teams:\n  - name: owls", "teams: []", 1);
    for document in [unnamed.as_str(), "teams: []\n"] {
        let body = json!({ "name": "f.yaml", "document": document, "secrets": given, "prune": true });
        let refused = server.post("/api/v1/apply/plan", body).await.expect(422)["error"].to_string();
        assert!(refused.contains("team `owls`") && refused.contains("provider `ci`"), "{refused}");
    }
    // Nothing is told of a team but that it is there, so only what is not named goes.
    let none = "teams: []\nproviders: []\n";
    let plan = planned(none, &given).await;
    assert_eq!(told(&plan, "teams"), [pair("delete", "owls")]);
    assert_eq!(told(&plan, "providers"), [pair("delete", "ci")]);
    applied(none).await;
    server.get("/api/v1/providers/ci").await.expect(404);
    server.get("/api/v1/teams/owls").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_and_providers_are_made_changed_and_pruned_by_a_file_on_sqlite() {
    teams_and_providers_are_made_changed_and_pruned_by_a_file(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_and_providers_are_made_changed_and_pruned_by_a_file_on_postgresql() {
    let Some(database) = TestDb::postgres().await else { return };
    let variables = [("WINDLASS_DATABASE_URL", database.url.as_str())];
    teams_and_providers_are_made_changed_and_pruned_by_a_file(&variables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_a_file_is_told_with_its_place_and_nothing_is_done() {
    let server = TestServer::start().await;
    for (from, to, place) in [
        ("authType", "authKind", "f.yaml:7:7: "),
        ("version: 1", "version: 3", "f.yaml:1:1: "),
        ("${GIT_TOKEN}", "in-the-clear", "f.yaml:9:9: "),
        ("${APP_KEY}", "${NOT_GIVEN}", "f.yaml:13:"),
        ("30 4 * * mon-fri", "soon", "f.yaml:15:"),
        ("approvals: 1", "approvals: 99", "f.yaml:16:"),
        ("branch: jobs", "branch: -x", "f.yaml:18:"),
        ("name: jobs", "name: Jobs", "f.yaml:17:5: "),
        ("name: jobs", "name: web", "f.yaml:17:5: "),
    ] {
        let document = FILE.replace(from, to);
        let body = json!({ "name": "f.yaml", "document": document, "secrets": secrets() });
        let refused = server.post("/api/v1/apply/plan", body).await;
        assert_eq!(refused.status, 422, "{to}: {}", refused.text);
        let said = refused.json["error"].as_str().unwrap();
        assert!(said.starts_with(place) && !said.contains("in-the-clear"), "{to}: {said}");
    }
    // Somebody else was faster.
    let hash = plan(&server, FILE, false).await["hash"].clone();
    server.create_stack(json!({ "name": "web", "project": "shop" })).await;
    let body = json!({ "document": FILE, "secrets": secrets(), "planHash": hash });
    let refused = server.post("/api/v1/apply", body).await;
    assert!(refused.status == 409 && refused.text.contains("plan"), "{}", refused.text);
    assert_eq!(server.get("/api/v1/stacks/jobs").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_the_difference_before_it_does_anything() {
    let server = TestServer::start().await;
    let file = server.folder.path().join("server.yaml");
    std::fs::write(&file, FILE).unwrap();
    let windlass = |words: &[&str]| {
        let mut command = server.command(&[&["apply", "-f", file.to_str().unwrap()], words].concat());
        command.env("GIT_TOKEN", "hunter2-token").env("APP_KEY", "hunter2-key");
        let run = run(command);
        (run.code, run.said())
    };
    let (code, text) = windlass(&["--dry-run"]);
    assert!(code == 0 && text.contains("+ stack web") && text.contains("repository.branch: jobs"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let (code, text) = windlass(&[]);
    assert!(code == 2 && text.contains("--yes"), "nobody can be asked here: {text}");
    assert_eq!(server.get("/api/v1/stacks/web").await.status, 404);
    let (code, text) = windlass(&["--yes"]);
    assert!(code == 0 && text.contains("Done") && text.contains("/api/webhooks/"), "{text}");
    let (code, text) = windlass(&["--yes"]);
    assert!(code == 0 && text.contains("nothing to do"), "{text}");
    std::fs::write(&file, FILE.replace("project", "projet")).unwrap();
    let (code, text) = windlass(&["--dry-run"]);
    assert!(code == 1 && text.contains("server.yaml:4:5"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commit_says_how_it_is_built_and_its_mistakes_are_told_with_their_place() {
    let mut fixture = Fixture::start(false).await;
    let own = "build:\n  healthCheckPath: /index.html\n  environmentVariables:\n    - { name: MODE, value: fast }\n";
    fixture.extra = vec![("windlass.yaml".into(), "100644", own.into())];
    let (_, done) = fixture.deploy("1").await;
    assert_eq!(done["status"], "successful", "{}", fixture.explain(&done).await);
    let name = fixture.server.instances().first().unwrap().clone();
    let variables = windlass_tests::server::docker(&["inspect", "--format", "{{json .Config.Env}}", &name]);
    assert!(variables.contains("MODE=fast"), "{variables}");
    let stack = fixture.stack().await;
    assert_eq!(stack["buildConfig"]["healthCheckPath"], "/health", "the stack itself stays as it is");

    fixture.extra = vec![("windlass.yaml".into(), "100644", "run:\n  ports: []\n".into())];
    let (_, failed) = fixture.deploy("2").await;
    assert_eq!(failed["status"], "failed", "{failed:#}");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("windlass.yaml:2:3") && error.contains("ports"), "{error}");
}

#[test]
fn the_checked_in_schemas_are_those_of_the_code_and_judge_as_it_does() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs");
    for (name, schema) in windlass::api::file_schemas() {
        let (path, text) = (docs.join(name), format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "docs/{name} is out of date; write it with UPDATE_OPENAPI=1 as docs/openapi.json"
        );
        let validator = jsonschema::validator_for(&schema).unwrap();
        let (good, bad) = match name {
            "windlass.schema.json" => (
                json!({ "version": 1, "build": { "dockerfilePath": "a" }, "run": { "command": ["x"] } }),
                json!({ "run": { "ports": [] } }),
            ),
            _ => (
                json!({ "stacks": [{ "name": "web", "run": { "replicas": 2 }, "schedules": [{ "name": "a", "cron": "@daily" }] }] }),
                json!({ "stacks": [{ "name": "web", "projet": "x" }] }),
            ),
        };
        let errors: Vec<String> = validator.iter_errors(&good).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        assert!(!validator.is_valid(&bad), "{name}");
    }
}
