//! Two teams with a person in each role, somebody without a team, and what belongs to the first team: a thing for every
//! parameter of a path, so that tests can ask for all there is.

use reqwest::Method;
use serde_json::{Value, json};
use windlass::domain::access::Role;
use windlass::domain::people::DEFAULT_ID;

use crate::server::{ADMIN_TOKEN, Answer, TestServer};

/// Everything of the first team has this in its name, so that a leak is seen.
pub const MARK: &str = "owl";

/// Somebody who asks.
pub struct Persona {
    pub name: String,
    /// Empty for a stranger.
    pub token: String,
    /// The team, and the role in it.
    pub team: Option<(&'static str, Role)>,
    pub is_admin: bool,
}

pub struct World {
    pub server: TestServer,
    pub personas: Vec<Persona>,
    /// By name of the parameter.
    pub things: Vec<(&'static str, String)>,
    /// Number of a deployment through a provider.
    pub by_ci: String,
    /// Of the job that it is made by there.
    pub ci_job: String,
}

impl World {
    pub async fn start() -> Self {
        Self::on(TestServer::start().await).await
    }

    /// The same on a server that may have more already.
    pub async fn on(server: TestServer) -> Self {
        let mut personas = vec![Persona {
            name: "the administrator".into(),
            token: ADMIN_TOKEN.into(),
            team: None,
            is_admin: true,
        }];
        for (team, mark) in [("owls", "owl"), ("foxes", "fox")] {
            server.post("/api/v1/teams", json!({ "name": team })).await.expect(201);
            for role in Role::ALL {
                let name = format!("{mark}-{}", role.as_str());
                let token = person(&server, &name).await;
                let path = format!("/api/v1/teams/{team}/members/{name}");
                server.put(&path, json!({ "role": role })).await.expect(200);
                personas.push(Persona { name, token, team: Some((team, role)), is_admin: false });
            }
        }
        let token = person(&server, "loner").await;
        personas.push(Persona { name: "loner".into(), token, team: None, is_admin: false });
        let mut world =
            Self { server, personas, things: Vec::new(), by_ci: String::new(), ci_job: String::new() };
        world.furnish().await;
        world
    }

    /// What the owls have.
    async fn furnish(&mut self) {
        let server = &self.server;
        let url = "http://127.0.0.1:9/owl.git";
        let (webhook, secret) = server
            .create_stack(json!({ "name": "owl-web", "project": "owl-project", "team": "owls",
                "repository": { "url": url, "provider": "github" } }))
            .await;
        let deployment = server.post("/api/v1/stacks/owl-web/deploy", json!({})).await.expect(202);
        let build = server.post("/v1/cicd/services/owl-web/build", json!({})).await.expect(202);
        let event = server.push_webhook(&webhook, &secret, url, "main", &"a".repeat(40)).await;
        let provider = json!({
            "type": "jenkins", "name": "owl-ci", "url": "http://127.0.0.1:9", "team_id": "owls",
            "credentials": { "token": "token-0123456789" },
        });
        server.post("/api/v1/providers", provider).await.expect(201);
        self.stack_with_ci("owl-ci").await;
        let by_ci = server.post("/api/v1/stacks/owl-ci/deploy", json!({})).await.expect(202);
        self.by_ci = by_ci["data"]["seq"].to_string();
        let carried = server.get(&format!("/api/v1/deployments/{}/ci", self.by_ci)).await.expect(200);
        self.ci_job = carried["data"]["job"]["seq"].to_string();
        let ci_build = &carried["data"]["builds"][0]["seq"];
        let schedule = self.schedule("nightly").await;
        let (channel, rule) = self.channel("owl-chat").await;
        let told = server.post(&format!("/api/v1/channels/{channel}/test"), json!({})).await.expect(200);
        let token = self.token_of("owl-viewer").await;
        let invitation = self.invite("owls", "owl-guest", "viewer").await;
        self.things = vec![
            ("stack", "owl-web".into()),
            ("service", "owl-web".into()),
            ("project", "owl-project".into()),
            ("deployment", deployment["data"]["seq"].to_string()),
            ("build", build["build_id"].to_string()),
            ("task", text(&build["job_id"])),
            ("job", text(&build["job_id"])),
            ("event", event),
            ("template", "owl-template".into()),
            ("tenant", DEFAULT_ID.into()),
            ("team", "owls".into()),
            ("member", "owl-viewer".into()),
            ("invitation", text(&invitation["id"])),
            ("token", token.0),
            ("user", "owl-viewer".into()),
            ("call", "1".into()),
            ("plugin", "standard".into()),
            ("schedule", schedule),
            ("channel", channel),
            ("rule", rule),
            ("delivery", told["data"]["seq"].to_string()),
            ("provider", "owl-ci".into()),
            ("ci_job", self.ci_job.clone()),
            ("ci_build", ci_build.to_string()),
            // The installation's; there is none.
            ("target", "no-such-target".into()),
            ("host", "no-such-host.example".into()),
            ("registry", "no-such-registry".into()),
            ("artifact", "no-such-artifact".into()),
            ("key", "no-such-badge".into()),
        ];
        self.save_template().await;
    }

