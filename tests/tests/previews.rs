//! A pull request is opened, changed and closed at a forge, and each time its preview follows.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::PATIENCE;
use windlass_tests::docker::{busybox, eventually, unique};
use windlass_tests::fixture::HEALTHY_WITHIN_S;
use windlass_tests::git_server::{File, GitServer, TestRepo};
use windlass_tests::port::free_port;
use windlass_tests::server::{ADMIN_TOKEN, TestServer, docker, sign};
use windlass_tests::vendors::github::{self, GitHub};

const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY index.html /www/index.html\nEXPOSE 8080\n\
     CMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";

struct Shop {
    forge: GitHub,
    repo: TestRepo,
    server: TestServer,
    /// The router's.
    address: SocketAddr,
    name: String,
    /// What made its stack.
    input: Value,
    webhook: String,
    secret: String,
    _git: GitServer,
}

impl Shop {
    async fn open() -> Self {
        let git = GitServer::start().await;
        let repo = git.create("octo/app");
        let forge = GitHub::start_before(git.router()).await;
        forge.world().pulls = Some(Vec::new());
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let listen = address.to_string();
        let server =
            TestServer::start_with(&[("WINDLASS_ROUTER", "true"), ("WINDLASS_ROUTER_HTTP", &listen)]).await;
        let name = unique("shop");
        let input = json!({
            "name": name,
            "repository": {
                "url": format!("{}/octo/app.git", forge.fake.url), "branch": "main", "provider": "github",
                "authType": "http_token", "credentials": { "username": "octo", "token": github::TOKEN },
            },
            "build": { "healthCheckPath": "/", "healthCheckTimeout": HEALTHY_WITHIN_S,
                "environmentVariables": [{ "name": "TOKEN", "value": "of-the-shop", "secret": true }] },
            "run": {
                "ports": [{ "container": 8080, "host": free_port() }], "stopTimeoutSecs": 1,
                "volumes": [{ "name": "orders", "path": "/orders" }],
            },
            "traffic": { "hosts": ["shop.windlass.test"] },
        });
        let (webhook, secret) = server.create_stack(input.clone()).await;
        Self { forge, repo, server, address, name, input, webhook, secret, _git: git }
    }

    fn commit(&self, branch: &str, text: &str) -> String {
        let program = std::fs::read(busybox()).unwrap();
        let files = [
            File { path: "busybox", mode: "100755", content: &program },
            File { path: "Dockerfile", mode: "100644", content: DOCKERFILE.as_bytes() },
            File { path: "index.html", mode: "100644", content: text.as_bytes() },
        ];
        let sha = self.repo.commit_files(branch, &files, text);
        self.forge.world().commits.push(sha.clone());
        sha
    }

    /// Commit and state of each deployment of an environment that the forge knows, and where it can be reached.
    fn placed(&self, environment: &str) -> Vec<(String, String, Option<String>)> {
        let world = self.forge.world();
        let fits = world.deployments.iter().filter(|one| one.environment() == environment);
        let told = fits.inspect(|one| assert_eq!(one.asked["transient_environment"], true)).map(|one| {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let url = one.statuses.iter().rev().find_map(|status| text(&status["environment_url"]));
            (text(&one.asked["ref"]).unwrap_or_default(), one.state().to_owned(), url)
        });
        told.collect()
    }

    /// What the forge has open from now on; its webhook tells of it as the forge's own sample does.
    async fn pulls(&self, action: &str, open: &[Value]) {
        self.forge.world().pulls = Some(open.to_vec());
        let body = json!({ "action": action, "number": 7, "repository": { "full_name": "octo/app" } });
        let body = body.to_string();
        let request = self
            .server
            .stranger(Method::POST, &self.webhook)
            .header("content-type", "application/json")
            .header("x-github-event", "pull_request")
            .header("x-github-delivery", unique("delivery"))
            .header("x-hub-signature-256", sign(&self.secret, body.as_bytes()));
        assert_eq!(request.body(body).send().await.unwrap().status(), 202);
    }

    /// Makes the server what a file with these stacks says, and deletes all others. Names of stacks that this concerned.
    async fn apply(&self, stacks: Value) -> Vec<Value> {
        let mut body =
            json!({ "document": json!({ "version": 1, "stacks": stacks }).to_string(), "prune": true });
        let plan = self.server.post("/api/v1/apply/plan", body.clone()).await.expect(200)["data"].clone();
        body["planHash"] = plan["hash"].clone();
        self.server.post("/api/v1/apply", body).await.expect(200);
        plan["stacks"].as_array().unwrap().iter().map(|stack| stack["name"].clone()).collect()
    }

    async fn previews(&self) -> Value {
        let path = format!("/api/v1/stacks/{}/previews", self.name);
        self.server.get(&path).await.expect(200)["data"].clone()
    }

