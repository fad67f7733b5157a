//! The program as a command line, run to its end.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::server::{ADMIN_TOKEN, TestServer, program};

/// An address where nobody listens.
pub const NOBODY: &str = "http://127.0.0.1:1";

/// How the program ended and what it printed.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Everything that a person at a terminal sees.
    pub fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// The program with nothing of our environment that would change what it does.
pub fn command(server: &str, token: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program());
    for name in [
        "WINDLASS_CONFIG",
        "WINDLASS_DATA_DIR",
        "WINDLASS_LISTEN",
        "BUILD_LOG_DIR",
        "WEBHOOK_SECRET",
        "JOB_WORKERS",
    ] {
        command.env_remove(name);
    }
    command.args(words).env("WINDLASS_SERVER", server).env("WINDLASS_TOKEN", token).stdin(Stdio::null());
    command
}

/// Runs it to its end, which must not be a panic. Blocks: a test that itself serves what the command asks for needs several
/// threads.
pub fn run(mut command: Command) -> Run {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let run =
        Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
    assert!(!run.err.contains("panicked"), "{run:#?}");
    run
}

impl TestServer {
    /// The command line against this server, with the administrator's token.
    pub fn cli(&self, words: &[&str]) -> Run {
        run(self.command(words))
    }

    /// The same before it runs, for one that needs more variables.
    pub fn command(&self, words: &[&str]) -> Command {
        command(&self.url, ADMIN_TOKEN, words)
    }
}