    /// A stack of the first team that deploys through the team's provider.
    pub async fn stack_with_ci(&self, name: &str) {
        let repository = json!({ "url": "http://127.0.0.1:9/owl.git", "provider": "github" });
        let input =
            json!({ "name": name, "project": "owl-project", "team": "owls", "repository": repository });
        self.server.create_stack(input).await;
        let ci = json!({ "provider": "owl-ci", "job": { "scripts": [{ "path": "deploy.sh" }] } });
        self.server.put(&format!("/api/v1/stacks/{name}/ci"), ci).await.expect(200);
    }

    /// Number of a new schedule of the first team's stack.
    pub async fn schedule(&self, name: &str) -> String {
        let plan = json!({ "name": name, "cron": "0 3 * * *", "enabled": false });
        self.server.post("/api/v1/stacks/owl-web/schedules", plan).await.expect(201)["data"]["seq"]
            .to_string()
    }

    /// Number of a new schedule of the first team's job at its provider.
    pub async fn job_schedule(&self, name: &str) -> String {
        let plan = json!({ "name": name, "cron": "0 3 * * *", "enabled": false });
        let path = format!("/api/v1/ci/jobs/{}/schedules", self.ci_job);
        self.server.post(&path, plan).await.expect(201)["data"]["seq"].to_string()
    }

    /// Numbers of a new channel of the first team, and of its rule. It leads nowhere.
    pub async fn channel(&self, name: &str) -> (String, String) {
        let input = json!({ "name": name, "plugin": "webhook-notify", "url": "https://127.0.0.1:9/owl",
            "rules": [{ "events": ["deployment.failed"] }] });
        let made = self.server.post("/api/v1/teams/owls/channels", input).await.expect(201);
        let channel = made["data"]["channel"]["seq"].to_string();
        let rules = self.server.get(&format!("/api/v1/channels/{channel}/rules")).await.expect(200);
        (channel, rules["data"]["items"][0]["seq"].to_string())
    }

    pub async fn save_template(&self) {
        let content = json!({ "model": { "name": "owl" }, "parameters": {} });
        let path = "/api/v1/templates/owl-template?project=owl-project";
        self.server.put(path, content).await.expect(200);
    }

    /// Id and secret of a new token of that person.
    pub async fn token_of(&self, user: &str) -> (String, String) {
        let made =
            self.server.post("/api/v1/tokens", json!({ "name": "owl", "user": user })).await.expect(201);
        (text(&made["data"]["id"]), text(&made["data"]["secret"]))
    }

    pub async fn invite(&self, team: &str, name: &str, role: &str) -> Value {
        let path = format!("/api/v1/teams/{team}/invitations");
        self.server.post(&path, json!({ "name": name, "role": role })).await.expect(201)["data"].clone()
    }

    pub fn persona(&self, name: &str) -> &Persona {
        self.personas.iter().find(|persona| persona.name == name).unwrap()
    }

    /// The thing that a parameter of that name means.
    #[track_caller]
    pub fn thing(&self, parameter: &str) -> &str {
        let found = self.things.iter().find(|(name, _)| *name == parameter);
        let Some((_, thing)) = found else {
            panic!("`{parameter}` is unknown; add one to tests/src/world.rs")
        };
        thing
    }

    /// A path with these things in the place of its parameters; what is not among them is the first team's.
    #[track_caller]
    pub fn path(&self, path: &str, others: &[(&str, String)]) -> String {
        let fill = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => {
                let other = others.iter().find(|(of, _)| *of == name);
                other.map_or_else(|| self.thing(name), |(_, thing)| thing.as_str()).to_owned()
            }
            None => part.to_owned(),
        };
        path.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    /// What that person gets for a request of the API.
    pub async fn ask(&self, who: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        ask(&self.server, &self.persona(who).token, method, path, body).await
    }
}

/// A request with that token, or without one.
pub async fn ask(
    server: &TestServer,
    token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let mut request = server.stranger(method, path);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    Answer { status, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
}

/// An account of that name, and the secret of a token of it.
pub async fn person(server: &TestServer, name: &str) -> String {
    server.post("/api/v1/users", json!({ "name": name })).await.expect(201);
    let made = server.post("/api/v1/tokens", json!({ "name": name, "user": name })).await.expect(201);
    text(&made["data"]["secret"])
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
