//! A stack that is deployed for real: a repository on a git server, a server, and a page that names its commit.

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::cutover;
use crate::docker::busybox;
use crate::git_server::{File, GitServer, TestRepo};
use crate::port::free_port;
use crate::server::TestServer;

/// A page that names its commit. What the version says decides how it goes on: a `broken` one is not healthy and ends soon, a
/// `sick` one goes on without becoming healthy, a `failing` one is healthy and answers with errors, a `slow` one takes its
/// time.
const DOCKERFILE: &str = r#"FROM scratch
COPY busybox /bin/busybox
COPY start.sh version.txt /
CMD ["/bin/busybox", "sh", "/start.sh"]
EXPOSE 8080
"#;

const START: &str = r##"#!/bin/busybox sh
if /bin/busybox grep -q late /version.txt; then /bin/busybox sleep 1; fi
/bin/busybox mkdir -p /www
echo "version $(/bin/busybox cat /version.txt) commit $WINDLASS_COMMIT" > /www/index.html
if /bin/busybox grep -q broken /version.txt; then
  /bin/busybox httpd -p 8080 -h /www
  /bin/busybox sleep 1
  exit 3
fi
if ! /bin/busybox grep -q sick /version.txt; then echo ok > /www/health; fi
if /bin/busybox grep -q -e failing -e slow /version.txt; then
  /bin/busybox mkdir /www/cgi-bin
  /bin/busybox mv /www/index.html /page
  (
    echo "#!/bin/busybox sh"
    if /bin/busybox grep -q slow /version.txt; then echo "/bin/busybox sleep 0.3; s='200 OK'"; else echo "s='500 Broken'"; fi
    echo 'echo "Status: $s"; echo "Content-Type: text/html"; echo; /bin/busybox cat /page'
  ) > /www/cgi-bin/index.cgi
  /bin/busybox chmod 755 /www/cgi-bin/index.cgi
fi
exec /bin/busybox httpd -f -p 8080 -h /www
"##;

/// How long a release has until it is healthy, in seconds: far longer than a busy machine takes, and no test waits for its
/// end but those that [`Fixture::loses_patience`].
pub const HEALTHY_WITHIN_S: u64 = 60;

/// One stack named `web` on one server.
pub struct Fixture {
    pub git: GitServer,
    pub repo: TestRepo,
    pub server: TestServer,
    /// Of the page, where the stack has a fixed one.
    pub port: Option<u16>,
    pub webhook: String,
    pub secret: String,
    /// Further files of each commit: path, mode and content.
    pub extra: Vec<(String, &'static str, String)>,
    /// Where each commit has the program once more.
    pub extra_programs: Vec<String>,
    /// Each commit is the program that cutovers are measured with, instead of a page.
    pub is_visited: bool,
}

impl Fixture {
    /// With a fixed host port, or without: then instances overlap.
    pub async fn start(fixed_port: bool) -> Self {
        Self::start_with(fixed_port, &[], json!({})).await
    }

    /// With variables for the server and further fields for the stack.
    pub async fn start_with(fixed_port: bool, variables: &[(&str, &str)], extra: Value) -> Self {
        let git = GitServer::start().await;
        let repo = git.create("app");
        let server = TestServer::start_with(variables).await;
        let port = fixed_port.then(free_port);
        let mut input = json!({
            "name": "web",
            "repository": { "url": git.url("app"), "branch": "main", "provider": "github" },
            "build": { "healthCheckPath": "/health", "healthCheckTimeout": HEALTHY_WITHIN_S },
            "run": { "ports": [{ "container": 8080, "host": port }], "stopTimeoutSecs": 2 },
        });
        if let (Some(target), Some(extra)) = (input.as_object_mut(), extra.as_object()) {
            target.extend(extra.clone());
        }
        let (webhook, secret) = server.create_stack(input).await;
        let (extra, extra_programs) = (Vec::new(), Vec::new());
        Self { git, repo, server, port, webhook, secret, extra, extra_programs, is_visited: false }
    }

