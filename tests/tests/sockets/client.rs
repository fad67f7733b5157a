//! The client that Socket.IO's makers publish, in a process of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use windlass_tests::server::ADMIN_TOKEN;
use windlass_tests::tools::tool;

const PROGRAM: &str = include_str!("client.mjs");

/// Some sockets, by name.
pub struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    number: u64,
}

impl Client {
    /// None, with a word about it, where the client could not be had.
    pub fn start(test: &str) -> Option<Self> {
        let (node, folder) = (tool("sockets", "node", test)?, tool("sockets", "client", test)?);
        // A program from the command line finds its packages from the folder it runs in.
        let mut child = Command::new(node)
            .args(["--input-type=module", "--eval", PROGRAM])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, input, output, number: 0 })
    }

    /// Asks the program, and waits for its answer; it gives up by itself after a minute.
    fn ask(&mut self, mut question: Value) -> Value {
        self.number += 1;
        question["number"] = self.number.into();
        writeln!(self.input, "{question}").unwrap();
        let mut line = String::new();
        tokio::task::block_in_place(|| self.output.read_line(&mut line)).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no answer to {question}"));
        assert_eq!(answer["number"], self.number);
        assert!(answer["failed"].is_null(), "{question}: {}", answer["failed"]);
        answer["answer"].clone()
    }

    /// Connects with what the handshake is to carry.
    pub fn try_connect(&mut self, name: &str, url: &str, how: Value) -> Value {
        let mut question = json!({ "ask": "connect", "name": name, "url": url });
        question.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
        self.ask(question)
    }

    /// Connects as the administrator.
    pub fn connect(&mut self, name: &str, url: &str) {
        let how = json!({ "auth": { "token": ADMIN_TOKEN } });
        assert_eq!(self.try_connect(name, url, how)["connected"], true);
    }

    /// What the callback got.
    pub fn call(&mut self, name: &str, event: &str, args: Value) -> Value {
        self.ask(json!({ "ask": "call", "name": name, "event": event, "args": args }))
    }

    /// What the callback got of a call that is to succeed.
    pub fn data(&mut self, name: &str, event: &str, args: Value) -> Value {
        let answer = self.call(name, event, args);
        assert_eq!(answer["ok"], true, "{event}: {answer}");
        answer["data"].clone()
    }

    pub fn follow(&mut self, name: &str, stack: &str) {
        let answer = self.ask(json!({ "ask": "follow", "name": name, "stack": stack }));
        assert_eq!(answer["ok"], true, "{answer}");
    }

    /// The arguments of a push that came, or is still to come, whose JSON has a text.
    pub fn wait(&mut self, name: &str, event: &str, has: &str) -> Value {
        self.ask(json!({ "ask": "wait", "name": name, "event": event, "has": has }))["args"].clone()
    }

    /// The first arguments of all pushes of that name.
    pub fn pushes(&mut self, name: &str, event: &str) -> Vec<Value> {
        let all = self.ask(json!({ "ask": "pushes", "name": name }));
        let all = all.as_array().unwrap().iter().filter(|push| push["event"] == event);
        all.map(|push| push["args"].clone()).collect()
    }

    pub fn close(&mut self, name: &str) {
        self.ask(json!({ "ask": "close", "name": name }));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
