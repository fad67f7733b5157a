//! The built-in forges against their vendors' APIs, as far as the broker lets them: with the permissions that their manifests
//! ask for, and with a token that they never see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use windlass::domain::forge::{CommitState, CommitStatus};
use windlass::domain::plugin::Ability;
use windlass::plugins::{Connection, PluginSource, Plugins, Secret, Settings, Source, Target};

const TOKEN: &str = "t0ken-of-the-forge";
const SHA: &str = "67b56589a45103f891bdee7c0546e5d40bc02001";
const HOOK: &str = "https://windlass.example/api/webhooks/1";
const HOOK_SECRET: &str = "5ecret-of-the-webhook";

type Answers = HashMap<&'static str, (u16, Value)>;

#[derive(Clone)]
struct Vendor {
    answers: Arc<Answers>,
    /// Method and path, and the body.
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

/// Answers by method and path, without the query; 401 without the token, 404 to everything else.
async fn answer(State(vendor): State<Vendor>, request: Request) -> (StatusCode, String) {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if token != Some(&format!("Bearer {TOKEN}")) {
        return (StatusCode::UNAUTHORIZED, "who are you?".to_owned());
    }
    let line = format!("{} {}", request.method(), request.uri().path());
    let body = to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    vendor
        .seen
        .lock()
        .expect("the log")
        .push((line.clone(), serde_json::from_slice(&body).unwrap_or_default()));
    let (status, body) = vendor.answers.get(line.as_str()).cloned().unwrap_or((404, Value::Null));
    (StatusCode::from_u16(status).expect("a status"), body.to_string())
}

/// A built-in forge with a server of its vendor.
struct Forge {
    name: &'static str,
    plugins: Plugins,
    target: Target,
    vendor: Vendor,
    _folder: TempDir,
}

impl Forge {
    async fn start(name: &'static str, settings: Value, answers: Answers) -> Self {
        let vendor = Vendor { answers: Arc::new(answers), seen: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(vendor.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = TempDir::new().expect("a temporary folder");
        let mut options = Settings::new(folder.path().join("plugins"));
        let grant = ["http:self", "credential:token"].map(str::to_owned).to_vec();
        options.sources.push(PluginSource { grant, ..PluginSource::new(name, Source::Builtin) });
        let plugins = Plugins::start(options).await.expect("the engine starts");
        let connection = Connection::new("test", &url).expect("a base URL");
        let connection = connection.secret("token", Secret::new(TOKEN)).expect("a good secret");
        Self {
            name,
            plugins,
            target: Target { connection: Arc::new(connection), settings },
            vendor,
            _folder: folder,
        }
    }

    /// Everything that the host may ask of a forge, once.
    async fn is_asked_for_everything(&self, repository: &str) {
        let (plugins, name, target) = (&self.plugins, self.name, &self.target);
        assert!(!plugins.has_ability(name, Ability::Deployments), "{name} has none that could be written");
        let branch = plugins.forge_default_branch(name, target, repository).await.expect("a branch");
        assert_eq!(branch, "main", "{name}");
        let details = plugins.forge_repository(name, target, repository).await.expect("details");
        assert!(details.private, "{details:?}");
        let secret = Secret::new(HOOK_SECRET);
        let hook =
            plugins.forge_register_hook(name, target, (repository, HOOK), &secret).await.expect("a hook");
        plugins.forge_unregister_hook(name, target, repository, &hook).await.expect("it is gone");
        let status = CommitStatus {
            repository: repository.into(),
            commit: SHA.into(),
            state: CommitState::Success,
            context: "windlass/shop".into(),
            description: "Deployed".into(),
            url: Some("https://windlass.example/deployments/1".into()),
        };
        plugins.forge_set_status(name, target, &status).await.expect("it is set");
        let page = plugins.forge_open_pull_requests(name, target, repository, None).await.expect("a page");
        assert_eq!((page.items[0].number, page.items[0].head_commit.as_str()), (2, SHA));
        plugins.forge_pull_request(name, target, repository, 2).await.expect("a pull request");
        plugins
            .forge_set_comment(name, target, (repository, 2), "preview", "It is **out**.")
            .await
            .expect("it is left");
    }

    /// The body that was sent with this method and path.
    fn sent(&self, line: &str) -> Value {
        let seen = self.vendor.seen.lock().expect("the log");
        let found = seen.iter().find(|(known, _)| known == line);
        found.unwrap_or_else(|| panic!("{line} is not among {seen:#?}")).1.clone()
    }
}

fn below(root: &str, rows: &[(&str, &str, u16, Value)]) -> Answers {
    let of = |(method, rest, status, body): &(&str, &str, u16, Value)| {
        // For as long as the test runs.
        let line: &'static str = format!("{method} {root}{rest}").leak();
        (line, (*status, body.clone()))
    };
    rows.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn gitea_is_asked_for_everything() {
    let repository = json!({
        "full_name": "team/app", "default_branch": "main", "clone_url": "https://git.example/team/app.git",
        "html_url": "https://git.example/team/app", "private": true,
    });
    let side = |branch: &str| json!({ "ref": branch, "sha": SHA, "repo_id": 1 });
    let pull = json!({
        "number": 2, "title": "Sharper", "state": "open", "head": side("sharper"), "base": side("main"),
        "html_url": "https://git.example/team/app/pulls/2",
    });
    let hook = json!({ "id": 7, "config": { "url": HOOK } });
    let status = format!("/statuses/{SHA}");
    let answers = below(
        "/api/v1/repos/team/app",
        &[
            ("GET", "", 200, repository),
            ("GET", "/hooks", 200, json!([])),
            ("POST", "/hooks", 201, hook),
            ("DELETE", "/hooks/7", 204, Value::Null),
            ("POST", &status, 201, json!({})),
            ("GET", "/pulls", 200, json!([pull])),
            ("GET", "/pulls/2", 200, pull.clone()),
            ("GET", "/issues/2/comments", 200, json!([])),
            ("POST", "/issues/2/comments", 201, json!({})),
        ],
    );
    let forge = Forge::start("gitea", json!({}), answers).await;
    forge.is_asked_for_everything("team/app").await;
    let made = forge.sent("POST /api/v1/repos/team/app/hooks");
    assert_eq!(made["config"]["secret"], HOOK_SECRET, "the host puts it in on the way out");
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_cloud_is_asked_for_everything() {
    let link = |href: &str| json!({ "href": href });
    let repository = json!({
        "full_name": "team/app", "mainbranch": { "name": "main" }, "is_private": true,
        "links": { "clone": [link("https://ada@bitbucket.org/team/app.git")] },
    });
    let side =
        |branch: &str| json!({ "branch": { "name": branch }, "repository": { "full_name": "team/app" } });
    let pull = json!({
        "id": 2, "title": "Sharper", "state": "OPEN", "source": side("sharper"), "destination": side("main"),
        "links": { "html": link("https://bitbucket.org/team/app/pull-requests/2") },
    });
    let status = format!("/commit/{SHA}/statuses/build");
    let answers = below(
        "/2.0/repositories/team/app",
        &[
            ("GET", "", 200, repository),
            ("GET", "/hooks", 200, json!({ "values": [] })),
            ("POST", "/hooks", 201, json!({ "uuid": "{7}", "url": HOOK })),
            ("DELETE", "/hooks/%7B7%7D", 204, Value::Null),
            ("POST", &status, 201, json!({})),
            ("GET", "/pullrequests", 200, json!({ "values": [pull] })),
            ("GET", "/pullrequests/2", 200, pull.clone()),
            ("GET", "/pullrequests/2/commits", 200, json!({ "values": [{ "hash": SHA }] })),
            ("GET", "/pullrequests/2/comments", 200, json!({ "values": [] })),
            ("POST", "/pullrequests/2/comments", 201, json!({})),
        ],
    );
    let forge = Forge::start("bitbucket", json!({ "edition": "cloud" }), answers).await;
    forge.is_asked_for_everything("team/app").await;
    assert_eq!(forge.sent("POST /2.0/repositories/team/app/hooks")["secret"], HOOK_SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_data_center_is_asked_for_everything() {
    let link = |href: &str| json!([{ "href": href }]);
    let app = json!({ "slug": "app", "project": { "key": "TEAM" } });
    let mut repository = app.clone();
    repository["links"] = json!({ "clone": link("https://git.example/scm/team/app.git") });
    let side = |branch: &str| json!({ "displayId": branch, "latestCommit": SHA, "repository": app });
    let pull = json!({
        "id": 2, "title": "Sharper", "state": "OPEN", "author": { "user": { "name": "ada" } },
        "fromRef": side("sharper"), "toRef": side("main"), "links": { "self": link("https://git.example/2") },
    });
    let last = |values: Value| json!({ "values": values, "isLastPage": true });
    let status = format!("/commits/{SHA}/builds");
    let answers = below(
        "/rest/api/1.0/projects/TEAM/repos/app",
        &[
            ("GET", "", 200, repository),
            ("GET", "/default-branch", 200, json!({ "displayId": "main" })),
            ("GET", "/webhooks", 200, last(json!([]))),
            ("POST", "/webhooks", 201, json!({ "id": 7, "url": HOOK })),
            ("DELETE", "/webhooks/7", 204, Value::Null),
            ("POST", &status, 204, Value::Null),
            ("GET", "/pull-requests", 200, last(json!([pull]))),
            ("GET", "/pull-requests/2", 200, pull.clone()),
            ("GET", "/pull-requests/2/activities", 200, last(json!([]))),
            ("POST", "/pull-requests/2/comments", 201, json!({})),
        ],
    );
    let forge = Forge::start("bitbucket", json!({}), answers).await;
    forge.is_asked_for_everything("TEAM/app").await;
    let made = forge.sent("POST /rest/api/1.0/projects/TEAM/repos/app/webhooks");
    assert_eq!(made["configuration"]["secret"], HOOK_SECRET);
}
