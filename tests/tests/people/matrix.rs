//! Every operation and every page, asked for by everybody: the answers are what the policies declare, all of them.

use reqwest::Method;
use serde_json::json;
use windlass::api::declared;
use windlass::domain::access::{Policy, Role, Subject};
use windlass::web::PAGES;
use windlass_tests::server::TestServer;

use crate::policies::operations;
use crate::world::{Persona, World, text};

struct Operation {
    method: Method,
    path: String,
    policy: Policy,
    is_page: bool,
    has_body: bool,
}

impl Operation {
    fn removes(&self) -> bool {
        let ends = ["/delete", "/revoke", "/disable"];
        self.method == Method::DELETE || ends.iter().any(|end| self.path.ends_with(end))
    }
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Verdict {
    Passes,
    /// They see it and may not do that.
    Forbidden,
    /// As if it did not exist.
    Hidden,
    /// They are asked who they are.
    LoggedOut,
}

fn all() -> Vec<Operation> {
    let api = operations().into_iter().filter_map(|(method, path, operation)| {
        Some(Operation {
            method: method.parse().unwrap(),
            path,
            policy: declared(&operation)?,
            is_page: false,
            has_body: operation.get("requestBody").is_some(),
        })
    });
    let pages = PAGES.iter().filter(|(_, path, _)| !["/login", "/logout"].contains(path)).map(
        |(method, path, policy)| Operation {
            method: method.parse().unwrap(),
            path: (*path).to_owned(),
            policy: Policy::parse(policy).unwrap(),
            is_page: true,
            has_body: false,
        },
    );
    let mut all: Vec<Operation> = api.chain(pages).collect();
    // What others ask about is still there then.
    all.sort_by_key(Operation::removes);
    all
}

/// What the policy means for them; the one other place that says so, in other words.
fn expected(policy: Policy, who: &Persona) -> Verdict {
    let rank = |role: Role| Role::ALL.iter().position(|known| *known == role).unwrap();
    let suffices = |role: Role| rank(role) >= rank(policy.role);
    if who.token.is_empty() {
        return Verdict::LoggedOut;
    }
    if who.is_admin {
        return Verdict::Passes;
    }
    let in_owls = who.team.filter(|(team, _)| *team == "owls");
    match policy.subject {
        Subject::Server => Verdict::Forbidden,
        Subject::Any if policy.role == Role::Viewer => Verdict::Passes,
        Subject::Any => match who.team {
            Some((_, role)) if suffices(role) => Verdict::Passes,
            _ => Verdict::Forbidden,
        },
        Subject::Token | Subject::User if who.name == "owl-viewer" => Verdict::Passes,
        Subject::Token | Subject::User => Verdict::Hidden,
        _ => match in_owls {
            Some((_, role)) if suffices(role) => Verdict::Passes,
            Some(_) => Verdict::Forbidden,
            None => Verdict::Hidden,
        },
    }
}

/// What becomes of a request, and the answer itself for whoever has to find out why.
async fn verdict(server: &TestServer, operation: &Operation, path: &str, who: &Persona) -> (Verdict, String) {
    let mut request = server.stranger(operation.method.clone(), path);
    if operation.is_page {
        request = request.header("origin", &server.url);
        if !who.token.is_empty() {
            request = request.header("cookie", format!("windlass_token={}", who.token));
        }
        if operation.method == Method::POST {
            request = request.header("content-type", "application/x-www-form-urlencoded").body("");
        }
    } else {
        if !who.token.is_empty() {
            request = request.bearer_auth(&who.token);
        }
        if operation.has_body {
            // Whoever is let in is told that this is no JSON; nothing happens then.
            request = request.header("content-type", "application/json").body("{");
        }
    }
    let response = request.send().await.unwrap();
    let (status, to) = (response.status().as_u16(), response.url().path().to_owned());
    let verdict = match status {
        401 => Verdict::LoggedOut,
        403 => Verdict::Forbidden,
        // What is the installation's is no secret: a plugin that does not exist may be said not to.
        404 if matches!(operation.policy.subject, Subject::Server | Subject::Any) => Verdict::Passes,
        404 => Verdict::Hidden,
        200 if operation.is_page && to == "/login" => Verdict::LoggedOut,
        _ => Verdict::Passes,
    };
    (verdict, format!("{status} {to}"))
}

/// The path with the first team's things in it. What is going to be removed is made anew for it.
async fn path_for(world: &World, operation: &Operation, passes: bool, n: usize) -> String {
    let mut path = operation.path.clone();
    // Nobody who is let in changes the plugins that the other tests of this server need.
    if operation.policy.subject == Subject::Server {
        path = path.replace("{plugin}", "no-such-plugin").replace("{provider}", "no-such-provider");
    }
    if operation.removes() && passes {
        let fresh = fresh(world, &path, n).await;
        for (name, value) in fresh {
            path = path.replace(&format!("{{{name}}}"), &value);
        }
    }
    if path.starts_with("/ci-jobs/{ci_job}/schedules/{schedule}") && passes {
        path = path.replace("{schedule}", &world.job_schedule(&format!("of-job-{n}")).await);
    }
    if path.ends_with("/ci") {
        path = path.replace("{stack}", "owl-ci").replace("{deployment}", &world.by_ci);
    }
    for (name, value) in &world.things {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    assert!(!path.contains('{'), "nothing is known for a parameter of {path}");
    if operation.policy.subject == Subject::Template { format!("{path}?project=owl-project") } else { path }
}

async fn fresh(world: &World, path: &str, n: usize) -> Vec<(&'static str, String)> {
    let server = &world.server;
    if path.contains("{channel}") {
        let (channel, rule) = world.channel(&format!("owl-gone-{n}")).await;
        return vec![("channel", channel), ("rule", rule)];
    }
    if path.contains("{schedule}") && !path.contains("{ci_job}") {
        return vec![("schedule", world.schedule(&format!("gone-{n}")).await)];
    }
    if path.contains("{stack}/ci") {
        let name = format!("owl-gone-{n}");
        world.stack_with_ci(&name).await;
        return vec![("stack", name)];
    }
    if path.contains("{stack}") {
        let name = format!("owl-gone-{n}");
        server.create_stack(json!({ "name": name, "project": "owl-project" })).await;
        return vec![("stack", name)];
    }
    if path.contains("{template}") {
        world.save_template().await;
    }
    if path.contains("{token}") {
        return vec![("token", world.token_of("owl-viewer").await.0)];
    }
    if path.contains("{member}") || path.contains("{user}") {
        let name = format!("owl-gone-{n}");
        server.post("/api/v1/users", json!({ "name": name })).await.expect(201);
        let membership = format!("/api/v1/teams/owls/members/{name}");
        server.put(&membership, json!({ "role": "viewer" })).await.expect(200);
        return vec![("member", name.clone()), ("user", name)];
    }
    if path.contains("{invitation}") {
        return vec![("invitation", text(&world.invite("owls", "owl-guest", "viewer").await["id"]))];
    }
    if path.contains("{team}") {
        let name = format!("owl-gone-{n}");
        server.post("/api/v1/teams", json!({ "name": name })).await.expect(201);
        return vec![("team", name)];
    }
    Vec::new()
}

#[tokio::test]
async fn everybody_may_do_what_the_policies_declare_and_nothing_else() {
    let mut world = World::start().await;
    world.personas.push(Persona {
        name: "a stranger".into(),
        token: String::new(),
        team: None,
        is_admin: false,
    });
    let operations = all();
    let (mut asked, mut wrong) = (0, Vec::new());
    for operation in &operations {
        for who in &world.personas {
            let wanted = expected(operation.policy, who);
            let path = path_for(&world, operation, wanted == Verdict::Passes, asked).await;
            let (found, answer) = verdict(&world.server, operation, &path, who).await;
            asked += 1;
            if found != wanted {
                let Operation { method, policy, .. } = operation;
                wrong.push(format!("{method} {path} ({policy:?}) by {}: {wanted:?}, but {answer}", who.name));
            }
        }
    }
    println!("{asked} requests for {} operations by {} people", operations.len(), world.personas.len());
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(operations.len() > 100 && asked == operations.len() * world.personas.len());
}
