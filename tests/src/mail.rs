//! A real mail server on loopback, aiosmtpd, and the mails it took.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::port::free_port;
use crate::tools::{root, skipped};

/// Where Debian's package is found, whatever Python comes first in PATH.
const PYTHON: &str = "/usr/bin/python3";

/// How a server wants to be spoken to.
#[derive(Debug, Clone, Copy)]
pub enum Mode {
    /// Plain at first, and nothing but STARTTLS until then.
    StartTls,
    /// TLS from the first byte on.
    Implicit,
    /// Neither TLS nor a log-in.
    Plain,
}

pub struct MailServer {
    pub url: String,
    mails: Arc<Mutex<Vec<Value>>>,
    child: Child,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl MailServer {
    /// `None`, with a word about `test`, where aiosmtpd is missing.
    pub async fn start(test: &str, mode: Mode) -> Option<Self> {
        let there = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            skipped(test, "there is no aiosmtpd; scripts/setup-test.sh installs it");
            return None;
        }
        let port = free_port();
        let (scheme, word) = match mode {
            Mode::StartTls => ("smtp", "starttls"),
            Mode::Implicit => ("smtps", "implicit"),
            Mode::Plain => ("smtp", "plain"),
        };
        let mut child = Command::new(PYTHON)
            .arg(root().join("tests/clients/mail_server.py"))
            .arg(port.to_string())
            .args([root().join("tests/fixtures/tls-cert.pem"), root().join("tests/fixtures/tls-key.pem")])
            .arg(word)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (lines, first) = tokio::task::spawn_blocking(move || {
            let first = lines.next();
            (lines, first)
        })
        .await
        .unwrap();
        assert!(first.is_some_and(|line| line.is_ok()), "the mail server starts");
        let mails: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = mails.clone();
        // Ends with the server's output.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Some(Self { url: format!("{scheme}://127.0.0.1:{port}"), mails, child })
    }

    /// The mails so far, oldest first.
    pub fn mails(&self) -> Vec<Value> {
        self.mails.lock().unwrap().clone()
    }

    /// The authority behind its certificate, in PEM.
    pub fn authority() -> String {
        std::fs::read_to_string(root().join("tests/fixtures/tls-cert.pem")).unwrap()
    }
}
