//! What `scripts/setup-vendors.sh` brought: Prism, which holds both sides of a conversation to the vendor's API document,
//! and the vendors' clients in Python. The documents are no part of the project: they lie in a folder `shared/contracts`
//! beside or above it. A test that lacks one of them says so and is skipped.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::port::free_port;
use crate::tools::{root, skipped, tool};

/// For a client's whole script.
const SCRIPT: Duration = Duration::from_secs(120);

/// A file of the vendors' contracts, such as `gitlab/webhooks/push.json`; `None`, with a word about `test`, where they are
/// not to be had.
pub fn contract(file: &str, test: &str) -> Option<PathBuf> {
    let found = root()
        .ancestors()
        .map(|folder| folder.join("shared/contracts").join(file))
        .find(|path| path.exists());
    if found.is_none() {
        skipped(test, &format!("there is no folder shared/contracts with {file} above the project"));
    }
    found
}

/// `prism proxy --errors`: passes requests on to a server, and answers itself with an error if a request or an answer is not
/// as the document has it.
pub struct Prism {
    pub url: String,
    _child: Child,
}

impl Prism {
    /// Puts the proxy in front of `upstream`. `document` is a file of the contracts. `None`, with a word about `test`, where
    /// there is no Prism or no document.
    pub async fn start(document: &str, upstream: &str, test: &str) -> Option<Self> {
        let (node, prism) = (tool("vendors", "node", test)?, tool("vendors", "prism", test)?);
        let document = contract(document, test)?;
        let port = free_port();
        let mut child = Command::new(node)
            .arg(prism)
            .args(["proxy", "--errors", "--host", "127.0.0.1", "--port", &port.to_string()])
            .arg(document)
            .arg(upstream)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prism starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.expect("its output is text") {
                if line.contains("is listening on") {
                    return;
                }
            }
            panic!("prism ended before it listened");
        };
        timeout(PATIENCE, listening).await.expect("prism listens in time");
        // Nobody reads on, and a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self { url: format!("http://127.0.0.1:{port}"), _child: child })
    }
}

/// Runs `tests/clients/<script>` in the Python that has the vendors' clients, and answers with what it printed. `None`, with
/// a word about `test`, where there is none.
///
/// # Panics
/// If the script fails: then fake and client do not understand each other.
pub async fn run_client(script: &str, arguments: &[&str], test: &str) -> Option<String> {
    let python = tool("vendors", "python", test)?;
    let mut child = Command::new(python)
        .arg(root().join("tests/clients").join(script))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python starts");
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) =
        (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let all = async {
        let (_, _, status) =
            tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err), child.wait());
        status.expect("it ends")
    };
    let status = timeout(SCRIPT, all).await.expect("the client ends in time");
    assert!(status.success(), "{script} failed:\n{out}{err}");
    Some(out)
}
