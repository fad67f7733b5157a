//! The real program, started as a process and driven from outside.

use crate::PATIENCE;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures_util::StreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::compiled::borrow_plugins;
use crate::git_server::PRIVATE_NETWORKS;
use crate::port::free_port;

pub const ADMIN_TOKEN: &str = "test-admin-token-0123456789";

/// A server with a data folder of its own. Killed, and its containers removed, when dropped.
pub struct TestServer {
    pub url: String,
    pub folder: tempfile::TempDir,
    child: Option<Child>,
    client: reqwest::Client,
    variables: Vec<(String, String)>,
}

/// The debug binary beside the running test, or the program that `WINDLASS_PROGRAM` names.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("WINDLASS_PROGRAM") {
        // Started from other folders too.
        return std::path::absolute(path).unwrap();
    }
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("windlass");
    assert!(path.exists(), "{} is missing; `cargo build --workspace` makes it", path.display());
    path
}

impl TestServer {
    /// On SQLite, with nothing special.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further environment variables.
    pub async fn start_with(variables: &[(&str, &str)]) -> Self {
        Self::start_on(variables, |_| {}).await
    }

    /// The same, on data that `prepare` puts into its data folder, which is not there yet.
    pub async fn start_on(variables: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        let mut server = Self {
            url: format!("http://127.0.0.1:{}", free_port()),
            folder: tempfile::tempdir().unwrap(),
            child: None,
            client: reqwest::Client::builder().timeout(PATIENCE).build().unwrap(),
            variables: variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        };
        prepare(&server.data());
        server.launch(&[]).await.unwrap_or_else(|why| panic!("the server did not start: {why}"));
        server
    }