    async fn until(&self, what: &str, mut wanted: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let all = self.previews().await;
            let rows = all["items"].as_array().unwrap();
            if wanted(rows) {
                return rows.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "still not: {what}; there is: {all:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What visitors of a host get from the router: status and text.
    async fn visit(&self, host: &str) -> (u16, String) {
        let client = reqwest::Client::builder().resolve(host, self.address).timeout(Duration::from_secs(20));
        let url = format!("http://{host}:{}/", self.address.port());
        let answer = client.build().unwrap().get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn cli(&self, words: &[&str]) -> String {
        self.server.cli(words).expect(0).out
    }

    async fn page(&self) -> String {
        let path = format!("/stacks/{}/previews", self.name);
        let request = self.server.stranger(Method::GET, &path);
        let request = request.header("cookie", format!("windlass_token={ADMIN_TOKEN}"));
        request.send().await.unwrap().text().await.unwrap()
    }

    /// Nothing is left of a preview: no stack, no container, no image, no route.
    async fn is_gone(&self, number: u64) {
        let name = format!("{}-pr-{number}", self.name);
        assert_eq!(self.server.get(&format!("/api/v1/stacks/{name}")).await.status, 404);
        assert_eq!(docker(&["ps", "-aq", "--filter", &format!("label=dev.windlass.stack={name}")]), "");
        // Images are looked through once all previews that are over have been ended.
        eventually("the end of its images", async || docker(&["images", "-q", &name]).is_empty()).await;
        let (status, text) = self.visit(&format!("pr-{number}.windlass.test")).await;
        assert_eq!(status, 404, "{text}");
    }
}

/// As the forge's API shows it.
fn pull(number: u64, branch: &str, sha: &str, from: &str) -> Value {
    json!({
        "number": number, "title": format!("Change {number}"), "state": "open", "merged_at": null,
        "user": { "login": "octo" }, "html_url": format!("https://github.com/octo/app/pull/{number}"),
        "head": { "ref": branch, "sha": sha, "repo": { "full_name": from } },
        "base": { "ref": "main", "sha": sha, "repo": { "full_name": "octo/app" } },
    })
}

fn shows(row: &Value, sha: &str) -> bool {
    row["deploymentStatus"] == "successful" && row["deployedSha"] == sha && row["address"].is_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_shown_until_it_is_closed() {
    let shop = Shop::open().await;
    shop.commit("main", "the shop");
    let first = shop.commit("change-7", "change seven");
    let stranger = shop.commit("change-9", "not ours");
    shop.cli(&["preview", "enable", &shop.name, "--host", "pr-{number}.windlass.test"]);
    let fork = pull(9, "change-9", &stranger, "stranger/app");
    shop.pulls("opened", &[fork.clone(), pull(7, "change-7", &first, "octo/app")]).await;
    let rows = shop.until("the preview", |rows| rows.len() == 2 && shows(&rows[0], &first)).await;
    assert_eq!(shop.visit("pr-7.windlass.test").await, (200, "change seven".into()));
    // Whoever can open a pull request would get the shop's secrets.
    assert_eq!((&rows[1]["state"], &rows[1]["stack"]), (&json!("fork"), &Value::Null));
    let name = format!("{}-pr-7", shop.name);
    let child = shop.server.get(&format!("/api/v1/stacks/{name}")).await.expect(200)["data"].clone();
    assert_eq!((&child["run"]["volumes"], &child["run"]["ports"][0]["host"]), (&json!([]), &Value::Null));
    let url = format!("http://pr-7.windlass.test:{}/", shop.address.port());
    assert_eq!(rows[0]["address"], url);
    assert!(shop.cli(&["preview", "list", &shop.name]).contains(&url));
    assert!(shop.page().await.contains(&url));
    let told = |part: &str| {
        let comments = shop.forge.world().comments.clone();
        assert!(comments.len() < 2, "one comment, which changes: {comments:?}");
        comments.iter().any(|comment| comment["body"].as_str().unwrap().contains(part))
    };
    eventually("the comment", async || told(&first[..12]) && told(&url)).await;

    let environment = format!("preview/{name}");
    let serves = |sha: &str| (sha.to_owned(), "success".to_owned(), Some(url.clone()));
    eventually("the environment", async || shop.placed(&environment) == [serves(&first)]).await;

    let second = shop.commit("change-7", "change seven, better");
    shop.pulls("synchronize", &[fork, pull(7, "change-7", &second, "octo/app")]).await;
    shop.until("the new commit", |rows| shows(&rows[0], &second)).await;
    assert_eq!(shop.visit("pr-7.windlass.test").await.1, "change seven, better");
    eventually("the comment's new text", async || told(&second[..12])).await;
    let retired = |sha: &str| (sha.to_owned(), "inactive".to_owned(), Some(url.clone()));
    let both = [retired(&first), serves(&second)];
    eventually("the environment's new commit", async || shop.placed(&environment) == both).await;

    shop.pulls("closed", &[]).await;
    shop.until("the end", <[Value]>::is_empty).await;
    shop.is_gone(7).await;
    assert_eq!(shop.placed(&environment), [retired(&first), retired(&second)]);
    shop.server.get(&format!("/api/v1/stacks/{}", shop.name)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_are_shown_at_a_time_and_none_once_they_are_off() {
    let shop = Shop::open().await;
    let all: Vec<(u64, String)> =
        (1..=2).map(|n| (n, shop.commit(&format!("change-{n}"), &n.to_string()))).collect();
    let open: Vec<Value> =
        all.iter().map(|(n, sha)| pull(*n, &format!("change-{n}"), sha, "octo/app")).collect();
    shop.forge.world().pulls = Some(open);
    let path = format!("/api/v1/stacks/{}/previews", shop.name);
    let mut file = shop.input.clone();
    file["repository"]["credentials"]["token"] = "${TOKEN}".into();
    file["build"]["environmentVariables"][0]["value"] = "${KEY}".into();
    file["previews"] = json!({ "host": "pr-{number}.windlass.test", "most": 1 });
    assert_eq!(shop.apply(json!([file])).await, [shop.name.as_str()]);
    let rows = shop.until("the first", |rows| rows.len() == 2 && shows(&rows[0], &all[0].1)).await;
    assert_eq!((&rows[1]["state"], &rows[1]["stack"]), (&json!("waiting"), &Value::Null));
    let second = pull(2, "change-2", &all[1].1, "octo/app");
    shop.pulls("closed", &[second]).await;
    shop.until("the one that waited", |rows| rows.len() == 1 && shows(&rows[0], &all[1].1)).await;
    shop.is_gone(1).await;
    assert_eq!(shop.apply(json!([file])).await, [] as [&str; 0], "its previews are no file's business");
    shop.server.delete(&path).await.expect_empty(204);
    shop.until("the end of all", <[Value]>::is_empty).await;
    shop.is_gone(2).await;
    assert_eq!(shop.previews().await["enabled"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_holds_up_the_previews_that_it_is_meant_to_cover_and_no_others() {
    let shop = Shop::open().await;
    shop.commit("main", "the shop");
    let first = shop.commit("change-7", "change seven");
    shop.cli(&["preview", "enable", &shop.name, "--host", "pr-{number}.windlass.test"]);
    shop.cli(&["protect", &shop.name, "--freeze", "the sale runs"]);
    shop.pulls("opened", &[pull(7, "change-7", &first, "octo/app")]).await;
    shop.until("the preview in spite of the freeze", |rows| rows.len() == 1 && shows(&rows[0], &first)).await;

    let told = shop.cli(&["protect", &shop.name, "--previews", "true"]);
    assert!(told.contains("the sale runs") && !told.contains("not covered"), "{told}");
    let second = shop.commit("change-7", "change seven, better");
    shop.pulls("synchronize", &[pull(7, "change-7", &second, "octo/app")]).await;
    let is_told = |event: &Value| {
        let label = event["data"]["label"].as_str().unwrap_or_default();
        (label.starts_with("Waiting") && label.contains("the sale runs")).then_some(())
    };
    shop.server.wait_event("the preview waits", is_told).await;
    assert_eq!(shop.visit("pr-7.windlass.test").await.1, "change seven");
    shop.cli(&["protect", &shop.name, "--thaw"]);
    shop.until("the new commit", |rows| shows(&rows[0], &second)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_cannot_have_previews_says_why() {
    let server = TestServer::start().await;
    server.create_stack(json!({ "name": "bare" })).await;
    let url = "https://git.example/team/app.git";
    server
        .create_stack(json!({ "name": "plain", "repository": { "url": url, "provider": "generic" } }))
        .await;
    for (stack, words) in [("bare", "no repository"), ("plain", "does not export the optional interface")] {
        let answer = server.put(&format!("/api/v1/stacks/{stack}/previews"), json!({})).await;
        assert!(answer.status >= 400 && answer.text.contains(words), "{stack}: {}", answer.text);
    }
    let answer = server.put("/api/v1/stacks/plain/previews", json!({ "host": "shop.example" })).await;
    assert!(answer.status == 422 && answer.text.contains("{number}"), "{}", answer.text);
    let answer = server.post("/api/v1/stacks/plain/previews/look", json!({})).await;
    assert!(answer.status == 409 && answer.text.contains("off"), "{}", answer.text);
}
