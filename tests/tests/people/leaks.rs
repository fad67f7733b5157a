//! What peers got wrong: another team's things by their ids, in lists, in streams, and an administrator's invitation in a
//! member's hands.

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use windlass::api::declared;
use windlass::domain::access::Subject;
use windlass::web::PAGES;

use crate::policies::operations;
use crate::world::{MARK, World, ask, text};

#[tokio::test]
async fn no_list_and_no_page_shows_another_team_anything() {
    let world = World::start().await;
    let shows_all = |path: &str| !path.contains('{') && path != "/api/v1/events";
    let api = operations().into_iter().filter(|(method, path, operation)| {
        let subject = declared(operation).map(|policy| policy.subject);
        method == "GET" && shows_all(path) && matches!(subject, Some(Subject::Any | Subject::Template))
    });
    let mut paths: Vec<(String, bool)> = api.map(|(_, path, _)| (path, false)).collect();
    let pages = PAGES.iter().filter(|(method, path, policy)| {
        *method == "GET" && shows_all(path) && policy.ends_with(":any") && *path != "/login"
    });
    paths.extend(pages.map(|(_, path, _)| ((*path).to_owned(), true)));
    assert!(paths.len() > 15, "{paths:?}");
    for who in ["fox-admin", "loner"] {
        for (path, is_page) in &paths {
            let token = &world.persona(who).token;
            let request = world.server.stranger(Method::GET, path);
            let request = match is_page {
                true => request.header("cookie", format!("windlass_token={token}")),
                false => request.bearer_auth(token),
            };
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap();
            // A form for something new is refused to those without a team.
            assert!(status == 200 || (status == 403 && who == "loner"), "{path} as {who}: {status}");
            assert!(!body.contains(MARK), "{path} shows {who} what is the owls': {body}");
        }
    }
    // The same lists do show it to those whose it is.
    let own = world.ask("owl-viewer", Method::GET, "/api/v1/stacks", None).await.expect(200);
    assert_eq!(own["data"]["items"][0]["name"], "owl-ci");
}

#[tokio::test]
async fn what_is_another_teams_cannot_be_told_from_what_does_not_exist() {
    let world = World::start().await;
    let stack = world.server.get("/api/v1/stacks/owl-web").await.expect(200);
    let (id, seq) = (text(&stack["data"]["id"]), stack["data"]["seq"].to_string());
    for key in ["owl-web", &id, &seq] {
        for (method, action) in [(Method::GET, ""), (Method::POST, "/deploy"), (Method::DELETE, "")] {
            let body = (method == Method::POST).then(|| json!({}));
            let path = format!("/api/v1/stacks/{key}{action}");
            let hidden = world.ask("fox-admin", method.clone(), &path, body.clone()).await;
            let path = format!("/api/v1/stacks/nothing{action}");
            let missing = world.ask("fox-admin", method, &path, body).await;
            assert_eq!(hidden.status, 404, "{key}{action}");
            assert_eq!(hidden.text.replace(key, "nothing"), missing.text, "{key}{action}");
        }
    }
    world.server.get("/api/v1/stacks/owl-web").await.expect(200);
}