    /// Starts the program on the same data. On failure, what it wrote to standard error.
    ///
    /// The address stays what it was at the first start, so that webhook URLs go on working.
    pub async fn launch(&mut self, variables: &[(&str, &str)]) -> Result<(), String> {
        let listen = self.url.trim_start_matches("http://").to_string();
        borrow_plugins(&self.data());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.server_log()).unwrap();
        let mut command = Command::new(program());
        command
            .arg("serve")
            .env_remove("WINDLASS_CRASH_AT")
            .env("WINDLASS_LISTEN", listen)
            .env("WINDLASS_DATA_DIR", self.folder.path().join("data"))
            .env("BUILD_LOG_DIR", self.folder.path().join("logs"))
            .env("WINDLASS_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("WINDLASS_LOG", "info")
            .env("WINDLASS_PRIVATE_NETWORKS", PRIVATE_NETWORKS)
            .envs(self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            line
        })
        .await
        .unwrap();
        self.child = Some(child);
        match line.trim().strip_prefix("listening on ") {
            Some(url) => {
                self.url = url.to_string();
                Ok(())
            }
            None => {
                let _ = self.wait();
                Err(std::fs::read_to_string(self.server_log()).unwrap_or_default())
            }
        }
    }

    pub fn server_log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// SIGKILL: nothing is flushed, no destructor runs.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
        }
        let _ = self.wait();
    }

    /// SIGTERM: the polite way to stop it.
    pub fn terminate(&self) {
        if let Some(child) = &self.child {
            let _ = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
        }
    }

    /// Waits until the process has ended. True if a signal ended it.
    pub fn wait(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        self.child.take().is_some_and(|mut child| child.wait().unwrap().signal().is_some())
    }

    /// True if the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(reqwest::Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(reqwest::Method::POST, path, Some(body)).await
    }

    /// A component's bytes instead of JSON.
    pub async fn post_component(&self, path: &str, component: Vec<u8>) -> Answer {
        let request = self.stranger(reqwest::Method::POST, path).bearer_auth(ADMIN_TOKEN);
        Answer::of(path, request.header("content-type", "application/wasm").body(component)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(reqwest::Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(reqwest::Method::DELETE, path, None).await
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN_TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(path, request).await
    }

    /// A request without our token, for webhooks and for the uninvited.
    pub fn stranger(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Creates a stack and returns `(webhook path, secret)`.
    pub async fn create_stack(&self, input: Value) -> (String, String) {
        let answer = self.post("/api/v1/stacks", input).await.expect(201);
        let webhook = &answer["data"]["webhook"];
        let url = webhook["url"].as_str().unwrap_or_default();
        let path = url.find("/api/").map(|at| url[at..].to_string()).unwrap_or_default();
        (path, webhook["secret"].as_str().unwrap_or_default().to_string())
    }

    /// Posts a signed GitHub push and returns the stored event's id.
    pub async fn push_webhook(
        &self,
        path: &str,
        secret: &str,
        clone_url: &str,
        branch: &str,
        sha: &str,
    ) -> String {
        self.try_push_webhook(path, secret, clone_url, branch, sha).await.expect("the server answers")
    }

    /// The same to a server that may die while it answers.
    pub async fn try_push_webhook(
        &self,
        path: &str,
        secret: &str,
        clone_url: &str,
        branch: &str,
        sha: &str,
    ) -> Option<String> {
        let body = push_body(clone_url, branch, sha).to_string();
        let request = self
            .stranger(reqwest::Method::POST, path)
            .header("content-type", "application/json")
            .header("x-github-event", "push")
            .header("x-github-delivery", format!("delivery-{sha}-{branch}"))
            .header("x-hub-signature-256", sign(secret, body.as_bytes()))
            .body(body);
        let response = request.send().await.ok()?;
        assert_eq!(response.status().as_u16(), 202);
        let answer: Value = response.json().await.ok()?;
        Some(answer["event_id"].as_str().unwrap().to_string())
    }

    /// Reads state changes from the beginning until `wanted` answers, or panics after a minute.
    pub async fn wait_event<T>(&self, what: &str, mut wanted: impl FnMut(&Value) -> Option<T>) -> T {
        let search = async {
            let mut after = 0;
            loop {
                let response = self
                    .stranger(reqwest::Method::GET, &format!("/api/v1/events?after={after}"))
                    .bearer_auth(ADMIN_TOKEN)
                    .send()
                    .await
                    .unwrap();
                let mut stream = response.bytes_stream();
                let mut text = String::new();
                while let Some(Ok(bytes)) = stream.next().await {
                    text.push_str(&String::from_utf8_lossy(&bytes));
                    while let Some(end) = text.find("\n\n") {
                        let event: String = text.drain(..end + 2).collect();
                        let data =
                            event.lines().filter_map(|line| line.strip_prefix("data:")).collect::<String>();
                        let Ok(value) = serde_json::from_str::<Value>(data.trim()) else { continue };
                        after = value["seq"].as_i64().unwrap_or(after);
                        if let Some(found) = wanted(&value) {
                            return found;
                        }
                    }
                }
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => {
                let newest =
                    self.get("/api/v1/deployments?limit=1").await.json["data"]["items"][0]["seq"].to_string();
                let log = self.log_of(&newest).await;
                panic!("{what} did not happen within {PATIENCE:?}; the deployment's log:\n{log}")
            }
        }
    }

    /// Waits until the deployment with this number (or id) has ended, and shows it.
    pub async fn wait_deployment(&self, reference: &str) -> Value {
        let id =
            self.get(&format!("/api/v1/deployments/{reference}")).await.expect(200)["data"]["id"].clone();
        self.wait_event(&format!("the end of deployment {reference}"), |event| {
            let over = ["successful", "failed", "rolled_back", "cancelled"];
            let status = event["data"]["status"].as_str().unwrap_or_default();
            (event["kind"] == "deployment.status" && event["subjectId"] == id && over.contains(&status))
                .then_some(())
        })
        .await;
        self.get(&format!("/api/v1/deployments/{reference}")).await.expect(200)["data"].clone()
    }

    /// Waits until the event has its reason code, and shows it.
    pub async fn wait_webhook(&self, event_id: &str) -> Value {
        self.wait_event(&format!("the processing of webhook event {event_id}"), |event| {
            (event["kind"] == "webhook.processed" && event["subjectId"] == event_id).then_some(())
        })
        .await;
        self.get(&format!("/api/v1/webhooks/{event_id}")).await.expect(200)["data"].clone()
    }

    pub async fn log_of(&self, deployment: &str) -> String {
        self.get(&format!("/api/v1/deployments/{deployment}/logs")).await.text
    }

    /// What marks this server's containers.
    pub fn instance(&self) -> String {
        std::fs::read_to_string(self.data().join("instance")).unwrap_or_default()
    }

    /// Names of this server's containers, running or not.
    pub fn containers(&self) -> Vec<String> {
        self.containers_with("dev.windlass.server")
    }

    /// Names of those that are instances of a release, and not what a compose stack has besides.
    pub fn instances(&self) -> Vec<String> {
        self.containers_with("dev.windlass.release")
    }

    fn containers_with(&self, label: &str) -> Vec<String> {
        let own = format!("label=dev.windlass.server={}", self.instance());
        let wanted = format!("label={label}");
        let words = ["ps", "-a", "--filter", &own, "--filter", &wanted, "--format", "{{.Names}}"];
        docker(&words).lines().map(str::to_string).collect()
    }

    fn tail(&self) -> String {
        let log = std::fs::read_to_string(self.server_log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the last words of the test's server:\n{}", self.tail());
        }
        // The server leaves its router running on purpose.
        crate::router::kill_router_of(&self.data());
        if !self.instance().is_empty() {
            for name in self.containers() {
                docker(&["rm", "-f", "-v", &name]);
            }
            let label = format!("label=dev.windlass.server={}", self.instance());
            for kind in ["network", "volume"] {
                let all = docker(&[kind, "ls", "--format", "{{.Name}}", "--filter", &label]);
                // The network of all servers on this engine may be another one's by now.
                for name in all.lines().filter(|name| *name != windlass::docker::NETWORK) {
                    docker(&[kind, "rm", name]);
                }
            }
        }
    }
}

/// A response, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub json: Value,
    pub text: String,
}

impl Answer {
    async fn of(path: &str, request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = response.status().as_u16();
        let text = response.text().await.unwrap_or_default();
        Self { status, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    /// For an answer without a body.
    #[track_caller]
    pub fn expect_empty(self, status: u16) {
        assert_eq!((self.status, self.text.as_str()), (status, ""));
    }

    /// The body, if the status is as expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json
    }
}

/// `docker` with these words; its standard output.
pub fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// The value of `X-Hub-Signature-256`.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A push as GitHub shapes it, with what matters.
pub fn push_body(clone_url: &str, branch: &str, sha: &str) -> Value {
    json!({
        "ref": format!("refs/heads/{branch}"),
        "before": "0".repeat(40),
        "after": sha,
        "created": false,
        "deleted": false,
        "forced": false,
        "head_commit": {
            "id": sha, "message": "a commit", "timestamp": "2026-11-20T12:00:00Z",
            "author": { "name": "Ada", "email": "ada@example.org" },
            "added": [], "removed": [], "modified": ["index.html"]
        },
        "commits": [],
        "repository": { "full_name": "team/app", "clone_url": clone_url, "default_branch": "main" },
        "pusher": { "name": "ada" },
        "sender": { "login": "ada" }
    })
}

/// A static busybox: the only thing in the images of the tests.
pub fn busybox() -> &'static Path {
    let found = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.exists());
    found.expect("busybox is missing; `make setup` brings it")
}