    /// Changes the stack's settings, as a person who edits it.
    pub async fn edit(&self, change: impl FnOnce(&mut Value)) {
        let stack = self.stack().await;
        let repository = &stack["gitRepository"];
        let mut input = json!({
            "name": stack["name"], "build": stack["buildConfig"], "run": stack["run"], "traffic": stack["traffic"],
            "strategy": stack["strategy"], "strategyParams": stack["strategyParams"],
            "repository": { "url": repository["url"], "branch": repository["branch"], "provider": repository["provider"] },
        });
        change(&mut input);
        self.server.put("/api/v1/stacks/web", input).await.expect(200);
    }

    /// From now on, a release that is not healthy is soon given up.
    pub async fn loses_patience(&self) {
        self.edit(|input| input["build"]["healthCheckTimeout"] = 10.into()).await;
    }

    /// Commits a version, which goes on as its text says.
    pub fn commit(&self, version: &str) -> String {
        if self.is_visited {
            return cutover::commit(&self.repo, version);
        }
        let binary = std::fs::read(busybox()).unwrap();
        let mut files = vec![
            File { path: "busybox", mode: "100755", content: &binary },
            File { path: "Dockerfile", mode: "100644", content: DOCKERFILE.as_bytes() },
            File { path: "start.sh", mode: "100755", content: START.as_bytes() },
            File { path: "version.txt", mode: "100644", content: version.as_bytes() },
        ];
        let extra = self.extra.iter();
        files.extend(extra.map(|(path, mode, content)| File { path, mode, content: content.as_bytes() }));
        let programs = self.extra_programs.iter();
        files.extend(programs.map(|path| File { path, mode: "100755", content: &binary }));
        self.repo.commit_files("main", &files, version)
    }

    /// Tells the server about a commit on `main`; returns the number of the deployment that it starts.
    pub async fn push(&self, sha: &str) -> String {
        let url = self.git.url("app");
        let event = self.server.push_webhook(&self.webhook, &self.secret, &url, "main", sha).await;
        let event = self.server.wait_webhook(&event).await;
        if event["reason"] == "duplicate_of" {
            // A server that has just started looks into its repositories, and may find the commit before it is told.
            let deployments = self.server.get("/api/v1/stacks/web/deployments").await.expect(200);
            let deployments = deployments["data"]["items"].as_array().unwrap();
            let its = deployments.iter().find(|deployment| deployment["commitSha"] == sha);
            return its.unwrap_or_else(|| panic!("no deployment of {sha}: {event}"))["seq"].to_string();
        }
        assert_eq!(event["reason"], "deployed", "{event}");
        let id = event["deploymentId"].as_str().unwrap();
        self.server.get(&format!("/api/v1/deployments/{id}")).await.expect(200)["data"]["seq"].to_string()
    }

    /// Commits, pushes, and waits for the end.
    pub async fn deploy(&self, version: &str) -> (String, Value) {
        let sha = self.commit(version);
        let number = self.push(&sha).await;
        (sha, self.server.wait_deployment(&number).await)
    }

    /// What the page says; empty if it does not answer.
    pub async fn page(&self) -> String {
        let Some(port) = self.port else { return String::new() };
        fetch(&format!("http://127.0.0.1:{port}/")).await
    }

    pub async fn stack(&self) -> Value {
        self.server.get("/api/v1/stacks/web").await.expect(200)["data"].clone()
    }

    /// The deployment and what the server said about it, for a failed assertion.
    pub async fn explain(&self, deployment: &Value) -> String {
        let log = self.server.log_of(&deployment["seq"].to_string()).await;
        format!("{deployment:#}\n{log}")
    }
}

/// The body of a page; empty if nobody answers.
pub async fn fetch(url: &str) -> String {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    match client.get(url).send().await {
        Ok(response) => response.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}
