//! The program under measurement: one process with one data folder.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use windlass_tests::git_server::PRIVATE_NETWORKS;
use windlass_tests::server::{ADMIN_TOKEN, program};

pub struct Server {
    pub url: String,
    /// From before the process was created until it said that it listens.
    pub took: Duration,
    child: Child,
    client: reqwest::Client,
}

impl Server {
    /// Starts on this folder, whatever is in it.
    pub fn launch(folder: &Path) -> Self {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(folder.join("server.log")).unwrap();
        let config = folder.join("windlass.toml");
        // More deliveries come from one address than any forge sends.
        std::fs::write(&config, "[webhooks]\nper_minute = 0\n").unwrap();
        let mut command = Command::new(program());
        command
            .arg("serve")
            .arg("--config")
            .arg(config)
            .env("WINDLASS_LISTEN", "127.0.0.1:0")
            .env("WINDLASS_DATA_DIR", data(folder))
            .env("BUILD_LOG_DIR", folder.join("logs"))
            .env("WINDLASS_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("WINDLASS_PRIVATE_NETWORKS", PRIVATE_NETWORKS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let _ = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
        let took = started.elapsed();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            let _ = child.wait();
            panic!(
                "the server did not start: {}",
                std::fs::read_to_string(folder.join("server.log")).unwrap_or_default()
            );
        };
        Self { url: url.to_string(), took, child, client: reqwest::Client::new() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and waits until it has ended.
    pub fn stop(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }

    /// SIGKILL: what is not on disk by now is lost.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(ADMIN_TOKEN);
        request.send().await.unwrap().text().await.unwrap()
    }

    pub async fn get_json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await).unwrap()
    }

    /// What is answered, which has to be a success.
    pub async fn post_json(&self, path: &str, input: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(ADMIN_TOKEN).json(input);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["success"], true, "{path}: {answer}");
        answer
    }

    /// Creates a stack; the webhook's path and secret.
    pub async fn create_stack(&self, input: Value) -> (String, String) {
        let request =
            self.client.post(format!("{}/api/v1/stacks", self.url)).bearer_auth(ADMIN_TOKEN).json(&input);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let webhook = &answer["data"]["webhook"];
        let url = webhook["url"].as_str().unwrap_or_else(|| panic!("no webhook: {answer}"));
        let path = url[url.find("/api/").unwrap()..].to_string();
        (path, webhook["secret"].as_str().unwrap().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
