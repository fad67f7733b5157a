//! What the record shows to somebody who administers one project of a team, over the API, on the command line and on its page.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::cli::{command, run};

use crate::world::{World, ask, person, text};

async fn record(world: &World, token: &str, filter: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit?limit=200&{filter}");
    let list = ask(&world.server, token, Method::GET, &path, None).await.expect(200);
    list["data"]["items"].as_array().unwrap().clone()
}

async fn page(world: &World, token: &str, path: &str) -> String {
    let request =
        world.server.stranger(Method::GET, path).header("cookie", format!("windlass_token={token}"));
    request.send().await.unwrap().text().await.unwrap()
}

/// The token of somebody who administers the owls' project, and what has happened there and elsewhere.
async fn lead(world: &World) -> String {
    let server = &world.server;
    let lead = person(server, "owl-lead").await;
    let role = json!({ "role": "admin", "project": "owl-project" });
    server.put("/api/v1/teams/owls/members/owl-lead", role).await.expect(200);
    let other = json!({ "name": "owl-other", "project": "owl-second", "team": "owls" });
    server.create_stack(other).await;
    let deployment = &world.things.iter().find(|(name, _)| *name == "deployment").unwrap().1;
    server.wait_deployment(deployment).await;
    for who in ["owl-deployer", "fox-deployer"] {
        for stack in ["owl-web", "owl-other"] {
            let path = format!("/api/v1/stacks/{stack}/deploy");
            world.ask(who, Method::POST, &path, Some(json!({}))).await;
        }
    }
    for project in ["owl-project", "owl-second"] {
        let token = json!({ "name": format!("robot-of-{project}"), "project": project });
        world.ask("owl-admin", Method::POST, "/api/v1/tokens", Some(token)).await.expect(201);
    }
    lead
}

#[tokio::test]
async fn the_record_shows_a_projects_administrators_what_is_about_their_project_and_nothing_else() {
    let world = World::start().await;
    let lead = lead(&world).await;
    let team = world.server.get("/api/v1/teams/owls").await.expect(200)["data"]["id"].clone();
    let projects = world.server.get("/api/v1/projects?limit=200").await.expect(200);
    let mut projects = projects["data"]["items"].as_array().unwrap().iter();
    let project = projects.find(|row| row["name"] == "owl-project").unwrap()["id"].clone();

    let mine = record(&world, &lead, "").await;
    for (action, actor) in [
        ("stack_deploy", "owl-deployer"),
        // What somebody of another team has tried is about the project whose it is.
        ("stack_deploy", "fox-deployer"),
        ("token_create", "owl-admin"),
        ("deployment.status", "windlass"),
    ] {
        let has = mine.iter().any(|entry| entry["action"] == action && entry["actor"] == actor);
        assert!(has, "{action} by {actor} is not among {mine:#?}");
    }
    for entry in &mine {
        assert_eq!((&entry["team"], &entry["project"]), (&team, &project), "{entry:#}");
        let text = entry.to_string();
        assert!(!text.contains("owl-other") && !text.contains("robot-of-owl-second"), "{entry:#}");
    }
    // What is the team's as a whole is not theirs.
    assert!(mine.iter().all(|entry| entry["action"] != "provider_create"), "{mine:#?}");

    // The team's administrators see it among the rest, and may narrow it to the project; so does a token for the project.
    let owls = &world.persona("owl-admin").token;
    let (all, narrowed) = (record(&world, owls, "").await, record(&world, owls, "project=owl-project").await);
    assert!(mine.iter().all(|entry| all.contains(entry) && narrowed.contains(entry)), "{narrowed:#?}");
    assert!(narrowed.iter().all(|entry| entry["project"] == project) && all.len() > narrowed.len());
    let made = json!({ "name": "for-one", "project": "owl-project" });
    let made = world.ask("owl-admin", Method::POST, "/api/v1/tokens", Some(made)).await.expect(201);
    let limited = record(&world, &text(&made["data"]["secret"]), "").await;
    assert!(!limited.is_empty() && limited.iter().all(|entry| entry["project"] == project), "{limited:#?}");

    // Nothing else can be asked for, by no filter.
    for filter in ["project=owl-second", "team=owls", "project=nothing"] {
        let path = format!("/api/v1/audit?{filter}");
        ask(&world.server, &lead, Method::GET, &path, None).await.expect(404);
    }
    world.ask("fox-admin", Method::GET, "/api/v1/audit?project=owl-project", None).await.expect(404);
    assert_eq!(record(&world, &lead, "action=provider_create").await, [] as [Value; 0]);
    assert_eq!(world.server.get("/api/v1/audit/verify").await.expect(200)["data"]["intact"], true);

    let words = ["audit", "list", "--project", "owl-project", "--limit", "200"];
    let listed = run(command(&world.server.url, &lead, &words)).expect(0).out;
    assert!(listed.contains("stack_deploy") && !listed.contains("owl-other"), "{listed}");
    let shown = page(&world, &lead, "/audit").await;
    assert!(shown.contains("/api/v1/stacks/owl-web/deploy") && !shown.contains("owl-other"), "{shown}");
    // There is nothing to choose from for them, and two projects for the team's administrators.
    assert!(!shown.contains("id=\"project\""), "{shown}");
    let chosen = page(&world, owls, "/audit?project=owl-second").await;
    assert!(chosen.contains("<option selected>owl-second</option>"), "{chosen}");
    assert!(chosen.contains("owl-other") && !chosen.contains("/api/v1/stacks/owl-web/deploy"), "{chosen}");
    // The way there is shown to those only who see something there.
    assert!(page(&world, &lead, "/tokens").await.contains("href=\"/audit\""));
    assert!(!page(&world, &world.persona("owl-deployer").token, "/tokens").await.contains("href=\"/audit\""));
}
