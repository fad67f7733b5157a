//! Debian's `webhook`, which checks the same signature and starts `/bin/true` for each delivery.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use windlass_tests::port::free_port;

pub const PROGRAM: &str = "webhook";
pub const PATH: &str = "/hooks/bench";
pub const SECRET: &str = "the-peer-s-secret-0123456789";
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Peer {
    pub url: String,
    child: Child,
}

impl Peer {
    pub fn launch(folder: &Path) -> Self {
        let hooks = json!([{
            "id": "bench",
            "execute-command": "/bin/true",
            "http-methods": ["POST"],
            // Without this a delivery with a wrong signature is answered with 200.
            "trigger-rule-mismatch-http-response-code": 403,
            "trigger-rule": { "match": {
                "type": "payload-hmac-sha256",
                "secret": SECRET,
                "parameter": { "source": "header", "name": "X-Hub-Signature-256" }
            } }
        }]);
        let file = folder.join("hooks.json");
        std::fs::write(&file, hooks.to_string()).unwrap();
        let port = free_port();
        let child = Command::new(PROGRAM)
            .args(["-ip", "127.0.0.1", "-port", &port.to_string(), "-hooks"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Self { url: format!("http://127.0.0.1:{port}"), child };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "`{PROGRAM}` does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        peer
    }

    pub fn version() -> String {
        let output = Command::new(PROGRAM).arg("-version").output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
