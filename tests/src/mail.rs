//! A real mail server on loopback, aiosmtpd, and the mails it took.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::sync::watch;

use crate::PATIENCE;
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
    mails: watch::Receiver<Vec<Value>>,
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
        let (kept, mails) = watch::channel(Vec::new());
        // Ends with the server's output.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mail = serde_json::from_str(&line).unwrap();
                kept.send_modify(|mails| mails.push(mail));
            }
        });
        Some(Self { url: format!("{scheme}://127.0.0.1:{port}"), mails, child })
    }

    /// The mails so far, oldest first, as soon as there are so many: whoever sent one knows of it before the test does.
    pub async fn mails(&self, at_least: usize) -> Vec<Value> {
        let mut mails = self.mails.clone();
        let arrived = tokio::time::timeout(PATIENCE, mails.wait_for(|mails| mails.len() >= at_least)).await;
        arrived.expect("the mails come").expect("the mail server runs").clone()
    }

    /// The authority behind its certificate, in PEM.
    pub fn authority() -> String {
        std::fs::read_to_string(root().join("tests/fixtures/tls-cert.pem")).unwrap()
    }
}