#[tokio::test]
async fn what_a_body_or_a_query_names_is_asked_about_as_well() {
    let world = World::start().await;
    let deployment = &world.things.iter().find(|(name, _)| *name == "deployment").unwrap().1.clone();
    let fox = json!({ "name": "fox-web", "project": "fox-project" });
    world.ask("fox-admin", Method::POST, "/api/v1/stacks", Some(fox)).await.expect(201);
    // Another team's deployment, to go back to or to plan with.
    let path = "/api/v1/stacks/fox-web/rollback";
    let hidden = world.ask("fox-admin", Method::POST, path, Some(json!({ "deployment": deployment }))).await;
    let missing = world.ask("fox-admin", Method::POST, path, Some(json!({ "deployment": "99999" }))).await;
    assert!(hidden.status >= 400 && (hidden.status, hidden.text) == (missing.status, missing.text));
    let path = format!("/api/v1/stacks/fox-web/plan?deployment={deployment}");
    world.ask("fox-admin", Method::GET, &path, None).await.expect(404);
    // Another team's provider, for one's own stack, as its second one, and for a job; and the installation's.
    let fox = json!({ "type": "jenkins", "name": "fox-ci", "url": "http://127.0.0.1:9", "team_id": "foxes",
        "credentials": { "token": "token-0123456789" } });
    world.server.post("/api/v1/providers", fox.clone()).await.expect(201);
    let (mut ours, mut elsewhere) = (fox.clone(), fox);
    (ours["name"], ours["team_id"]) = (json!("everybodys"), Value::Null);
    world.server.post("/api/v1/providers", ours).await.expect(201);
    let repository = json!({ "url": "http://127.0.0.1:9/fox.git", "provider": "github" });
    let stack = json!({ "name": "fox-web", "project": "fox-project", "repository": repository });
    world.ask("fox-admin", Method::PUT, "/api/v1/stacks/fox-web", Some(stack)).await.expect(200);
    let path = "/api/v1/stacks/fox-web/ci";
    let job = json!({ "scripts": [{ "path": "deploy.sh" }] });
    for provider in ["owl-ci", "everybodys"] {
        let ci = json!({ "provider": provider, "job": job });
        world.ask("fox-admin", Method::PUT, path, Some(ci)).await.expect(404);
        let mut second = json!({ "provider": "fox-ci", "job": job });
        second["job"]["failover"] = json!({ "provider": provider, "after_secs": 60 });
        let refused = world.ask("fox-admin", Method::PUT, path, Some(second)).await;
        assert_eq!(
            (refused.status, &refused.json["field"]),
            (422, &json!("failover.provider")),
            "{refused:?}"
        );
        let mut job = job.clone();
        (job["provider"], job["name"]) = (json!(provider), json!("spy"));
        world.ask("fox-admin", Method::POST, "/api/v1/ci/jobs", Some(job)).await.expect(404);
        let path = format!("/api/v1/ci/jobs?provider={provider}");
        world.ask("fox-admin", Method::GET, &path, None).await.expect(404);
    }
    let ci = json!({ "provider": "fox-ci", "job": job });
    world.ask("fox-admin", Method::PUT, path, Some(ci)).await.expect(200);
    // While it deploys a stack of one team, it is not given to another one.
    elsewhere["team_id"] = json!("owls");
    let kept = world.server.put("/api/v1/providers/fox-ci", elsewhere).await.expect(409);
    assert!(kept["error"].to_string().contains("fox-web"), "{kept}");
    // Another team's project, for a new stack, for a template, and to render from.
    for project in ["owl-project", "default"] {
        let body = Some(json!({ "name": "fox-spy", "project": project }));
        let answer = world.ask("fox-admin", Method::POST, "/api/v1/stacks", body).await;
        assert_eq!((answer.status, &answer.json["code"]), (404, &json!("not_found")), "{project}");
    }
    let body = Some(json!({ "name": "fox-spy", "project": "new", "team": "owls" }));
    world.ask("fox-admin", Method::POST, "/api/v1/stacks", body).await.expect(404);
    let body = Some(json!({ "template": "owl-template", "project": "owl-project" }));
    world.ask("fox-admin", Method::POST, "/api/v1/pipelines/render", body).await.expect(404);
    world.ask("fox-admin", Method::GET, "/api/v1/events?stack=owl-web", None).await.expect(404);
    for query in ["stack=owl-web".to_owned(), format!("deployment={deployment}")] {
        let path = format!("/api/v1/events/history?{query}");
        world.ask("fox-admin", Method::GET, &path, None).await.expect(404);
    }
    // A role in another team's project, given to oneself through one's own team.
    let body = Some(json!({ "role": "admin", "project": "owl-project" }));
    world.ask("fox-admin", Method::PUT, "/api/v1/teams/foxes/members/fox-viewer", body).await.expect(404);
    let repository = world.server.get("/api/v1/stacks/owl-web").await.expect(200);
    let id = text(&repository["data"]["gitRepository"]["id"]);
    let path = format!("/api/v1/webhooks?repository={id}");
    let list = world.ask("fox-admin", Method::GET, &path, None).await.expect(200);
    assert_eq!(list["data"]["items"], json!([]));
    let list = world.ask("owl-viewer", Method::GET, &path, None).await.expect(200);
    assert_eq!(list["data"]["items"].as_array().unwrap().len(), 1);
}

