//! The load: `wrk` posts one signed push again and again, each time as another delivery.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use windlass_tests::server;

/// A push as large as an ordinary one of GitHub's.
const BODY_BYTES: usize = 4500;
pub const SECONDS: u32 = 5;
/// The body is the same every time, so its signature is, too; what makes a delivery another one is a header. The request
/// is put together once, and only the delivery's id is exchanged: the tool must not be what is measured.
const SCRIPT: &str = r#"
local threads = 0
function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local body = file:read("*a")
  file:close()
  local head = string.format("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n" ..
    "User-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\nX-GitHub-Event: push\r\nX-GitHub-Hook-ID: 292430182\r\n" ..
    "X-Hub-Signature-256: %s\r\nContent-Length: %d\r\nX-GitHub-Delivery: ", args[3], wrk.host, args[2], #body)
  before = head .. string.format("%s-%02d-", args[4], thread_number)
  after = "\r\n\r\n" .. body
  count = 0
end

function request()
  count = count + 1
  return before .. string.format("%010d", count) .. after
end
"#;
/// How every load tells what came of it.
const DONE: &str = r#"
function done(summary, latency, requests)
  io.write(string.format('RESULT {"answers":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%.1f,"p99":%.1f}\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// One load that has ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub per_second: f64,
    /// Answers below 400.
    pub accepted: u64,
    pub refused: u64,
    pub broken: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// What is posted where.
pub struct Target<'a> {
    pub url: &'a str,
    pub path: &'a str,
    pub secret: &'a str,
}

/// A push to a branch that nobody deploys.
pub fn push_body() -> Vec<u8> {
    let url = "https://git.example.org/team/app.git";
    let mut body = server::push_body(url, "feature/unrelated", &"a".repeat(40));
    let mut commits = Vec::new();
    while body.to_string().len() < BODY_BYTES {
        let n = commits.len();
        commits.push(json!({
            "id": format!("{n:040x}"), "tree_id": format!("{n:040x}"), "distinct": true,
            "message": format!("Change number {n} of this push"), "timestamp": "2026-11-20T12:00:00Z",
            "url": format!("https://git.example.org/team/app/commit/{n:040x}"),
            "author": { "name": "Ada", "email": "ada@example.org", "username": "ada" },
            "committer": { "name": "Ada", "email": "ada@example.org", "username": "ada" },
            "added": [], "removed": [], "modified": [format!("src/module_{n}/main.rs")]
        }));
        body["commits"] = Value::Array(commits.clone());
    }
    body.to_string().into_bytes()
}

/// Posts for some seconds over so many connections. `round` makes the delivery ids unique among loads.
pub async fn run(folder: &Path, target: &Target<'_>, connections: u32, round: &str) -> Outcome {
    let (script, body) = (folder.join("push.lua"), folder.join("push.json"));
    let content = push_body();
    std::fs::write(&script, format!("{SCRIPT}{DONE}")).unwrap();
    std::fs::write(&body, &content).unwrap();
    let output = tokio::process::Command::new("wrk")
        .args(["--threads", "2", "--latency", "--timeout", "10s"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{SECONDS}s")])
        .arg("--script")
        .arg(&script)
        .arg(target.url)
        .arg("--")
        .arg(&body)
        .args([&server::sign(target.secret, &content), target.path, round])
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    outcome(&output.stdout)
}

/// Asks for one address again and again, for some seconds over so many connections.
pub async fn get(folder: &Path, url: &str, connections: u32, seconds: u32) -> Outcome {
    let script = folder.join("get.lua");
    std::fs::write(&script, DONE).unwrap();
    let output = tokio::process::Command::new("wrk")
        .args(["--threads", if connections > 1 { "2" } else { "1" }, "--latency", "--timeout", "10s"])
        .args(["--connections", &connections.to_string(), "--duration", &format!("{seconds}s"), "--script"])
        .args([script.as_os_str(), url.as_ref()])
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    outcome(&output.stdout)
}

fn outcome(output: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(output);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let result: Value =
        serde_json::from_str(result.unwrap_or_else(|| panic!("wrk says nothing: {text}"))).unwrap();
    let count = |key: &str| result[key].as_u64().unwrap();
    let (answers, refused) = (count("answers"), count("refused"));
    Outcome {
        per_second: (answers - refused) as f64 / (count("microseconds") as f64 / 1e6),
        accepted: answers - refused,
        refused,
        broken: count("broken"),
        p50_ms: result["p50"].as_f64().unwrap() / 1000.0,
        p99_ms: result["p99"].as_f64().unwrap() / 1000.0,
    }
}

/// The status of one delivery, signed with this secret.
pub async fn post_once(target: &Target<'_>, secret: &str) -> u16 {
    let content = push_body();
    let request = reqwest::Client::new()
        .post(format!("{}{}", target.url, target.path))
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", "before-the-load")
        .header("x-hub-signature-256", server::sign(secret, &content))
        .body(content);
    request.send().await.unwrap().status().as_u16()
}

/// Whether a program of that name can be run.
pub fn is_installed(name: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(name).is_file())
}