async fn record(world: &World, who: &str, filter: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit?limit=200&{filter}");
    let list = world.ask(who, Method::GET, &path, None).await.expect(200);
    list["data"]["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_record_shows_a_teams_administrators_what_is_about_their_team_and_nothing_else() {
    let world = World::start().await;
    let fox = json!({ "name": "fox-web", "project": "fox-project" });
    world.ask("fox-admin", Method::POST, "/api/v1/stacks", Some(fox)).await.expect(201);
    let deployment = &world.things.iter().find(|(name, _)| *name == "deployment").unwrap().1;
    world.server.wait_deployment(deployment).await;
    // What somebody of another team has tried is about the team whose it is.
    let deploy = "/api/v1/stacks/owl-web/deploy";
    world.ask("fox-deployer", Method::POST, deploy, Some(json!({}))).await.expect(404);
    let token = Some(json!({ "name": "robot", "team": "owls" }));
    let made = world.ask("owl-admin", Method::POST, "/api/v1/tokens", token).await.expect(201);
    let revoke = format!("/api/v1/tokens/{}", text(&made["data"]["id"]));
    let has = |entries: &[Value], action: &str, actor: &str| {
        entries.iter().any(|entry| entry["action"] == action && entry["actor"] == actor)
    };
    world.ask("owl-admin", Method::DELETE, &revoke, None).await;

    let (owls, foxes) = (record(&world, "owl-admin", "").await, record(&world, "fox-admin", "").await);
    for (action, actor) in [
        ("stack_create", "admin"),
        ("stack_deploy", "admin"),
        ("provider_create", "admin"),
        ("token_create", "owl-admin"),
        ("stack_deploy", "fox-deployer"),
        ("deployment.status", "windlass"),
    ] {
        assert!(has(&owls, action, actor), "{action} by {actor} is not among {owls:#?}");
    }
    assert!(has(&foxes, "stack_create", "fox-admin"), "{foxes:#?}");
    assert!(foxes.iter().all(|entry| !entry.to_string().contains(MARK)), "{foxes:#?}");
    assert!(!has(&owls, "stack_create", "fox-admin") && !has(&foxes, "stack_deploy", "fox-deployer"));
    // Each is about one team, and each team has others.
    for (entries, team) in [(&owls, "owls"), (&foxes, "foxes")] {
        let id = world.server.get(&format!("/api/v1/teams/{team}")).await.expect(200)["data"]["id"].clone();
        assert!(entries.iter().all(|entry| entry["team"] == id), "{team}: {entries:#?}");
        // The server may have decided something more meanwhile.
        let by_name = record(&world, "the administrator", &format!("team={team}")).await;
        assert!(entries.iter().all(|entry| by_name.contains(entry)), "{team}: {by_name:#?}");
        assert!(by_name.iter().all(|entry| entry["team"] == id), "{team}: {by_name:#?}");
    }
    let all = record(&world, "the administrator", "").await;
    assert!(has(&all, "team_create", "admin") && all.len() > owls.len() + foxes.len());
    assert!(!has(&owls, "team_create", "admin") && !has(&foxes, "team_create", "admin"));

    // It cannot be asked for either, by no filter.
    world.ask("fox-admin", Method::GET, "/api/v1/audit?team=owls", None).await.expect(404);
    assert_eq!(record(&world, "fox-admin", "subject=/api/v1/stacks/owl-web/deploy").await, [] as [Value; 0]);
    assert_eq!(record(&world, "fox-admin", "actor=fox-deployer").await, [] as [Value; 0]);
    for who in ["owl-viewer", "owl-developer", "owl-deployer", "loner"] {
        world.ask(who, Method::GET, "/api/v1/audit", None).await.expect(403);
    }
    // The chain goes through what is not theirs.
    for path in ["/api/v1/audit/verify", "/api/v1/audit/export"] {
        world.ask("owl-admin", Method::GET, path, None).await.expect(403);
    }
    assert_eq!(world.server.get("/api/v1/audit/verify").await.expect(200)["data"]["intact"], true);
    let request = world.server.stranger(Method::GET, "/audit?verify=1");
    let cookie = format!("windlass_token={}", world.persona("owl-admin").token);
    let page = request.header("cookie", cookie).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("owl-web") && !page.contains("are what was written"), "{page}");
}

#[tokio::test]
async fn a_stream_of_events_has_one_s_own_only() {
    let world = World::start().await;
    let input = json!({ "name": "fox-web", "project": "fox-project" });
    let made = world.ask("fox-admin", Method::POST, "/api/v1/stacks", Some(input)).await.expect(201);
    let own = made["data"]["stack"]["id"].clone();
    let request = world.server.stranger(Method::GET, "/api/v1/events?after=0");
    let response = request.bearer_auth(&world.persona("fox-viewer").token).send().await.unwrap();
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    // The owls' events are all older than the foxes' first one.
    let read = async {
        while !text.contains("\n\n") {
            text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
        }
    };
    tokio::time::timeout(windlass_tests::PATIENCE, read).await.expect("an event comes");
    let data = text.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!(event["stackId"], own, "{text}");
}

/// Coolify's CVE-2025-64423: a member sees the administrators' invitations and uses one.
#[tokio::test]
async fn a_member_cannot_use_an_administrators_invitation() {
    let world = World::start().await;
    let invitation = world.invite("owls", "owl-chief", "admin").await;
    let secret = text(&invitation["secret"]);
    // They are not shown it, and the secret is shown to nobody.
    let path = "/api/v1/teams/owls/invitations";
    world.ask("owl-deployer", Method::GET, path, None).await.expect(403);
    world.ask("fox-admin", Method::GET, path, None).await.expect(404);
    let listed = world.ask("owl-admin", Method::GET, path, None).await;
    assert!(listed.status == 200 && !listed.text.contains(&secret));
    // Even with the secret it is not theirs.
    let join = Some(json!({ "invitation": secret }));
    world.ask("owl-viewer", Method::POST, "/api/v1/invitations/join", join.clone()).await.expect(404);
    world.ask("fox-viewer", Method::POST, "/api/v1/invitations/join", join).await.expect(404);
    let accept =
        |name: &str| json!({ "invitation": secret, "name": name, "password": "correct horse battery" });
    let path = "/api/v1/invitations/accept";
    ask(&world.server, "", Method::POST, path, Some(accept("mallory"))).await.expect(404);
    // It makes the one account that it is for, and once.
    ask(&world.server, "", Method::POST, path, Some(accept("owl-chief"))).await.expect(201);
    ask(&world.server, "", Method::POST, path, Some(accept("owl-chief"))).await.expect(404);
    let login = json!({ "name": "owl-chief", "password": "correct horse battery" });
    let session = ask(&world.server, "", Method::POST, "/api/v1/sessions", Some(login)).await.expect(201);
    let session = text(&session["data"]["secret"]);
    ask(&world.server, &session, Method::DELETE, "/api/v1/stacks/owl-web", None).await;
    ask(&world.server, &session, Method::GET, "/api/v1/teams/owls/invitations", None).await.expect(200);
    // Whoever may not invite cannot.
    let body = Some(json!({ "name": "friend", "role": "viewer" }));
    world.ask("owl-deployer", Method::POST, "/api/v1/teams/owls/invitations", body).await.expect(403);
}

#[tokio::test]
async fn people_of_another_tenant_do_not_get_in() {
    let world = World::start().await;
    let server = &world.server;
    server.post("/api/v1/users", json!({ "name": "alien", "tenant": "mars" })).await.expect(201);
    let role = json!({ "role": "viewer" });
    server.put("/api/v1/teams/owls/members/alien", role.clone()).await.expect(404);
    server.post("/api/v1/teams", json!({ "name": "martians", "tenant": "mars" })).await.expect(201);
    server.put("/api/v1/teams/martians/members/alien", role.clone()).await.expect(200);
    server.put("/api/v1/teams/martians/members/loner", role).await.expect(404);
}

#[tokio::test]
async fn a_role_that_is_taken_away_counts_no_more_with_the_next_request() {
    let world = World::start().await;
    let stack = "/api/v1/stacks/owl-web";
    world.ask("owl-viewer", Method::GET, stack, None).await.expect(200);
    world.server.delete("/api/v1/teams/owls/members/owl-viewer").await.expect_empty(204);
    world.ask("owl-viewer", Method::GET, stack, None).await.expect(404);
    world.server.put("/api/v1/users/owl-admin", json!({ "disabled": true })).await.expect(200);
    world.ask("owl-admin", Method::GET, stack, None).await.expect(401);
    world.server.put("/api/v1/users/owl-admin", json!({ "disabled": false })).await.expect(200);
    world.ask("owl-admin", Method::GET, stack, None).await.expect(200);
    // A project that goes to another team takes everything along, except that team's provider.
    let (path, to) = ("/api/v1/projects/owl-project/team", json!({ "team": "foxes" }));
    let kept = world.server.put(path, to.clone()).await.expect(409);
    assert!(kept["error"].to_string().contains("owl-ci"), "{kept}");
    world.server.delete("/api/v1/stacks/owl-ci/ci").await.expect_empty(204);
    world.server.put(path, to).await.expect(200);
    world.ask("owl-admin", Method::GET, stack, None).await.expect(404);
    world.ask("fox-viewer", Method::GET, stack, None).await.expect(200);
}
